import ast
import json
import re
import time

import pytest

import bird_tf
from tools import check_docs

PAGE = """Text with `python -m bird_tf.train --epochs=3 … --nobatch_norm` and `--format=csv`.

```bash
python tools/demo.py --output=x \\
  --help   # not --this
A='1 2' make test && dask scheduler --port 8786 &
```

<!-- docs-check: skip, it needs a bucket -->
```bash
bird-tf-convert --output=s3://BUCKET/x
```

```python
--not_a_flag
```
"""


@pytest.mark.parametrize("page", check_docs.PAGES)
def test_pages_name_only_what_exists(page):
    assert check_docs.faults(page, check_docs.prose_of(page, (check_docs.ROOT / page).read_text())) == []


def test_blocks_are_taken_from_a_page_with_their_lines_and_reasons():
    blocks, prose = check_docs.read("p", PAGE)
    assert [(block.line, block.reason) for block in blocks] == [(4, ""), (11, "it needs a bucket")]
    assert "--format" in prose and "--not_a_flag" not in prose
    assert list(check_docs.commands(blocks[0].text)) == [
        ["python", "tools/demo.py", "--output=x", "--help"], ["make", "test"], ["dask", "scheduler", "--port", "8786"],
    ]  # fmt: skip
    assert check_docs.faults("p", PAGE) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("`python -m bird_tf.train --epoch=3`", "bird_tf.train --epoch"),
        ("```bash\npython tools/demo.py --rate=3\n```", "tools/demo.py --rate"),
        ("```bash\nbird-tf-predict --modle=x\n```", "bird_tf.predict --modle"),
        ("`--balanse=0.5` helps", "commands --balanse"),
        ("see `configs/resnett.flags`", "configs/resnett.flags"),
        ("`resnett.flags`", "resnett.flags"),
        ("tools/picture.py", "tools/picture.py"),
        ("`make tests`", "make tests"),
        ("[x](docs/index.md#a) [y](docs/nowhere.md#a)", "link docs/nowhere.md"),
        ("    python tools/demo.py", "'python tools/demo.py' is indented: fence it as bash, so that it is run"),
    ],
)
def test_what_does_not_exist_is_found(line, fault):
    assert fault in check_docs.faults("p", line + "\n")


def test_a_block_runs_to_its_first_failure_and_leaves_nothing_behind(tmp_path):
    def run(text, minutes=1.0):
        return check_docs.run(check_docs.Block("p", 1, text, ""), tmp_path, minutes)

    assert run("touch a\nfalse\ntouch b\n").endswith("exit status 1")
    assert (tmp_path / "a").exists() and not (tmp_path / "b").exists()
    assert run("(sleep 1; touch late) &\ntrue\n") == ""
    assert "still running" in run("sleep 60", minutes=0.01)
    time.sleep(1.5)
    assert not (tmp_path / "late").exists()


def test_error_lines_in_the_pages_are_those_of_the_code():
    page = (check_docs.ROOT / "docs/reference/errors.md").read_text()
    section = page.split("## The most frequent lines")[1].split("\n## ")[0]
    quoted = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
    sources = [ast.parse(path.read_text()) for path in (check_docs.ROOT / "bird_tf").rglob("*.py")]
    texts = " ".join(
        node.value for source in sources for node in ast.walk(source)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )  # fmt: skip
    assert len(quoted) > 8
    assert [line for line in quoted if line not in texts] == []


def test_every_page_is_checked_and_the_readme_is_short():
    found = (path for path in (check_docs.ROOT / "docs").rglob("*") if path.suffix in (".md", ".ipynb"))
    assert {str(path.relative_to(check_docs.ROOT)) for path in found} <= set(check_docs.PAGES)
    assert len((check_docs.ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", [page for page in check_docs.PAGES if page.endswith(".ipynb")])
def test_notebooks_compile_begin_with_the_install_cell_and_are_small(page):
    source = (check_docs.ROOT / page).read_text()
    assert len(source) < 400_000
    cells = ["".join(cell["source"]) for cell in json.loads(source)["cells"] if cell["cell_type"] == "code"]
    assert "%pip install" in cells[0] and bird_tf.__version__ in cells[0]
    for cell in cells:
        compile(cell.replace("%pip", "_ = 1 #"), page, "exec")
    assert "stderr" not in source


def test_changes_in_the_pages_fit_the_code():
    changes = [
        block
        for page in check_docs.PAGES
        if page.endswith(".md")
        for block in check_docs.read(page, (check_docs.ROOT / page).read_text())[0]
        if block.language == "diff" or block.path
    ]
    assert {block.language for block in changes} == {"diff", "python"}
    for block in changes:
        if block.language == "diff":
            assert "/dev/null" not in block.text  # a new file is a block of its own
            assert check_docs.patch(block, check_docs.ROOT, "--dry-run") == "", block.page
        else:
            compile(block.text, block.path, "exec")


def test_code_with_the_name_of_a_file_and_diffs_change_the_copy(tmp_path):
    page = """```python title="a.py"
x = 1
```
```diff
--- a/a.py
+++ b/a.py
@@ -1 +1 @@
-x = 1
+x = 2
```
"""
    blocks, _ = check_docs.read("p", page)
    assert [check_docs.run(block, tmp_path, 1.0) for block in blocks] == ["", ""]
    assert (tmp_path / "a.py").read_text() == "x = 2\n"
    assert "1 out of 1 hunk" in check_docs.run(blocks[1], tmp_path, 1.0)


def test_notebooks_run_from_a_clean_state_and_keep_what_they_show(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    cells = ["import sys; print('progress', file=sys.stderr)", "import pathlib; pathlib.Path.cwd().name"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(notebook, tmp_path / "good.ipynb")
    monkeypatch.setattr(check_docs, "ROOT", tmp_path)
    assert check_docs.execute("good.ipynb", tmp_path, 1.0, renew=True) == ""
    first, second = nbformat.read(tmp_path / "good.ipynb", as_version=4).cells
    assert first.outputs == [] and second.outputs[0]["data"]["text/plain"] == repr(tmp_path.name)
    notebook.cells.append(nbformat.v4.new_code_cell("1 / 0"))
    nbformat.write(notebook, tmp_path / "bad.ipynb")
    assert "ZeroDivisionError" in check_docs.execute("bad.ipynb", tmp_path, 1.0, renew=False)


def test_the_folder_of_an_earlier_check_is_used_again(tmp_path, monkeypatch):
    page, folder, laid_out = tmp_path / "root" / "docs" / "a.md", tmp_path / "check", []
    page.parent.mkdir(parents=True)
    folder.mkdir()
    monkeypatch.setattr(check_docs, "ROOT", tmp_path / "root")
    monkeypatch.setattr(check_docs, "lay_out", laid_out.append)
    for text in ("one", "two"):
        page.write_text(text)
        check_docs.scratch(folder)
        assert (folder / "docs" / "a.md").read_text() == text
    assert laid_out == [folder]

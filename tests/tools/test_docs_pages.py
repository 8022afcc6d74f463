import re

import bird_tf
from bird_tf import config
from tools import check_docs, docs_pages

COMMANDS = {docs_pages.title(command): command for command in docs_pages.commands()}


def test_every_installed_command_and_every_tool_with_flags_has_a_page():
    assert {"convert", "train", "predict", "review", "cross-validate", "show_batch"} <= set(COMMANDS)
    assert COMMANDS["convert"].started == "python tools/make_tfrecords.py"
    assert COMMANDS["inspect"].started == "python tools/inspect_tfrecords.py"
    assert COMMANDS["train"].started == "python -m bird_tf.train"


def test_a_page_has_each_flag_once_with_default_and_meaning():
    for command in COMMANDS.values():
        page = docs_pages.page_of(command)
        names = [field.name for field, _ in config.leaves(docs_pages.flags_of(command))]
        assert sorted(re.findall(r"^`--\w+`\{ #(\w+) \}$", page, re.MULTILINE)) == sorted(names)
    page = docs_pages.page_of(COMMANDS["convert"])
    entry = page[page.index("`--layout`{ #layout }") :].partition("\n\n`--")[0]
    assert "default `auto`" in entry and "`birdclef`" in entry
    assert "**required**" in page[page.index("`--output`{ #output }") :].partition("\n\n`--")[0]


def test_links_lead_to_pages_of_the_site_or_become_text():
    text = "[a](../tfrecords/README.md#one-chunk) [b](../LICENSE) ![c](pictures/x.png) "
    text += "[d](https://e.f) [g](#h) [i](../docker/) [j](../bird_tf/train.py#seed)"
    assert docs_pages.rewrite(text, "index.md", "docs/index.md") == (
        "[a](reference/records.md#one-chunk) b ![c](pictures/x.png) [d](https://e.f) [g](#h) [i](how-to/docker.md) "
        "[j](reference/commands/train.md#seed)"
    )
    guide = docs_pages.rewrite(
        "[r](../docs/explanation/results.md)", "reference/configurations.md", "configs/README.md"
    )
    assert guide == "[r](../explanation/results.md)"


def test_the_page_of_the_interface_names_all_of_it():
    page = (check_docs.ROOT / "docs" / "reference" / "api.md").read_text()
    assert [name for name in bird_tf.__all__ if not re.search(rf"bird_tf\.(\w+\.)*{name}\b", page)] == []


def test_long_commands_are_folded_and_mean_the_same():
    text = "```bash\nls\npython -m bird_tf.predict --model=a --audio=b --output=c  # say why\n```\nand `x --y`\n"
    folded = docs_pages.fold(text, width=40)
    assert folded == (
        "```bash\nls\n# say why\npython -m bird_tf.predict --model=a \\\n    --audio=b --output=c\n```\nand `x --y`\n"
    )
    for page in check_docs.PAGES:
        source = (check_docs.ROOT / page).read_text() if page.endswith(".md") else ""
        before, after = (
            [words for block in check_docs.read(page, text)[0] if block.language == "bash"
             for words in check_docs.commands(block.text)]
            for text in (source, docs_pages.fold(source))
        )  # fmt: skip
        assert before == after, page


def test_flags_are_marked_so_that_they_are_not_broken():
    html = docs_pages.on_page_content("<p><code>--top</code> and <code>make --x</code></p><pre><code>--a</code></pre>")
    assert html.startswith('<p><code class="flag">--top</code> and <code>make --x</code></p>')

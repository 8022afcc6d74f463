"""The order of the modules: each imports only from above itself. ORDER is the documentation of it."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "bird_tf"

ORDER = (
    "chatter",
    "config",
    "files",
    "executor",
    "taxonomy",
    "frontend",
    "audio",
    "metadata",
    "spans",
    "tables",
    "layouts",
    "split",
    "activity",
    "records",
    "inventory",
    "damage",
    "listener",
    "worker",
    "plan",
    "journal",
    "convert",
    "folds",
    "augment",
    "sampling",
    "dataset",
    "preview",
    "models",
    "losses",
    "schedules",
    "optimizers",
    "pooling",
    "metrics",
    "prior",
    "decisions",
    "serving",
    "parity",
    "tflite",
    "onnx",
    "export",
    "pretrained",
    "teachers",
    "distribution",
    "learning",
    "checkpoints",
    "validation",
    "monitor",
    "experiment",
    "rehearsal",
    "train",
    "scoring",
    "occurrence",
    "writers",
    "predict",
    "segments",
    "labelled",
    "examples",
    "plots",
    "page",
    "report",
    "evaluate",
    "submission",
)

TRAINING_SIDE = set(ORDER[ORDER.index("listener") : ORDER.index("pooling")])
TRAINING_SIDE |= set(ORDER[ORDER.index("export") : ORDER.index("train") + 1])


def _imports(path):
    """Names of bird_tf's modules that a file imports, wherever in it, and the other packages."""
    own, foreign = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "bird_tf":
            own |= {alias.name for alias in node.names} - {"keras", "tf"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bird_tf."):
            own.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            for alias in node.names:
                first, *rest = alias.name.split(".")
                (own if first == "bird_tf" and rest else foreign).add(rest[0] if first == "bird_tf" and rest else first)
        elif isinstance(node, ast.ImportFrom):
            foreign.add((node.module or "").split(".")[0])
    return own, foreign


def _files(module):
    return sorted((PACKAGE / module).glob("*.py")) if (PACKAGE / module).is_dir() else [PACKAGE / f"{module}.py"]


def test_every_module_has_its_place():
    found = {p.stem for p in PACKAGE.glob("*.py")} | {p.parent.name for p in PACKAGE.glob("*/__init__.py")}
    assert found - {"__init__"} == set(ORDER)


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_from_above(module):
    above = set(ORDER[: ORDER.index(module)]) | {module}
    for path in _files(module):
        assert _imports(path)[0] <= above, path


@pytest.mark.parametrize("module", ["predict", "report", "evaluate", "submission"])
def test_the_serving_side_needs_nothing_of_the_training_side(module):
    seen, todo = set(), [module]
    while todo:
        for path in _files(todo.pop()):
            new = _imports(path)[0] - seen
            seen |= new
            todo += new
    assert not seen & TRAINING_SIDE


def test_tensorflow_io_is_imported_in_one_module_only():
    users = {path.name for path in PACKAGE.rglob("*.py") if '"tensorflow_io"' in path.read_text()}
    assert users == {"files.py"}
    assert not [path for path in PACKAGE.rglob("*.py") if "tensorflow_io" in _imports(path)[1]]


def test_every_module_has_a_test_file():
    tests = {path.stem.removeprefix("test_") for path in pathlib.Path(__file__).parent.glob("test_*.py")}
    assert set(ORDER) <= tests


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.name)
def test_module_docstrings_say_their_purpose_in_at_most_six_lines(path):
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring and len(docstring.splitlines()) <= 6


def test_the_runner_image_leaves_out_just_the_training_side():
    script = (PACKAGE.parent / "docker" / "keep_serving_side.sh").read_text()
    [loop] = [line for line in script.splitlines() if line.startswith("for module in ")]
    assert set(loop.removeprefix("for module in ").removesuffix("; do").split()) == TRAINING_SIDE

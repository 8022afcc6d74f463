"""The order of the packages, and of the modules in each: a module imports only from those above it in ORDER."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "bird_tf"

# Packages and their modules, from the ground up. "" holds what all others stand on.
ORDER = {
    "": (
        "stderr_filter", "free_text", "typed", "flagfiles", "endings", "config", "progress_bars", "command_line",
        "python_calls", "lines", "temporaries", "files", "stored", "csv_files", "skips", "locks", "executor",
        "resume", "next_steps",
    ),
    "audio": (
        "mel", "frontend", "ahead", "hearing", "content", "parts", "reports", "wav", "iff", "mp3", "ogg", "flac",
        "foreign", "decoder", "sound", "channels", "digests", "own_clips", "decode", "unread_files", "activity",
        "noises", "axes",
    ),
    "labels": (
        "metadata", "parquet", "json_lines", "texts", "given_table", "label_cells", "odd_names", "class_names",
        "recorders", "sites", "clock", "taxonomy", "spans", "groups", "duplicates", "split", "verdicts",
    ),
    "labels.tables": (
        "rows", "common_names", "background", "columns", "times", "zones", "segments", "yes_or_no", "unused_columns",
        "presence", "file_format",
    ),
    "labels.formats": (
        "birdclef", "verdict_table", "xeno_canto", "xeno_canto_annotations", "text_grid", "raven", "kaleidoscope",
        "kaggle_segments", "inaturalist", "macaulay", "one_hot", "sonic_visualiser", "csv_table", "audacity", "formats",
    ),
    "labels.layouts": (
        "matching", "evidence", "versions", "corrections", "joining", "assembly", "folders",
        "containers", "crossed_folders", "unread_labels", "sorted_tree", "other_splits", "reader",
    ),
    "records": ("selection", "schema", "manifests", "shard_files", "recordings_table", "learnt", "verify"),
    "backbones": (
        "presets", "exported", "sources", "signatures", "tflite", "saved_model", "onnx", "backbone", "windows", "graph",
    ),
    "scores": (
        "pooling", "context", "metrics", "platt", "thresholds", "calibration", "decisions", "threshold_table",
        "density", "stratified", "prior",
    ),
    "inference": (
        "strangeness", "serving", "model_files", "saved_model", "ensembles", "in_context", "segments", "audio_files",
        "provenance", "result_files", "suspects", "units", "scoring", "score_store", "embedding_store", "labelled",
        "leaks", "occurrence_table", "occurrence", "judgement",
    ),
    "inference.writers": (
        "detections", "predictions", "rows", "totals", "about", "tab_separated", "csv_tables", "parquet", "raven",
        "audacity", "kaleidoscope", "tables",
    ),
    "inference.formats": ("parts", "compare", "tflite", "onnx"),
    "evaluation": (
        "noise", "stored_decisions", "recording_tuning", "context_search", "excerpts", "calls", "mixtures",
        "soundscapes", "mixture_tuning", "notes", "examples", "results",
        "plots", "pages", "report", "summary_lines", "recordings", "judged",
    ),
    "surveys": ("tally", "densities", "page", "survey_files"),
    "reviewing": ("clips", "prediction_folder", "page"),
    "submissions": ("run_files", "kaggle_files", "media_ids", "budget"),
    "conversion": (
        "compiled_frontend", "chunk_features", "notes", "shard_tasks", "candidates", "worker", "class_selection",
        "sharding", "state", "execution", "outcome", "dry_run", "folds",
    ),
    "input.augment": ("geometry", "pixels", "mixing", "augmentations"),
    "input": ("sampling", "pseudo_labels", "targets", "streams", "dataset", "preview"),
    "models": (
        "losses", "architectures", "layers", "attention", "application", "baseline", "pi", "resnet", "head",
    ),
    "training": (
        "known_sound", "weights", "schedules", "optimizers", "distribution", "run_directory", "exporter", "pretrained",
        "kept_classes", "distillation", "train_step", "checkpoints", "training_flags", "clocks", "origins",
        "validation", "tensorboard", "recipes", "embedding_statistics", "experiments", "epochs", "head_strength",
        "dry_run",
    ),
    "selftraining": ("flags", "teaching", "gate", "rounds", "dry_run"),
    "api": ("frames", "sounds", "model", "opened_records"),
}  # fmt: skip
COMMANDS = ("convert", "train", "selftrain", "export", "evaluate", "predict", "submission", "review", "search")

# What the runner image has no use for: three commands, these folders and this module. The serving side imports nothing
# of them.
TRAINING_FOLDERS = ("conversion", "input", "models", "training", "selftraining")
TRAINING_COMMANDS = ("convert", "train", "selftrain", "export")
TRAINING_MODULES = ("api.opened_records",)
# tested together, by one test file for the whole
TESTED_TOGETHER = {
    "input.augment": "augmentations",
    "models": "architectures",
}

FLAT = [(package, module) for package, modules in ORDER.items() for module in modules]
FLAT += [("", command) for command in COMMANDS]


def _path(package, module):
    return PACKAGE.joinpath(*package.split("."), f"{module}.py")


def _name(package, module):
    return ".".join(part for part in ("bird_tf", package, module) if part)


def _imports(path):
    """Dotted names of bird_tf's modules that a file imports, wherever in it, and the other packages."""
    own, foreign = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            if node.module.split(".")[0] == "bird_tf":
                own |= {f"{node.module}.{alias.name}" for alias in node.names}
            else:
                foreign.add(node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            for alias in node.names:
                (own if alias.name.startswith("bird_tf.") else foreign).add(alias.name)
    return own - {"bird_tf.keras", "bird_tf.tf"}, foreign


def test_every_module_has_its_place():
    found = {path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py") if path.stem != "__init__"}
    assert found == {_path(*place).relative_to(PACKAGE).with_suffix("") for place in FLAT}


@pytest.mark.parametrize("place", FLAT, ids=lambda place: _name(*place))
def test_a_module_imports_only_from_above(place):
    above = {_name(*other) for other in FLAT[: FLAT.index(place)]}
    # a command uses no other command, but for self-training, which converts and trains as the user would
    if not place[0] and place[1] in set(COMMANDS) - {"selftrain"}:
        above -= {_name("", command) for command in COMMANDS}
    if place[0] == "models" and place[1] != "architectures":
        above.add("bird_tf.models.architectures")
    assert _imports(_path(*place))[0] <= above


@pytest.mark.parametrize("package", sorted({package for package in ORDER if package}))
def test_a_package_holds_nothing_but_its_modules(package):
    tree = ast.parse((_path(package, "__init__")).read_text())
    assert len(tree.body) == 1 and ast.get_docstring(tree)


def test_the_serving_side_imports_nothing_of_the_training_folders():
    for package, module in FLAT:
        trains = package.split(".")[0] in TRAINING_FOLDERS or f"{package}.{module}" in TRAINING_MODULES
        serves = not trains and module not in TRAINING_COMMANDS
        for name in _imports(_path(package, module))[0] if serves else ():
            assert name.split(".")[1] not in (*TRAINING_FOLDERS, *TRAINING_COMMANDS), (package, module)


def test_the_runner_image_leaves_out_just_these_folders_and_commands():
    script = (ROOT / "docker" / "keep_serving_side.sh").read_text()
    [loop] = [line for line in script.splitlines() if line.startswith("for part in ")]
    removed = loop.removeprefix("for part in ").removesuffix("; do").split()
    modules = (*TRAINING_COMMANDS, *(module.replace(".", "/") for module in TRAINING_MODULES))
    assert removed == [*TRAINING_FOLDERS, *(f"{module}.py" for module in modules)]


def test_tensorflow_io_is_imported_in_one_module_only():
    users = {path.name for path in PACKAGE.rglob("*.py") if '"tensorflow_io"' in path.read_text()}
    assert users == {"files.py"}
    assert not [path for path in PACKAGE.rglob("*.py") if "tensorflow_io" in _imports(path)[1]]


def test_tests_mirror_the_packages():
    for package, module in FLAT:
        module = TESTED_TOGETHER.get(package, module)
        assert ROOT.joinpath("tests", *package.split("."), f"test_{module}.py").exists(), (package, module)
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    packages = {pathlib.Path(*package.split(".")) for package in ORDER}
    assert folders - packages == {pathlib.Path("tools")}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_module_docstrings_say_their_purpose_in_at_most_six_lines(path):
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring and len(docstring.splitlines()) <= 6


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs_as_a_module(command):
    assert _path("", command).read_text().endswith('\n\nif __name__ == "__main__":\n    run()\n')

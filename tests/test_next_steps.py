import os
import shlex
import sys

import pytest

from bird_tf import command_line, next_steps


@pytest.mark.parametrize(
    ("program", "in_checkout", "expected"),
    [
        ("x/bird-tf-convert", True, "bird-tf-train --records='my set' --tune --model=a --model=b"),
        ("bird_tf/convert.py", True, "python -m bird_tf.train --records='my set' --tune --model=a --model=b"),
        ("bird_tf/convert.py", False, "bird-tf-train --records='my set' --tune --model=a --model=b"),
    ],
)
def test_commands_are_written_as_the_user_types_them(program, in_checkout, expected, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", [program])
    monkeypatch.chdir(tmp_path)
    if in_checkout:
        (tmp_path / "bird_tf").mkdir()
    command = next_steps.command("train", records="my set", tune=True, model=("a", "b"), decisions=[])
    assert command == expected.replace("--records='my set'", "'--records=my set'")


def test_tools_have_their_path_in_a_checkout(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["x"])
    monkeypatch.chdir(tmp_path)
    assert next_steps.command("inspect", records="r") == "bird-tf-inspect --records=r"
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "inspect_tfrecords.py").touch()
    assert next_steps.command("inspect", records="r") == "python tools/inspect_tfrecords.py --records=r"


@pytest.mark.parametrize(
    ("models", "output"),
    [
        (["runs/first/export"], "predictions/first"),
        (["/data/runs/cv/fold-1/seed-0/export"], "predictions/cv-fold-1-seed-0"),
        (["first/export/", "second/export"], "predictions/first"),
        (["my model"], "predictions/my model"),
        (["export"], "predictions/export"),
    ],
)
def test_predictions_go_to_a_folder_of_the_models_name(models, output):
    assert shlex.split(next_steps.predict(models))[-1] == f"--output={output}"


def test_a_script_is_named_where_it_lies(monkeypatch, tmp_path):
    root = os.path.dirname(os.path.dirname(os.path.abspath(next_steps.__file__)))
    monkeypatch.chdir(root)
    assert next_steps.script("small_computer.py", "a b") == "python tools/small_computer.py 'a b'"
    monkeypatch.chdir(tmp_path)
    assert next_steps.script("small_computer.py") == f"python {root}/tools/small_computer.py"


def test_each_step_has_a_line_of_its_own(caplog):
    caplog.set_level("INFO", logger="absl")
    next_steps.log("open a\nb", "run c")
    [record] = caplog.records
    assert command_line._Formatter("%(message)s").format(record) == "next:\n  open a\\nb\n  run c"

import dataclasses
import inspect
import os
import pathlib
import subprocess
import sys

import pytest

import bird_tf
from bird_tf import config, python_calls


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Flags:
    records: str = config.option("", "a directory", required=True)
    count: int = config.option(3, "a number")
    share: float = config.option(0.5, "a share")
    fast: bool = config.option(True, "a switch")
    sizes: tuple[int, ...] = config.option((1, 2), "numbers")
    names: tuple[str, ...] = config.option((), "names")
    kind: str = config.option("a", "a choice", choices=("a", "b"))
    limit: float | None = config.option(None, "a limit")


def test_values_of_python_are_those_of_the_flags(tmp_path):
    made = python_calls.configure(
        _Flags,
        {"records": pathlib.Path("x"), "count": 4, "share": 1e-7, "fast": False, "sizes": (5, 6), "names": ["a,b", "c"],
         "kind": "b", "limit": None},
    )  # fmt: skip
    assert made == _Flags(records="x", count=4, share=1e-7, fast=False, sizes=(5, 6), names=("a,b", "c"), kind="b")
    assert python_calls.configure(_Flags, {"records": "x", "names": "one"}).names == ("one",)
    (tmp_path / "some.flags").write_text("--count=7\n--share=0.1\n")
    made = python_calls.configure(_Flags, {"flagfile": tmp_path / "some.flags", "records": "x", "share": 0.2})
    assert (made.count, made.share) == (7, 0.2)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "--records is missing"),
        ({"records": "x", "counts": 1}, "counts"),
        ({"records": "x", "count": "many"}, "count"),
        ({"records": "x", "kind": "c"}, "kind"),
        ({"records": "x", "sizes": [1.5]}, "sizes"),
    ],
)
def test_values_that_do_not_fit_are_refused(flags, message):
    with pytest.raises(bird_tf.Error, match=message):
        python_calls.configure(_Flags, flags)


def test_errors_of_the_system_are_of_the_family():
    with pytest.raises(bird_tf.Error, match=r"nothing\.txt") as raised, python_calls.one_family():
        open("nothing.txt", encoding="utf-8")
    assert isinstance(raised.value.__cause__, OSError)


def test_a_command_says_which_flags_it_has():
    keywords = inspect.signature(bird_tf.train).parameters
    assert keywords["epochs"].default == 120  # of the recommended recipe
    assert keywords["records"].default is inspect._empty
    with pytest.raises(bird_tf.Error, match="no such records"):
        bird_tf.train(records="nothing", run_dir="nowhere")


def test_a_program_converts_in_processes_without_a_guard(data, tmp_path):
    """Worker processes do not run the program again, which has no `if __name__ == "__main__"`."""
    (tmp_path / "program.py").write_text(
        f"""
import bird_tf
print("started")
small = dict(sample_rate_hz=22050, num_bands=32, num_frames=32, n_fft=512, fmax_hz=10000, chunk_seconds=1,
             overlap_seconds=0)
converted = bird_tf.convert(audio={str(data / "wav")!r}, metadata={str(data / "xml")!r}, output="records",
                            shard_minutes=0.3, workers=2, val_share=0.3, **small)
assert converted["num_classes"] == 6, converted
"""
    )
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300,
        env=os.environ | {"PYTHONPATH": str(pathlib.Path(bird_tf.__file__).parent.parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "started\n"
    assert "Traceback" not in done.stderr

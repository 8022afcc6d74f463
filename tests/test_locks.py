import errno
import fcntl
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys

import pytest

from bird_tf import config, endings, locks, predict, review, search, submission
from bird_tf.conversion import dry_run
from bird_tf.labels.layouts import reader
from tests import damage
from tests.conftest import settings
from tools import demo, mix_soundscapes, simulate_review, sort_recordings, synthesise

_HOLDER = """
import sys, time
from bird_tf import locks
with locks.held(sys.argv[1], work="training", flag="--run_dir"):
    print("held", flush=True)
    time.sleep(60)
"""


def _held(folder):
    return locks.held(str(folder), work="test", flag="--output")


def test_the_second_is_told_who_holds_the_lock_and_a_killed_holder_holds_nothing(tmp_path):
    folder = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", _HOLDER, str(folder)], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(locks.InUseError) as refused, _held(folder):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    who = f"(training, process {process.pid} on {socket.gethostname()}, since 2"
    assert who in str(refused.value) and "name another --output" in str(refused.value)
    assert refused.value.exit_code == endings.IN_USE != endings.ERROR
    (folder / "0a1b2c3d-x.partial").touch()
    with _held(folder):
        assert json.loads((folder / locks.NAME).read_text())["process"] == os.getpid()
    assert [path.name for path in folder.iterdir()] == ["0a1b2c3d-x.partial"]


def test_a_folder_that_was_made_for_the_lock_goes_with_it_if_it_is_empty(tmp_path):
    with pytest.raises(ZeroDivisionError), _held(tmp_path / "a" / "b"):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())
    with _held(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "result").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["result"]
    (tmp_path / "empty").mkdir()
    with _held(tmp_path / "empty"):
        pass
    assert (tmp_path / "empty").exists()


def test_an_output_that_vanishes_during_the_work_is_told(tmp_path):
    folder = tmp_path / "out"
    with pytest.raises(config.InputError, match="out was removed or replaced during the test"), _held(folder):
        folder.rename(tmp_path / "elsewhere")
        folder.mkdir()


def test_a_lock_whose_file_was_just_removed_is_taken_anew(tmp_path, monkeypatch):
    taken = []

    def removing_once(*_):
        taken.append(1)
        if len(taken) == 1:
            (tmp_path / locks.NAME).unlink()

    monkeypatch.setattr(fcntl, "flock", removing_once)
    with _held(tmp_path):
        assert (tmp_path / locks.NAME).exists()
    assert len(taken) == 2


def test_a_file_system_on_which_no_file_can_be_made_is_told(tmp_path, monkeypatch):
    def absent(path, *_):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)

    monkeypatch.setattr(locks.os, "open", absent)
    with pytest.raises(config.InputError, match=r"--output=.*: no file can be made there"), _held(tmp_path):
        pass


def test_a_file_system_without_locks_is_warned_of(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with _held(tmp_path):
        pass
    assert re.search("no locks .*No locks available", caplog.text)


@damage.counts
def test_a_damaged_file_of_a_lock_still_keeps_others_out(tmp_path, count):
    folder = tmp_path / "run"
    with _held(folder):
        path = folder / locks.NAME
        holder, generator = path.read_bytes(), random.Random(count)
        for _ in range(count):
            path.write_bytes(damage.damaged(holder, generator))
            with pytest.raises(locks.InUseError, match="another command is at work in it"), _held(folder):
                pass


def test_who_holds_a_lock_is_left_out_while_it_is_not_written(tmp_path):
    with _held(tmp_path):
        for content in ("", "{}", '{"since": "x"}'):
            pathlib.Path(tmp_path / locks.NAME).write_text(content)
            with pytest.raises(locks.InUseError, match="at work in it; wait"), _held(tmp_path):
                pass


def _check(folder):
    reading = reader.Reading(layout="", recordings=[], unmatched=[], left_out=[], unused=[])
    dry_run.DryRun(reading=reading, recordings=[], classes=None, folder=folder).write()


# a command that writes a folder, and what it needs besides; training, conversion and others have their own tests
_FOLDERS = {
    "check": (_check, None, {}),
    "demo": (demo.main, demo.DemoConfig, {}),
    "mix": (mix_soundscapes.main, mix_soundscapes.MixConfig, {"audio": "a", "records": "r"}),
    "predict": (predict.predict, predict.PredictConfig, {"model": ["m"], "audio": "a"}),
    "review": (review.review, review.ReviewConfig, {"predictions": "p"}),
    "search": (search.search, search.SearchConfig, {"query": "q", "embeddings": "e"}),
    "sort": (sort_recordings.sort, sort_recordings.SortConfig, {"audio": "a"}),
    "synthesise": (synthesise.main, synthesise.SynthesiseConfig, {}),
}
_FILES = {
    "simulate": (simulate_review.simulate, simulate_review.SimulateConfig, {"audio": "a", "predictions": "p"}),
    "submission": (submission.write_run, submission.SubmissionConfig, {"audio": "a", "model": ["m"]}),
}


@pytest.mark.parametrize("name", [*_FOLDERS, *_FILES])
def test_the_second_of_two_equal_commands_is_refused(tmp_path, name):
    command, kind, flags = {**_FOLDERS, **_FILES}[name]
    output = str(tmp_path / "out")
    held = _held(output) if name in _FOLDERS else locks.held_file(output, work="test")
    with held, pytest.raises(locks.InUseError, match="out: another command"):
        command(settings(kind, output=output, **flags) if kind else output)


def test_the_lock_of_a_file_lets_others_write_beside_it_and_leaves_no_trace(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(config.InputError, match=r"--output=.*folder is a folder; name a file"):
        locks.held_file(str(tmp_path / "folder"), work="test")
    first, second = (str(tmp_path / "out" / name) for name in ("a.txt", "b.txt"))
    with (
        locks.held_file(first, work="test"), locks.held_file(second, work="test"),
        pytest.raises(locks.InUseError, match=r"a\.txt: another command is at work in it"),
        locks.held_file(first, work="test"),
    ):  # fmt: skip
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_object_stores_have_no_locks():
    with locks.held("s3://bucket/run", work="training", flag="--run_dir"):
        assert not os.path.exists("s3:")

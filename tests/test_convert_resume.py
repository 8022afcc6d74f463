"""Conversions that are killed, whose workers die, or whose disk is full: afterwards all bytes are right."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from bird_tf import config, convert, temporaries
from bird_tf.conversion import shard_tasks, state, worker
from bird_tf.records import manifests
from tests.conftest import SMALL
from tests.test_convert import _bytes, _settings

ROOT = pathlib.Path(__file__).parent.parent
SHORT = {"shard_minutes": 0.1}


def _wait_until(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def _children(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _has_ended(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A conversion that nothing interrupts."""
    return convert.convert(_settings(data, tmp_path_factory.mktemp("whole") / "set", **SHORT))


def test_a_killed_conversion_goes_on_and_ends_with_the_same_bytes(data, whole, tmp_path):
    output = tmp_path / "killed"
    flags = {"audio": data / "wav", "metadata": data / "xml", "output": output, "val_share": 0.3, **SMALL, **SHORT}
    command = [sys.executable, "tools/make_tfrecords.py", f"--flagfile={os.devnull}", "--workers=2"]
    command += [f"--{k}={v}" for k, v in flags.items()]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE)
    notes = output / shard_tasks.UNFINISHED
    try:
        _wait_until(lambda: process.poll() is not None or len(list(notes.glob("*.json"))) > 1)  # the plan and a shard
        children = _children(process.pid)
    finally:
        process.send_signal(signal.SIGKILL)
        errors = process.communicate()[1].decode()
    assert process.returncode == -signal.SIGKILL, errors
    assert children
    _wait_until(lambda: all(map(_has_ended, children)))  # workers do not outlive the converter
    modified = {p.name: p.stat().st_mtime_ns for p in output.glob("*.tfrecord")}
    assert len(modified) < len(_bytes(whole.directory))
    with pytest.raises(config.InputError, match="did not finish"):
        manifests.load(str(output))
    finished = [p for p in notes.glob("*.json") if p.name != "plan.json"]
    convert.convert(_settings(data, output, **SHORT))
    assert _bytes(output) == _bytes(whole.directory)
    for path in finished:  # finished shards are not made again
        name = path.name.removesuffix(".json")
        assert (output / name).stat().st_mtime_ns == modified[name]
    assert not notes.exists()


def test_a_damaged_shard_of_an_unfinished_conversion_is_made_again(data, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(manifests, "save", lambda manifest: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        convert.convert(_settings(data, tmp_path / "x", **SHORT))
    monkeypatch.undo()
    victim = sorted((tmp_path / "x").glob("train-*.tfrecord"))[0]
    victim.write_bytes(victim.read_bytes()[:-5] + b"xxxxx")
    convert.convert(_settings(data, tmp_path / "x", **SHORT))
    assert _bytes(tmp_path / "x") == _bytes(whole.directory)


def test_a_second_converter_on_the_same_directory_refuses(data, tmp_path, monkeypatch):
    refused = []

    def convert_too(task):
        with pytest.raises(config.InputError, match=r"another command is at work in it \(conversion, process"):
            convert.convert(_settings(data, tmp_path / "x", overwrite=len(refused) % 2 == 1))
        refused.append(task.name)
        return original(task)

    original = worker.write_shard
    monkeypatch.setattr(worker, "write_shard", convert_too)
    convert.convert(_settings(data, tmp_path / "x"))
    assert len(refused) > 1


def test_a_full_disk_gives_one_clear_line_and_leaves_no_part_of_a_shard(data, tmp_path, monkeypatch):
    output = tmp_path / "x"
    (output / shard_tasks.UNFINISHED).mkdir(parents=True)
    shards = convert.convert(_settings(data, tmp_path / "whole")).shards["train"]
    for shard in shards:  # writing to this device fails as on a full disk
        (output / f"{shard.name}.partial").symlink_to("/dev/full")
    monkeypatch.setattr(state, "_clear", lambda directory: None)
    with monkeypatch.context() as patch:
        patch.setattr(temporaries, "path_for", lambda path: path + temporaries.SUFFIX)
        with pytest.raises(config.InputError, match=r"train-00000.*the disk is full"):
            convert.convert(_settings(data, output))
    assert not list(output.glob("train-*.tfrecord"))
    convert.convert(_settings(data, output))
    assert _bytes(output) == _bytes(tmp_path / "whole")

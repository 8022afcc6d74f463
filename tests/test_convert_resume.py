"""Conversions that are killed, whose workers die, or whose disk is full: afterwards all bytes are right."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
from concurrent import futures

import pytest

from bird_tf import config, convert, executor, temporaries
from bird_tf.audio import decode
from bird_tf.conversion import state, worker
from bird_tf.records import manifests
from tests.conftest import SMALL, settings
from tests.test_convert import _bytes, _settings

ROOT = pathlib.Path(__file__).parent.parent
SHORT = {"shard_minutes": 0.1}
prepare_process = executor._prepare_process


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


def test_a_killed_conversion_goes_on_and_ends_with_the_same_bytes(data, tmp_path):
    whole = convert.convert(_settings(data, tmp_path / "whole", **SHORT))
    output = tmp_path / "killed"
    flags = {"audio": data / "wav", "metadata": data / "xml", "output": output, "val_share": 0.3, **SMALL, **SHORT}
    command = [sys.executable, "tools/make_tfrecords.py", f"--flagfile={os.devnull}", "--workers=2"]
    command += [f"--{k}={v}" for k, v in flags.items()]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE)
    notes = output / worker.UNFINISHED
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


def test_a_damaged_shard_of_an_unfinished_conversion_is_made_again(data, tmp_path, monkeypatch):
    whole = convert.convert(_settings(data, tmp_path / "whole", **SHORT))
    monkeypatch.setattr(manifests, "save", lambda manifest: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        convert.convert(_settings(data, tmp_path / "x", **SHORT))
    monkeypatch.undo()
    victim = sorted((tmp_path / "x").glob("train-*.tfrecord"))[0]
    victim.write_bytes(victim.read_bytes()[:-5] + b"xxxxx")
    convert.convert(_settings(data, tmp_path / "x", **SHORT))
    assert _bytes(tmp_path / "x") == _bytes(whole.directory)


def _deadly_process(*arguments):
    """Prepares a worker process that one recording kills, like a crash of a decoder."""
    prepare_process(*arguments)
    blocks = decode.blocks

    def deadly(path, *others, **values):
        if "deadly" in path:
            os.kill(os.getpid(), signal.SIGKILL)
        return blocks(path, *others, **values)

    decode.blocks = deadly


def test_a_recording_that_kills_its_worker_is_skipped_and_the_rest_goes_on(data, tmp_path, monkeypatch):
    monkeypatch.setattr(executor, "_prepare_process", _deadly_process)
    for i, path in enumerate(sorted((data / "wav").iterdir())[:6]):
        folder = tmp_path / "audio" / f"species{i % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        name = "deadly.wav" if i == 3 else f"{i}.wav"
        (folder / name).symlink_to(path)
    flags = {"audio": tmp_path / "audio", "output": tmp_path / "out", "val_share": 0.0, "shard_minutes": 0.1, **SMALL}
    manifest = convert.convert(settings(convert.ConvertConfig, workers=2, **flags))
    [entry] = manifest.skipped
    assert entry["file"].endswith("deadly.wav") and "process died" in entry["reason"]
    assert manifest.num_recordings["train"] == 5


def test_after_a_kill_the_recordings_are_read_in_another_process(data, tmp_path, monkeypatch):
    asked = []

    def start(*_, in_process):
        asked.append(in_process)
        raise KeyboardInterrupt

    monkeypatch.setattr(executor, "start", start)
    for was_killed in (False, True):
        monkeypatch.setattr(state, "has_recording_in_work", lambda _, was_killed=was_killed: was_killed)
        with pytest.raises(KeyboardInterrupt):
            convert.convert(_settings(data, tmp_path / "x", **SHORT))
    assert asked == [True, False]


class _DyingPool(futures.Executor):
    """Its workers die before they begin, as for want of memory."""

    def submit(self, *_):
        future = futures.Future()
        future.set_exception(futures.BrokenExecutor())
        return future


def test_workers_that_always_die_end_the_conversion_with_a_line(data, tmp_path, monkeypatch):
    monkeypatch.setattr(executor, "start", lambda *_, **__: contextlib.nullcontext(_DyingPool()))
    with pytest.raises(config.InputError, match="3 times all worker processes died before they read a recording"):
        convert.convert(_settings(data, tmp_path / "x", **SHORT))


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
    (output / worker.UNFINISHED).mkdir(parents=True)
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

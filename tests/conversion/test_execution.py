import contextlib
import os
import signal
from concurrent import futures

import pytest

from bird_tf import config, convert, executor
from bird_tf.audio import decode
from bird_tf.conversion import state
from tests.conftest import SMALL, settings
from tests.test_convert import _settings

SHORT = {"shard_minutes": 0.1}
prepare_process = executor._prepare_process


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

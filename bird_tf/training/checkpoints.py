"""What is left of a training when its process ends: the run directory's state, and how the same command goes on.

A run directory belongs to one set of flags. What a run has learnt in the end is written by `export`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

import numpy as np

from bird_tf import config, files, tf
from bird_tf.records import manifests

FLAGS = "run.flags"
SUMMARY = "summary.json"
CHECKPOINT = "checkpoint.npz"
# flags that change nothing of what is learnt
_WITHOUT_EFFECT = frozenset({"run_dir", "overwrite", "checkpoint_minutes", "profile_steps"})


@dataclasses.dataclass(kw_only=True)
class Progress:
    """How far a training has come.

    Attributes:
        steps: batches learnt from.
        epochs: epochs finished and validated.
        epoch_loss: sum of the losses of the epoch under way.
        best: metrics of the best epoch so far; without validation those of an earlier training, or none.
        best_epoch: which that was, from 1; 0 for none.
        best_pooling: how its recordings were scored.
        elapsed_seconds: time spent in all processes until the last checkpoint.
        validation_seconds: how long the last validation took.
        best_weights: of the best epoch, in the order of the network.
    """

    steps: int = 0
    epochs: int = 0
    epoch_loss: float = 0.0
    best: dict[str, float] = dataclasses.field(default_factory=dict)
    best_epoch: int = 0
    best_pooling: str = ""
    elapsed_seconds: float = 0.0
    validation_seconds: float = 0.0
    best_weights: Sequence[np.ndarray] = ()


def _by_flag(flagfile: str) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for line in flagfile.splitlines():
        name, _, value = line.removeprefix("--").partition("=")
        if name not in _WITHOUT_EFFECT:
            values.setdefault(name, []).append(value)
    return values


def check_run_dir(run_dir: str, flagfile: str, *, overwrite: bool) -> None:
    """Refuses a directory that is another run's.

    Raises:
        InputError: it holds a run with other flags, or something that is no run.
    """
    if overwrite or not files.exists(run_dir) or not tf.io.gfile.listdir(run_dir):
        return
    path = os.path.join(run_dir, FLAGS)
    if not files.exists(path):
        raise config.InputError(
            f"{run_dir} holds something that is no run; choose another --run_dir or use --overwrite"
        )
    theirs, ours = _by_flag(files.read_text(path)), _by_flag(flagfile)
    differing = [
        f"--{name}={','.join(theirs.get(name, ['unset']))} there, {','.join(ours.get(name, ['unset']))} here"
        for name in sorted({*theirs, *ours})
        if theirs.get(name) != ours.get(name)
    ]
    if differing:
        raise config.InputError(
            f"{run_dir} is a run with other flags ({'; '.join(differing)}): the same flags would go on with it; choose "
            "another --run_dir, or use --overwrite"
        )


def prepare_run_dir(run_dir: str, flagfile: str, *, overwrite: bool) -> None:
    """Empties the directory if asked to, and writes down its flags."""
    if overwrite and files.exists(run_dir):
        tf.io.gfile.rmtree(run_dir)
    files.write_text(os.path.join(run_dir, FLAGS), flagfile)


def finished(run_dir: str) -> dict[str, Any] | None:
    """The summary of a run that has come to its end."""
    path = os.path.join(run_dir, SUMMARY)
    return dict(files.read_json(path)) if files.exists(path) else None


def digest(manifest: manifests.Manifest) -> str:
    """Equal for records of equal content."""
    shards = {split: [shard.checksum for shard in shards] for split, shards in manifest.shards.items()}
    return files.digest({"front_end": manifest.front_end.fingerprint, "classes": manifest.classes.digest, **shards})


def save(run_dir: str, progress: Progress, state: Sequence[np.ndarray], content: str) -> None:
    """Writes the checkpoint, whole or not at all.

    Args:
        run_dir: where.
        progress: how far training has come.
        state: from `train_step.TrainState.state`.
        content: digest of the records.
    """
    told = {field.name: getattr(progress, field.name) for field in dataclasses.fields(progress)}
    del told["best_weights"]
    arrays = {f"state_{i:04d}": value for i, value in enumerate(state)}
    arrays |= {f"best_{i:04d}": value for i, value in enumerate(progress.best_weights)}
    buffer = io.BytesIO()
    np.savez(buffer, told=np.array(json.dumps({"progress": told, "records": content})), **arrays)
    files.write_bytes(os.path.join(run_dir, CHECKPOINT), buffer.getvalue())


def load(run_dir: str, content: str) -> tuple[Progress, list[np.ndarray]] | None:
    """Reads the checkpoint: progress and state, or None where there is none.

    Raises:
        InputError: the records are no longer those that the run began with.
    """
    path = os.path.join(run_dir, CHECKPOINT)
    if not files.exists(path):
        return None
    with np.load(io.BytesIO(files.read_bytes(path))) as arrays:
        told: Mapping[str, Any] = json.loads(str(arrays["told"]))
        if told["records"] != content:
            raise config.InputError(
                f"{run_dir}: its records have changed since it began; use --overwrite to begin anew"
            )
        names = sorted(arrays.files)
        best = [arrays[name] for name in names if name.startswith("best_")]
        return (
            Progress(**told["progress"], best_weights=best),
            [arrays[name] for name in names if name.startswith("state_")],
        )


@contextlib.contextmanager
def catching_signals() -> Iterator[list[int]]:
    """Yields a list that the first SIGINT or SIGTERM is noted in, so that a step can be finished and saved.

    A second one acts at once, as it would outside the block. Threads other than the main one get no signals.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _: FrameType | None) -> None:
        caught.append(number)
        restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield caught
    finally:
        restore()

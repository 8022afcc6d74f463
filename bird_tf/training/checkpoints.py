"""Checkpoints: the state of an unfinished training on disk, from which the same command continues.

The weights of a finished run are in `run_directory`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from types import FrameType

import numpy as np

from bird_tf import files, stored, typed

CHECKPOINT = "checkpoint.npz"
PROGRESS = "progress"
_BEST = "best/"


@dataclasses.dataclass(kw_only=True)
class Progress:
    """The progress of a training.

    Attributes:
        steps: number of training steps so far.
        epochs: number of finished and validated epochs.
        epoch_loss: sum of the losses in the current epoch.
        best_metrics: of the best epoch so far; without validation those of an earlier training, or none.
        best_epoch: its number, from 1; 0 if there is none.
        best_pooling: its method to pool chunk scores.
        best_weights: {name: array} of its network.
        elapsed_seconds: time in all processes until the last checkpoint.
        validation_seconds: duration of the last validation.
    """

    steps: int = 0
    epochs: int = 0
    epoch_loss: float = 0.0
    best_metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    best_epoch: int = 0
    best_pooling: str = ""
    best_weights: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    elapsed_seconds: float = 0.0
    validation_seconds: float = 0.0


def save(run_dir: str, progress: Progress, state: Mapping[str, np.ndarray]) -> None:
    """Writes the checkpoint, whole or not at all.

    Args:
        run_dir: the run directory.
        progress: the progress of the training.
        state: {name: array} from `train_step.TrainState.arrays`.
    """
    values = {field.name: getattr(progress, field.name) for field in dataclasses.fields(progress)}
    best = {_BEST + name: array for name, array in values.pop("best_weights").items()}
    arrays = {PROGRESS: np.array(json.dumps(values)), **state, **best}
    stored.write_arrays(os.path.join(run_dir, CHECKPOINT), arrays, durable=True)


def load(run_dir: str) -> tuple[Progress, dict[str, np.ndarray]] | None:
    """Reads the checkpoint: progress, and the state as it was given to `save`; None if there is no checkpoint."""
    path = os.path.join(run_dir, CHECKPOINT)
    if not files.exists(path):
        return None
    arrays = stored.read_arrays(path)
    try:
        described = typed.parse_json(stored.text_of(path, arrays.pop(PROGRESS, np.array(""))), finite=False)
    except ValueError as error:
        raise stored.damaged(path, f"its {PROGRESS} is not JSON ({error})") from error
    progress = stored.as_type(path, Progress, described)
    best = {name.removeprefix(_BEST): array for name, array in arrays.items() if name.startswith(_BEST)}
    state = {name: array for name, array in arrays.items() if not name.startswith(_BEST)}
    return dataclasses.replace(progress, best_weights=best), state


@contextlib.contextmanager
def catching_signals() -> Iterator[list[int]]:
    """Yields a list to which the first SIGINT or SIGTERM is added, so that the current step can end and be saved.

    A second signal acts at once, as outside the block. Threads other than the main thread receive no signals.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def receive(number: int, _: FrameType | None) -> None:
        received.append(number)
        restore()

    for number in before:
        signal.signal(number, receive)
    try:
        yield received
    finally:
        restore()

"""The progress of a training by epochs, or by the time that it may take."""

from __future__ import annotations

import math
import time

from bird_tf.training import checkpoints, training_flags

_EXPORT_SECONDS = 20.0


class Clock:
    """The progress of a run by epochs or by its wall-clock budget, whichever is further."""

    def __init__(
        self, settings: training_flags.TrainConfig, steps_per_epoch: int, progress: checkpoints.Progress
    ) -> None:
        self._started = time.monotonic() - progress.elapsed_seconds
        self._budget = settings.max_minutes * 60 / settings.num_trainings or math.inf
        self._epochs, self._steps, self._progress = settings.epochs, steps_per_epoch, progress
        self._begun: list[tuple[float, float]] = []  # position and seconds at the beginnings of this process's epochs

    @property
    def elapsed(self) -> float:
        """Seconds since the start, without the time between two processes of the run."""
        return time.monotonic() - self._started

    def position(self) -> float:
        """Epochs done, from 0 to `epochs`; with a budget at least `epochs` · the share of the time that is used up."""
        usable = max(1.0, self._budget - _EXPORT_SECONDS - 1.3 * self._progress.validation_seconds)
        return max(self._progress.steps / self._steps, self._epochs * min(1.0, self.elapsed / usable))

    def begin_epoch(self) -> float | None:
        """Seconds to the end of the run, as far as the epochs since the first one of this process tell; None before.

        The first epoch says nothing of the others: TensorFlow prepares the network in it.
        """
        self._begun.append((self.position(), self.elapsed))
        if len(self._begun) < 3:
            return None
        (first, started), (position, now) = self._begun[1], self._begun[-1]
        return (self._epochs - position) * (now - started) / max(position - first, 1e-9)

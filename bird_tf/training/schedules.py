"""Learning rate schedules: the learning rate as a function of the progress of the training."""

from __future__ import annotations

import dataclasses
import math
import re

from absl import logging

from bird_tf import config


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """The learning rate and its schedule."""

    learning_rate: float = config.option(1e-3, "learning rate at the start")
    learning_rate_end: float = config.option(1e-6, "learning rate at the end, for linear and step-N")
    schedule: str = config.option("cosine", "constant, linear, cosine, root, or step-N: a step every N epochs")
    warmup_epochs: float = config.option(0.0, "epochs in which the rate rises linearly from 0 to that of the schedule")

    def __post_init__(self) -> None:
        if not re.fullmatch(r"constant|linear|cosine|root|step-[1-9]\d*", self.schedule):
            raise config.InputError(
                f"--schedule={self.schedule}: must be constant, linear, cosine, root or step-N with N >= 1"
            )
        for name in ("learning_rate", "learning_rate_end", "warmup_epochs"):
            if not 0 <= getattr(self, name) < math.inf:  # NaN is not, either
                raise config.InputError(f"--{name}={getattr(self, name)}: must be a number of at least 0")

    def warn_of_rise(self) -> None:
        """Warns if the rate ends above its start: that of a low start may be the default."""
        falls = self.schedule == "linear" or self.schedule.startswith("step-")
        if falls and self.learning_rate_end > self.learning_rate:
            logging.warning(
                "--schedule=%s: the learning rate rises from --learning_rate=%g to --learning_rate_end=%g; name a "
                "lower end if it should fall", self.schedule, self.learning_rate, self.learning_rate_end,
            )  # fmt: skip


def learning_rate(settings: ScheduleConfig, position: float, num_epochs: int) -> float:
    """The five schedules of the 2018 baseline, as continuous functions.

    Args:
        settings: the schedule.
        position: finished epochs, from 0, with the fraction of the current one. 2018 counts e = 1 + position.
        num_epochs: E.

    Returns:
        constant: start. linear: from start to end over E epochs; the last one has the end. step-N:
        E // N - 1 equal drops, one every N epochs; no drop if that is below 1.
        cosine: start / 2 · (1 + cos(π · position / E)). root: start / √(1 + position).
        All are multiplied by min(1, position / warmup_epochs).
    """
    if position < settings.warmup_epochs:
        return position / settings.warmup_epochs * _scheduled(settings, position, num_epochs)
    return _scheduled(settings, position, num_epochs)


def _scheduled(settings: ScheduleConfig, position: float, num_epochs: int) -> float:
    start, end = settings.learning_rate, settings.learning_rate_end
    if settings.schedule == "linear":
        last = max(1, num_epochs - 1)
        return end if position >= last else start - position * (start - end) / last
    if settings.schedule == "cosine":
        return start / 2 * (1 + math.cos(math.pi * min(1.0, position / num_epochs)))
    if settings.schedule == "root":
        return start / math.sqrt(1 + position)
    if settings.schedule.startswith("step-"):
        length = int(settings.schedule.removeprefix("step-"))
        drops = num_epochs // length - 1
        return start if drops < 1 else start - min(drops, position // length) * (start - end) / drops
    return start

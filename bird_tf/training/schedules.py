"""Learning rate schedules: the learning rate as a function of the progress of the training."""

from __future__ import annotations

import dataclasses
import math
import re

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
        if self.warmup_epochs < 0:
            raise config.InputError(f"--warmup_epochs={self.warmup_epochs}: must be at least 0")


def learning_rate(settings: ScheduleConfig, position: float, num_epochs: int) -> float:
    """The five schedules of the 2018 baseline, as continuous functions.

    Args:
        settings: the schedule.
        position: finished epochs, from 0, with the fraction of the current one. 2018 counts e = 1 + position.
        num_epochs: E.

    Returns:
        constant: start. linear: from start to end over E epochs. step-N: E // N - 1 equal drops, one every N epochs; no
        drop if that is below 1. cosine: start / 2 · (1 + cos(π · position / E)). root: start / √(1 + position).
        All are multiplied by min(1, position / warmup_epochs).
    """
    if position < settings.warmup_epochs:
        return position / settings.warmup_epochs * _scheduled(settings, position, num_epochs)
    return _scheduled(settings, position, num_epochs)


def _scheduled(settings: ScheduleConfig, position: float, num_epochs: int) -> float:
    start, end = settings.learning_rate, settings.learning_rate_end
    if settings.schedule == "linear":
        return max(end, start - position * (start - end) / max(1, num_epochs - 1))
    if settings.schedule == "cosine":
        return start / 2 * (1 + math.cos(math.pi * min(1.0, position / num_epochs)))
    if settings.schedule == "root":
        return start / math.sqrt(1 + position)
    if settings.schedule.startswith("step-"):
        length = int(settings.schedule.removeprefix("step-"))
        drops = num_epochs // length - 1
        return start if drops < 1 else start - min(drops, position // length) * (start - end) / drops
    return start

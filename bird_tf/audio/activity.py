"""Activity of a chunk: the share of its spectrogram that stands out. It decides which chunks are used.

Also: whether a chunk holds any sound at all.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from bird_tf import config, tf

# Four steps of 16-bit samples: the rounding of a converter is no sound.
_SILENCE = 4 / 32768
_BLOCK_SECONDS = 0.01
# A click where a recording begins or ends lies in this many blocks at most.
_CLICK_BLOCKS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActivityInterval:
    """The activity that training chunks must have."""

    signal_interval: tuple[float, ...] = config.option(
        (0.0, 1.0),
        "leave out training chunks whose activity is outside this interval: lowest,highest",
        was=("min_signal_to_noise", "max_signal_to_noise"),
    )

    def __post_init__(self) -> None:
        if len(self.signal_interval) != 2 or not self.signal_interval[0] <= self.signal_interval[1]:
            raise config.InputError(f"{self}: write two numbers, lowest,highest")

    def __str__(self) -> str:
        return f"--signal_interval={','.join(map(str, self.signal_interval))}"

    @property
    def is_limited(self) -> bool:
        """Whether the interval leaves out any activity."""
        return self.signal_interval[0] > 0.0 or self.signal_interval[1] < 1.0

    def contains(self, activity: Any) -> Any:
        """Whether an activity is in the interval; a number, an array or a tensor."""
        return (activity >= self.signal_interval[0]) & (activity <= self.signal_interval[1])


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActivityConfig:
    """Which chunks the converter takes for training."""

    signal_threshold: float = config.option(0.001, "chunks whose activity is below it count as noise")
    interval: ActivityInterval = dataclasses.field(default_factory=ActivityInterval)


def has_sound(samples: tf.Tensor, sample_rate_hz: int) -> tf.Tensor:
    """Whether chunks hold sound: not silence, a constant, the rounding noise of a dead channel, or one click.

    A chunk holds sound if more than 3 of its blocks of 10 ms span more than 4 steps of 16-bit samples. Spectrograms are
    relative to their own peak, so they show other chunks as if they were loud.

    Args:
        samples: [batch, n] float32 in [-1, 1].
        sample_rate_hz: of the samples.

    Returns:
        [batch] bool.
    """
    size = max(1, round(_BLOCK_SECONDS * sample_rate_hz))
    count = max(1, samples.shape[1] // size)
    blocks = tf.reshape(samples[:, : count * size], [-1, count, min(size, samples.shape[1])])
    spans = tf.reduce_max(blocks, axis=2) - tf.reduce_min(blocks, axis=2)
    return tf.reduce_sum(tf.cast(spans > _SILENCE, tf.int32), axis=1) > min(_CLICK_BLOCKS, count - 1)


def active_share(spectrograms: np.ndarray) -> np.ndarray:
    """Share of the pixels that are active: the signal-to-noise estimate of the 2018 baseline.

    A pixel is active if it reaches 1.25 × the median of its row and 1.15 × the median of its column. A 3 × 3 median
    then removes single pixels, and a closing with a 3 × 3 square fills gaps; pixels outside equal the nearest edge
    pixel. The activity of a steady tone is low, because the tone raises the median of its own row.

    Args:
        spectrograms: [batch, bands, frames] float32 in [0, 1].

    Returns:
        [batch] float64 in [0, 1].
    """
    rows, columns = _median(spectrograms, axis=2), _median(spectrograms, axis=1)
    binary = (spectrograms >= 1.25 * rows) & (spectrograms >= 1.15 * columns) & (spectrograms > 0)
    # the median of nine zeros and ones is 1 if at least five are ones
    cleaned = _sum_3x3(binary) >= 5
    closed = _sum_3x3(_sum_3x3(cleaned) >= 1) == 9
    return np.asarray(closed.mean(axis=(1, 2)))


def _median(values: np.ndarray, axis: int) -> np.ndarray:
    """The median along an axis, which is kept with length 1. Sorting is faster than np.median: NumPy vectorises it."""
    ordered = np.sort(values, axis=axis)
    count = values.shape[axis]
    middle = np.take(ordered, [(count - 1) // 2, count // 2], axis=axis)
    return np.asarray(middle.mean(axis=axis, keepdims=True))


def _sum_3x3(images: np.ndarray) -> np.ndarray:
    """Sum over each pixel's 3 × 3 neighbourhood, [batch, bands, frames] bool → uint8. Edge pixels are repeated."""
    padded = np.pad(images.astype(np.uint8), ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return np.asarray(rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:])

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
# NumPy sorts rows of at most this length in registers
_SHORT = 128
# spectrograms whose black-and-white images share the bits of one
_BITS = 8


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
    # a threshold above 0 leaves out pixels of 0
    by_row = np.maximum(1.25 * _median(spectrograms), np.finfo(np.float32).tiny)[:, :, None]
    by_column = (1.15 * _median(np.ascontiguousarray(spectrograms.transpose(0, 2, 1))))[:, None, :]
    shares = []
    for first in range(0, len(spectrograms), _BITS):
        part = slice(first, first + _BITS)
        closed = _closed(_most_of_9(_packed(spectrograms[part], by_row[part], by_column[part])))
        shares += [np.count_nonzero(closed & (1 << bit)) / closed.size for bit in range(len(spectrograms[part]))]
    return np.array(shares)


def _median(values: np.ndarray) -> np.ndarray:
    """The median of each row, [..., n] → [...]. Sorting is faster than np.median: NumPy vectorises it for short rows.

    Of two sorted halves, the values in the middle are the largest of the pairwise minima, and the smallest of the
    pairwise maxima, if one half is reversed.
    """
    count = values.shape[-1]
    if count <= _SHORT or count % 2:
        ordered = np.sort(values, axis=-1)
        return np.asarray((ordered[..., (count - 1) // 2] + ordered[..., count // 2]) / 2)
    halves = np.sort(values.reshape(*values.shape[:-1], 2, count // 2), axis=-1)
    rising, falling = halves[..., 0, :], np.flip(halves[..., 1, :], axis=-1)
    return np.asarray((np.minimum(rising, falling).max(axis=-1) + np.maximum(rising, falling).min(axis=-1)) / 2)


def _packed(spectrograms: np.ndarray, by_row: np.ndarray, by_column: np.ndarray) -> np.ndarray:
    """Where up to 8 spectrograms reach both thresholds: [bands, frames] uint8, one bit for each spectrogram."""
    packed = np.zeros(spectrograms.shape[1:], np.uint8)
    for bit, (spectrogram, row, column) in enumerate(zip(spectrograms, by_row, by_column, strict=True)):
        packed |= (spectrogram >= np.maximum(row, column)).view(np.uint8) << bit
    return packed


def _most_of_9(images: np.ndarray) -> np.ndarray:
    """The median of each pixel's 3 × 3 neighbourhood, of every bit for itself: whether at least five are ones."""
    padded = np.pad(images, 1, mode="edge")
    ones, twos = _added(padded[:-2], padded[1:-1], padded[2:])
    ones, twos_of_ones = _added(ones[:, :-2], ones[:, 1:-1], ones[:, 2:])
    twos, fours = _added(twos[:, :-2], twos[:, 1:-1], twos[:, 2:])
    fours_of_twos = twos & twos_of_ones
    # 8 + … or 4 + 2 + … or 4 + 1
    return np.asarray((fours & fours_of_twos) | ((fours ^ fours_of_twos) & ((twos ^ twos_of_ones) | ones)))


def _added(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sum of three bits as two: ones and twos."""
    two = a ^ b
    return two ^ c, (a & b) | (two & c)


def _closed(images: np.ndarray) -> np.ndarray:
    """The closing with a 3 × 3 square. Outside, pixels equal the edge, so they change no maximum and no minimum."""
    up, down, left, right = np.s_[1:], np.s_[:-1], np.s_[:, 1:], np.s_[:, :-1]
    for operation in (np.bitwise_or, np.bitwise_and):
        for one, other in ((up, down), (left, right)):
            result = images.copy()
            operation(result[one], images[other], out=result[one])
            operation(result[other], images[one], out=result[other])
            images = result
    return images

"""Activity of a chunk: the share of its spectrogram that stands out. It decides which chunks are used.

Also: whether a chunk holds any sound at all.
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import typing
from collections.abc import Callable
from typing import Any

import numpy as np

from bird_tf import config, tf

# Four steps of 16-bit samples: the rounding of a converter is no sound.
_SILENCE = 4 / 32768
_BLOCK_SECONDS = 0.01
# A click where a recording begins or ends lies in this many blocks at most.
_CLICK_BLOCKS = 3
# bits of a count in `medians`, and the most that it can be
_COUNT_BITS, _MOST_COUNTED = 10, 2**10 - 1
# float32 below 2 differ in 30 bits; above them all
_BITS_BELOW_2, _NO_NUMBER = 30, 2**31 - 1
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
    shares = []
    for first in range(0, len(spectrograms), _BITS):
        block = spectrograms[first : first + _BITS]
        of_rows, of_columns = _medians(block)
        # a threshold above 0 leaves out pixels of 0
        by_row = np.maximum(1.25 * of_rows, np.finfo(np.float32).tiny)[:, :, None]
        closed = _closed(_most_of_9(_packed(block, by_row, 1.15 * of_columns[:, None, :])))
        shares += [np.count_nonzero(closed & (1 << bit)) / closed.size for bit in range(len(block))]
    return np.array(shares)


def _medians(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The medians of the rows and of the columns of up to 8 spectrograms."""
    whole = block if len(block) == _BITS else np.resize(block, (_BITS, *block.shape[1:]))  # repeats some
    with tf.device("CPU"):
        by_row, by_column = _compiled_medians(*block.shape[1:])(tf.constant(whole, tf.float32))
    return by_row.numpy()[: len(block)], by_column.numpy()[: len(block)]


@functools.cache
def _compiled_medians(num_bands: int, num_frames: int) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    # a graph that still exists when the interpreter ends prints a traceback
    atexit.register(_compiled_medians.cache_clear)
    compiled = tf.function(medians, autograph=False, jit_compile=True)

    def compute(block: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return compiled(block), compiled(tf.transpose(block, [0, 2, 1]))  # XLA would transpose slowly

    signature = [tf.TensorSpec([_BITS, num_bands, num_frames], tf.float32)]
    function = tf.function(compute, input_signature=signature, autograph=False)
    return typing.cast(Callable[..., tuple[tf.Tensor, tf.Tensor]], function.get_concrete_function())


def medians(values: tf.Tensor) -> tf.Tensor:
    """The median of each row, equal to NumPy's, in operations for XLA.

    Read as integers, the bits of such numbers have the order of the numbers. Those of the lower value in the middle are
    found two at a time, by counting smaller values. Compiled, this is five times as fast as sorting where the processor
    has no AVX-512.

    Args:
        values: [..., n] float32 in [0, 2).

    Returns:
        [...] float32.
    """
    length, bits = values.shape[-1], tf.bitcast(values, tf.int32)
    size = min(length, _MOST_COUNTED)
    padding = [[0, 0]] * (len(values.shape) - 1) + [[0, -length % size]]
    pieces = tf.reshape(tf.pad(bits, padding, constant_values=_NO_NUMBER), [*values.shape[:-1], -1, size])
    middle = (length - 1) // 2

    def step(shift: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        quarter = tf.bitwise.left_shift(1, shift)
        # one sum counts for the three limits: each has ten bits of it
        below = [tf.cast(pieces < found + (i + 1) * quarter, tf.int32) * 2 ** (_COUNT_BITS * i) for i in range(3)]
        sums = tf.reduce_sum(tf.add_n(below), axis=-1, keepdims=True)
        for i in range(3):
            counts = tf.bitwise.right_shift(sums, _COUNT_BITS * i) & _MOST_COUNTED
            smaller = tf.reduce_sum(counts, axis=-2, keepdims=True)
            found += tf.where(smaller <= middle, quarter, 0)
        return shift - 2, found

    first = tf.zeros([*values.shape[:-1], 1, 1], tf.int32)
    _, lower = tf.while_loop(lambda shift, _: shift >= 0, step, (_BITS_BELOW_2 - 2, first))
    lower = lower[..., 0]
    following = tf.reduce_min(tf.where(bits > lower, bits, _NO_NUMBER), axis=-1, keepdims=True)
    up_to_lower = tf.reduce_sum(tf.cast(bits <= lower, tf.int32), axis=-1, keepdims=True)
    upper = tf.where(up_to_lower > length // 2, lower, following)
    return (tf.bitcast(lower, tf.float32) + tf.bitcast(upper, tf.float32))[..., 0] / 2


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

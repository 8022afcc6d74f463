"""Signal-to-noise estimate of a spectrogram, and the decision whether a chunk holds a sound worth learning from."""

from __future__ import annotations

import dataclasses

import numpy as np

from bird_tf import config


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActivityConfig:
    """When a chunk counts as active."""

    signal_threshold: float = config.option(0.001, "chunks with a signal-to-noise estimate below it count as noise")
    signal_interval: tuple[float, ...] = config.option(
        (0.0, 1.0), "training chunks that are not noise need an estimate in it: lowest,highest"
    )

    def __post_init__(self) -> None:
        if len(self.signal_interval) != 2 or not self.signal_interval[0] < self.signal_interval[1]:
            raise config.InputError(
                f"--signal_interval={','.join(map(str, self.signal_interval))}: write two numbers, lowest,highest"
            )


def active_share(spectrograms: np.ndarray) -> np.ndarray:
    """Share of a spectrogram covered by sound that stands out (the 2018 baseline's measure).

    A pixel stands out if it reaches 1.25 × its row's median and 1.15 × its column's. What stands out is cleaned by a
    3 × 3 median and closed by a 3 × 3 square; the edge continues outwards. A steady tone scores low, by design of the
    formula: it raises its own row's median.

    Args:
        spectrograms: [batch, bands, frames] float32 in [0, 1].

    Returns:
        [batch] float64 in [0, 1].
    """
    rows, columns = _median(spectrograms, axis=2), _median(spectrograms, axis=1)
    binary = (spectrograms >= 1.25 * rows) & (spectrograms >= 1.15 * columns) & (spectrograms > 0)
    # the median of nine ones and zeros is whether five of them are ones
    cleaned = _sum_3x3(binary) >= 5
    closed = _sum_3x3(_sum_3x3(cleaned) >= 1) == 9
    return np.asarray(closed.mean(axis=(1, 2)))


def _median(values: np.ndarray, axis: int) -> np.ndarray:
    """The median along an axis, which stays with length 1. NumPy sorts faster than np.median selects: vectorised."""
    ordered = np.sort(values, axis=axis)
    count = values.shape[axis]
    middle = np.take(ordered, [(count - 1) // 2, count // 2], axis=axis)
    return np.asarray(middle.mean(axis=axis, keepdims=True))


def _sum_3x3(images: np.ndarray) -> np.ndarray:
    """Sum of each pixel's 3 × 3 neighbourhood, [batch, bands, frames] bool → uint8; the edge is repeated outwards."""
    padded = np.pad(images.astype(np.uint8), ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return np.asarray(rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:])

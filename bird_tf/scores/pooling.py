"""Chunk scores → the scores of a recording or segment."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from bird_tf import config


def median_filtered(scores: np.ndarray) -> np.ndarray:
    """The 2018 baseline's pooling, for many classes: with two it may leave nothing.

    Zero where a score is below 1.5 × its chunk's median; mean over chunks of (2p)²; minus the minimum; divided by the
    maximum if that exceeds 1.
    """
    medians = np.median(scores, axis=1, keepdims=True)
    kept = np.where(scores < 1.5 * medians, 0.0, scores)
    pooled = np.mean((2.0 * kept) ** 2, axis=0)
    pooled -= pooled.min()
    return np.asarray(pooled / max(1.0, pooled.max()))


def mean_exponential(scores: np.ndarray) -> np.ndarray:
    """Mean of (2p)², at most 1: many weak chunks count less than one strong."""
    return np.minimum(1.0, np.mean((2.0 * scores) ** 2, axis=0))


def mean(scores: np.ndarray) -> np.ndarray:
    """Mean over chunks."""
    return np.asarray(np.mean(scores, axis=0))


def maximum(scores: np.ndarray) -> np.ndarray:
    """Maximum over chunks."""
    return np.asarray(np.max(scores, axis=0))


def log_sum_exp(scores: np.ndarray) -> np.ndarray:
    """Between mean and maximum: log of the mean of exp(r·p), divided by r = 8 (Pinheiro and Collobert 2015)."""
    sharpness = 8.0
    return np.asarray(np.log(np.mean(np.exp(sharpness * scores), axis=0)) / sharpness)


def attention_weighted(scores: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """Mean over chunks, weighted by the softmax of their attention, [chunks] float: the network's, one level up."""
    weights = np.exp(attention - attention.max())
    return np.asarray(weights @ scores / weights.sum())


_METHODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "median_filtered": median_filtered,
    "mean_exponential": mean_exponential,
    "mean": mean,
    "max": maximum,
    "log_sum_exp": log_sum_exp,
}
# needs a model that says how much attention its chunks claim
ATTENTION = "attention"
METHODS = (*_METHODS, ATTENTION)

# below this many classes a chunk's median is no longer the score of a class that is absent
_MANY_CLASSES = 10


def default(num_classes: int) -> str:
    """The method used unless one is asked for: 2018's, or mean_exponential where the classes are few."""
    return "median_filtered" if num_classes >= _MANY_CLASSES else "mean_exponential"


def check(method: str) -> None:
    """Raises InputError if there is no such method."""
    if method not in METHODS:
        raise config.InputError(f"--pooling={method}: must be one of {', '.join(METHODS)}")


def pool(scores: np.ndarray, method: str, attention: np.ndarray | None = None) -> np.ndarray:
    """Pools the chunks of one recording or segment.

    Args:
        scores: [chunks, classes] in [0, 1], at least one chunk.
        method: one of METHODS.
        attention: [chunks] float, what each claims; only the method of that name needs it.

    Returns:
        [classes] float64 in [0, 1].

    Raises:
        ValueError: no chunk, not two axes, or attention is wanted and none given.
        InputError: unknown method.
    """
    check(method)
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or not len(scores):
        raise ValueError(f"scores of shape {scores.shape}: expected [chunks, classes] with at least one chunk")
    if method != ATTENTION:
        return _METHODS[method](scores)
    if attention is None or not np.isfinite(attention).all():
        raise ValueError("pooling by attention: the model gives none")
    return attention_weighted(scores, np.asarray(attention, np.float64))


def pool_each(chunks: Sequence[np.ndarray], method: str, attention: Sequence[np.ndarray] | None = None) -> np.ndarray:
    """[recordings, classes] float64 from each recording's [chunks, classes] (and [chunks]); raises as `pool`."""
    claimed = [None] * len(chunks) if attention is None else attention
    return np.stack([pool(scores, method, own) for scores, own in zip(chunks, claimed, strict=True)])


def by_recording(recording_ids: Sequence[str], scores: np.ndarray) -> tuple[list[str], list[np.ndarray]]:
    """Sorts the chunks of many recordings.

    Args:
        recording_ids: [chunks] the recording that each chunk is of.
        scores: [chunks, …].

    Returns:
        The recordings, sorted by id, and for each its [chunks, …].
    """
    unique, inverse = np.unique(np.asarray(recording_ids), return_inverse=True)
    chunks_of = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    return [str(i) for i in unique], [scores[chunks] for chunks in chunks_of]


def num_segments(duration_seconds: float, segment_seconds: float) -> int:
    """Consecutive segments of a recording, the last partial one included; at least one."""
    # a few samples that resampling added at the end are no segment of their own
    return max(1, math.ceil(duration_seconds / segment_seconds - 1e-3))


def by_segment(
    start_seconds: np.ndarray,
    end_seconds: np.ndarray,
    scores: np.ndarray,
    duration_seconds: float,
    segment_seconds: float,
    method: str,
    attention: np.ndarray | None = None,
) -> np.ndarray:
    """Pools the chunks of one recording into consecutive segments from 0 on, the last partial one included.

    A chunk counts in every segment that it overlaps; a segment without any takes the chunk nearest to its middle.
    Methods that rescale each item (median_filtered) make segments incomparable: c-mAP ranks a class over all of them.

    Args:
        start_seconds, end_seconds: [chunks] float.
        scores: [chunks, classes] in [0, 1].
        duration_seconds: of the recording.
        segment_seconds: length of a segment.
        method, attention: as in `pool`.

    Returns:
        [ceil(duration / segment), classes] float64, at least one row.
    """
    pooled = []
    for i in range(num_segments(duration_seconds, segment_seconds)):
        begin, end = i * segment_seconds, (i + 1) * segment_seconds
        inside = (start_seconds < end - 1e-6) & (end_seconds > begin + 1e-6)
        if not inside.any():
            middles = (start_seconds + end_seconds) / 2
            inside[np.argmin(np.abs(middles - (begin + end) / 2))] = True
        pooled.append(pool(scores[inside], method, None if attention is None else attention[inside]))
    return np.stack(pooled)

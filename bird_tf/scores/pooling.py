"""Chunk scores → the scores of a recording or segment.

Each method gives a score that is never above the species' best chunk and never falls when a chunk of the species rises.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from bird_tf import config

# as tables tell times; a chunk begins at a whole sample, and so may reach a little into another segment
_TIME_TOLERANCE_SECONDS = 1e-3


def median_filtered(scores: np.ndarray) -> np.ndarray:
    """The 2018 baseline's ranking. It is for many classes: with two classes, all scores can become zero.

    Scores below 1.5 × the median of their chunk become zero; then the root of the mean square over chunks. The baseline
    took the mean of (2p)² and scaled it; that ranks the classes of a recording in the same order, but is no
    probability: it exceeds the best chunk's.
    """
    medians = np.median(scores, axis=1, keepdims=True)
    return root_mean_square(np.where(scores < 1.5 * medians, 0.0, scores))


def root_mean_square(scores: np.ndarray) -> np.ndarray:
    """Root of the mean square over chunks. Many weak chunks count less than one strong chunk."""
    return np.asarray(np.sqrt(np.mean(np.square(scores), axis=0)))


def mean(scores: np.ndarray) -> np.ndarray:
    """Mean over chunks."""
    return np.asarray(np.mean(scores, axis=0))


def maximum(scores: np.ndarray) -> np.ndarray:
    """Maximum over chunks."""
    return np.asarray(np.max(scores, axis=0))


def log_sum_exp(scores: np.ndarray) -> np.ndarray:
    """Log of the mean over chunks of exp(r·p), divided by r = 8 (Pinheiro and Collobert 2015)."""
    sharpness = 8.0
    return np.asarray(np.log(np.mean(np.exp(sharpness * scores), axis=0)) / sharpness)


def attention_weighted(scores: np.ndarray, attention_logits: np.ndarray) -> np.ndarray:
    """Mean over chunks, weighted by the softmax over chunks of the attention logits [chunks]."""
    weights = np.exp(attention_logits - attention_logits.max())
    return np.asarray(weights @ scores / weights.sum())


_METHODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "median_filtered": median_filtered,
    "mean_exponential": root_mean_square,
    "mean": mean,
    "max": maximum,
    "log_sum_exp": log_sum_exp,
}
# only for models that give attention logits
ATTENTION = "attention"
METHODS = (*_METHODS, ATTENTION)

# With fewer classes, the median of a chunk can be the score of a class that is present.
_MANY_CLASSES = 10


def default(num_classes: int) -> str:
    """The default method: that of 2018, or mean_exponential for few classes."""
    return "median_filtered" if num_classes >= _MANY_CLASSES else "mean_exponential"


def check(method: str) -> None:
    """Checks the name of a method.

    Raises:
        InputError: there is no such method.
    """
    if method not in METHODS:
        raise config.InputError(f"--pooling={method}: must be one of {', '.join(METHODS)}")


def pool(scores: np.ndarray, method: str, attention_logits: np.ndarray | None = None) -> np.ndarray:
    """Pools the chunks of one recording or segment.

    Args:
        scores: [chunks, classes] in [0, 1], at least one chunk.
        method: one of METHODS.
        attention_logits: [chunks] float; only the method "attention" needs them.

    Returns:
        [classes] float64 in [0, 1], at most the maximum over chunks.

    Raises:
        ValueError: no chunk, not two axes, or no attention logits for the method "attention".
        InputError: there is no such method.
    """
    check(method)
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or not len(scores):
        raise ValueError(f"scores of shape {scores.shape}: expected [chunks, classes] with at least one chunk")
    if method != ATTENTION:
        return np.minimum(_METHODS[method](scores), scores.max(axis=0))  # rounding can make a mean larger
    if attention_logits is None or not np.isfinite(attention_logits).all():
        raise ValueError("pooling by attention: the model gives no attention")
    return np.minimum(attention_weighted(scores, np.asarray(attention_logits, np.float64)), scores.max(axis=0))


def pool_each(
    chunks: Sequence[np.ndarray], method: str, attention_logits: Sequence[np.ndarray] | None = None
) -> np.ndarray:
    """Pools each recording: its scores [chunks, classes] and attention logits [chunks] → [recordings, classes] float64.

    Raises:
        ValueError, InputError: as `pool`.
    """
    logits = [None] * len(chunks) if attention_logits is None else attention_logits
    return np.stack([pool(scores, method, own) for scores, own in zip(chunks, logits, strict=True)])


def by_recording(recording_ids: Sequence[str], scores: np.ndarray) -> tuple[list[str], list[np.ndarray]]:
    """Groups chunks by recording.

    Args:
        recording_ids: [chunks] the recording of each chunk.
        scores: [chunks, …].

    Returns:
        The ids of the recordings, sorted, and for each recording its [chunks, …] in the order of the input.
    """
    unique, inverse = np.unique(np.asarray(recording_ids), return_inverse=True)
    chunks_of = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    return [str(i) for i in unique], [scores[chunks] for chunks in chunks_of]


def num_segments(duration_seconds: float, segment_seconds: float) -> int:
    """The number of consecutive segments in a recording, with the last partial one; at least one."""
    # resampling can add a few samples at the end; they are not a segment
    return max(1, math.ceil(duration_seconds / segment_seconds - 1e-3))


def by_segment(
    start_seconds: np.ndarray,
    end_seconds: np.ndarray,
    scores: np.ndarray,
    duration_seconds: float,
    segment_seconds: float,
    method: str,
    attention_logits: np.ndarray | None = None,
) -> np.ndarray:
    """Pools the chunks of one recording into consecutive segments, starting at 0, with the last partial segment.

    A chunk counts in each segment that it overlaps. A segment without chunks gets the chunk nearest to its middle.
    c-mAP ranks a class over all segments; so do not use a method whose scores depend on the other classes
    (median_filtered).

    Args:
        start_seconds, end_seconds: [chunks] float.
        scores: [chunks, classes] in [0, 1].
        duration_seconds: of the recording.
        segment_seconds: length of a segment.
        method, attention_logits: as in `pool`.

    Returns:
        [ceil(duration / segment), classes] float64, at least one row.
    """
    pooled = []
    for inside in chunks_of_segments(start_seconds, end_seconds, duration_seconds, segment_seconds):
        own_logits = None if attention_logits is None else attention_logits[inside]
        pooled.append(pool(scores[inside], method, own_logits))
    return np.stack(pooled)


def chunks_of_segments(
    start_seconds: np.ndarray,
    end_seconds: np.ndarray,
    duration_seconds: float,
    segment_seconds: float,
    least_share: float = 0.0,
) -> Iterator[np.ndarray]:
    """Yields for each segment of a recording [chunks] bool, which chunks count in it.

    Args:
        start_seconds, end_seconds, duration_seconds, segment_seconds: as in `by_segment`.
        least_share: of a chunk (of the segment, if that is shorter) that must lie in the segment; 0: any part.
    """
    for i in range(num_segments(duration_seconds, segment_seconds)):
        begin, end = i * segment_seconds, (i + 1) * segment_seconds
        shared = np.minimum(end_seconds, end) - np.maximum(start_seconds, begin)
        least = least_share * np.minimum(end_seconds - start_seconds, segment_seconds)
        inside = (shared > _TIME_TOLERANCE_SECONDS) & (shared >= least - _TIME_TOLERANCE_SECONDS)
        if not inside.any():
            middles = (start_seconds + end_seconds) / 2
            inside[np.argmin(np.abs(middles - (begin + end) / 2))] = True
        yield inside

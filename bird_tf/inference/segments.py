"""The segments of the soundscape task, 5 s each: chunk scores → segment scores."""

from __future__ import annotations

import numpy as np

from bird_tf.inference import ensembles
from bird_tf.scores import pooling

SECONDS = 5
# The root of the mean square: of a call that fills a part of a segment, more is left than in the mean. Not
# median_filtered: what it keeps depends on the other classes, but c-mAP ranks a class over all segments.
DEFAULT_POOLING = "mean_exponential"
_DETECTING_SHARE = 0.5


def pooled(scores: ensembles.RecordingScores, method: str) -> np.ndarray:
    """[segments, classes] float64 of one recording, the last partial segment included."""
    return pooling.by_segment(
        scores.start_seconds, scores.end_seconds, scores.probabilities, scores.duration_seconds, SECONDS, method,
        scores.attention_logits,
    )  # fmt: skip


def chunks(scores: ensembles.RecordingScores) -> list[np.ndarray]:
    """For each segment of one recording [chunks, classes], the scores of the chunks that lie in it by half or more.

    What a chunk hears is where most of it lies: a call behind the end of a segment is no detection in that segment.
    """
    inside = pooling.chunks_of_segments(
        scores.start_seconds, scores.end_seconds, scores.duration_seconds, SECONDS, _DETECTING_SHARE
    )
    return [scores.probabilities[own] for own in inside]


def loudest(scores: ensembles.RecordingScores) -> np.ndarray:
    """[segments, classes] of one recording, the maximum over the `chunks` of each: it is compared with thresholds."""
    return np.stack([own.max(axis=0) for own in chunks(scores)])

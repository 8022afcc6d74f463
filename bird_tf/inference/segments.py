"""The 5 s segments of the soundscape task: chunk scores → segment scores."""

from __future__ import annotations

import numpy as np

from bird_tf.inference import ensembles
from bird_tf.scores import pooling

SECONDS = 5
# rescaling each segment, as median_filtered does, would make segments incomparable: c-mAP ranks over all of them
DEFAULT_POOLING = "mean"


def pooled(scores: ensembles.RecordingScores, method: str) -> np.ndarray:
    """[segments, classes] of one recording, the last partial segment included."""
    return pooling.by_segment(
        scores.start_seconds, scores.end_seconds, scores.probabilities, scores.duration_seconds, SECONDS, method,
        scores.attention,
    )  # fmt: skip

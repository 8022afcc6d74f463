"""Chunk scores → detections: which species is heard from when to when."""

from __future__ import annotations

import dataclasses

import numpy as np

from bird_tf.inference import ensembles


@dataclasses.dataclass(frozen=True)
class Detection:
    """A species (index of its class) heard from start to end, seconds; the probability is that of its best chunk."""

    start: float
    end: float
    index: int
    probability: float


def detections(scores: ensembles.RecordingScores, least: np.ndarray, top: int, merge_seconds: float) -> list[Detection]:
    """What reaches the thresholds.

    Args:
        scores: chunks of one recording.
        least: [classes] the probability that each class needs.
        top: at most so many classes a chunk, the most probable; 0: all.
        merge_seconds: the largest gap over which detections of a class become one; negative: none do.

    Returns:
        By start, then class.
    """
    kept = (scores.probabilities >= least) & (scores.probabilities > 0)  # 0: a species that cannot be there
    if 0 < top < kept.shape[1]:
        below = np.argsort(-scores.probabilities, axis=1, kind="stable")[:, top:]
        np.put_along_axis(kept, below, False, axis=1)
    found: list[Detection] = []
    last: dict[int, int] = {}  # class → place in `found`
    for chunk, index in np.argwhere(kept).tolist():
        start, end = float(scores.start_seconds[chunk]), float(scores.end_seconds[chunk])
        probability = float(scores.probabilities[chunk, index])
        place = last.get(index)
        if place is not None and merge_seconds >= 0 and start - found[place].end <= merge_seconds + 1e-6:
            before = found[place]
            found[place] = Detection(before.start, end, index, max(before.probability, probability))
        else:
            last[index] = len(found)
            found.append(Detection(start, end, index, probability))
    return found

"""Chunk scores → detections: a species from a start to an end."""

from __future__ import annotations

import dataclasses

import numpy as np

from bird_tf import config
from bird_tf.inference import ensembles
from bird_tf.labels import taxonomy
from bird_tf.scores import calibration, threshold_table, thresholds


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionConfig:
    """Which chunk scores are detections."""

    min_probability: str = config.option(
        "",
        "the least probability of a detection, a number; or a CSV with the columns class_id,threshold for some; "
        "empty, and for all others: the model's own thresholds, 0.5 if it has none",
    )
    threshold: str = config.option("f1", "which of the model's own thresholds to use", choices=thresholds.RULES)
    top: int = config.option(0, "at most this number of species a chunk among the detections; 0: no limit")
    merge_seconds: float = config.option(
        0.0, "detections of one species with at most this gap are merged; negative: one detection for each chunk"
    )

    def __post_init__(self) -> None:
        if self.top < 0:
            raise config.InputError(f"--top={self.top}: must be 0 (no limit) or more")

    def thresholds(self, fitted: calibration.Calibration, classes: taxonomy.Taxonomy) -> np.ndarray:
        """[classes] the least probability of a detection of each class.

        Raises:
            InputError: as `threshold_table.choose`.
        """
        return threshold_table.choose(self.min_probability, fitted.thresholds[self.threshold], classes)


@dataclasses.dataclass(frozen=True)
class Detection:
    """A species (index of its class) from start to end, in seconds, with the probability of its best chunk."""

    start: float
    end: float
    index: int
    probability: float


def find(scores: ensembles.RecordingScores, least: np.ndarray, top: int, merge_seconds: float) -> list[Detection]:
    """Finds the detections of a recording.

    Args:
        scores: the chunks of the recording.
        least: [classes] the least probability of each class.
        top: at most this number of classes a chunk, the most probable ones; 0: no limit.
        merge_seconds: the largest gap between detections of a class that are merged; negative: no merging.

    Returns:
        Sorted by start, then by class.
    """
    # a species that cannot be at this place has probability 0, and is never a detection
    detected = (scores.probabilities >= least) & (scores.probabilities > 0)
    if 0 < top < detected.shape[1]:
        below_top = np.argsort(-scores.probabilities, axis=1, kind="stable")[:, top:]
        np.put_along_axis(detected, below_top, False, axis=1)
    found: list[Detection] = []
    latest: dict[int, int] = {}  # class → index in `found`
    for chunk, index in np.argwhere(detected).tolist():
        start, end = float(scores.start_seconds[chunk]), float(scores.end_seconds[chunk])
        probability = float(scores.probabilities[chunk, index])
        position = latest.get(index)
        if position is not None and merge_seconds >= 0 and start - found[position].end <= merge_seconds + 1e-6:
            before = found[position]
            found[position] = Detection(before.start, end, index, max(before.probability, probability))
        else:
            latest[index] = len(found)
            found.append(Detection(start, end, index, probability))
    return found

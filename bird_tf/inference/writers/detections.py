"""Chunk scores → detections: a species from a start to an end."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from bird_tf import config, free_text
from bird_tf.inference import ensembles
from bird_tf.labels import taxonomy
from bird_tf.scores import decisions, threshold_table, thresholds


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionConfig:
    """Which chunk scores are detections."""

    min_probability: str = config.option(
        "",
        "the least probability of a detection, a number; or a CSV with the columns class_id,threshold for some; "
        "empty, and for all others: the model's own thresholds, 0.5 if it has none",
    )
    threshold: str = config.option(
        "f1", "which of the model's own thresholds to use; a number is for --min_probability", choices=thresholds.RULES
    )
    top: int = config.option(0, "at most this number of species a chunk among the detections; 0: no limit")
    merge_seconds: float = config.option(
        0.0, "detections of one species with at most this gap are merged; negative: one detection for each chunk"
    )

    def __post_init__(self) -> None:
        if self.top < 0:
            raise config.InputError(f"--top={self.top}: must be 0 (no limit) or more")

    def in_words(self, *, has_own: bool) -> str:
        """What a detection is, in sentences; `has_own` says whether the model has thresholds of its own."""
        own = f"the model's own threshold of the species by the rule {self.threshold!r} (--threshold)"
        least = own if has_own else "0.5, as the model has no thresholds of its own"
        if free_text.probability(self.min_probability) >= 0:
            least = f"{self.min_probability} (--min_probability)"
        elif self.min_probability:
            least = f"the threshold of the species in {self.min_probability} (--min_probability); for others, {least}"
        told = [f"whose probability is at least {least}."]
        if self.top:
            counting = f"{self.top} most probable species count" if self.top > 1 else "most probable species counts"
            told.append(f"Of each chunk, only the {counting} (--top).")
        if self.merge_seconds < 0:
            told.append("Each chunk has a row of its own (--merge_seconds).")
        elif math.isinf(self.merge_seconds):
            told.append("All of one species in a recording are joined (--merge_seconds).")
        elif self.merge_seconds:
            told.append(
                f"Those of one species with a gap of at most {self.merge_seconds:g} s are joined (--merge_seconds)."
            )
        else:
            told.append("Neighbouring ones of one species are joined.")
        return " ".join(told)

    def criteria(self, decided: decisions.Decisions, classes: taxonomy.Taxonomy) -> Criteria:
        """The criteria for a model of these decisions and classes.

        Raises:
            InputError: as `threshold_table.choose`.
        """
        own = np.stack([fitted.thresholds[self.threshold] for fitted in (decided.answers, decided.recording)])
        of_chunks, of_recordings = threshold_table.choose(self.min_probability, own, classes)
        return Criteria(
            chunk_thresholds=of_chunks,
            recording_thresholds=of_recordings,
            top=self.top,
            merge_seconds=self.merge_seconds,
        )


@dataclasses.dataclass(frozen=True)
class Detection:
    """A species (index of its class) from start to end, in seconds, with the probability of its best chunk."""

    start: float
    end: float
    index: int
    probability: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Criteria:
    """What must hold of a detection, and of a class that is present in a recording.

    A species that cannot be at a place has probability 0 there. It is never a detection, nor present.

    Attributes:
        chunk_thresholds, recording_thresholds: [classes] the least probability of a detection, and of a class that is
            present.
        top: at most this number of classes a chunk, the most probable ones; 0: no limit.
        merge_seconds: the largest gap between detections of a class that are merged; negative: no merging.
    """

    chunk_thresholds: np.ndarray
    recording_thresholds: np.ndarray
    top: int
    merge_seconds: float

    @property
    def num_never(self) -> int:
        """How many classes have no threshold, so that they have no detections."""
        return thresholds.num_never(self.chunk_thresholds)

    def find(self, scores: ensembles.RecordingScores) -> list[Detection]:
        """The detections of a recording, sorted by start, then by class."""
        detected = thresholds.reached(scores.probabilities, self.chunk_thresholds)
        if 0 < self.top < detected.shape[1]:
            below_top = np.argsort(-scores.probabilities, axis=1, kind="stable")[:, self.top :]
            np.put_along_axis(detected, below_top, False, axis=1)
        found: list[Detection] = []
        latest: dict[int, int] = {}  # class → index in `found`
        for chunk, index in np.argwhere(detected).tolist():
            start, end = float(scores.start_seconds[chunk]), float(scores.end_seconds[chunk])
            probability = float(scores.probabilities[chunk, index])
            before = found[latest[index]] if index in latest else None
            if before and self.merge_seconds >= 0 and start - before.end <= self.merge_seconds + 1e-6:
                found[latest[index]] = Detection(before.start, end, index, max(before.probability, probability))
            else:
                latest[index] = len(found)
                found.append(Detection(start, end, index, probability))
        return found

    def present(self, pooled: np.ndarray) -> list[int]:
        """The classes that are present in a recording of these probabilities [classes], the most probable first."""
        present = thresholds.reached(pooled, self.recording_thresholds)
        return [int(index) for index in np.argsort(-pooled, kind="stable") if present[index]]

"""What every writer gets: the prediction of one recording, and what is the same for all recordings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from bird_tf.audio import frontend
from bird_tf.inference import ensembles
from bird_tf.inference.writers import detections
from bird_tf.labels import taxonomy
from bird_tf.scores import decisions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """The prediction of one recording.

    Attributes:
        recording_id: unique, and safe as a file name.
        scores: of its chunks, calibrated.
        pooled: [classes] calibrated probabilities of the recording.
    """

    recording_id: str
    scores: ensembles.RecordingScores
    pooled: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """What is the same for all recordings.

    Attributes:
        settings: which chunk scores are detections.
        output: folder of the results.
        root: the folder in which the recordings were found.
        classes, front_end: of the first model.
        decisions: with the thresholds.
    """

    settings: detections.DetectionConfig
    output: str
    root: str
    classes: taxonomy.Taxonomy
    front_end: frontend.FrontendConfig
    decisions: decisions.Decisions

    def find_detections(self, scores: ensembles.RecordingScores) -> list[detections.Detection]:
        """The detections of a recording, by the flags."""
        thresholds = self.settings.thresholds(self.decisions.chunk)
        return detections.find(scores, thresholds, self.settings.top, self.settings.merge_seconds)

    def find_present(self, pooled: np.ndarray) -> list[int]:
        """The classes that are present in a recording, the most probable first, from its probabilities [classes]."""
        present = (pooled >= self.settings.thresholds(self.decisions.recording)) & (pooled > 0)
        return [int(index) for index in np.argsort(-pooled, kind="stable") if present[index]]


# adds a recording to a format's files
Append = Callable[[Prediction], None]

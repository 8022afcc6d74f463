"""What every writer gets: the prediction of one recording, and what is the same for all recordings."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Callable, Mapping

import numpy as np

from bird_tf.audio import frontend
from bird_tf.inference import ensembles
from bird_tf.inference.writers import detections
from bird_tf.labels import label_cells, metadata, taxonomy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """The prediction of one recording.

    Attributes:
        file: path of the recording below the folder of all recordings, with `/`. It identifies the recording.
        scores: of its chunks, calibrated.
        pooled: [classes] calibrated probabilities of the recording.
        recording: its place and time, as far as they are known.
    """

    file: str
    scores: ensembles.RecordingScores
    pooled: np.ndarray
    recording: metadata.Recording


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """What is the same for all recordings.

    Attributes:
        settings: which chunk scores are detections.
        chunk_thresholds, recording_thresholds: [classes] the least probability of a detection, and of a class that is
            present in a recording.
        root: the folder in which the recordings were found.
        output: the path of a result file, from its name below the folder of the results.
        stems: {file: its path without suffix, after which its own result files are named}.
        classes, front_end: of the first model.
        origins_known: whether time or place of some recording is known.
        byte_order_mark: whether comma-separated tables begin with one.
    """

    settings: detections.DetectionConfig
    chunk_thresholds: np.ndarray
    recording_thresholds: np.ndarray
    root: str
    output: Callable[[str], str]
    stems: Mapping[str, str]
    classes: taxonomy.Taxonomy
    front_end: frontend.FrontendConfig
    origins_known: bool = False
    byte_order_mark: bool = False

    @functools.cached_property
    def species(self) -> tuple[str, ...]:
        """What a class is called for people, and in tables for which it must be one name: its Latin name.

        Its id if another class has that name too, or if the name would be several in a table.
        """
        shared = {name for name, count in collections.Counter(self.classes.names).items() if count > 1}
        pairs = zip(self.classes.class_ids, self.classes.names, strict=True)
        return tuple(class_id if name in shared or not label_cells.is_one(name) else name for class_id, name in pairs)

    def find_detections(self, scores: ensembles.RecordingScores) -> list[detections.Detection]:
        """The detections of a recording, by the flags."""
        return detections.find(scores, self.chunk_thresholds, self.settings.top, self.settings.merge_seconds)

    def find_present(self, pooled: np.ndarray) -> list[int]:
        """The classes that are present in a recording, the most probable first, from its probabilities [classes]."""
        present = (pooled >= self.recording_thresholds) & (pooled > 0)
        return [int(index) for index in np.argsort(-pooled, kind="stable") if present[index]]


# adds a recording to a format's files
Append = Callable[[Prediction], None]

"""The rows of the tables of chunks, recordings and detections, whatever the format of their file.

All three begin with `recording_id`, the path of the recording below --audio, by which they can be joined.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bird_tf import csv_files
from bird_tf.inference.writers import predictions
from bird_tf.labels import metadata, taxonomy

# The digits of columns that hold numbers; all other columns hold texts, and the columns of classes probabilities.
DIGITS: Mapping[str, int] = {
    "start_seconds": 3, "end_seconds": 3, "seconds": 3, "lost_seconds": 3, "probability": 6, "latitude": 6,
    "longitude": 6,
}  # fmt: skip
PROBABILITY_DIGITS = 6

# `file` is what the reader of labels looks for: corrected detections are labels of training recordings.
DETECTIONS = (
    "recording_id", "file", "start_seconds", "end_seconds", "class_id", "name", "probability",
    "clock_time", "site", "latitude", "longitude",
)  # fmt: skip
CHUNKS = ("recording_id", "start_seconds", "end_seconds")
_RECORDINGS = ("recording_id", "file", "seconds", "best", "present")
# recordings of which something is wrong; `note` says it in words
DAMAGED, DAMAGED_COLUMNS = "damaged.csv", ("file", "lost_seconds", "note")
_ORIGIN = ("clock_time", "site", "latitude", "longitude")


def recording_columns(context: predictions.Context) -> tuple[str, ...]:
    """Columns of recordings.csv before those of the classes. Those of time and place are there if one is known."""
    return _RECORDINGS + _ORIGIN * context.origins_known


def detections(classes: taxonomy.Taxonomy, prediction: predictions.Prediction) -> Iterator[list[Any]]:
    """Yields a row for each detection: text, a number, or None for what is not known."""
    file, recording = prediction.file, prediction.recording
    for d in prediction.detections:
        class_id, name = classes.class_ids[d.index], classes.names[d.index]
        yield [file, file, d.start, d.end, class_id, name, d.probability, *_origin(recording, d.start)]


def chunks(prediction: predictions.Prediction) -> Iterator[tuple[list[Any], np.ndarray]]:
    """Yields a row for each chunk, and the probabilities [classes] that follow in it."""
    scores = prediction.scores
    for start, end, row in zip(
        scores.start_seconds.tolist(), scores.end_seconds.tolist(), scores.probabilities, strict=True
    ):
        yield [prediction.file, start, end], row


def recording(context: predictions.Context, prediction: predictions.Prediction) -> list[Any]:
    """The row of a recording; the probabilities `prediction.pooled` follow in it."""
    ids, pooled = context.classes.class_ids, prediction.pooled
    present = csv_files.joined(ids[index] for index in prediction.present)
    scores = prediction.scores
    best = ids[int(np.argmax(pooled))] if pooled.max() > 0 else None  # nothing is heard in silence
    row: list[Any] = [prediction.file, prediction.file, scores.duration_seconds, best, present]
    if context.origins_known:
        row += _origin(prediction.recording)
    return row


def as_text(columns: Sequence[str], row: Sequence[Any]) -> list[str]:
    """The cells of a row: numbers with their digits, empty for what is not known."""
    return [
        "" if value is None else f"{value:.{DIGITS[column]}f}" if column in DIGITS else str(value)
        for column, value in zip(columns, row, strict=True)
    ]


def origin_is_known(recording: metadata.Recording) -> bool:
    """Whether time or place of a recording is known."""
    return any(value is not None for value in _origin(recording))


def clock_time(recording: metadata.Recording, seconds: float = 0.0) -> str:
    """When it was `seconds` after the start of a recording, in ISO 8601, with the zone if it is known.

    If only the date is known, that of the start of the recording; empty if nothing is known.
    """
    start = recording.start
    if start is None:
        return recording.date
    return (start + datetime.timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def _origin(recording: metadata.Recording, seconds: float = 0.0) -> list[Any]:
    """The columns of `_ORIGIN`, at a time in the recording."""
    degrees = [None if math.isnan(value) else value for value in (recording.latitude, recording.longitude)]
    return [clock_time(recording, seconds) or None, recording.site or None, *degrees]

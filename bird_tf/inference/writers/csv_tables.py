"""CSV: tables of chunks, recordings and detections, or a table of detections for each recording."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from bird_tf import csv_files
from bird_tf.inference.writers import predictions, rows

_FILES = DETECTIONS, _RECORDINGS, _CHUNKS = ("detections.csv", "recordings.csv", "chunks.csv")


@contextlib.contextmanager
def writing(context: predictions.Context) -> Iterator[predictions.Append]:
    """Writes detections.csv, and chunks.csv and recordings.csv with all probabilities, one column a class."""
    ids, recording_columns = context.classes.class_ids, rows.recording_columns(context)
    decimals = ",".join([f"%.{rows.PROBABILITY_DIGITS}f"] * len(ids))

    def table(name: str, columns: Sequence[str]) -> contextlib.AbstractContextManager[Callable[[Sequence[Any]], Any]]:
        return csv_files.writing(context.output(name), columns, byte_order_mark=context.byte_order_mark)

    def as_text(probabilities: np.ndarray) -> list[str]:
        return (decimals % tuple(probabilities.tolist())).split(",")

    with (
        table(_CHUNKS, (*rows.CHUNKS, *ids)) as append_chunk,
        table(_RECORDINGS, (*recording_columns, *ids)) as append_recording,
        table(DETECTIONS, rows.DETECTIONS) as append_detection,
    ):

        def append(prediction: predictions.Prediction) -> None:
            for row, probabilities in rows.chunks(prediction):
                append_chunk(rows.as_text(rows.CHUNKS, row) + as_text(probabilities))
            row = rows.as_text(recording_columns, rows.recording(context, prediction))
            append_recording(row + as_text(prediction.pooled))
            for row in rows.detections(context.classes, prediction):
                append_detection(rows.as_text(rows.DETECTIONS, row))

        yield append


@contextlib.contextmanager
def writing_each(context: predictions.Context) -> Iterator[predictions.Append]:
    """Writes STEM.detections.csv for each recording."""

    def append(prediction: predictions.Prediction) -> None:
        path = context.output(f"{context.stems[prediction.file]}.{DETECTIONS}")
        found = [rows.as_text(rows.DETECTIONS, row) for row in rows.detections(context.classes, prediction)]
        csv_files.write(path, rows.DETECTIONS, found, byte_order_mark=context.byte_order_mark)

    yield append


FORMATS = {
    "csv": predictions.Format(
        writing=writing, files=_FILES,
        meaning="tables of all recordings, explained below", explained=True,
    ),
    "csv_each": predictions.Format(
        writing=writing_each, files=(f"{predictions.STEM}.{DETECTIONS}",),
        meaning="the detections of each recording, with the columns of " + DETECTIONS, explained=True,
    ),
}  # fmt: skip

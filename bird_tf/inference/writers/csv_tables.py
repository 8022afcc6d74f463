"""CSV: tables of chunks, recordings and detections, or a table of detections for each recording."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import numpy as np

from bird_tf import files
from bird_tf.inference.writers import predictions

_DETECTION_COLUMNS = ("recording_id", "file", "start_seconds", "end_seconds", "class_id", "name", "probability")


def _detection_rows(context: predictions.Context, prediction: predictions.Prediction) -> Iterator[list[str]]:
    for d in context.find_detections(prediction.scores):
        yield [prediction.recording_id, prediction.scores.path, f"{d.start:.3f}", f"{d.end:.3f}",
               context.classes.class_ids[d.index], context.classes.names[d.index], f"{d.probability:.6f}"]  # fmt: skip


@contextlib.contextmanager
def writing(context: predictions.Context) -> Iterator[predictions.Append]:
    """Writes detections.csv, and chunks.csv and recordings.csv with all probabilities, one column a class."""
    ids = context.classes.class_ids
    chunk_columns = ("recording_id", "start_seconds", "end_seconds", *ids)
    recording_columns = ("recording_id", "file", "seconds", "best", "present", *ids)

    def table(name: str, columns: tuple[str, ...]) -> contextlib.AbstractContextManager[Callable[[list[str]], None]]:
        return files.writing_table(os.path.join(context.output, name), columns)

    with (
        table("chunks.csv", chunk_columns) as append_chunk,
        table("recordings.csv", recording_columns) as append_recording,
        table("detections.csv", _DETECTION_COLUMNS) as append_detection,
    ):

        def append(prediction: predictions.Prediction) -> None:
            recording_id, scores, pooled = prediction.recording_id, prediction.scores, prediction.pooled
            for start, end, row in zip(scores.start_seconds, scores.end_seconds, scores.probabilities, strict=True):
                append_chunk([recording_id, f"{start:.3f}", f"{end:.3f}", *(f"{p:.6f}" for p in row)])
            present = " ".join(ids[index] for index in context.find_present(pooled))
            append_recording([recording_id, scores.path, f"{scores.duration_seconds:.3f}",
                              ids[int(np.argmax(pooled))], present, *(f"{p:.6f}" for p in pooled)])  # fmt: skip
            for row in _detection_rows(context, prediction):
                append_detection(row)

        yield append


@contextlib.contextmanager
def writing_each(context: predictions.Context) -> Iterator[predictions.Append]:
    """Writes ID.detections.csv for each recording."""

    def append(prediction: predictions.Prediction) -> None:
        path = os.path.join(context.output, f"{prediction.recording_id}.detections.csv")
        files.write_table(path, _DETECTION_COLUMNS, _detection_rows(context, prediction))

    yield append

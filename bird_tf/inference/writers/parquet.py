"""Parquet: the tables of chunks, recordings and detections, with numbers as numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bird_tf import files
from bird_tf.inference.writers import predictions, rows

# rows that are written together: many small groups would make the files large and slow
_GROUP = 20_000


class _Table:
    """A file that grows by groups of rows: described columns, then float32 probabilities of classes."""

    def __init__(self, path: str, columns: Sequence[str], class_ids: Sequence[str]) -> None:
        import pyarrow
        import pyarrow.parquet

        self._arrow, self._columns, self._num_classes = pyarrow, columns, len(class_ids)
        numbers, texts = pyarrow.float64(), pyarrow.string()
        fields = [(column, numbers if column in rows.DIGITS else texts) for column in columns]
        self._schema = pyarrow.schema([*fields, *((class_id, pyarrow.float32()) for class_id in class_ids)])
        self._writer = pyarrow.parquet.ParquetWriter(path, self._schema)
        self._rows: list[Sequence[Any]] = []
        self._probabilities: list[np.ndarray] = []

    def append(self, described: Sequence[Sequence[Any]], probabilities: np.ndarray) -> None:
        """Adds rows, and what follows in them: [rows, classes]."""
        self._rows += described
        self._probabilities.append(probabilities)
        if len(self._rows) >= _GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns: list[Any] = list(zip(*self._rows, strict=True))
            columns += list(np.concatenate(self._probabilities).astype(np.float32).T)
            arrays = [self._arrow.array(c, field.type) for c, field in zip(columns, self._schema, strict=True)]
            self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))
        self._rows, self._probabilities = [], []

    def close(self) -> None:
        """Writes what is left."""
        self._flush()
        self._writer.close()


@contextlib.contextmanager
def _table(context: predictions.Context, name: str, columns: Sequence[str], ids: Sequence[str]) -> Iterator[_Table]:
    with (
        files.replacing(context.output(name)) as temporary,
        contextlib.closing(_Table(temporary, columns, ids)) as table,
    ):
        yield table


@contextlib.contextmanager
def writing(context: predictions.Context) -> Iterator[predictions.Append]:
    """Writes detections.parquet, chunks.parquet and recordings.parquet, with the columns of the CSV tables."""
    ids = context.classes.class_ids
    with (
        _table(context, "chunks.parquet", rows.CHUNKS, ids) as chunks,
        _table(context, "recordings.parquet", rows.recording_columns(context), ids) as recordings,
        _table(context, "detections.parquet", rows.DETECTIONS, ()) as detections,
    ):

        def append(prediction: predictions.Prediction) -> None:
            chunks.append([row for row, _ in rows.chunks(prediction)], prediction.scores.probabilities)
            recordings.append([rows.recording(context, prediction)], prediction.pooled[None])
            found = list(rows.detections(context.classes, prediction))
            detections.append(found, np.zeros((len(found), 0)))

        yield append


FORMATS = {
    "parquet": predictions.Format(
        writing=writing, files=("detections.parquet", "recordings.parquet", "chunks.parquet"),
        meaning="the tables below, for programs: numbers are numbers", explained=True,
    ),
}  # fmt: skip

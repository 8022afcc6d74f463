"""Kaleidoscope: one table of the detections in all recordings."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from bird_tf import files
from bird_tf.inference.writers import predictions

_COLUMNS = ("INDIR", "FOLDER", "IN FILE", "OFFSET", "DURATION", "TOP1MATCH", "class_id", "confidence")


@contextlib.contextmanager
def writing(context: predictions.Context) -> Iterator[predictions.Append]:
    """Writes kaleidoscope.csv."""
    classes, root = context.classes, os.path.abspath(context.root)
    with files.writing_table(os.path.join(context.output, "kaleidoscope.csv"), _COLUMNS) as append_row:

        def append(prediction: predictions.Prediction) -> None:
            folder, name = os.path.split(os.path.relpath(os.path.abspath(prediction.scores.path), root))
            for d in context.find_detections(prediction.scores):
                append_row([root, folder, name, f"{d.start:.3f}", f"{d.end - d.start:.3f}", classes.names[d.index],
                            classes.class_ids[d.index], f"{d.probability:.4f}"])  # fmt: skip

        yield append

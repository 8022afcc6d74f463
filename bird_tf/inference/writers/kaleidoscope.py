"""Kaleidoscope Pro: one table of the detections in all recordings, with the columns of its cluster.csv."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from bird_tf import csv_files
from bird_tf.inference.writers import predictions

COLUMNS = (
    "INDIR", "FOLDER", "IN FILE", "OFFSET", "DURATION", "DATE", "TIME", "HOUR", "TOP1MATCH", "TOP1DIST", "MANUAL ID",
)  # fmt: skip
_FILES = ("INDIR", "FOLDER", "IN FILE")


@contextlib.contextmanager
def writing(context: predictions.Context) -> Iterator[predictions.Append]:
    """Writes kaleidoscope.csv.

    TOP1DIST is a distance, 0 for the best match: 1 − probability. DATE, TIME and HOUR are of the recording's start;
    MANUAL ID is empty, for the person. Names of files have no apostrophe before them, since the program opens them.
    """
    root = os.path.abspath(context.root)
    with csv_files.writing(context.output("kaleidoscope.csv"), COLUMNS, as_they_are=_FILES) as append_row:

        def append(prediction: predictions.Prediction) -> None:
            folder, name = os.path.split(prediction.file)
            date, start = prediction.recording.date, prediction.recording.start
            clock = [date, f"{start:%H:%M:%S}", start.hour] if start else [date, "", ""]
            for d in prediction.detections:
                append_row([root, folder, name, f"{d.start:.3f}", f"{d.end - d.start:.3f}", *clock,
                            context.species[d.index], f"{1 - d.probability:.4f}", ""])  # fmt: skip

        yield append


FORMATS = {
    "kaleidoscope": predictions.Format(
        writing=writing, files=("kaleidoscope.csv",),
        meaning="the detections for Kaleidoscope; TOP1DIST is 1 - probability",
    ),
}  # fmt: skip

"""Raven: a selection table for each recording."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from bird_tf import files
from bird_tf.inference.writers import predictions

_COLUMNS = ("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)",
            "Species", "Class", "Confidence")  # fmt: skip


@contextlib.contextmanager
def writing(context: predictions.Context) -> Iterator[predictions.Append]:
    """Writes ID.Table.1.selections.txt for each recording."""
    classes, front_end = context.classes, context.front_end

    def append(prediction: predictions.Prediction) -> None:
        path = os.path.join(context.output, f"{prediction.recording_id}.Table.1.selections.txt")
        with files.writing_table(path, _COLUMNS, delimiter="\t") as append_row:
            for i, d in enumerate(context.find_detections(prediction.scores), 1):
                append_row([i, "Spectrogram 1", 1, f"{d.start:.3f}", f"{d.end:.3f}", front_end.fmin_hz,
                            front_end.fmax_hz, classes.names[d.index], classes.class_ids[d.index],
                            f"{d.probability:.4f}"])  # fmt: skip

    yield append

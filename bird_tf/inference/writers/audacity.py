"""Audacity: a label track for each recording."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from bird_tf import files
from bird_tf.inference.writers import predictions


@contextlib.contextmanager
def writing(context: predictions.Context) -> Iterator[predictions.Append]:
    """Writes ID.labels.txt for each recording: start, end and label, separated by tabs, without a header."""

    def append(prediction: predictions.Prediction) -> None:
        lines = [
            f"{d.start:.6f}\t{d.end:.6f}\t{context.classes.names[d.index]} {d.probability:.2f}\n"
            for d in context.find_detections(prediction.scores)
        ]
        files.write_text(os.path.join(context.output, f"{prediction.recording_id}.labels.txt"), "".join(lines))

    yield append

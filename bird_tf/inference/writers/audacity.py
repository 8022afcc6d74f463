"""Audacity: a label track for each recording, in the format that its manual calls standard."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bird_tf import files
from bird_tf.inference.writers import predictions, tab_separated


@contextlib.contextmanager
def writing(context: predictions.Context) -> Iterator[predictions.Append]:
    """Writes STEM.labels.txt for each recording: start, end and species, separated by tabs, without a header.

    A label is the species and nothing else, so that corrected labels are labels of training recordings.
    """

    def append(prediction: predictions.Prediction) -> None:
        lines = [
            tab_separated.line([f"{d.start:.6f}", f"{d.end:.6f}", context.species[d.index]])
            for d in prediction.detections
        ]
        files.write_text(context.output(f"{context.stems[prediction.file]}.labels.txt"), "".join(lines))

    yield append


FORMATS = {
    "audacity": predictions.Format(
        writing=writing, files=(f"{predictions.STEM}.labels.txt",),
        meaning="a label track of each recording, for Audacity (File, Import, Labels)",
    ),
}  # fmt: skip

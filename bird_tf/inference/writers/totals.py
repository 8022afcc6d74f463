"""What is told of all recordings of a prediction: counts, and the tables of those that are damaged or sound strange."""

from __future__ import annotations

import collections
import os

from absl import logging

from bird_tf import csv_files
from bird_tf.inference import strangeness
from bird_tf.inference.writers import predictions, rows


class Totals:
    """Counts recordings as they are added.

    Attributes:
        of_species: {class: number of its detections}.
        num_with_detections: number of recordings with a detection.
        seconds: length of all recordings.
    """

    def __init__(self) -> None:
        self.of_species = collections.Counter[int]()
        self.num_with_detections, self.seconds = 0, 0.0
        self._damaged: list[tuple[str, str, str]] = []
        self._strange: dict[str, float] = {}  # of each recording

    def add(self, found: predictions.Prediction) -> None:
        """Adds a recording."""
        scores = found.scores
        self.of_species.update(detection.index for detection in found.detections)
        self.num_with_detections += bool(found.detections)
        self.seconds += scores.duration_seconds
        self._strange[found.file] = scores.strangeness
        if scores.note:
            self._damaged.append((found.file, f"{scores.lost_seconds:.3f}", scores.note))

    @property
    def num_recordings(self) -> int:
        """Number of recordings."""
        return len(self._strange)

    @property
    def num_unlike(self) -> int | None:
        """How many recordings sound unlike the training data; None if the model does not know it."""
        unlike, known = strangeness.counts([*self._strange.values()])
        return unlike if known else None

    @property
    def unlike(self) -> str:
        """The same as a sentence, see `strangeness.sentence`."""
        return strangeness.sentence([*self._strange.values()])

    def warn_of_unlike(self, output: str) -> None:
        """Warns if more recordings than usual sound unlike the training data; the table in the output names them."""
        if strangeness.are_unlike([*self._strange.values()]):
            logging.warning(
                "%s: listen before you trust what the model says of them; %s names them",
                self.unlike, os.path.join(output, strangeness.TABLE),
            )  # fmt: skip

    def write_tables(self, context: predictions.Context) -> None:
        """Writes the tables of damaged recordings, and of those unlike the training data, the strangest first.

        A table without a row is not written.
        """
        unlike = sorted((-value, file) for file, value in self._strange.items() if strangeness.is_unlike(value))
        for table, columns, entries in (
            (rows.DAMAGED, rows.DAMAGED_COLUMNS, self._damaged),
            (strangeness.TABLE, strangeness.COLUMNS, [(file, f"{-value:.3f}") for value, file in unlike]),
        ):
            if entries:
                csv_files.write(context.output(table), columns, entries, byte_order_mark=context.byte_order_mark)

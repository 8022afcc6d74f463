"""NumPy: the embeddings of each recording."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from bird_tf import files
from bird_tf.inference.writers import predictions


@contextlib.contextmanager
def writing(context: predictions.Context) -> Iterator[predictions.Append]:
    """Writes STEM.embeddings.npz for each recording.

    It holds start_seconds, end_seconds [chunks] float64 and embeddings [chunks, features] float32.
    """

    def append(prediction: predictions.Prediction) -> None:
        path = context.output(f"{context.stems[prediction.file]}.embeddings.npz")
        with files.replacing(path) as temporary, open(temporary, "wb") as file:
            scores = prediction.scores
            np.savez(file, start_seconds=scores.start_seconds, end_seconds=scores.end_seconds,
                     embeddings=scores.embeddings)  # fmt: skip

    yield append

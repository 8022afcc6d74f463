"""Predictions and verdicts → the call density of each class with verdicts."""

from __future__ import annotations

import collections
from collections.abc import Sequence

import numpy as np
from absl import logging

from bird_tf import config
from bird_tf.inference import ensembles
from bird_tf.inference.writers import predictions
from bird_tf.labels import taxonomy, verdicts
from bird_tf.scores import density


class Densities:
    """The scores of the classes that have verdicts, in all recordings."""

    def __init__(self, given: Sequence[verdicts.Verdict], classes: taxonomy.Taxonomy) -> None:
        """Sorts the verdicts that say yes or no by recording.

        Raises:
            InputError: there are verdicts, but none of a class of the model.
        """
        self._by_file: dict[str, list[tuple[int, verdicts.Verdict]]] = collections.defaultdict(list)
        self._scores: dict[int, list[np.ndarray]] = {}
        self._verdicts: dict[int, dict[int, bool]] = {}
        self._num_chunks, unused = 0, 0
        for verdict in given:
            indices = classes.resolve([verdict.class_id]) if verdict.is_present is not None else []
            if indices:
                self._by_file[verdict.file].append((indices[0], verdict))
                self._scores[indices[0]], self._verdicts[indices[0]] = [], {}
            else:
                unused += 1
        if given and not self._scores:
            raise config.InputError(f"--verdicts: none of {unused} rows says yes or no to a class of the model")
        if unused:
            logging.info("%d of %d verdicts say neither yes nor no to a class of the model", unused, len(given))

    def add(self, prediction: predictions.Prediction) -> None:
        """Takes the scores of a recording, and the verdicts on it."""
        scores = prediction.scores
        for index, found in self._scores.items():
            found.append(scores.probabilities[:, index].copy())
        for index, verdict in self._by_file.pop(prediction.file, []):
            chunk = _best_chunk(scores, index, verdict)
            self._verdicts[index][self._num_chunks + chunk] = bool(verdict.is_present)
        self._num_chunks += len(scores.probabilities)

    def estimates(self) -> dict[int, density.Density]:
        """{class index: density}, after the last recording."""
        if self._by_file:
            logging.warning(
                "%d recordings with verdicts are not among these recordings, the first: %s",
                len(self._by_file), min(self._by_file),
            )  # fmt: skip
        return {
            index: density.estimate(np.concatenate(scores), self._verdicts[index])
            for index, scores in sorted(self._scores.items())
            if scores
        }


def _best_chunk(scores: ensembles.RecordingScores, index: int, verdict: verdicts.Verdict) -> int:
    """The chunk that a verdict is on: of those that share most time with its span, the one of the highest score."""
    start, end = scores.start_seconds, scores.end_seconds
    shared = np.minimum(end, verdict.end_seconds) - np.maximum(start, verdict.start_seconds)
    # times in tables are rounded to a millisecond
    most = np.flatnonzero(shared >= shared.max() - 2e-3)
    return int(most[np.argmax(scores.probabilities[most, index])])

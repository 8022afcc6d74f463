"""Predictions and verdicts → the call density of each class with verdicts."""

from __future__ import annotations

import collections
import math
from collections.abc import Mapping, Sequence

import numpy as np
from absl import logging

from bird_tf import config
from bird_tf.inference import ensembles
from bird_tf.inference.writers import predictions
from bird_tf.labels import taxonomy, verdicts
from bird_tf.scores import density

# tables round scores, so that some are in another band
_ROUNDED = 0.01


class Densities:
    """The scores of the classes that have verdicts, in all recordings."""

    def __init__(self, given: Sequence[verdicts.Verdict], classes: taxonomy.Taxonomy) -> None:
        """Sorts the verdicts that say yes or no by recording.

        If all of them were drawn by band, these bands are the bins of the density.

        Raises:
            InputError: there are verdicts, but none of a class of the model.
        """
        self._by_file: dict[str, list[tuple[int, verdicts.Verdict]]] = collections.defaultdict(list)
        self._scores: dict[int, list[np.ndarray]] = {}
        self._verdicts: dict[int, dict[int, bool]] = {}
        self._num_chunks, self._num_moved, unused = 0, 0, 0
        drawn = bool(given) and all(verdict.band_size for verdict in given)
        # the lowest edge and the size of each band
        self._bands = {0.0: 0} | {v.band_lowest: v.band_size for v in given} if drawn else {}
        self._edges = tuple(sorted(self._bands))
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
            band = int(density.bands(scores.probabilities[chunk : chunk + 1, index], self._edges)[0])
            if self._edges and self._edges[band] != verdict.band_lowest:
                self._num_moved += 1
            else:
                self._verdicts[index][self._num_chunks + chunk] = bool(verdict.is_present)
        self._num_chunks += len(scores.probabilities)

    def estimates(self) -> dict[int, density.Density]:
        """{class index: density}, after the last recording."""
        if self._by_file:
            logging.warning(
                "%d recordings with verdicts are not among these recordings, the first: %s",
                len(self._by_file), min(self._by_file),
            )  # fmt: skip
        if self._num_moved:
            logging.warning("%d verdicts are on chunks that have other scores now: not used", self._num_moved)
        of_class = {index: np.concatenate(scores) for index, scores in sorted(self._scores.items()) if scores}
        self._drop_partly_drawn(of_class)
        found = {
            index: density.estimate(scores, self._verdicts[index], self._edges) for index, scores in of_class.items()
        }
        if unknown := [index for index, one in found.items() if math.isnan(one.estimate)]:
            logging.warning(
                "%d of %d species have no call density, since no chunk of some band of their scores was judged: "
                "bird_tf.review --sample --species=… asks for more of one species", len(unknown), len(found),
            )  # fmt: skip
        return found

    def _drop_partly_drawn(self, of_class: Mapping[int, np.ndarray]) -> None:
        """Removes the verdicts of bands of which only a part could be drawn, as where predictions have a threshold."""
        if not self._edges:
            return
        banded = {index: density.bands(scores, self._edges) for index, scores in of_class.items()}
        counts = sum((np.bincount(band, minlength=len(self._edges)) for band in banded.values()), np.zeros(1, int))
        for band, (edge, count) in enumerate(zip(self._edges, counts, strict=True)):
            size = self._bands[edge]
            if count <= size + max(1, _ROUNDED * size):
                continue
            logging.warning(
                "the verdicts from a score of %g up were drawn from %d predictions, but there are %d chunks: not used; "
                "predict with --min_probability=0 --merge_seconds=-1 before the review", edge, size, count,
            )  # fmt: skip
            for index, of_chunk in banded.items():
                kept = {chunk: there for chunk, there in self._verdicts[index].items() if of_chunk[chunk] != band}
                self._verdicts[index] = kept


def _best_chunk(scores: ensembles.RecordingScores, index: int, verdict: verdicts.Verdict) -> int:
    """The chunk that a verdict is on: of those that share most time with its span, the one of the highest score."""
    start, end = scores.start_seconds, scores.end_seconds
    shared = np.minimum(end, verdict.end_seconds) - np.maximum(start, verdict.start_seconds)
    # times in tables are rounded to a millisecond
    most = np.flatnonzero(shared >= shared.max() - 2e-3)
    return int(most[np.argmax(scores.probabilities[most, index])])

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


def check_scale(given: Sequence[verdicts.Verdict], scale: str) -> None:
    """Refuses verdicts that were drawn by bands of other probabilities: of bands of these they are no random sample.

    Args:
        given: the verdicts.
        scale: of the models, as `Ensemble.scale`.

    Raises:
        InputError: there are such verdicts.
    """
    drawn = [verdict for verdict in given if verdict.band_size]
    if others := sum(verdict.scale.partition(" ")[0] not in ("", scale) for verdict in drawn):
        raise config.InputError(
            f"--verdicts: {others} of {len(given)} verdicts are on predictions of another model, or of this one before "
            "it was tuned: its probabilities have another scale now, and call densities need verdicts on these"
        )


class Densities:
    """The scores of the classes that have verdicts, in all recordings."""

    def __init__(self, given: Sequence[verdicts.Verdict], classes: taxonomy.Taxonomy) -> None:
        """Sorts the verdicts that say yes or no by recording.

        If all of them were drawn by band, these bands are the bins of the density. Verdicts that tell how many
        predictions of their class were in each band may be of several reviews of the same predictions.

        Raises:
            InputError: there are verdicts, but none of a class of the model; or they are of reviews of different bands.
        """
        self._by_file: dict[str, list[tuple[int, verdicts.Verdict]]] = collections.defaultdict(list)
        self._scores: dict[int, list[np.ndarray]] = {}
        self._verdicts: dict[int, dict[int, bool]] = {}
        self._num_chunks, self._num_moved, self._num_chosen, unused = 0, 0, 0, 0
        try:
            predicted = verdicts.predicted(given, classes)
        except config.InputError as error:
            raise config.InputError(f"--verdicts: {error}") from error
        for verdict in given:
            if verdict.is_present is not None and verdict in predicted:
                index = predicted[verdict]
                self._by_file[verdict.file].append((index, verdict))
                self._scores[index], self._verdicts[index] = [], {}
            else:
                unused += 1
        if given and not self._scores:
            raise config.InputError(f"--verdicts: none of {unused} rows says yes or no to a class of the model")
        if unused:
            logging.info("%d of %d verdicts say neither yes nor no to a class of the model", unused, len(given))
        # (indices of classes, {lower edge: size} of the bands that their verdicts were drawn from)
        self._drawn = self._read_bands(given, classes) if all(verdict.band_size for verdict in given) else []
        self._edges = {index: tuple(sorted(sizes)) for indices, sizes in self._drawn for index in indices}
        self._chosen = verdicts.chosen_bands(given, classes) if self._drawn else set()
        if given and not self._drawn:
            logging.warning(
                "--verdicts: not all clips were drawn by band (bird_tf.review --sample): the call densities are right "
                "only if the clips of each species were chosen at random"
            )

    def _read_bands(
        self, given: Sequence[verdicts.Verdict], classes: taxonomy.Taxonomy
    ) -> list[tuple[list[int], dict[float, int]]]:
        try:
            if not all(verdict.class_sizes for verdict in given):
                return [(list(self._scores), {0.0: 0} | verdicts.bands(given, of_class=False))]
            own = {index: [v for v in given if index in classes.resolve([v.class_id])] for index in self._scores}
            return [([index], verdicts.bands(of_class, of_class=True)) for index, of_class in own.items()]
        except config.InputError as error:
            raise config.InputError(f"--verdicts: {error}") from error

    def add(self, prediction: predictions.Prediction) -> None:
        """Takes the scores of a recording, and the verdicts on it."""
        scores = prediction.scores
        for index, found in self._scores.items():
            found.append(scores.probabilities[:, index].copy())
        for index, verdict in self._by_file.pop(prediction.file, []):
            chunk = _best_chunk(scores, index, verdict)
            edges = self._edges.get(index, ())
            score = scores.probabilities[chunk, index]
            band = int(density.bands(score, edges))
            if edges and (not score or edges[band] != verdict.band_lowest):
                self._num_moved += 1
            elif (index, verdict.band_lowest) in self._chosen:
                self._num_chosen += 1
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
        if self._num_chosen:
            logging.warning(
                "%d verdicts are of bands of scores of which more clips were passed over than judged, as where those "
                "of one site alone were judged: they are no random sample, and not used", self._num_chosen,
            )  # fmt: skip
        of_class = {index: np.concatenate(scores) for index, scores in sorted(self._scores.items()) if scores}
        self._drop_partly_drawn(of_class)
        found = {
            index: density.estimate(scores, self._verdicts[index], self._edges.get(index, ()))
            for index, scores in of_class.items()
        }
        if unknown := [index for index, one in found.items() if math.isnan(one.estimate)]:
            logging.warning(
                "%d of %d species have no call density, since no chunk of some band of their scores was judged: "
                "bird_tf.review --sample --species=… asks for more of one species; append its verdicts to these",
                len(unknown), len(found),
            )  # fmt: skip
        return found

    def _drop_partly_drawn(self, of_class: Mapping[int, np.ndarray]) -> None:
        """Removes the verdicts of bands of which only a part could be drawn, as where predictions have a threshold."""
        dropped: dict[float, list[tuple[int, int]]] = collections.defaultdict(list)
        for indices, sizes in self._drawn:
            edges = tuple(sorted(sizes))
            banded = {index: density.bands(of_class[index], edges) for index in indices if index in of_class}
            # a chunk with a score of 0 is no prediction
            of_predictions = (of_chunk[of_class[index] > 0] for index, of_chunk in banded.items())
            counts = sum((np.bincount(band, minlength=len(edges)) for band in of_predictions), np.zeros(1, int))
            for band, (edge, count) in enumerate(zip(edges, counts, strict=False)):
                if count <= sizes[edge] + max(1, _ROUNDED * sizes[edge]):
                    continue
                dropped[edge].append((sizes[edge], int(count)))
                for index, of_chunk in banded.items():
                    kept = {chunk: there for chunk, there in self._verdicts[index].items() if of_chunk[chunk] != band}
                    self._verdicts[index] = kept
        for edge, numbers in sorted(dropped.items()):
            logging.warning(
                "the verdicts from a score of %g up were drawn from %d predictions, but there are %d chunks: not used; "
                "predict with --min_probability=0 --merge_seconds=-1 before the review",
                edge, *(sum(each) for each in zip(*numbers, strict=True)),
            )  # fmt: skip


def _best_chunk(scores: ensembles.RecordingScores, index: int, verdict: verdicts.Verdict) -> int:
    """The chunk that a verdict is on: of those that share most time with its span, the one of the highest score."""
    start, end = scores.start_seconds, scores.end_seconds
    shared = np.minimum(end, verdict.end_seconds) - np.maximum(start, verdict.start_seconds)
    # times in tables are rounded to a millisecond
    most = np.flatnonzero(shared >= shared.max() - 2e-3)
    return int(most[np.argmax(scores.probabilities[most, index])])

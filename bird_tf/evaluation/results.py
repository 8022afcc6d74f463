"""What an evaluation found: its metrics, and tables by recording and by species. The page is made by `report`."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bird_tf import csv_files, files, skips
from bird_tf.evaluation import examples
from bird_tf.labels import taxonomy
from bird_tf.records import manifests
from bird_tf.scores import decisions, metrics, thresholds

# with fewer recordings of a species, one of them more or less may change its average precision from 1 to a half
_ENOUGH = 3
_MOST_CONFUSIONS = 15


@dataclasses.dataclass(frozen=True)
class Species:
    """One row of species.csv.

    Attributes:
        class_id, name: as in the class list.
        recordings: number of recordings with this label.
        first: in how many of them the species has the highest score.
        average_precision: in [0, 1].
        training_recordings: number of recordings that the models were trained on; -1 if unknown.
        threshold: the one with the best F1; above 1: never.
        precision_threshold: the one of the rule "precision"; above 1: never.
        about_precision: what a reader must know of it, in words; empty if it was not fitted.
        mistaken_for: the absent species that most often has the highest score instead; empty if there is none.
        present: number of recordings with the species, background included, on which average_precision rests.
    """

    class_id: str
    name: str
    recordings: int
    first: int
    average_precision: float
    training_recordings: int
    threshold: float
    precision_threshold: float
    about_precision: str
    mistaken_for: str
    present: int

    @property
    def few(self) -> bool:
        """Whether the average precision rests on so few recordings that it says little."""
        return self.present < _ENOUGH


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The results of one evaluation.

    Attributes:
        title: what was evaluated.
        notes: sentences that a reader must know to judge the numbers.
        headline: {metric: value}.
        intervals: {metric: (low, high)}, 95 %.
        classes: those of the models.
        recording_ids: [recordings].
        labels: [recordings] index of the foreground species.
        truth: [recordings, classes] bool, background included.
        pooled: [recordings, classes] before the calibration, in [0, 1].
        scores: [recordings, classes] the probabilities, as `predict` tells them: what is ranked.
        held_out: as `scores`; after a fit on these recordings, each by maps that were fitted without it.
        training_recordings: [classes]; empty if unknown.
        decisions: pooling and thresholds.
        examples: the recordings with the lowest average precision.
        tuned: whether the decisions were fitted on these recordings.
        among_named: from `among_named`.
    """

    title: str
    notes: Sequence[str]
    headline: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    classes: taxonomy.Taxonomy
    recording_ids: Sequence[str]
    labels: np.ndarray
    truth: np.ndarray
    pooled: np.ndarray
    scores: np.ndarray
    held_out: np.ndarray
    training_recordings: Sequence[int]
    decisions: decisions.Decisions
    examples: Sequence[examples.Example]
    tuned: bool = False
    among_named: Mapping[str, float] | None = None

    def summary(self) -> dict[str, Any]:
        """The metrics for summary.json; those that are not defined are null, without an interval."""
        return {
            **files.defined({**self.headline, "chance_mlrap": metrics.chance_mlrap(self.truth)}),
            "num_ranked": len(self.classes),
            "among_named": self.among_named,
            "intervals": {name: list(pair) for name, pair in self.intervals.items() if pair[0] == pair[0]},
            "calibration_error": metrics.expected_calibration_error(self.pooled, self.truth),
            "calibration_error_calibrated": metrics.expected_calibration_error(self.held_out, self.truth),
        }

    @property
    def heard(self) -> np.ndarray:
        """[recordings] bool, whether any species has a score; in silence none is put first."""
        return np.asarray(self.scores.max(axis=1) > 0)

    @functools.cached_property
    def species(self) -> list[Species]:
        """One entry for each species that is present in some recording, the highest average precision first.

        Those that rest on few recordings come last.
        """
        precisions = metrics.class_average_precisions(self.scores, self.truth)
        best = np.argmax(self.scores, axis=1)
        training = self.training_recordings or [-1] * len(self.classes)
        fitted = self.decisions.recording.thresholds
        entries = []
        for index in np.flatnonzero(self.truth.any(axis=0)):
            own = self.labels == index
            heard = np.flatnonzero(own & self.heard)
            found = best[heard]
            wrong = found[~self.truth[heard, found]]
            entries.append(
                Species(
                    class_id=self.classes.class_ids[index],
                    name=self.classes.names[index],
                    recordings=int(own.sum()),
                    first=int((found == index).sum()),
                    average_precision=float(precisions[index]),
                    training_recordings=int(training[index]),
                    threshold=float(fitted["f1"][index]),
                    precision_threshold=float(fitted["precision"][index]),
                    about_precision=self._about_precision(index),
                    mistaken_for=self.classes.names[np.bincount(wrong).argmax()] if len(wrong) else "",
                    present=int(self.truth[:, index].sum()),
                )
            )
        return sorted(entries, key=lambda entry: (entry.few, -entry.average_precision))

    def _about_precision(self, index: int) -> str:
        """Only after a fit on these recordings is it known how many of them it rests on."""
        decided = self.decisions
        if not decided.precision:
            return ""
        count = int(self.truth[:, index].sum()) if self.tuned else thresholds.MIN_POSITIVES
        return thresholds.in_words(decided.recording.thresholds["precision"][index], count, decided.precision)

    def confusions(self) -> list[tuple[int, int, int]]:
        """The most frequent mistakes, a few of them.

        Returns:
            (label, species with the highest score, number of recordings), the most frequent first. A species in the
            background is no mistake.
        """
        best = np.argmax(self.scores, axis=1)
        wrong = ~self.truth[np.arange(len(best)), best] & self.heard
        pairs, counts = np.unique(np.stack([self.labels[wrong], best[wrong]]), axis=1, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:_MOST_CONFUSIONS]
        return [(int(pairs[0, i]), int(pairs[1, i]), int(counts[i])) for i in order]


def among_named(
    scores: np.ndarray, truth: np.ndarray, classes: taxonomy.Taxonomy, manifest: manifests.Manifest
) -> dict[str, float] | None:
    """MLRAP among the classes that the labels of records can name, if the models know more: to rank more is harder.

    Args:
        scores, truth: [recordings, classes] of the models.
        classes: those of the models.
        manifest: the records.

    Returns:
        num_ranked, mlrap and chance_mlrap; None if the models know no more, or the records name one class.
    """
    columns = [classes.index(class_id) for class_id in manifest.labelled_classes.class_ids]
    if not 1 < len(columns) < len(classes):
        return None
    scores, truth = scores[:, columns], truth[:, columns]
    found = {"mlrap": metrics.mlrap(scores, truth), "chance_mlrap": metrics.chance_mlrap(truth)}
    return {"num_ranked": len(columns), **found}


def write_tables(folder: str, evaluation: Evaluation, skipped: Sequence[tuple[str, str]]) -> None:
    """Writes recordings.csv, species.csv and skipped.csv.

    Args:
        folder: where the tables go.
        evaluation: what they show.
        skipped: (file, reason) of each recording without scores.
    """
    ids, best = evaluation.classes.class_ids, np.argmax(evaluation.scores, axis=1)
    precisions = metrics.ranking_precisions(evaluation.scores, evaluation.truth)
    rows = [
        (recording_id, ids[label], ids[first] if any_heard else "", f"{scores[first]:.6f}", f"{precision:.6f}")
        for recording_id, label, first, any_heard, scores, precision in zip(
            evaluation.recording_ids,
            evaluation.labels,
            best,
            evaluation.heard,
            evaluation.scores,
            precisions,
            strict=True,
        )
    ]
    columns = ("recording_id", "label", "best", "best_score", "average_precision")
    csv_files.write(os.path.join(folder, "recordings.csv"), columns, rows)
    species = [dataclasses.astuple(entry) for entry in evaluation.species]
    names = [field.name for field in dataclasses.fields(Species)]
    csv_files.write(os.path.join(folder, "species.csv"), names, species)
    skips.write(folder, skipped)

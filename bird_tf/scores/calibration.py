"""Scores → calibrated probabilities and thresholds, fitted on labelled recordings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

RULES = ("f1", "precision")
# a logit needs scores inside (0, 1); float32 probabilities carry no more than this anyway
_EDGE = 1e-6
# a class with fewer positives than this takes the threshold of all classes together
_FEW_POSITIVES = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """Scores → calibrated probabilities (Platt), and how probable a class must be to be called present.

    The map is one for all classes and rises strictly, so that no ranking changes.

    Attributes:
        slope, intercept: of the calibrated logit in the score's logit.
        thresholds: for each of RULES, [classes] the least calibrated probability; above 1: never.
    """

    slope: float
    intercept: float
    thresholds: Mapping[str, np.ndarray]

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Scores [..., classes] in [0, 1] → calibrated probabilities, same shape and type."""
        if (self.slope, self.intercept) == (1.0, 0.0):
            return scores
        logits = self.slope * _logit(scores) + self.intercept
        return np.asarray(1 / (1 + np.exp(-logits)), scores.dtype)


def _logit(scores: np.ndarray) -> np.ndarray:
    clipped = np.clip(np.asarray(scores, np.float64), _EDGE, 1 - _EDGE)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def fit_platt(scores: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the calibrated logit by maximum likelihood (Platt 1999, without his smoothing).

    Args:
        scores: in [0, 1], of any shape.
        truth: of the same shape, bool.

    Returns:
        (slope, intercept); the slope is positive. Without positives or without negatives: (1, 0).
    """
    import scipy.optimize

    logits, wanted = _logit(scores).ravel(), truth.ravel().astype(np.float64)
    if wanted.min() == wanted.max():
        return 1.0, 0.0

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        slope = np.exp(parameters[0])
        z = slope * logits + parameters[1]
        residual = 1 / (1 + np.exp(-z)) - wanted
        value = np.mean(np.logaddexp(0, z) - wanted * z)
        return float(value), np.array([np.mean(residual * logits) * slope, np.mean(residual)])

    start = np.array([0.0, 0.0])
    found = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(-6, 6), (None, None)])
    return float(np.exp(found.x[0])), float(found.x[1])


def best_f1_threshold(scores: np.ndarray, truth: np.ndarray) -> float:
    """The score from which on calling it present gives the best F1; NaN without a positive."""
    values, hits, called = _operating_points(scores, truth)
    if not hits[-1]:
        return float("nan")
    return float(values[np.argmax(2 * hits / (called + hits[-1]))])


def precision_threshold(scores: np.ndarray, truth: np.ndarray, precision: float) -> float:
    """The lowest score from which on at least `precision` of what is called present is; 2 (never) if there is none."""
    values, hits, called = _operating_points(scores, truth)
    enough = np.flatnonzero(hits >= precision * called)
    return float(values[enough[-1]]) if len(enough) else 2.0


def _operating_points(scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct scores, falling; how many positives, and how many in all, reach each."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    return ranked[last], hits[last], last + 1


def fit(chunks: Sequence[np.ndarray] | np.ndarray, truth: np.ndarray, precision: float) -> Calibration:
    """Fits map and thresholds on labelled recordings.

    Args:
        chunks: for each recording [chunks, classes] in [0, 1]; of pooled scores [recordings, 1, classes].
        truth: [recordings, classes] bool, background included.
        precision: what the rule "precision" is to reach.

    Returns:
        The calibration, fitted on what `_told` counts. A class that is present in fewer than five recordings takes the
        thresholds of all classes together.
    """
    scores, present, counts = _weakly_labelled(chunks, truth)
    slope, intercept = fit_platt(scores[counts], present[counts])
    plain = Calibration(slope=slope, intercept=intercept, thresholds={})
    calibrated = plain.probabilities(scores)
    together = (
        best_f1_threshold(calibrated[counts], present[counts]),
        precision_threshold(calibrated[counts], present[counts], precision),
    )
    thresholds = {rule: np.full(truth.shape[1], common) for rule, common in zip(RULES, together, strict=True)}
    for index in np.flatnonzero(truth.sum(axis=0) >= _FEW_POSITIVES):
        own = counts[:, index]
        heard, there = calibrated[own, index], present[own, index]
        thresholds["f1"][index] = best_f1_threshold(heard, there)
        thresholds["precision"][index] = precision_threshold(heard, there, precision)
    return dataclasses.replace(plain, thresholds=thresholds)


def _weakly_labelled(
    chunks: Sequence[np.ndarray] | np.ndarray, truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What weak labels tell of chunks: of a recording without a species all, of one with it only the best.

    Returns:
        Scores float64, presence and whether they count, [all chunks, classes] each.
    """
    counts = []
    for own, present in zip(chunks, truth, strict=True):
        best = np.arange(len(own))[:, None] == np.argmax(own, axis=0)
        counts.append(best | ~present)
    scores = np.concatenate(chunks).astype(np.float64)
    return scores, np.repeat(truth, [len(own) for own in chunks], axis=0), np.concatenate(counts)


def cross_fitted(scores: np.ndarray, truth: np.ndarray, num_folds: int = 5) -> np.ndarray:
    """Calibrated probabilities of each recording by a map that was fitted without it, to judge the calibration by."""
    calibrated = np.empty(scores.shape, np.float64)
    for fold in range(num_folds):
        held_out = np.arange(len(scores)) % num_folds == fold
        slope, intercept = fit_platt(scores[~held_out], truth[~held_out]) if (~held_out).any() else (1.0, 0.0)
        calibrated[held_out] = Calibration(slope=slope, intercept=intercept, thresholds={}).probabilities(
            scores[held_out].astype(np.float64)
        )
    return calibrated

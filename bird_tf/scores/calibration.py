"""Scores → calibrated probabilities and thresholds, fitted on labelled recordings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from bird_tf.scores import metrics

RULES = ("f1", "precision")
# A logit needs scores inside (0, 1). The precision of float32 probabilities is not higher than this.
_EDGE = 1e-6
# a class with fewer positives gets the thresholds that were fitted on all classes together
_MIN_POSITIVES = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """Scores → calibrated probabilities (Platt), with thresholds.

    All classes have the same strictly increasing map. So no ranking changes.

    Attributes:
        slope, intercept: calibrated logit = slope × logit of the score + intercept.
        thresholds: for each of RULES, [classes] the least calibrated probability of a class that counts as present;
            above 1: the class never counts as present.
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
        scores: any shape, in [0, 1].
        truth: of the same shape, bool.

    Returns:
        (slope, intercept) with a positive slope; (1, 0) without positives or without negatives.
    """
    import scipy.optimize

    logits, targets = _logit(scores).ravel(), truth.ravel().astype(np.float64)
    if targets.min() == targets.max():
        return 1.0, 0.0

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        slope = np.exp(parameters[0])
        z = slope * logits + parameters[1]
        residual = 1 / (1 + np.exp(-z)) - targets
        value = np.mean(np.logaddexp(0, z) - targets * z)
        return float(value), np.array([np.mean(residual * logits) * slope, np.mean(residual)])

    start = np.array([0.0, 0.0])
    found = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(-6, 6), (None, None)])
    return float(np.exp(found.x[0])), float(found.x[1])


def best_f1_threshold(scores: np.ndarray, truth: np.ndarray) -> float:
    """The threshold on scores [n] with the best F1; NaN without a positive."""
    values, hits, called = metrics.operating_points(scores, truth)
    if not hits[-1]:
        return float("nan")
    return float(values[np.argmax(2 * hits / (called + hits[-1]))])


def precision_threshold(scores: np.ndarray, truth: np.ndarray, precision: float) -> float:
    """The lowest threshold on scores [n] that reaches `precision`; 2 (never) if there is none."""
    values, hits, called = metrics.operating_points(scores, truth)
    enough = np.flatnonzero(hits >= precision * called)
    return float(values[enough[-1]]) if len(enough) else 2.0


def fit(chunks: Sequence[np.ndarray] | np.ndarray, truth: np.ndarray, precision: float) -> Calibration:
    """Fits the map and the thresholds on labelled recordings.

    Args:
        chunks: for each recording [chunks, classes] in [0, 1]; for pooled scores [recordings, 1, classes].
        truth: [recordings, classes] bool, background included.
        precision: the target of the rule "precision".

    Returns:
        The calibration, fitted on the scores that `_weakly_labelled` counts. A class that is present in fewer than five
        recordings gets the thresholds that were fitted on all classes together.
    """
    scores, present, counts = _weakly_labelled(chunks, truth)
    slope, intercept = fit_platt(scores[counts], present[counts])
    plain = Calibration(slope=slope, intercept=intercept, thresholds={})
    calibrated = plain.probabilities(scores)
    common_thresholds = (
        best_f1_threshold(calibrated[counts], present[counts]),
        precision_threshold(calibrated[counts], present[counts], precision),
    )
    thresholds = {rule: np.full(truth.shape[1], common) for rule, common in zip(RULES, common_thresholds, strict=True)}
    for index in np.flatnonzero(truth.sum(axis=0) >= _MIN_POSITIVES):
        own = counts[:, index]
        own_scores, own_truth = calibrated[own, index], present[own, index]
        thresholds["f1"][index] = best_f1_threshold(own_scores, own_truth)
        thresholds["precision"][index] = precision_threshold(own_scores, own_truth, precision)
    return dataclasses.replace(plain, thresholds=thresholds)


def _weakly_labelled(
    chunks: Sequence[np.ndarray] | np.ndarray, truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weak labels of recordings → labels of chunks.

    In a recording without a species, all chunks are negatives. In a recording with it, only the chunk with the highest
    score counts, as a positive: weak labels do not say which other chunks hold a call.

    Returns:
        Scores float64, presence bool, and whether they count bool; [all chunks, classes] each.
    """
    counts = []
    for own, present in zip(chunks, truth, strict=True):
        best = np.arange(len(own))[:, None] == np.argmax(own, axis=0)
        counts.append(best | ~present)
    scores = np.concatenate(chunks).astype(np.float64)
    return scores, np.repeat(truth, [len(own) for own in chunks], axis=0), np.concatenate(counts)


def cross_fitted(scores: np.ndarray, truth: np.ndarray, num_folds: int = 5) -> np.ndarray:
    """Calibrated probabilities of each recording, by a map that was fitted without it; for metrics of calibration."""
    calibrated = np.empty(scores.shape, np.float64)
    for fold in range(num_folds):
        held_out = np.arange(len(scores)) % num_folds == fold
        slope, intercept = fit_platt(scores[~held_out], truth[~held_out]) if (~held_out).any() else (1.0, 0.0)
        calibrated[held_out] = Calibration(slope=slope, intercept=intercept, thresholds={}).probabilities(
            scores[held_out].astype(np.float64)
        )
    return calibrated

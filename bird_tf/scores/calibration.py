"""Scores → calibrated probabilities and thresholds, fitted on labelled recordings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from bird_tf.scores import platt, thresholds

# share of the score in its probability: it keeps the order where even float64 takes the rest for 1
_IDENTITY = 1e-8
_NUM_FOLDS = 5  # of `cross_fitted`
# float32 has no number between this and 1
BELOW_ONE = 1 - 2.0**-24


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """Scores → calibrated probabilities (Platt), with thresholds.

    All classes have the same strictly increasing map. So no ranking changes.

    Attributes:
        slope, intercept: calibrated logit = slope × logit of the score + intercept.
        thresholds: for each of `thresholds.RULES`, [classes] the least calibrated probability of a class that counts as
            present; above 1: the class never counts as present.
    """

    slope: float
    intercept: float
    thresholds: Mapping[str, np.ndarray]

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Scores [..., classes] in [0, 1] → calibrated probabilities of the same shape; 0 stays 0.

        They are float64: in float32 a slope above 1 would give different scores near 1 the same probability. The
        neutral map returns the scores themselves.
        """
        if (self.slope, self.intercept) == (1.0, 0.0):
            return scores
        exact = np.asarray(scores, np.float64)
        with np.errstate(divide="ignore", over="ignore"):  # the logit of 0, and probabilities near 0
            logits = self.slope * platt.logit(np.minimum(exact, BELOW_ONE)) + self.intercept
            return np.asarray((1 - _IDENTITY) / (1 + np.exp(-logits)) + _IDENTITY * exact)


def fit_map(chunks: Sequence[np.ndarray] | np.ndarray, truth: np.ndarray) -> Calibration:
    """Fits the map alone, on labelled recordings; the arguments are as in `fit`.

    A recording counts once for each species, by its best chunk, as it does for the thresholds. When all chunks of
    recordings without the species counted, and one chunk of each with it, chances in mixtures were far too low.
    """
    slope, intercept = platt.fit(np.stack([np.max(own, axis=0) for own in chunks]), truth)
    return Calibration(slope=slope, intercept=intercept, thresholds={})


def fit(
    chunks: Sequence[np.ndarray] | np.ndarray,
    truth: np.ndarray,
    precision: float,
    noise: np.ndarray | None = None,
    noise_hours: float = 0.0,
) -> Calibration:
    """Fits the map on labelled recordings, and the thresholds on the same and on noise.

    Args:
        chunks: for each recording [chunks, classes] in [0, 1]; for pooled scores [recordings, 1, classes].
        truth: [recordings, classes] bool, background included.
        precision: the target of the rule "precision".
        noise: [any, classes] scores of chunks, or pooled scores, of sound without any class.
        noise_hours: length of that sound.

    Returns:
        The calibration.
    """
    plain = fit_map(chunks, truth)
    heard = np.zeros((0, truth.shape[1])) if noise is None else np.asarray(noise, np.float64)
    examples = thresholds.Examples(
        chunks=[plain.probabilities(np.asarray(own, np.float64)) for own in chunks],
        truth=truth,
        noise=plain.probabilities(heard),
        noise_hours=noise_hours,
    )
    return dataclasses.replace(plain, thresholds=thresholds.fit(examples, precision))


def cross_fitted(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Calibrated probabilities of each recording, by a map that was fitted without it; for metrics of calibration."""
    calibrated = np.empty(scores.shape, np.float64)
    for fold in range(_NUM_FOLDS):
        held_out = np.arange(len(scores)) % _NUM_FOLDS == fold
        slope, intercept = platt.fit(scores[~held_out], truth[~held_out]) if (~held_out).any() else (1.0, 0.0)
        calibrated[held_out] = Calibration(slope=slope, intercept=intercept, thresholds={}).probabilities(
            scores[held_out].astype(np.float64)
        )
    return calibrated

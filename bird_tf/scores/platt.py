"""The logistic map from scores to probabilities (Platt 1999), fitted by maximum likelihood."""

from __future__ import annotations

import numpy as np

# The fit takes no score for more certain than this: one wrong label among saturated scores would decide it.
_EDGE = 1e-6


def logit(scores: np.ndarray) -> np.ndarray:
    """The logits of scores in (0, 1)."""
    return np.asarray(np.log(scores) - np.log1p(-scores))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """The scores in [0, 1] of logits."""
    import scipy.special

    return np.asarray(scipy.special.expit(logits))


def bounded_logit(scores: np.ndarray) -> np.ndarray:
    """The logits of scores in [0, 1] as the fit takes them: float64, none of them infinite."""
    return logit(np.clip(np.asarray(scores, np.float64), _EDGE, 1 - _EDGE))


def fit(scores: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float]:
    """Slope and intercept of the calibrated logit.

    Args:
        scores: any shape, in [0, 1].
        targets: of the same shape, bool, or float in [0, 1].
        weights: of the same shape, how much each counts; None: one.

    Returns:
        (slope, intercept) with a positive slope; (1, 0) if all targets are equal.
    """
    import scipy.optimize

    logits, wanted = bounded_logit(scores).ravel(), targets.ravel().astype(np.float64)
    if wanted.min() == wanted.max():
        return 1.0, 0.0
    shares = np.full(logits.shape, 1 / logits.size) if weights is None else weights.ravel() / weights.sum()

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        slope = np.exp(parameters[0])
        z = slope * logits + parameters[1]
        residual = shares * (sigmoid(z) - wanted)
        value = np.sum(shares * (np.logaddexp(0, z) - wanted * z))
        return float(value), np.array([np.sum(residual * logits) * slope, np.sum(residual)])

    start = np.array([0.0, 0.0])
    found = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(-6, 6), (None, None)])
    return float(np.exp(found.x[0])), float(found.x[1])

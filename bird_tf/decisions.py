"""From scores to decisions: pooling, an ensemble's weights, calibration and thresholds, all chosen on validation.

They are kept in one JSON file among the SavedModel's assets (of an ensemble: wherever the evaluation wrote it).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bird_tf import config, files, metrics, pooling, taxonomy

ASSET = "assets/decisions.json"
FORMAT_VERSION = 1
RULES = ("f1", "precision")

# a logit needs scores inside (0, 1); float32 probabilities carry no more than this anyway
_EDGE = 1e-6
# a class with fewer positives than this takes the threshold of all classes together
_FEW_POSITIVES = 5
_SELECTION_ROUNDS = 20


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decisions:
    """What turns the models' scores into answers.

    Attributes:
        pooling: one of pooling.METHODS, chunk scores → recording scores.
        weights: [models] of the ensemble, summing to 1.
        recording: for pooled scores.
        chunk: for the scores of single chunks, where each is judged: every chunk of a recording without the species
            may be a false alarm, but which chunks of a recording with it hold a call the labels do not tell, so that
            such a recording counts once, by its best chunk.
        precision: what the rule "precision" was asked to reach; 0 if nothing was fitted.
        fitted_on: the recordings that all this was chosen on; empty if nothing was.
    """

    pooling: str
    weights: tuple[float, ...]
    recording: Calibration
    chunk: Calibration
    precision: float = 0.0
    fitted_on: str = ""


def neutral(classes: taxonomy.Taxonomy, num_models: int, method: str) -> Decisions:
    """No decisions: scores as they are, thresholds of 0.5, equal weights."""
    same = Calibration(
        slope=1.0, intercept=0.0, thresholds={rule: np.full(len(classes), 0.5) for rule in RULES}
    )  # fmt: skip
    return Decisions(pooling=method, weights=(1 / num_models,) * num_models, recording=same, chunk=same)


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
    scores, present, counts = _told(chunks, truth)
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


def _told(chunks: Sequence[np.ndarray] | np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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


def choose_pooling(
    chunks: Sequence[np.ndarray], truth: np.ndarray, attention: Sequence[np.ndarray] | None = None
) -> tuple[str, dict[str, float]]:
    """The pooling with the best MLRAP.

    Args:
        chunks: for each recording [chunks, classes] in [0, 1].
        truth: [recordings, classes] bool.
        attention: for each recording [chunks], what they claim; None: that method is not tried.

    Returns:
        Its name (the first of equals), and the MLRAP of each method.
    """
    methods = [m for m in pooling.METHODS if m != pooling.ATTENTION or attention is not None]
    found = {m: metrics.mlrap(pooling.pool_each(chunks, m, attention), truth) for m in methods}
    return max(found, key=lambda method: found[method]), found


def search_weights(
    chunks: Sequence[np.ndarray], truth: np.ndarray, method: str, attention: Sequence[np.ndarray] | None = None
) -> tuple[float, ...]:
    """Weights of an ensemble by greedy selection with replacement (Caruana et al. 2004) on MLRAP.

    Twenty times the model is added, again or anew, that makes the ensemble so far best.

    Args:
        chunks: for each recording [models, chunks, classes] in [0, 1].
        truth: [recordings, classes] bool.
        method: the pooling.
        attention: for each recording [models, chunks], what they claim, where the pooling needs it.

    Returns:
        [models] how often each was added, divided by the rounds.
    """
    num_models = len(chunks[0])
    counts = np.zeros(num_models)

    def quality(candidate: np.ndarray) -> float:
        weights = candidate / candidate.sum()
        mixed = [np.tensordot(weights, members, axes=1) for members in chunks]
        claimed = None if attention is None else [np.tensordot(weights, members, axes=1) for members in attention]
        return metrics.mlrap(pooling.pool_each(mixed, method, claimed), truth)

    for _ in range(_SELECTION_ROUNDS if num_models > 1 else 1):
        # of equals the one that has proved itself most often
        found = [(quality(counts + one), count) for one, count in zip(np.eye(num_models), counts, strict=True)]
        counts[max(range(num_models), key=lambda model: found[model])] += 1
    return tuple(float(c) for c in counts / counts.sum())


def save(path: str, decisions: Decisions, classes: taxonomy.Taxonomy) -> None:
    """Writes the decisions, whole or not at all; thresholds are keyed by class id."""

    def described(calibration: Calibration) -> dict[str, Any]:
        return {
            "slope": calibration.slope,
            "intercept": calibration.intercept,
            "thresholds": {
                rule: dict(zip(classes.class_ids, map(float, calibration.thresholds[rule]), strict=True))
                for rule in RULES
            },
        }

    files.write_json(
        path,
        {
            "format_version": FORMAT_VERSION,
            **dataclasses.asdict(dataclasses.replace(decisions, weights=tuple(map(float, decisions.weights)))),
            "recording": described(decisions.recording),
            "chunk": described(decisions.chunk),
        },
    )


def load(path: str, classes: taxonomy.Taxonomy, num_models: int) -> Decisions:
    """Reads what `save` wrote.

    Raises:
        InputError: no such file, another format, or made for other classes or another number of models.
    """
    if not files.exists(path):
        raise config.InputError(f"--decisions={path}: no such file; bird_tf.evaluate --tune writes one")
    stored = files.read_json(path)
    if stored.get("format_version") != FORMAT_VERSION:
        raise config.InputError(f"{path} holds no decisions of format {FORMAT_VERSION}; run bird_tf.evaluate --tune")
    if len(stored["weights"]) != num_models:
        raise config.InputError(f"{path} was made for {len(stored['weights'])} models, not {num_models}")

    def calibration(name: str) -> Calibration:
        thresholds = stored[name]["thresholds"]
        if set(thresholds[RULES[0]]) != set(classes.class_ids):
            raise config.InputError(f"{path} was made for other classes than the model's; run bird_tf.evaluate --tune")
        ordered = {rule: np.array([thresholds[rule][c] for c in classes.class_ids]) for rule in RULES}
        return Calibration(slope=stored[name]["slope"], intercept=stored[name]["intercept"], thresholds=ordered)

    return Decisions(
        pooling=stored["pooling"],
        weights=tuple(stored["weights"]),
        recording=calibration("recording"),
        chunk=calibration("chunk"),
        precision=stored["precision"],
        fitted_on=stored["fitted_on"],
    )

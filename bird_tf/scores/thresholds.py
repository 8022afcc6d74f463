"""Labelled scores, and scores of noise → the least probability at which a species counts as present.

What few recordings of a species do not tell is taken from all species together, and a rate of false alarms that is too
small to be counted is extrapolated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from bird_tf.scores import metrics, platt

PRECISION = "precision"
RULES = ("f1", PRECISION)
# a threshold above 1: the species never counts as present
NEVER = 2.0
_NEARLY_ALL = 0.9  # a share of right calls
# On noise like that of the fit, at most this many calls an hour with the rule "precision", of all species together.
# Others' noise is worse than one's own, and a chunk can lie in two segments: a quarter of what is acceptable, 2.
_NOISE_CALLS_PER_HOUR = 0.5
# the tail of the noise: the scores above this quantile, of each species
_TAIL = 0.95
# the limits of the tail's shape: from a triangle with an end to a little heavier than exponential
_SHAPES = (-0.5, 0.25)
# the logits of noise are bounded: those of scores so near to 0 or 1
_EDGE = 1e-12
# one-sided 90 %, as a number of standard deviations
_CONFIDENCE = 1.2816
# A class with fewer positives gets the threshold "f1" of all classes together. For "precision", what is known of all
# classes counts as much as so many recordings of the class: two or three hits lower no threshold much.
MIN_POSITIVES = 20
# … and against its false alarms as so many: a single one may be a bird that the labels do not name, but two or three
# raise the threshold.
_MIN_FOR_ALARMS = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Examples:
    """Calibrated probabilities and what is known of them.

    Attributes:
        chunks: for each recording [chunks, classes] in [0, 1].
        truth: [recordings, classes] bool.
        noise: [noise chunks, classes] of sound without any class.
        noise_hours: length of that sound; 0 without noise.
    """

    chunks: Sequence[np.ndarray]
    truth: np.ndarray
    noise: np.ndarray
    noise_hours: float

    @property
    def best_chunks(self) -> np.ndarray:
        """[recordings, classes] the score of the best chunk.

        The chunks of a recording are one piece of evidence: of one bird, or of one mistake. So counted, precision is
        what mixtures with known times confirm. If all chunks count that are called in a recording, it is far too high.
        """
        return np.stack([own.max(axis=0) for own in self.chunks])

    def with_noise(self) -> tuple[np.ndarray, np.ndarray]:
        """Scores and truth, [recordings and noise chunks, classes] each."""
        truth = np.concatenate([self.truth, np.zeros(self.noise.shape, bool)])
        return np.concatenate([self.best_chunks, self.noise]), truth


def reached(probabilities: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Which probabilities [..., classes] are at least the thresholds [classes]; never one of 0.

    Both are compared as float32, in which recordings and exported files have them: a threshold is often the probability
    of an example, and must be reached by that.
    """
    told = np.asarray(probabilities, np.float32)
    return np.asarray((told >= np.asarray(least, np.float32)) & (told > 0))


def _just_above(values: np.ndarray) -> np.ndarray:
    """Thresholds that these values do not reach, and all higher ones do, as far as float32 can tell; NEVER above 1."""
    above = np.nextafter(np.asarray(values, np.float32), np.float32(np.inf)).astype(np.float64)
    return np.where(above > 1, NEVER, above)


def weakly_labelled(chunks: Sequence[np.ndarray], truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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


def fit(examples: Examples, precision: float) -> dict[str, np.ndarray]:
    """For each of RULES, [classes] thresholds; NEVER if no threshold keeps the promise of the rule."""
    surely = _fit_precision(examples, max(precision, _NEARLY_ALL))
    precise = surely if precision >= _NEARLY_ALL else _fit_precision(examples, precision)
    return {"f1": _fit_f1(examples, surely), "precision": precise}


def _fit_f1(examples: Examples, surely: np.ndarray) -> np.ndarray:
    """[classes] thresholds "f1"; that of all classes is no higher than `surely` [classes].

    Where one class is called on noise, the threshold of all is far too high for the others. There, one is taken at
    which nearly all calls of the class are right.
    """
    fitted = np.minimum(CommonCurve(*examples.with_noise()).best_f1(), surely)
    if not (enough := np.flatnonzero(examples.truth.sum(axis=0) >= MIN_POSITIVES)).size:
        return fitted
    scores, present, counts = weakly_labelled(examples.chunks, examples.truth)
    scores, noise = np.concatenate([scores, examples.noise]), np.ones(examples.noise.shape, bool)
    present, counts = np.concatenate([present, ~noise]), np.concatenate([counts, noise])
    for index in enough:
        own = counts[:, index]
        fitted[index] = best_f1(scores[own, index], present[own, index])
    return fitted


def _fit_precision(examples: Examples, precision: float) -> np.ndarray:
    common = CommonCurve(examples.best_chunks, examples.truth)  # of noise, the floors below follow the tail
    scores, truth = examples.with_noise()
    own = [for_precision(scores[:, i], truth[:, i], precision, common) for i in range(scores.shape[1])]
    return np.maximum(own, noise_floors(examples.noise, examples.noise_hours))


def num_never(fitted: np.ndarray) -> int:
    """How many classes, of thresholds [classes], never count as present."""
    return int((fitted > 1).sum())


def in_words(threshold: float, num_recordings: int, precision: float) -> str:
    """What a reader must know of a threshold of the rule "precision".

    Args:
        threshold: of a class.
        num_recordings: with the class, among those of the fit.
        precision: the target.
    """
    if threshold > 1:
        return (
            f"no threshold reaches a precision of {precision:g}, above noise, with these recordings: the species is "
            "never called"
        )
    if num_recordings < MIN_POSITIVES:
        return f"rests on all species: {num_recordings} recordings are too few for a threshold of its own"
    return ""


def best_f1(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The threshold on scores [n] with the best F1; NEVER without a positive."""
    values, hits, called = metrics.operating_points(scores, truth, weights)
    if not hits[-1]:
        return NEVER
    return float(values[np.argmax(2 * hits / (called + hits[-1]))])


class CommonCurve:
    """Precision and F1 of all classes together, as functions of the threshold.

    A logistic curve in the logit of the score says how probable a score is right (Platt 1999, with his smoothing of the
    targets: nothing is certain). A few dozen recordings tell its two parameters, but not how many of the few highest
    scores are wrong.

    Attributes:
        values: [m] all scores, from the highest down, each once.
        precisions: [m] of what reaches them; they do not rise.
        called: [m] how many examples reach them.
        num_positives: number of positive examples.
    """

    def __init__(self, scores: np.ndarray, truth: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Takes scores and truth, [examples, classes] each, or [examples] of any classes, perhaps with weights."""
        # from the highest threshold down
        self.values, hits, self.called = metrics.operating_points(scores.ravel(), truth.ravel(), weights)
        self.num_positives = hits[-1]
        counts, right = np.diff(self.called, prepend=0), np.diff(hits, prepend=0)
        positives, negatives = hits[-1], self.called[-1] - hits[-1]
        smoothed = (right * (positives + 1) / (positives + 2) + (counts - right) / (negatives + 2)) / counts
        slope, intercept = platt.fit(self.values, smoothed, counts)
        probabilities = platt.sigmoid(slope * platt.bounded_logit(self.values) + intercept)
        self.precisions = np.cumsum(counts * probabilities) / self.called

    def best_f1(self) -> float:
        """The threshold with the best F1; NEVER without a positive."""
        if not self.num_positives:
            return NEVER
        f1 = 2 * self.precisions * self.called / (self.called + self.num_positives)
        return float(self.values[np.argmax(f1)])

    def at(self, thresholds: np.ndarray) -> np.ndarray:
        """The precision of what reaches each of the thresholds [m]."""
        index = len(self.values) - np.searchsorted(self.values[::-1], thresholds, side="left") - 1
        return np.asarray(self.precisions[np.maximum(index, 0)])


def for_precision(
    scores: np.ndarray, truth: np.ndarray, precision: float, common: CommonCurve, weights: np.ndarray | None = None
) -> float:
    """The lowest threshold that reaches `precision`; NEVER if there is none.

    Args:
        scores, truth: [n] of a class, one for each recording.
        precision: the target.
        common: the class's own recordings are added to MIN_POSITIVES recordings with this precision, and to
            _MIN_FOR_ALARMS of them; both must reach the target.
        weights: [n] how much each counts; None: one.
    """
    values, hits, called = metrics.operating_points(scores, truth, weights)
    own_hits, own_calls = np.concatenate([[0], hits]), np.concatenate([[0], called])

    def is_enough(common_precisions: np.ndarray) -> np.ndarray:
        shrunk = [(own_hits + n * common_precisions) / (own_calls + n) for n in (_MIN_FOR_ALARMS, MIN_POSITIVES)]
        return np.min(shrunk, axis=0) >= precision

    # The candidates are the scores of all classes, of which there are millions. Between two scores of the class the
    # common precision falls with the threshold, so the lowest candidate there is found by halving.
    ends = len(common.values) - np.searchsorted(common.values[::-1], values, side="right")
    first, last = np.concatenate([[0], ends]), np.concatenate([ends, [len(common.values)]])
    low, high = first, last
    while (low < high).any():
        middle = np.minimum((low + high) // 2, len(common.values) - 1)
        good = is_enough(common.precisions[middle])
        low, high = np.where((low < high) & good, middle + 1, low), np.where((low < high) & ~good, middle, high)
    found = [float(common.values[(low - 1)[low > first].max()])] if (low > first).any() else []
    above = _just_above(values[:1])  # where the class is never called
    found += [float(above[0])] * bool(is_enough(common.at(above))[0])
    return min(found, default=NEVER)


def carried(least: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The thresholds on new scores of examples that call as many of them as thresholds on the old scores.

    Args:
        least: [classes] thresholds on the old scores.
        before, after: of the same shape, old and new scores of the same examples, of all classes together.

    Returns:
        [classes]; NEVER stays NEVER. Of equal new scores all are called or none, so that it can be fewer.
    """
    old, new = np.sort(before, axis=None), np.sort(after, axis=None)
    first = np.searchsorted(old, least, side="left")  # that many examples are not called
    below, lowest = np.insert(new, 0, -np.inf)[first], np.append(new, new[-1])[first]
    return np.where(least > 1, NEVER, np.where(lowest > below, lowest, _just_above(below)))


def noise_floors(noise: np.ndarray, hours: float) -> np.ndarray:
    """The threshold that noise like this reaches _NOISE_CALLS_PER_HOUR / classes times an hour at most, for each class.

    So rare an event cannot be counted in an hour or two: the tail of the logits is followed to that rate. It is taken
    as a generalised Pareto distribution (peaks over threshold, Pickands 1975): a scale for each class, at its upper
    90 % bound, and one shape for all classes, by the method of moments (Hosking and Wallis 1987).

    Args:
        noise: [examples, classes] probabilities.
        hours: length of the noise.

    Returns:
        [classes] in [0, 1), 0 without noise; NEVER where it is too near to 1 for a probability to be surely above it.
    """
    num_classes = noise.shape[1]
    if not len(noise):
        return np.zeros(num_classes)
    logits = platt.logit(np.clip(np.asarray(noise, np.float64), _EDGE, 1 - _EDGE))
    starts = np.quantile(logits, _TAIL, axis=0)
    above = [column[column > start] - start for column, start in zip(logits.T, starts, strict=True)]
    means = np.array([own.mean() if len(own) else 0.0 for own in above])
    relative = [own / mean for own, mean in zip(above, means, strict=True) if mean]
    variance = float(np.var(np.concatenate(relative))) if relative else 1.0
    shape = float(np.clip((1 - 1 / max(variance, 1e-9)) / 2, *_SHAPES))
    counts = np.array([len(own) for own in above])
    scales = means * (1 - shape) * (1 + _CONFIDENCE / np.sqrt(np.maximum(counts, 1)))
    factors = np.maximum(1.0, counts / hours * num_classes / _NOISE_CALLS_PER_HOUR)
    steps = np.log(factors) if abs(shape) < 1e-6 else (factors**shape - 1) / shape
    floors = platt.sigmoid(starts + scales * steps)
    return np.where(floors.astype(np.float32) < 1, floors, NEVER)

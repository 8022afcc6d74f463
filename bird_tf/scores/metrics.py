"""Metrics. All take scores [recordings, classes] float and truth of the same shape, bool.

A metric can be undefined for a recording or class. The mean leaves such a recording or class out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

# the most classes that a BirdCLEF run can list for a recording
_MAX_LISTED = 100
_NUM_BINS = 10  # of probabilities, for `reliability`
# recordings times draws for the MLRAP of chance: its standard error is then below 0.003
_CHANCE_SCORES = 20_000
# positives of a class in one table of comparisons, to limit memory
_POSITIVES_AT_ONCE = 256


def truth(labels: np.ndarray, backgrounds: Sequence[Iterable[int]], num_classes: int) -> np.ndarray:
    """The classes that are present in each recording.

    Args:
        labels: [recordings] index of the foreground species.
        backgrounds: for each recording the indices of its background species; negative ones are padding.
        num_classes: number of classes.

    Returns:
        [recordings, classes] bool.
    """
    present = np.zeros((len(labels), num_classes), bool)
    present[np.arange(len(labels)), labels] = True
    for row, background in zip(present, backgrounds, strict=True):
        row[[index for index in background if index >= 0]] = True
    return present


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Average precision of one ranking. Ties share the last of their ranks, as in scikit-learn.

    Args:
        scores: [n] float.
        truth: [n] bool.

    Returns:
        In [0, 1]; NaN without a positive.
    """
    return float(_average_precisions(scores, truth, np.ones((1, len(scores))))[0])


def _average_precisions(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[draws] average precision of one ranking [n]; each item counts `weights` [draws, n] times."""
    total, own = np.zeros(len(weights)), weights[:, truth]
    for positives in _blocks(np.flatnonzero(truth)):
        reached = (scores[:, None] >= scores[positives]).astype(weights.dtype)  # [n, positives]: at least this score
        precision = (own @ reached[truth]) / np.maximum(weights @ reached, 1)  # without items, the hits are 0 as well
        total += np.sum(weights[:, positives] * precision, axis=1)
    return np.asarray(total / _or_nan(own.sum(axis=1)))


def _blocks(positives: np.ndarray) -> list[np.ndarray]:
    """Splits positives, so that a table of all scores by positives stays small."""
    return np.array_split(positives, -(-len(positives) // _POSITIVES_AT_ONCE)) if len(positives) else []


def _or_nan(counts: np.ndarray) -> np.ndarray:
    """Counts as divisors: 0 becomes NaN."""
    return np.where(counts > 0, counts, np.nan)


def _mean(values: list[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def ranking_precisions(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[recordings] average precision of each recording's ranking of the classes; NaN if no class is present."""
    return np.array([average_precision(s, t) for s, t in zip(scores, truth, strict=True)])


def mlrap(scores: np.ndarray, truth: np.ndarray) -> float:
    """Multi-label ranking average precision: mean over recordings of the average precision of their ranking.

    NaN with one class, which is no ranking.
    """
    return _mean(list(ranking_precisions(scores, truth))) if scores.shape[1] > 1 else math.nan


def _listed_precisions(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """As `ranking_precisions`, but only the best 100 classes of a recording are listed."""
    if scores.shape[1] <= _MAX_LISTED:
        return ranking_precisions(scores, truth)
    values = np.full(len(scores), np.nan)
    for i, (s, t) in enumerate(zip(scores, truth, strict=True)):
        top = np.argsort(-s, kind="stable")[:_MAX_LISTED]
        found = int(t[top].sum())
        if t.any():
            values[i] = average_precision(s[top], t[top]) * found / int(t.sum()) if found else 0.0
    return values


def class_average_precisions(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[classes] average precision of each class over all recordings; NaN for a class that is never present."""
    return np.array([average_precision(s, t) for s, t in zip(scores.T, truth.T, strict=True)])


def class_mean_average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """c-mAP: mean of the average precisions of the classes that are present."""
    return _mean(list(class_average_precisions(scores, truth)))


def ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[recordings] rank of the label, from 1. Classes with an equal score rank before the label.

    Args:
        scores: [recordings, classes].
        labels: [recordings] index of the foreground species.
    """
    own = scores[np.arange(len(labels)), labels][:, None]
    return np.asarray((scores >= own).sum(axis=1))


def auroc(scores: np.ndarray, truth: np.ndarray) -> float:
    """Area under the ROC curve: mean over the classes that are present in some recordings and absent from others."""
    ones = np.ones((1, len(scores)))
    return _mean([float(_areas(s, t, ones)[0]) for s, t in zip(scores.T, truth.T, strict=True)])


def _areas(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[draws] area under the ROC curve of scores [n]; each counts `weights` [draws, n] times. A tie counts half."""
    won, others = np.zeros(len(weights)), scores[:, None]
    for positives in _blocks(np.flatnonzero(truth)):
        own = scores[positives]
        below = ((others < own) + 0.5 * (others == own)) * ~truth[:, None]  # [n, positives]
        won += np.sum(weights[:, positives] * (weights @ below.astype(weights.dtype)), axis=1)
    num_positives = weights[:, truth].sum(axis=1)
    return np.asarray(won / _or_nan(num_positives * (weights.sum(axis=1) - num_positives)))


def _by_recording(scores: np.ndarray, truth: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics that are means over recordings: [recordings] value of each, NaN if undefined, as with one class."""
    foreground = np.zeros_like(truth)
    foreground[np.arange(len(labels)), labels] = True
    own_ranks = ranks(scores, labels).astype(float)
    if scores.shape[1] == 1:  # a detector ranks nothing
        own_ranks[:], scores = np.nan, np.full(scores.shape, np.nan)
        truth = foreground = np.zeros_like(truth)
    return {
        "mlrap": ranking_precisions(scores, truth),
        "mlrap_foreground": ranking_precisions(scores, foreground),
        "mrr": 1.0 / own_ranks,
        "map": _listed_precisions(scores, truth),
        "top1": np.where(np.isnan(own_ranks), np.nan, own_ranks <= 1),
        "top5": np.where(np.isnan(own_ranks), np.nan, own_ranks <= 5),
    }


def headline(scores: np.ndarray, truth: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The metrics of every evaluation.

    Args:
        scores: [recordings, classes] float, pooled.
        truth: [recordings, classes] bool, foreground and background.
        labels: [recordings] index of the foreground species.

    Returns:
        mlrap and map (with background species as positives), mlrap_foreground, mrr, cmap, auroc, top1, top5 in [0, 1],
        and num_recordings. NaN where nothing can be wrong: one class is no ranking, and recordings that all have all
        classes have no c-mAP.
    """
    means = {name: _mean(list(values)) for name, values in _by_recording(scores, truth, labels).items()}
    return {
        **{name: means[name] for name in ("mlrap", "mlrap_foreground", "mrr", "map")},
        "cmap": float("nan") if truth.all() else class_mean_average_precision(scores, truth),  # else 1, whatever scores
        "auroc": auroc(scores, truth),
        "top1": means["top1"],
        "top5": means["top5"],
        "num_recordings": len(labels),
    }


def intervals(
    scores: np.ndarray, truth: np.ndarray, labels: np.ndarray, num_draws: int = 1000
) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals (percentiles) of the metrics of `headline`, by drawing recordings.

    Args:
        scores, truth, labels: as for `headline`.
        num_draws: number of sets of recordings, drawn with replacement.

    Returns:
        {metric: (low, high)}; NaN if a metric is undefined.
    """
    generator = np.random.default_rng(0)  # the same recordings have the same intervals
    n = len(labels)
    # how often each recording is drawn; float32 is exact for counts, and half the size of float64
    weights = generator.multinomial(n, np.full(n, 1 / n), size=num_draws).astype(np.float32)
    draws: dict[str, np.ndarray] = {}
    for name, values in _by_recording(scores, truth, labels).items():
        defined = ~np.isnan(values)
        total = weights[:, defined].sum(axis=1)
        draws[name] = weights[:, defined] @ values[defined] / _or_nan(total)
    present = np.flatnonzero(truth.any(axis=0) & ~truth.all())
    for name, of_class in (("cmap", _average_precisions), ("auroc", _areas)):
        total, count = np.zeros(num_draws), np.zeros(num_draws)
        for index in present:
            values = of_class(scores[:, index], truth[:, index], weights)
            total += np.nan_to_num(values)
            count += ~np.isnan(values)
        draws[name] = total / _or_nan(count)
    return {name: _percentiles(values) for name, values in draws.items()}


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def operating_points(
    scores: np.ndarray, truth: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The points of a precision-recall curve: what is found if every score from a threshold on counts as a detection.

    Args:
        scores: [n] float.
        truth: [n] bool.
        weights: [n] how many items each stands for; None: one.

    Returns:
        values: [points] the distinct scores, from the highest to the lowest; each is a threshold.
        hits: [points] how many positives have at least this score; int without weights.
        called: [points] how many items have at least this score; int without weights.
    """
    order = np.argsort(-scores, kind="stable")
    counts = np.ones(len(scores), int) if weights is None else weights[order]
    ranked, hits, called = scores[order], np.cumsum(counts * truth[order]), np.cumsum(counts)
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    return ranked[last], hits[last], called[last]


def expected_calibration_error(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the bins of `reliability`, weighted by size, of the distance between probability and frequency."""
    confidence, frequency, counts = reliability(probabilities, truth)
    return float(np.sum(np.abs(confidence - frequency) * counts) / counts.sum())


def reliability(probabilities: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The frequency of the class for probabilities in ten bins of equal width.

    Args:
        probabilities: any shape, in [0, 1].
        truth: of the same shape, bool.

    Returns:
        For each bin that is not empty: mean probability, frequency of the class, and number of probabilities.
    """
    flat, present = np.ravel(probabilities), np.ravel(truth)
    bins = np.minimum((flat * _NUM_BINS).astype(int), _NUM_BINS - 1)
    counts = np.bincount(bins, minlength=_NUM_BINS)
    filled = counts > 0
    sums = np.bincount(bins, flat, _NUM_BINS)[filled], np.bincount(bins, present, _NUM_BINS)[filled]
    return sums[0] / counts[filled], sums[1] / counts[filled], counts[filled]


def segment_truth(
    calls: Iterable[tuple[float, float, int]], num_segments: int, segment_seconds: float, num_classes: int
) -> np.ndarray:
    """The classes that are present in each segment of a recording.

    Args:
        calls: (start, end, class index) of each call, seconds; a call counts in each segment that it overlaps; one
            without length, in the segment that it is in, which begins no later.
        num_segments: number of consecutive segments, starting at 0.
        segment_seconds: their length.
        num_classes: number of classes.

    Returns:
        [segments, classes] bool.
    """
    present = np.zeros((num_segments, num_classes), bool)
    begins = np.arange(num_segments) * segment_seconds
    for start, end, index in calls:
        present[(begins < max(end, np.nextafter(start, np.inf))) & (begins + segment_seconds > start), index] = True
    return present


def chance_mlrap(truth: np.ndarray) -> float:
    """The MLRAP of random scores for the same recordings, by simulation; NaN with one class.

    The error of the result depends on the number of recordings times the number of draws, so many recordings are
    scored less often.
    """
    if truth.shape[1] == 1:
        return float("nan")
    generator, num_draws = np.random.default_rng(0), math.ceil(min(200, _CHANCE_SCORES / len(truth)))
    return float(np.mean([mlrap(generator.random(truth.shape), truth) for _ in range(num_draws)]))

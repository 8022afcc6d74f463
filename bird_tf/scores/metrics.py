"""How good scores are. All take scores [recordings, classes] float and truth of the same shape, bool.

A recording or class for which a metric is not defined is left out of its mean, never given an invented value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

# a BirdCLEF run lists at most so many classes a recording
_MAX_ANSWERS = 100
# of one class, whose ranks are found together
_POSITIVES_AT_ONCE = 256


def truth(labels: np.ndarray, backgrounds: Sequence[Iterable[int]], num_classes: int) -> np.ndarray:
    """Which classes each recording holds.

    Args:
        labels: [recordings] index of the foreground species.
        backgrounds: for each recording the indices of its background species; negative ones are fillers.
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
    """Average precision of one ranking, ties ranked together at their end (as scikit-learn does).

    Args:
        scores: [n] float.
        truth: [n] bool.

    Returns:
        In [0, 1]; NaN without a positive.
    """
    return float(_average_precisions(scores, truth, np.ones((1, len(scores))))[0])


def _average_precisions(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[draws] average precision of one ranking [n] whose items count `weights` [draws, n] times."""
    total, own = np.zeros(len(weights)), weights[:, truth]
    for positives in _blocks(np.flatnonzero(truth)):
        reached = (scores[:, None] >= scores[positives]).astype(weights.dtype)  # [n, positives]: who ranks so high
        precision = (own @ reached[truth]) / np.maximum(weights @ reached, 1)  # nothing called: no hit either
        total += np.sum(weights[:, positives] * precision, axis=1)
    return np.asarray(total / _or_nan(own.sum(axis=1)))


def _blocks(positives: np.ndarray) -> list[np.ndarray]:
    """So many at once that a table of all scores by positives stays small."""
    return np.array_split(positives, -(-len(positives) // _POSITIVES_AT_ONCE)) if len(positives) else []


def _or_nan(counts: np.ndarray) -> np.ndarray:
    """Counts to divide by: what has none is not defined."""
    return np.where(counts > 0, counts, np.nan)


def _mean(values: list[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def ranking_precisions(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[recordings] average precision of each recording's ranking of the classes; NaN where none is present."""
    return np.array([average_precision(s, t) for s, t in zip(scores, truth, strict=True)])


def mlrap(scores: np.ndarray, truth: np.ndarray) -> float:
    """Multi-label ranking average precision: mean over recordings of the average precision of their ranking."""
    return _mean(list(ranking_precisions(scores, truth)))


def _answered_precisions(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """As `ranking_precisions`, but of at most 100 answers a recording; equal to it for up to 100 classes."""
    if scores.shape[1] <= _MAX_ANSWERS:
        return ranking_precisions(scores, truth)
    values = np.full(len(scores), np.nan)
    for i, (s, t) in enumerate(zip(scores, truth, strict=True)):
        top = np.argsort(-s, kind="stable")[:_MAX_ANSWERS]
        found = int(t[top].sum())
        if t.any():
            values[i] = average_precision(s[top], t[top]) * found / int(t.sum()) if found else 0.0
    return values


def mean_average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """BirdCLEF's mAP: mean over recordings of their average precision, 100 answers each."""
    return _mean(list(_answered_precisions(scores, truth)))


def class_average_precisions(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[classes] average precision of each class over all recordings; NaN for a class that is never present."""
    return np.array([average_precision(s, t) for s, t in zip(scores.T, truth.T, strict=True)])


def class_mean_average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """c-mAP: mean of the classes' average precisions, over the classes present."""
    return _mean(list(class_average_precisions(scores, truth)))


def ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[recordings] rank of the label, from 1; a tie counts against it.

    Args:
        scores: [recordings, classes].
        labels: [recordings] index of the foreground species.
    """
    own = scores[np.arange(len(labels)), labels][:, None]
    return np.asarray((scores >= own).sum(axis=1))


def auroc(scores: np.ndarray, truth: np.ndarray) -> float:
    """Area under the ROC curve, mean over classes that are present in some recordings and absent from others."""
    ones = np.ones((1, len(scores)))
    return _mean([float(_areas(s, t, ones)[0]) for s, t in zip(scores.T, truth.T, strict=True)])


def _areas(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[draws] area under the ROC curve of scores [n] that count `weights` [draws, n] times; half for a tie."""
    won, others = np.zeros(len(weights)), scores[:, None]
    for positives in _blocks(np.flatnonzero(truth)):
        wanted = scores[positives]
        below = ((others < wanted) + 0.5 * (others == wanted)) * ~truth[:, None]  # [n, positives]
        won += np.sum(weights[:, positives] * (weights @ below.astype(weights.dtype)), axis=1)
    num_positives = weights[:, truth].sum(axis=1)
    return np.asarray(won / _or_nan(num_positives * (weights.sum(axis=1) - num_positives)))


def _by_recording(scores: np.ndarray, truth: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics that are means over recordings: [recordings] what each contributes, NaN where not defined."""
    foreground = np.zeros_like(truth)
    foreground[np.arange(len(labels)), labels] = True
    own_ranks = ranks(scores, labels)
    return {
        "mlrap": ranking_precisions(scores, truth),
        "mlrap_foreground": ranking_precisions(scores, foreground),
        "mrr": 1.0 / own_ranks,
        "map": _answered_precisions(scores, truth),
        "top1": (own_ranks <= 1).astype(float),
        "top5": (own_ranks <= 5).astype(float),
    }


def headline(scores: np.ndarray, truth: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The metrics that every evaluation reports.

    Args:
        scores: [recordings, classes] float, pooled.
        truth: [recordings, classes] bool, foreground and background.
        labels: [recordings] index of the foreground species.

    Returns:
        mlrap and map (background counts as right), mlrap_foreground, mrr, cmap, auroc, top1, top5 in [0, 1], and
        num_recordings.
    """
    means = {name: _mean(list(values)) for name, values in _by_recording(scores, truth, labels).items()}
    return {
        **{name: means[name] for name in ("mlrap", "mlrap_foreground", "mrr", "map")},
        "cmap": class_mean_average_precision(scores, truth),
        "auroc": auroc(scores, truth),
        "top1": means["top1"],
        "top5": means["top5"],
        "num_recordings": len(labels),
    }


def intervals(
    scores: np.ndarray, truth: np.ndarray, labels: np.ndarray, num_draws: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals (percentiles) of the metrics of `headline`, over recordings.

    Args:
        scores, truth, labels: as for `headline`.
        num_draws: sets of recordings drawn with replacement.
        seed: equal seeds, equal intervals.

    Returns:
        {metric: (low, high)}; NaN where a metric is not defined.
    """
    generator = np.random.default_rng(seed)
    n = len(labels)
    # how often each recording is drawn; float32 counts are exact, and half as large
    weights = generator.multinomial(n, np.full(n, 1 / n), size=num_draws).astype(np.float32)
    draws: dict[str, np.ndarray] = {}
    for name, values in _by_recording(scores, truth, labels).items():
        defined = ~np.isnan(values)
        total = weights[:, defined].sum(axis=1)
        draws[name] = weights[:, defined] @ values[defined] / _or_nan(total)
    present = np.flatnonzero(truth.any(axis=0))
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


def expected_calibration_error(probabilities: np.ndarray, truth: np.ndarray, num_bins: int = 10) -> float:
    """Mean distance between probability and frequency over the bins of `reliability`, weighted by their sizes."""
    confidence, frequency, counts = reliability(probabilities, truth, num_bins)
    return float(np.sum(np.abs(confidence - frequency) * counts) / counts.sum())


def reliability(
    probabilities: np.ndarray, truth: np.ndarray, num_bins: int = 10
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities in bins of equal width against how often the class was present.

    Args:
        probabilities: any shape, in [0, 1].
        truth: of the same shape, bool.
        num_bins: equal parts of [0, 1].

    Returns:
        For each bin that holds any: mean probability, share present, and their number.
    """
    flat, present = np.ravel(probabilities), np.ravel(truth)
    bins = np.minimum((flat * num_bins).astype(int), num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    filled = counts > 0
    sums = np.bincount(bins, flat, num_bins)[filled], np.bincount(bins, present, num_bins)[filled]
    return sums[0] / counts[filled], sums[1] / counts[filled], counts[filled]


def segment_truth(
    calls: Iterable[tuple[float, float, int]], num_segments: int, segment_seconds: float, num_classes: int
) -> np.ndarray:
    """Which classes each segment of a recording holds.

    Args:
        calls: (start, end, class index) of each call, seconds; a call counts in every segment that it overlaps.
        num_segments: consecutive ones from 0 on.
        segment_seconds: their length.
        num_classes: number of classes.

    Returns:
        [segments, classes] bool.
    """
    present = np.zeros((num_segments, num_classes), bool)
    begins = np.arange(num_segments) * segment_seconds
    for start, end, index in calls:
        present[(begins < end) & (begins + segment_seconds > start), index] = True
    return present


def chance_mlrap(truth: np.ndarray, num_draws: int = 200, seed: int = 0) -> float:
    """What random scores get on the same recordings, by simulation."""
    generator = np.random.default_rng(seed)
    return float(np.mean([mlrap(generator.random(truth.shape), truth) for _ in range(num_draws)]))

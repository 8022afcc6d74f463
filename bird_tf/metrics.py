"""How good scores are. All take scores [recordings, classes] float and truth of the same shape, bool.

A recording or class for which a metric is not defined is left out of its mean, never given an invented value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

# a BirdCLEF run lists at most so many classes a recording
_MAX_ANSWERS = 100


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
    if not truth.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    last_of_ties = np.append(ranked[1:] != ranked[:-1], True)
    precision = hits[last_of_ties] / (np.flatnonzero(last_of_ties) + 1)
    return float(np.sum(np.diff(hits[last_of_ties], prepend=0) * precision) / hits[-1])


def _mean(values: list[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def mlrap(scores: np.ndarray, truth: np.ndarray) -> float:
    """Multi-label ranking average precision: mean over recordings of the average precision of their ranking."""
    return _mean([average_precision(s, t) for s, t in zip(scores, truth, strict=True)])


def mean_average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """BirdCLEF's mAP: as mlrap, but of at most 100 answers a recording; equal to it for up to 100 classes."""
    if scores.shape[1] <= _MAX_ANSWERS:
        return mlrap(scores, truth)
    values = []
    for s, t in zip(scores, truth, strict=True):
        top = np.argsort(-s, kind="stable")[:_MAX_ANSWERS]
        found = int(t[top].sum())
        if t.any():
            values.append(average_precision(s[top], t[top]) * found / int(t.sum()) if found else 0.0)
    return _mean(values)


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


def mean_reciprocal_rank(scores: np.ndarray, labels: np.ndarray) -> float:
    """MRR of the foreground species."""
    return float(np.mean(1.0 / ranks(scores, labels)))


def top_k(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Share of recordings whose foreground species is among the k highest scores."""
    return float(np.mean(ranks(scores, labels) <= k))


def auroc(scores: np.ndarray, truth: np.ndarray) -> float:
    """Area under the ROC curve, mean over classes that are present in some recordings and absent from others."""
    import scipy.stats

    values = []
    for s, t in zip(scores.T, truth.T, strict=True):
        positives, negatives = int(t.sum()), int((~t).sum())
        if positives and negatives:
            rank_sum = scipy.stats.rankdata(s)[t].sum()
            values.append((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))
    return _mean(values)


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
    foreground = np.zeros_like(truth)
    foreground[np.arange(len(labels)), labels] = True
    return {
        "mlrap": mlrap(scores, truth),
        "mlrap_foreground": mlrap(scores, foreground),
        "mrr": mean_reciprocal_rank(scores, labels),
        "map": mean_average_precision(scores, truth),
        "cmap": class_mean_average_precision(scores, truth),
        "auroc": auroc(scores, truth),
        "top1": top_k(scores, labels, 1),
        "top5": top_k(scores, labels, 5),
        "num_recordings": len(labels),
    }


def chance_mlrap(truth: np.ndarray, num_draws: int = 200, seed: int = 0) -> float:
    """What random scores get on the same recordings, by simulation."""
    generator = np.random.default_rng(seed)
    return float(np.mean([mlrap(generator.random(truth.shape), truth) for _ in range(num_draws)]))

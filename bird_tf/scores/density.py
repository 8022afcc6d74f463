"""Call density: the share of chunks in which a species is heard, estimated from a few verdicts and no threshold."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

NUM_BINS = 4
_DRAWS = 10_000
# Jeffreys' prior of a share, which gives intervals of good coverage for few verdicts (Brown, Cai and DasGupta 2001)
_PRIOR = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Density:
    """The density of one class.

    Attributes:
        estimate: the share of chunks with the class; NaN if a bin has no verdict.
        lowest, highest: 95 % interval; a bin without verdicts makes it wide.
        shares: [bins] of the chunks in each bin, that of the lowest scores first; the rest is without the class.
        verdicts, positives: [bins] number of verdicts, and of those that say that the class is there.
    """

    estimate: float
    lowest: float
    highest: float
    shares: np.ndarray
    verdicts: np.ndarray
    positives: np.ndarray


def bins(scores: np.ndarray) -> np.ndarray:
    """Divides chunks by their scores [chunks] into `NUM_BINS` bins of 1/2, 1/4 … of the chunks, lowest scores first.

    Chunks with high scores are rare, and most of the calls are in them: so each bin halves what is left (Navine et al.
    2024). The last two bins are of equal size.

    Returns:
        [chunks] int, the bin of each.
    """
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores, kind="stable")] = (np.arange(len(scores)) + 0.5) / max(1, len(scores))
    return np.searchsorted(1 - 0.5 ** np.arange(1, NUM_BINS), ranks, side="right")


def bands(scores: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """[chunks] int, the band of each chunk by its score; `edges` are the lower edges of the bands, the first one 0."""
    return np.maximum(np.searchsorted(edges, scores, side="right") - 1, 0)


def estimate(scores: np.ndarray, verdicts: Mapping[int, bool], edges: Sequence[float] = (), seed: int = 0) -> Density:
    """Estimates the density of a class (Navine et al. 2024, Frontiers in Bird Science 3:1380636).

    The density is the mean of the bins' shares of "yes", weighted by their shares of the chunks. For the interval, the
    share in each bin is drawn from its beta distribution, given the verdicts, and counts for the chunks that were not
    judged; those that were are certain. The verdicts in a bin must be on chunks chosen at random. Where they were drawn
    in bands of predictions, chunks with a score of 0 were not among these: the class is not there, as in silence.

    Args:
        scores: [chunks] of the class in all chunks of the survey.
        verdicts: {index of a chunk: whether the class is there}; with `edges`, of chunks with a score above 0.
        edges: of the bands in which the chunks were drawn, as in `bands`; then these are the bins.
        seed: of the draws that give the interval.
    """
    of_chunk, num_bins = (bands(scores, edges), len(edges)) if edges else (bins(scores), NUM_BINS)
    in_bins = scores > 0 if edges else np.ones(len(scores), bool)
    sizes, total = np.bincount(of_chunk[in_bins], minlength=num_bins), max(1, len(scores))
    counted, positives = np.zeros(num_bins, int), np.zeros(num_bins, int)
    for chunk, is_present in verdicts.items():
        counted[of_chunk[chunk]] += 1
        positives[of_chunk[chunk]] += is_present
    generator = np.random.default_rng(seed)
    probabilities = generator.beta(positives + _PRIOR, counted - positives + _PRIOR, (_DRAWS, num_bins))
    draws = positives.sum() + generator.binomial(sizes - counted, probabilities).sum(axis=1)
    estimate = float("nan")
    if np.all(counted[sizes > 0] > 0):
        estimate = float(sizes @ (positives / np.maximum(1, counted)) / total)
    lowest, highest = np.quantile(draws / total, (0.025, 0.975))
    # where all verdicts agree, the distribution begins beside the estimate (Brown, Cai and DasGupta 2001)
    return Density(
        estimate=estimate, lowest=float(np.fmin(lowest, estimate)), highest=float(np.fmax(highest, estimate)),
        shares=sizes / total, verdicts=counted, positives=positives,
    )  # fmt: skip

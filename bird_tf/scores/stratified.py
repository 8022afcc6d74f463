"""The share of right predictions, estimated from verdicts on predictions that were drawn by band of scores."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

# of the standard normal distribution: a 95 % interval
_Z = 1.959964
_DRAWS = 10_000
# Jeffreys' prior of a share (Brown, Cai and DasGupta 2001)
_PRIOR = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Band:
    """Predictions of similar scores, some of which were drawn at random and judged.

    Attributes:
        lowest: the least score in it.
        size: number of predictions; NaN if it is not known.
        judged: number of those with a verdict.
        positives: number of those that are right.
        at_random: whether they were judged as they were drawn; not if a person chose among them.
    """

    lowest: float
    size: float
    judged: int
    positives: int
    at_random: bool = True

    @property
    def is_known(self) -> bool:
        """Whether its verdicts tell its share of right predictions."""
        return self.judged > 0 and self.at_random


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """An estimated share, with its 95 % interval. All are NaN while the share of a band is not known."""

    estimate: float
    lowest: float
    highest: float


def share(bands: Sequence[Band]) -> Share:
    """The share of right predictions in all bands together.

    The estimate is the bands' shares weighted by their sizes. The interval is Wilson's, for as many verdicts as a
    simple random sample of the same variance would need (Korn and Graubard 1998 on samples by stratum). Each band's
    variance has half a verdict more of each kind, so that it is not 0 if all verdicts agree, and the correction for
    finite populations. The script of the review page has the same formula.
    """
    bands = [band for band in bands if band.size]
    if not bands or not all(band.is_known for band in bands):
        return Share(estimate=math.nan, lowest=math.nan, highest=math.nan)
    total = sum(band.size for band in bands)
    estimate = smoothed = variance = 0.0
    for band in bands:
        weight, probability = band.size / total, (band.positives + 0.5) / (band.judged + 1)
        estimate += weight * band.positives / band.judged
        smoothed += weight * probability
        left = max(0.0, 1 - band.judged / band.size)
        variance += weight**2 * left * probability * (1 - probability) / band.judged
    if variance == 0:  # all were judged
        return Share(estimate=estimate, lowest=estimate, highest=estimate)
    count = smoothed * (1 - smoothed) / variance
    scale = 1 + _Z**2 / count
    centre = (estimate + _Z**2 / (2 * count)) / scale
    half = _Z / scale * math.sqrt(estimate * (1 - estimate) / count + _Z**2 / (4 * count**2))
    return Share(estimate=estimate, lowest=max(0.0, centre - half), highest=min(1.0, centre + half))


def recall(above: Sequence[Band], below: Sequence[Band]) -> Share:
    """The share of right predictions that are in the bands above a threshold. What was not predicted is not counted.

    The estimate is the number of right predictions above, by the bands' shares and sizes, divided by that in all bands.
    For the interval, the share of each band is drawn from its beta distribution, given the verdicts; bands of which all
    predictions were judged are certain.
    """
    above = [band for band in above if band.size]
    bands = [*above, *(band for band in below if band.size)]
    if not all(band.is_known for band in bands) or not any(band.positives for band in bands):
        return Share(estimate=math.nan, lowest=math.nan, highest=math.nan)
    sizes = np.array([band.size for band in bands])
    judged, positives = (np.array([getattr(band, name) for band in bands]) for name in ("judged", "positives"))
    in_above = np.arange(len(bands)) < len(above)
    right = sizes * positives / judged
    draws = np.random.default_rng(0).beta(positives + _PRIOR, judged - positives + _PRIOR, (_DRAWS, len(bands)))
    drawn = positives + (sizes - judged) * draws
    shares = np.minimum((drawn @ in_above) / drawn.sum(axis=1), 1.0)  # the sums are rounded
    lowest, highest = np.quantile(shares, (0.025, 0.975))
    return Share(estimate=float(right @ in_above / right.sum()), lowest=float(lowest), highest=float(highest))

"""Whether a model was asked about sound unlike that of its training.

A model says of each chunk how far its sound is from that of the training recordings. 1 is the limit that a share of
recordings like those exceeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

# the output of a model; see `training.known_sound`
OUTPUT = "strangeness"
# of the recordings that are like those of the training, this share is above the limit
USUAL_SHARE = 0.05
TABLE, COLUMNS = "unlike.csv", ("file", OUTPUT)


def of_recording(chunks: np.ndarray) -> float:
    """Strangeness of chunks, [chunks] float32 → the median of those that have sound; NaN if it is unknown."""
    known = chunks[chunks > 0]
    return float(np.median(known)) if len(known) else math.nan


def is_unlike(strangeness: float) -> bool:
    """Whether a recording is beyond the limit; not if that is unknown."""
    return strangeness > 1


def counts(recordings: Sequence[float]) -> tuple[int, int]:
    """The strangeness of recordings → how many are beyond the limit, and of how many it is known."""
    return sum(map(is_unlike, recordings)), sum(not math.isnan(strangeness) for strangeness in recordings)


def sentence(recordings: Sequence[float]) -> str:
    """What to say of recordings with these values of strangeness; empty if nothing is known of them."""
    unlike, known = counts(recordings)
    if not known:
        return ""
    usual = f"of recordings like those of the training, 1 in {1 / USUAL_SHARE:.0f} does"
    return f"{unlike} of {known} recordings sound unlike the training data ({usual})"


def are_unlike(recordings: Sequence[float]) -> bool:
    """Whether more recordings are beyond the limit than chance explains: two standard deviations above the usual."""
    unlike, known = counts(recordings)
    usual = USUAL_SHARE * known
    return unlike > usual + 2 * math.sqrt(usual)

"""Which chunks of recordings train: one rule for every split of the recordings.

A chunk stores its training order. Every split has a limit for each class, and the chunks below it train. What a chunk
stores does not depend on the split, so a change of the split changes the limits only.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

# order of a chunk that never trains, and of all others in records without a cap
NEVER, ALWAYS = -1, 0
# limit of a class whose chunks all train
UNLIMITED = 2**62
_RANK = 2**32

# {recording_id: {class index: number of chunks that may train}}
Candidates = Mapping[str, Mapping[int, int]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """The chunks of some recordings that train.

    Attributes:
        limits: [classes] a chunk trains if 0 <= its order < the limit of its label.
        chunks_per_class: [classes] number of chunks that train.
        num_recordings: number of recordings with such a chunk.
    """

    limits: tuple[int, ...]
    chunks_per_class: tuple[int, ...]
    num_recordings: int

    def trains(self, order: int, label: int) -> bool:
        """Whether a chunk trains."""
        return 0 <= order < self.limits[label]


def order(rank: int, recording_id: str) -> int:
    """The order of a chunk in a class with a cap: by its rank in its recording, then by a hash of the recording.

    Args:
        rank: from 0, among the chunks of its recording and class that may train.
        recording_id: of its recording.
    """
    return rank * _RANK + _hash(recording_id)


def _hash(recording_id: str) -> int:
    digest = hashlib.md5(f"order {recording_id}".encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:4], "big")


def num_below(limit: int, recording_id: str, count: int) -> int:
    """How many of the `count` chunks of a recording and class have an order below the limit."""
    return min(count, max(0, (limit - 1 - _hash(recording_id)) // _RANK + 1))


def select(candidates: Candidates, num_classes: int, cap: int) -> Selection:
    """Selects the chunks that train.

    Each recording gets as many chunks of a class as it has, up to a common level. At that level the hash decides.

    Args:
        candidates: the chunks that may train.
        num_classes: number of classes.
        cap: the most chunks of a class; 0: no limit.
    """
    counts: list[dict[str, int]] = [{} for _ in range(num_classes)]
    for recording_id, by_label in candidates.items():
        for label, count in by_label.items():
            counts[label][recording_id] = count
    limits = [_limit(found, cap) for found in counts]
    both = zip(limits, counts, strict=True)
    chosen = [{i: num_below(limit, i, n) for i, n in found.items()} for limit, found in both]
    return Selection(
        limits=tuple(limits),
        chunks_per_class=tuple(sum(found.values()) for found in chosen),
        num_recordings=len({i for found in chosen for i, count in found.items() if count}),
    )


def _limit(counts: Mapping[str, int], cap: int) -> int:
    """The limit of one class, from the number of chunks in each recording."""
    if not cap or sum(counts.values()) <= cap:
        return UNLIMITED
    level, left = _common_level(sorted(counts.values()), cap)
    above = sorted(order(level, recording_id) for recording_id, count in counts.items() if count > level)
    return above[left]


def _common_level(counts: Sequence[int], cap: int) -> tuple[int, int]:
    """The largest level with Σ min(count, level) <= cap, and what is left of the cap.

    Args:
        counts: in rising order, with a sum above the cap.
        cap: the most chunks.
    """
    left = cap
    for position, count in enumerate(counts):
        others = len(counts) - position
        if count * others > left:
            return divmod(left, others)
        left -= count
    raise ValueError(f"{sum(counts)} chunks do not exceed the cap of {cap}")

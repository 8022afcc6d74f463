"""Recordings → groups of about equal length, one a shard. Nothing depends on the number of workers."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from bird_tf import files
from bird_tf.labels import metadata


def balance_shards(
    recordings: Sequence[metadata.Recording], seconds: Mapping[str, float], shard_seconds: float
) -> list[list[metadata.Recording]]:
    """Divides recordings into groups of about `shard_seconds`.

    The recordings are taken from the longest to the shortest, and each goes to the group that is shortest so far. In
    a group they are ordered by a hash, so that long recordings do not always come first in a training.
    """
    if not recordings:
        return []
    ordered = sorted(recordings, key=lambda r: (-seconds[r.recording_id], r.recording_id))
    total = min(len(ordered), max(1, round(sum(seconds[r.recording_id] for r in ordered) / shard_seconds)))
    groups: list[list[metadata.Recording]] = [[] for _ in range(total)]
    loads = [(0.0, i) for i in range(total)]
    for recording in ordered:
        load, i = heapq.heappop(loads)
        groups[i].append(recording)
        heapq.heappush(loads, (load + seconds[recording.recording_id], i))
    return [sorted(group, key=lambda r: files.digest([r.recording_id])) for group in groups]

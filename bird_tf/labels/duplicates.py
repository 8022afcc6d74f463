"""Recordings with equal audio: found before the split, told of, and listed beside the records."""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from absl import logging

from bird_tf import csv_files, executor, files
from bird_tf.audio import channels, decode
from bird_tf.labels import metadata

COLUMNS = ("digest", "recording_id", "file", "label", "split")
# recordings that a worker decodes at once
_BLOCK = 16


def with_digests(
    recordings: Sequence[metadata.Recording], seconds: Mapping[str, float], sample_rate_hz: int, workers: int,
    channel: str = "",
) -> list[metadata.Recording]:  # fmt: skip
    """Gives a digest to the recordings that have the same audio as another one.

    Few are decoded: those whose length and opening equal another's. Clips of one length differ in the opening.

    Args:
        recordings: with readable paths or not.
        seconds: {recording_id: length by the header}.
        sample_rate_hz: of the digests.
        workers: as for `executor.start`.
        channel: what is heard of several channels, as --channel.
    """
    path_of = {r.recording_id: r.path for r in recordings}
    found = _shared({i: str(seconds[i]) for i in path_of})
    for digest in (decode.opening_digest, decode.head_digest, decode.digest):
        read = functools.partial(digest, sample_rate_hz=sample_rate_hz, channel=channel or channels.MIX)
        if found:
            found = _shared(_read({i: path_of[i] for i in found}, read, workers))
    return [dataclasses.replace(r, digest=found.get(r.recording_id, "")) for r in recordings]


def _shared(values: Mapping[str, str]) -> dict[str, str]:
    """Those whose value another one has too; "" is no value."""
    counts = collections.Counter(values.values())
    return {name: value for name, value in values.items() if value and counts[value] > 1}


def _read(path_of: Mapping[str, str], digest: Callable[[str], str], workers: int) -> dict[str, str]:
    """{recording_id: digest}. A recording may kill the process that decodes it; then those of its block are unknown."""
    paths = list(path_of.values())
    blocks = [paths[first : first + _BLOCK] for first in range(0, len(paths), _BLOCK)]
    read = functools.partial(_digests, digest)
    workers = min(workers or executor.num_cores(), len(blocks))
    results: Iterable[list[str] | None] = map(read, blocks)
    if workers > 1:
        results = executor.results(read, blocks, executor.PlaceConfig(workers=workers), waiting=lambda: None)
    found: list[str] = []
    for block, digests in zip(blocks, results, strict=True):
        if digests is None:
            logging.warning("a worker process died; equal audio of %d recordings may be overlooked", len(block))
        found += [""] * len(block) if digests is None else digests
    return dict(zip(path_of, found, strict=True))


def _digests(digest: Callable[[str], str], paths: Sequence[str]) -> list[str]:
    found = []
    for path in paths:
        try:
            found.append(digest(path))
        except decode.UnreadableError:  # the conversion meets the same error, and lists the recording
            found.append("")
    return found


def groups(recordings: Iterable[metadata.Recording]) -> list[list[metadata.Recording]]:
    """Groups of two and more recordings with equal digests."""
    found: dict[str, list[metadata.Recording]] = collections.defaultdict(list)
    for recording in recordings:
        if recording.digest:
            found[recording.digest].append(recording)
    return [group for group in found.values() if len(group) > 1]


def tell(recordings: Sequence[metadata.Recording], table: str) -> None:
    """Warns of recordings with equal audio, and lists them in a table if there are any."""
    found = groups(recordings)
    if not found:
        return
    names_of_files = files.below_common([r.path for r in recordings])
    file_of = {r.recording_id: name for r, name in zip(recordings, names_of_files, strict=True)}
    rows = [(r.digest, r.recording_id, file_of[r.recording_id], r.label, r.split) for group in found for r in group]
    csv_files.write(table, COLUMNS, rows)
    names = f"{os.path.basename(found[0][0].path)} and {os.path.basename(found[0][1].path)}"
    logging.warning("%d recordings have the same audio as another one, as %s; see %s", len(rows), names, table)
    if contradicting := [group for group in found if len({r.label for r in group}) > 1]:
        named = ", ".join(f"{os.path.basename(r.path)} ({r.label or 'negative'})" for r in contradicting[0])
        logging.warning(
            "the same audio has different labels %d times: %s; correct them, or name further species as background",
            len(contradicting), named,
        )  # fmt: skip
    if divided := [group for group in found if len({r.split for r in group}) > 1]:
        logging.warning("the given split has %d recordings on both sides, as %s", len(divided), names)

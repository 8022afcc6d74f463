"""recordings.csv of records: one line for each recording, what is known of it and what became of it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping

from bird_tf import files
from bird_tf.labels import metadata
from bird_tf.records import manifests

_PLACE_AND_TIME = ("latitude", "longitude", "elevation", "day_of_year", "hour")
_COLUMNS = (
    "recording_id", "file", "split", "label", "name", "background", "background_known", "author", *_PLACE_AND_TIME,
    "seconds", "chunks", "noise_chunks", "skipped",
)  # fmt: skip


def write(directory: str, root: str, entries: Iterable[tuple[metadata.Recording, tuple[float, int, int, str]]]) -> None:
    """Writes the table.

    Args:
        directory: of the records.
        root: the folder that paths count from.
        entries: each recording with its seconds, chunks, noise chunks, and why it was skipped.
    """
    rows = []
    for r, (seconds, chunks, noise_chunks, reason) in entries:
        numbers = (getattr(r, name) for name in _PLACE_AND_TIME)
        known = ("" if math.isnan(number) else f"{number:.10g}" for number in numbers)
        rows.append((r.recording_id, os.path.relpath(r.path, root), r.split, r.label, r.name, ", ".join(r.background),
                     r.background_known, r.author, *known, f"{seconds:.2f}", chunks, noise_chunks, reason))  # fmt: skip
    files.write_table(os.path.join(directory, manifests.RECORDINGS), _COLUMNS, rows)


def read(directory: str, *, silent: bool = False) -> list[metadata.Recording]:
    """The recordings of a records directory that gave a chunk, paths as in the table; none where there is no table.

    Args:
        directory: of the records.
        silent: those that gave none as well.
    """
    path = os.path.join(directory, manifests.RECORDINGS)
    if not files.exists(path):
        return []
    return [
        metadata.Recording(
            recording_id=row["recording_id"],
            path=row["file"],
            label=row["label"],
            name=row["name"],
            author=row["author"],
            split=row["split"],
            latitude=_number(row, "latitude"),
            longitude=_number(row, "longitude"),
            elevation=_number(row, "elevation"),
            day_of_year=_number(row, "day_of_year"),
            hour=_number(row, "hour"),
        )
        for row in files.read_table(path)
        if silent or int(row["chunks"])
    ]


def _number(row: Mapping[str, str], name: str) -> float:
    """NaN where the cell is empty, or the table older than the column."""
    return float(row.get(name) or math.nan)

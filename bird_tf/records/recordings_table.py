"""recordings.csv of records: one row for each recording, with its metadata and the result of its conversion."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Iterator

from bird_tf import csv_files, files, free_text
from bird_tf.labels import metadata
from bird_tf.records import manifests

_PLACE_AND_TIME = ("latitude", "longitude", "elevation", "day_of_year", "hour", "utc_offset_hours")
_COLUMNS = (
    "recording_id", "file", "split", "label", "name", "background", "background_known", "annotated", "author",
    *_PLACE_AND_TIME, "date", "site", "seconds", "chunks", "training_chunks", "noise_chunks", "digest", "skipped",
)  # fmt: skip
# the columns that hold numbers; empty where they are unknown
NUMBERS = (*_PLACE_AND_TIME, "seconds", "chunks", "training_chunks", "noise_chunks")
# what decides splits, labels, priors and what was judged, beside the chunks themselves, and groups but for names of
# files and equal sound: who makes folds notes those
_DECIDING = (
    "recording_id", "split", "label", "background", "annotated", "author", *_PLACE_AND_TIME, "date", "site",
)  # fmt: skip
# those of the first version
_FIRST_COLUMNS = ("recording_id", "file", "split", "label", "name", "author", "chunks", "noise_chunks")


# length in seconds; number of chunks with a label, of those that may train, and of noise chunks; digest of its samples;
# why it was skipped
Result = tuple[float, int, int, int, str, str]


def write(directory: str, root: str, entries: Iterable[tuple[metadata.Recording, Result]]) -> None:
    """Writes the table.

    Args:
        directory: of the records.
        root: the folder that paths in the table are relative to.
        entries: each recording with the result of its conversion; the reason is "" if it was not skipped.
    """
    rows = []
    for r, (seconds, *numbers_of_chunks, digest, reason) in entries:
        numbers = (getattr(r, name) for name in _PLACE_AND_TIME)
        known = ("" if math.isnan(number) else f"{number:.10g}" for number in numbers)
        rows.append((r.recording_id, os.path.relpath(r.path, root), r.split, r.label, r.name, ", ".join(r.background),
                     r.background_known, _annotated(r), r.author, *known, r.date, r.site, f"{seconds:.2f}",
                     *numbers_of_chunks, digest, reason))  # fmt: skip
    csv_files.write(os.path.join(directory, manifests.RECORDINGS), _COLUMNS, rows)


def _annotated(recording: metadata.Recording) -> str:
    """What the labels are of: the whole recording, or times in it; then all of it was heard, or a part alone."""
    if not recording.annotations:
        return metadata.WHOLE
    return metadata.IN_PART if recording.partly_annotated else metadata.IN_TIME


def read(directory: str, *, with_unused: bool = False) -> list[metadata.Recording]:
    """Reads the recordings of a records directory, with paths as in the table. Without a table the list is empty.

    Args:
        directory: of the records.
        with_unused: whether to return recordings too of which no chunk is used on their side of the split.
    """
    path = os.path.join(directory, manifests.RECORDINGS)
    if not files.exists(path):
        return []
    return [_recording(row) for row in _rows(path) if with_unused or _num_used(row)]


def paths(directory: str, root: str) -> dict[str, str]:
    """{recording id: its audio file} of all recordings of a records directory, below the folder of the audio.

    Raises:
        InputError: there is no table.
    """
    rows = csv_files.read(os.path.join(directory, manifests.RECORDINGS), ("recording_id", "file"))
    return {row.text("recording_id"): os.path.join(root, row.text("file")) for row in rows}


def training(manifest: manifests.Manifest, *, with_noise: bool = False) -> list[metadata.Recording]:
    """The recordings that a model learns from, validation recordings included if they are for training too.

    Args:
        manifest: the records.
        with_noise: whether to return recordings too that give noise alone.
    """
    path = os.path.join(manifest.directory, manifests.RECORDINGS)
    return [
        _recording(row)
        for row in (_rows(path) if files.exists(path) else ())
        if row.cells["split"] in manifest.training_splits
        and _num_training(row) + (row.count("noise_chunks") if with_noise else 0)
    ]


def validation(manifest: manifests.Manifest) -> list[metadata.Recording]:
    """The recordings that models are judged by."""
    return [recording for recording in read(manifest.directory) if recording.split == "val"]


def annotated(directory: str) -> dict[str, tuple[str, list[str]]]:
    """{recording id: (label, background species)} of the recordings whose labels are of times in them, if it is told.

    The label is the species with the longest total time, and the background all others.
    """
    path = os.path.join(directory, manifests.RECORDINGS)
    return {
        row.text("recording_id"): (row.cells["label"], row.cells.get("background", "").split(", "))
        for row in (_rows(path) if files.exists(path) else ())
        if row.cells.get("annotated") in (metadata.IN_TIME, metadata.IN_PART)
    }


def that_can_train(directory: str) -> frozenset[str]:
    """Ids of the recordings with a chunk that may train, whatever their side of the split."""
    path = os.path.join(directory, manifests.RECORDINGS)
    return frozenset(row.text("recording_id") for row in _rows(path) if _num_training(row))


def identity(manifest: manifests.Manifest) -> dict[str, str]:
    """What a plan notes of records, to tell whether they are the same: their chunks, and what the table says of these.

    Paths, names, lengths and reasons do not count, nor do the order of rows and columns and how numbers are written.
    """
    path = os.path.join(manifest.directory, manifests.RECORDINGS)
    told = [
        [(name, _plain(name, cell)) for name in _DECIDING if (cell := row.cells.get(name, ""))]
        for row in (_rows(path) if files.exists(path) else ())
    ]
    return {"content": manifest.digest, manifests.RECORDINGS: files.digest(sorted(told))}


def _plain(name: str, cell: str) -> str:
    number = free_text.number(cell, sys.float_info.max) if name in _PLACE_AND_TIME else math.nan
    return cell if math.isnan(number) else f"{number:.10g}"


def _rows(path: str) -> Iterator[csv_files.Row]:
    return csv_files.read(path, _FIRST_COLUMNS)


def _recording(row: csv_files.Row) -> metadata.Recording:
    return metadata.Recording(
        recording_id=row.text("recording_id"),
        path=row.text("file"),
        label=row.cells["label"],
        name=row.cells["name"],
        negative=not row.cells["label"],
        author=row.cells["author"],
        split=row.cells["split"],
        latitude=row.number("latitude", -90, 90),
        longitude=row.number("longitude", -180, 180),
        elevation=row.number("elevation"),
        day_of_year=row.number("day_of_year", 1, 366),
        hour=row.number("hour", 0, 24),
        utc_offset_hours=row.number("utc_offset_hours", -24, 24),
        date=row.cells.get("date", ""),
        site=row.cells.get("site", ""),
        digest=row.cells.get("digest", ""),
    )


def _num_used(row: csv_files.Row) -> int:
    """Number of chunks on this side of the split."""
    return _num_training(row) if row.cells["split"] == "train" else row.count("chunks")


def _num_training(row: csv_files.Row) -> int:
    """Number of chunks that may train. Before format 4, there is one column for both sides of the split."""
    return row.count("training_chunks" if "training_chunks" in row.cells else "chunks")

"""Tables of segments, or of recordings, with one column for each species, 0 or 1, as OpenSoundscape writes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence, Set

from absl import logging

from bird_tf import free_text
from bird_tf.labels import label_cells, texts
from bird_tf.labels.tables import columns, file_format, rows, times

_PRESENT = {"1", "1.0", "true", "pos"}
_ABSENT = {"0", "0.0", "false", "neg"}
_VALUES = _PRESENT | _ABSENT | {"unk"}
# words of which the names of columns consist that hold 0 or 1 and are no species
_NO_SPECIES = frozenset((
    "verified", "validated", "checked", "reviewed", "confirmed", "annotated", "labelled", "labeled", "done", "channel",
    "fold", "kfold", "split", "subset", "set", "train", "training", "val", "validation", "test", "holdout", "index",
    "unnamed", "row", "id", "segment", "clip", "chunk", "window", "quality", "is", "has", "was", "by",
    "manual", "manually", "expert",
))  # fmt: skip
# words in names of such columns that may tell of a whole recording, and not of what is heard in it
CONDITIONS = frozenset((
    "rain", "wind", "noise", "noisy", "traffic", "clipping", "clipped", "silence", "silent", "speech", "playback",
    "seen", "duplicate", "use", "used", "usable", "exclude", "excluded", "include", "included", "good", "bad", "day",
    "night", "call", "song", "label", "labels", "stereo", "mono",
))  # fmt: skip
_BESIDE_THEM = frozenset(("human",))  # alone it is a class: the voice


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether it has columns that hold 0 and 1 alone, for segments or for whole recordings, and none for the label.

    Beside segments, other columns may hold anything else. Of a table of whole recordings, they may tell more of them
    than species: there may be none, and no column of 0 and 1 that is about conditions.
    """
    if options.columns:
        return False
    found = columns.find(document, ())
    if "file" not in found or "label" in found:
        return False
    species = _species(document, found)
    others = [i for i, name in _unused(document, found) if i not in species and not _has_other_meaning(name)]
    filled = [told for told in (_told(document, i) for i in others) if told]
    if {"start", "end"} <= found.keys():
        return len(species) > bool(filled) and not any(map(_may_be_species, filled))
    conditions = (CONDITIONS.intersection(columns.normal(name).split()) for name in species.values())
    return found.keys() <= {"file", "folder"} and len(species) > 1 and not filled and not any(conditions)


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the segments, or recordings. One without any species is a negative, unless a cell is empty or UNK.

    A table without rows says nothing of its recording.

    Raises:
        InputError: times that are not of the recording.
    """
    if len(document.lines) == 1:
        return [dataclasses.replace(row, labels=label_cells.Labels()) for row in rows.nothing_found(document)]
    found = columns.find(document, ())
    times.refuse_other_times(document, found, ())
    species, units = _species(document, found), times.units(document, found)
    if others := [name for name in columns.unused(document, found) if name not in species.values()]:
        logging.warning("%s: columns that are not taken for species: %s", document.path, ", ".join(others))
    read_rows, above = [], ""
    for line, texts_of_line in document.lines[1:]:
        cells = columns.cells_of(texts_of_line, found)
        values = {name: _value(texts_of_line, i) for i, name in species.items()}
        above = cells["file"] or above
        row = rows.Row(
            where=rows.where(document, line),
            files=(above,) if above else (),
            about=rows.COMPLETE,
            problem="" if cells["file"] else "it names no recording",
        )
        present = [name for name, value in values.items() if value in _PRESENT]
        if present or all(value in _ABSENT for value in values.values()):
            row = rows.named(row, present or ["none"], options)
        else:
            row = dataclasses.replace(row, labels=label_cells.Labels())
        if "start" in cells:
            row = rows.spanned(row, cells["start"], cells["end"], units=(units["start"], units["end"]))
        read_rows.append(row)
    return read_rows


def _species(document: texts.Document, found: Mapping[str, Sequence[int]]) -> dict[int, str]:
    """{position: name} of the columns that have no other meaning and hold 0 and 1 alone, or of all without any row."""
    unused = [(i, name) for i, name in _unused(document, found) if not _has_other_meaning(name)]
    if len(document.lines) == 1:
        return dict(unused)
    return {i: name for i, name in unused if (told := _told(document, i)) and told <= _VALUES}


def _unused(document: texts.Document, found: Mapping[str, Sequence[int]]) -> list[tuple[int, str]]:
    used = {i for positions in found.values() for i in positions}
    return [(i, name) for i, name in enumerate(document.header) if name and i not in used]


def _told(document: texts.Document, position: int) -> set[str]:
    """What the cells of a column say that are filled; of a species, NA says as little as any other word."""
    return {_value(line, position) for _, line in document.lines[1:]} - {""}


def _value(line: Sequence[str], position: int) -> str:
    return texts.clean(line[position]).casefold() if position < len(line) else ""


def _may_be_species(told: Set[str]) -> bool:
    """Whether a column may say of a species how probable it is, or how many there are."""
    return not told <= _VALUES and any(cell in _VALUES or 0 < free_text.number(cell, limit=1) < 1 for cell in told)


def _has_other_meaning(name: str) -> bool:
    words = [word for word in columns.normal(name).split() if not word.isdecimal()]
    return not _NO_SPECIES.isdisjoint(words) and (_NO_SPECIES | _BESIDE_THEM).issuperset(words)


FORMAT = file_format.Format(
    name="table with a column for each species",
    suffixes=(".csv", ".tsv"),
    recognise=recognise,
    read=read,
    has_header=True,
)

"""Tables of segments with one column for each species, 0 or 1, as OpenSoundscape writes them."""

from __future__ import annotations

import dataclasses

from absl import logging

from bird_tf.labels import label_cells, texts
from bird_tf.labels.layouts import columns, csv_table, rows

NAME = "table with a column for each species"
SUFFIXES = (".csv", ".tsv")
_PRESENT = {"1", "1.0", "true", "pos"}
_ABSENT = {"0", "0.0", "false", "neg"}
# words of which the names of columns consist that hold 0 or 1 and are no species
_NO_SPECIES = frozenset((
    "verified", "validated", "checked", "reviewed", "confirmed", "annotated", "labelled", "labeled", "done", "channel",
    "fold", "kfold", "split", "subset", "set", "train", "training", "val", "validation", "test", "holdout", "index",
    "unnamed", "row", "id", "segment", "clip", "chunk", "window", "quality", "is", "has", "was", "by",
    "manual", "manually", "expert",
))  # fmt: skip
_BESIDE_THEM = frozenset(("human",))  # alone it is a class: the voice


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether it has columns for file, start and end, none for the label, and all others hold 0 or 1."""
    if len(document.header) < 4 or options.columns:
        return False
    found = columns.find(document, ())
    if not {"file", "start", "end"} <= set(found) or "label" in found:
        return False
    species = _species(document, found)
    return bool(species) and all(
        i < len(line) and line[i].strip().casefold() in _PRESENT | _ABSENT | {"", "unk"}
        for _, line in document.lines[1:]
        for i in species
    )


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the segments. One without any species is a negative, unless a cell is empty or UNK.

    Raises:
        InputError: times that are not of the recording.
    """
    found = columns.find(document, ())
    columns.refuse_other_times(document, found, ())
    species, units = _species(document, found), columns.units(document, found)
    if others := [name for name in columns.unused(document, found) if name not in species.values()]:
        logging.warning("%s: columns that are not taken for species: %s", document.path, ", ".join(others))
    read_rows, above = [], ""
    for line, texts_of_line in document.lines[1:]:
        cells = csv_table.cells_of(texts_of_line, found)
        values = {name: texts_of_line[i].strip().casefold() for i, name in species.items()}
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
        read_rows.append(rows.spanned(row, cells["start"], cells["end"], units=(units["start"], units["end"])))
    return read_rows


def _species(document: texts.Document, found: dict[str, tuple[int, ...]]) -> dict[int, str]:
    """{position: name} of the columns that have no other meaning."""
    used = {i for positions in found.values() for i in positions}
    return {
        i: name for i, name in enumerate(document.header) if i not in used and name and not _has_other_meaning(name)
    }


def _has_other_meaning(name: str) -> bool:
    words = [word for word in columns.normal(name).split() if not word.isdecimal()]
    return not _NO_SPECIES.isdisjoint(words) and (_NO_SPECIES | _BESIDE_THEM).issuperset(words)

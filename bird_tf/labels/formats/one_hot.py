"""Tables of segments, or of recordings, with one column for each species, 0 or 1, as OpenSoundscape writes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence, Set

from absl import logging

from bird_tf import config, free_text
from bird_tf.labels import json_lines, label_cells, metadata, odd_names, parquet, texts
from bird_tf.labels.tables import columns, file_format, rows, times, zones

_PRESENT = {"1", "1.0", "true", "pos"}
_ABSENT = {"0", "0.0", "false", "neg"}
_VALUES = _PRESENT | _ABSENT | {"unk"}
# words of which the names of columns consist that hold 0 or 1 and are no species
_NO_SPECIES = frozenset((
    "verified", "validated", "checked", "reviewed", "confirmed", "annotated", "labelled", "labeled", "done", "channel",
    "channels", "overlap", "overlapping",
    "fold", "kfold", "split", "subset", "set", "train", "training", "val", "validation", "test", "holdout", "index",
    "unnamed", "row", "id", "segment", "clip", "chunk", "window", "quality", "is", "has", "was", "by",
    "manual", "manually", "expert", "number", "num", "count", "total", "richness",
    "selec", "selection", "freq", "frequency", "hz", "khz", "low", "high", "bottom", "top",
))  # fmt: skip
# words in names of such columns that may tell of a whole recording, and not of what is heard in it
CONDITIONS = frozenset((
    "rain", "wind", "noise", "noisy", "traffic", "clipping", "clipped", "silence", "silent", "speech", "playback",
    "seen", "duplicate", "use", "used", "usable", "exclude", "excluded", "include", "included", "good", "bad", "day",
    "night", "call", "song", "label", "labels", "stereo", "mono",
))  # fmt: skip
_OF_PLACE = frozenset(("latitude", "longitude", "elevation", "date", "time"))
# what columns may tell of recordings, and of spans
_OF_RECORDINGS, _OF_SPANS = _OF_PLACE | {"file", "folder", "author", "site"}, {"start", "end"}
IF_SPECIES = "; if its columns of 0 and 1 are species: "  # what to do, in messages
_BESIDE_THEM = frozenset(("human", "species", "of", "n"))  # alone they are classes, as the voice


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether it has columns that hold 0 and 1 alone, for segments or for whole recordings, and none for the label.

    Beside segments, other columns may hold anything else. Of a table of whole recordings, they may tell more of them
    than species: there may be none, and no column of 0 and 1 that is about conditions. Where --columns gives its
    recordings, others are told if each recording has one row. With any --columns, all columns of 0 and 1 must be called
    as species are: they may be another table's, or tell more of recordings whose species stand elsewhere.
    """
    given = columns.given_for(document, options.columns)
    if not given.keys() <= _OF_RECORDINGS | _OF_SPANS:
        return False
    try:
        found = columns.find(document, options.columns)
    except config.InputError:  # it lacks one
        return False
    if "file" not in found or "label" in found:
        return False
    species = _species(document, found)
    if options.columns and not all(map(_is_like_species, species.values())):
        return False
    others = {name: _told(document, i) for i, name in _unused(document, found) if i not in species}
    filled = {name: told for name, told in others.items() if told and not _has_other_meaning(name)}
    if {"start", "end"} <= found.keys():
        return len(species) > bool(filled) and not any(map(_may_be_species, filled.values()))
    if len(species) < 2 or any(CONDITIONS.intersection(columns.normal(name).split()) for name in species.values()):
        return False
    if found.keys() <= {"file", "folder"} and not filled:
        return True
    return (
        "file" in given
        and found.keys() <= _OF_RECORDINGS
        and not any(_is_like_species(name) and _may_be_species(told) for name, told in filled.items())
        and len({*columns.down(document, found["file"])}) == len(document.lines) - 1
    )


def what_is_no_answer(document: texts.Document, options: rows.Options) -> str:
    """Says which cell of a table whose columns hold 0 and 1 in most cells holds something else; empty if none does.

    With --columns, it is the column that is not called as a species is, if all cells hold 0 and 1.

    Raises:
        InputError: the table lacks a column that --columns gives.
    """
    found = columns.find(document, options.columns)
    if "file" not in found or "label" in found:
        return ""
    cells = {
        i: [_value(line, i) for _, line in document.lines[1:]]
        for i, name in _unused(document, found)
        if not _has_other_meaning(name)
    }
    species = {i: told for i, told in cells.items() if 2 * sum(cell in _VALUES for cell in told) >= len(told)}
    if len(species) < 2 or len(document.lines) == 1:
        return ""
    for line, texts_of_line in document.lines[1:]:
        for i in species:
            if _value(texts_of_line, i) not in _VALUES | {""}:
                return (
                    f"{IF_SPECIES}{rows.where(document, line)}, {document.header[i]} has "
                    f"{texts.clean(texts_of_line[i])[:40]!r}: write 0 or 1, or nothing where it is not known"
                )
    other = next((document.header[i] for i in species if not _is_like_species(document.header[i])), "")
    if not options.columns or not other:
        return ""
    return f"{IF_SPECIES}beside --columns, {other!r} must be a Latin name or a code"


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the segments, or recordings. One without any species is a negative, unless a cell is empty or UNK.

    Beside a species, such a cell is a row of its own that has no name: any species may be there, too. In a table
    without a 0, empty cells stand for 0 there.

    A table without rows says nothing of its recording.

    Raises:
        InputError: times that are not of the recording.
    """
    if len(document.lines) == 1:
        return [dataclasses.replace(row, labels=label_cells.Labels()) for row in rows.nothing_found(document.path)]
    found = columns.find(document, options.columns)
    times.refuse_other_times(document, found, options.columns)
    zones.warn(document, found)
    species, units = _species(document, found), times.units(document, found)
    order = free_text.order_of_dates(columns.down(document, found.get("date", ())))
    if others := [name for name in columns.unused(document, found) if name not in species.values()]:
        logging.warning("%s: columns that are not taken for species: %s", document.path, ", ".join(others))
    if options.columns:
        logging.warning(
            "%s: its columns of 0 and 1, such as %s, become the classes; if the species stand elsewhere, say "
            "--layout=folders or --columns=label=NAME", document.path, " and ".join(list(species.values())[:2]),
        )  # fmt: skip
    is_empty_unknown = any(_ABSENT & _told(document, i) for i in species)
    read_rows, above = [], ""
    for line, texts_of_line in document.lines[1:]:
        cells = columns.cells_of(texts_of_line, found)
        values = {name: _value(texts_of_line, i) for i, name in species.items()}
        above = cells["file"] or above
        row = rows.Row(
            where=rows.where(document, line),
            files=(above,) if above else (),
            about=_about(cells, order),
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
        if present and not row.problem and ("unk" in values.values() or (is_empty_unknown and "" in values.values())):
            read_rows.append(rows.unsure(row))
    return read_rows


def _about(cells: Mapping[str, str], order: str) -> metadata.Recording:
    """What the cells of a row say of its recording, by whom and where it was made."""
    place = rows.described(order=order, **{what: cells[what] for what in _OF_PLACE if what in cells})
    return dataclasses.replace(place, author=cells.get("author", ""), site=cells.get("site", ""), background_known=True)


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


def _is_like_species(name: str) -> bool:
    """Whether a column is called by a Latin name, or by a code that is no word for a kind of sound or a condition."""
    is_word = odd_names.is_kind(name) or name.casefold() in CONDITIONS
    is_code = label_cells.EBIRD_CODE.fullmatch(name) or label_cells.RINGERS_CODE.fullmatch(name)
    return label_cells.is_latin(name) or bool(is_code and not is_word)


def _has_other_meaning(name: str) -> bool:
    words = [word for word in columns.normal(name).split() if not word.isdecimal()]
    return not _NO_SPECIES.isdisjoint(words) and (_NO_SPECIES | _BESIDE_THEM).issuperset(words)


FORMAT = file_format.Format(
    name="table with a column for each species",
    suffixes=(".csv", ".tsv", parquet.SUFFIX, *json_lines.SUFFIXES),
    recognise=recognise,
    read=read,
    has_header=True,
)

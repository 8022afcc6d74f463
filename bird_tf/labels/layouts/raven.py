"""Raven selection tables: of one recording, or of a sequence of recordings (Begin File or Begin Path, File Offset)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from bird_tf import config, free_text
from bird_tf.audio import decode
from bird_tf.labels import texts
from bird_tf.labels.layouts import columns, rows

NAME = "Raven selection table"
SUFFIXES = (".txt", ".tsv", ".csv")
_START, _END = "begin time s", "end time s"
# the names of the columns; the first one that the table has is used, unless --columns gives another one
_KNOWN = {
    "label": (
        "species code", "species ebird code", "species", "common name", "annotation", "label", "tags", "sound type",
    ),
    "file": ("begin path", "begin file"),
    "score": columns.COLUMNS["score"],
    "channel": ("channel",),
    "common": columns.COLUMNS["common"],
    "end file": ("end path", "end file"),
}  # fmt: skip
_USUAL = (_START, _END, "file offset s", "selection", "view", "low freq hz", "high freq hz")


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether it is a selection table: its first line is the header of one."""
    names = columns.positions(document)
    return _START in names and ("selection" in names or "view" in names or "begin path" in names)


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the selections. Raven lists a selection once for each view.

    A selection that goes on into the next recording is a label of the first; the rest is told as a row without use.

    Raises:
        InputError: the column with the species, or the one with the end, is missing; or the selections are in several
            recordings, and File Offset is missing.
    """
    if len(document.lines) == 1:
        return rows.nothing_found(document)
    names, used = columns.positions(document), _columns(document, options)
    if "label" not in used or _END not in names:
        raise columns.lacks(document, "label", "the species")
    found = list(_selections(document, names, used))
    named = {selection.file for selection in found if selection.file}
    if len(named) > 1 and "file offset s" not in names:
        raise config.InputError(
            f"{document.path}: a sequence of {len(named)} recordings without File Offset (s): add this column in Raven "
            "and save the table again"
        )
    # the table of one recording, which may have another name today
    alone = len(named) <= 1 and all(s.start == s.begin for s in found)
    read_rows = []
    for selection in found:
        row = rows.Row(
            where=rows.where(document, selection.line),
            files=(selection.file,) if selection.file else (),
            or_namesake=alone,
            score=rows.read_score(selection.cells.get("score", "")),
            channel=rows.read_channel(selection.cells.get("channel", "")),
            common=texts.clean(selection.cells.get("common", "")),
            about=rows.COMPLETE,
        )
        row = rows.labelled(row, selection.cells["label"], options)
        read_rows.append(rows.spanned(row, selection.start, selection.length, is_duration=True))
        if next_file := _goes_on_in(selection):
            problem = f"its selection goes on into {next_file}: what is not annotated there is no noise"
            read_rows.append(rows.Row(where=row.where, files=(next_file,), problem=problem))
    return read_rows


def _goes_on_in(selection: _Selection) -> str:
    """The recording in which a selection of a sequence ends; empty if it is the one that it begins in."""
    begin, end = (
        name.replace("\\", "/") for name in (selection.file, texts.clean(selection.cells.get("end file", "")))
    )
    folder, _, name = begin.rpartition("/")
    if not begin or end.rpartition("/")[2] in ("", name):
        return ""
    return end if "/" in end or not folder else f"{folder}/{end}"


def unused_columns(document: texts.Document, options: rows.Options) -> tuple[str, ...]:
    """The names of the columns that are not used, without those that every table has."""
    names = columns.positions(document)
    used = _columns(document, options) | {name: (names[name],) for name in _USUAL if name in names}
    return tuple(columns.unused(document, used))


def _columns(document: texts.Document, options: rows.Options) -> dict[str, tuple[int, ...]]:
    """{what: positions} of the columns with the species, recording, score and channel, as far as there are any.

    Raises:
        InputError: the table lacks a column that --columns gives.
    """
    names, given = columns.positions(document), columns.given_for(document, options.columns)
    found = columns.find(document, options.columns) if given else {}
    used = {what: found[what] for what in _KNOWN if what in given}
    for what, known in _KNOWN.items():
        if what not in used and (positions := [names[name] for name in known if name in names]):
            used[what] = (positions[0],)
    if "file" not in used and (position := _with_recordings(document, names)) >= 0:
        used["file"] = (position,)
    return used


def _with_recordings(document: texts.Document, names: dict[str, int]) -> int:
    """The column of another name that holds nothing but recordings, as a person adds it; -1 without one."""
    position = next((names[name] for name in columns.COLUMNS["file"] if name in names), -1)
    cells = [texts.clean(cells[position]) for _, cells in document.lines[1:] if position < len(cells)]
    return position if all(cell.lower().endswith(decode.SUFFIXES) for cell in cells) else -1


@dataclasses.dataclass(frozen=True, slots=True)
class _Selection:
    """A line of the table.

    Attributes:
        line: its number.
        cells: {what: text}.
        file: the recording as it is named; empty if it is not.
        begin, start: in the sequence, and in its recording, as text.
        length: in seconds.
    """

    line: int
    cells: Mapping[str, str]
    file: str
    begin: str
    start: str
    length: str


def _selections(
    document: texts.Document, names: Mapping[str, int], used: Mapping[str, tuple[int, ...]]
) -> Iterator[_Selection]:
    for line, cells in document.lines[1:]:
        if len(cells) < len(document.header):
            cells = cells + [""] * (len(document.header) - len(cells))
        begin, end = cells[names[_START]], cells[names[_END]]
        offset = cells[names["file offset s"]] if "file offset s" in names else ""
        length = free_text.seconds(end) - free_text.seconds(begin)
        filled = {what: next(filter(str.strip, (cells[i] for i in of)), "") for what, of in used.items()}
        yield _Selection(
            line=line,
            cells=filled,
            file=texts.clean(filled.get("file", "")),
            begin=begin,
            start=offset if offset.strip() else begin,
            length=f"{length:.9f}" if length == length else end,
        )

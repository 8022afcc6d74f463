"""Raven selection tables: of one recording, or of a sequence of recordings (Begin File or Begin Path, File Offset)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from bird_tf import config, free_text
from bird_tf.labels import texts
from bird_tf.labels.layouts import columns, rows

NAME = "Raven selection table"
SUFFIXES = (".txt", ".tsv", ".csv")
_LABELS = ("species code", "species ebird code", "species", "common name", "annotation", "label", "tags", "sound type")
_START, _END = "begin time s", "end time s"


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether it is a selection table: its first line is the header of one."""
    names = [columns.normal(name) for name in document.header]
    return _START in names and ("selection" in names or "view" in names or "begin path" in names)


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the selections. Raven lists a selection once for each view.

    Raises:
        InputError: the column with the species, or the one with the end, is missing; or the selections are in several
            recordings, and File Offset is missing.
    """
    if len(document.lines) == 1:
        return rows.nothing_found(document)
    names = {columns.normal(name): i for i, name in reversed(list(enumerate(document.header)))}
    given = columns.find(document, options.columns) if options.columns else {}
    is_given = "label" in columns.given_for(document, options.columns)
    label = given["label"] if is_given else tuple(names[name] for name in _LABELS if name in names)[:1]
    if not label or _END not in names:
        raise config.InputError(
            f"{document.path}: which column holds the species? it has {', '.join(document.header)}; "
            "say --columns=label=NAME"
        )
    file = next((names[name] for name in ("begin path", "begin file") if name in names), -1)
    score = next((names[name] for name in columns.COLUMNS["score"] if name in names), -1)
    found = list(_selections(document, names, file))
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
            score=rows.read_score(selection.cell(score)),
            common=texts.clean(selection.cell(names.get("common name", -1))),
            about=rows.COMPLETE,
        )
        row = rows.labelled(row, next(filter(str.strip, map(selection.cell, label)), ""), options)
        read_rows.append(rows.spanned(row, selection.start, selection.length, is_duration=True))
    return read_rows


@dataclasses.dataclass(frozen=True, slots=True)
class _Selection:
    """A line of the table: `start` in its recording, `begin` in the sequence, both as text; `length` in seconds."""

    line: int
    cells: list[str]
    file: str
    begin: str
    start: str
    length: str

    def cell(self, position: int) -> str:
        """The cell of a column; empty without one."""
        return self.cells[position] if 0 <= position < len(self.cells) else ""


def _selections(document: texts.Document, names: dict[str, int], file: int) -> Iterator[_Selection]:
    for line, cells in document.lines[1:]:
        if len(cells) < len(document.header):
            cells = cells + [""] * (len(document.header) - len(cells))
        begin, end = cells[names[_START]], cells[names[_END]]
        offset = cells[names["file offset s"]] if "file offset s" in names else ""
        length = free_text.seconds(end) - free_text.seconds(begin)
        yield _Selection(
            line=line,
            cells=cells,
            file=texts.clean(cells[file]) if file >= 0 else "",
            begin=begin,
            start=offset if offset.strip() else begin,
            length=f"{length:.9f}" if length == length else end,
        )

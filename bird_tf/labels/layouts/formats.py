"""The foreign formats, and which of them a file has."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from bird_tf import config
from bird_tf.labels import texts
from bird_tf.labels.layouts import (
    audacity,
    birdclef,
    csv_table,
    inaturalist,
    kaggle_segments,
    kaleidoscope,
    macaulay,
    one_hot,
    raven,
    rows,
    sonic_visualiser,
    text_grid,
    verdict_table,
    xeno_canto,
    xeno_canto_annotations,
)

# A format is a module with NAME, SUFFIXES, `recognise` and `read`. The first one that recognises a file reads it, so
# the tables whose columns have usual names come last.
FORMATS: Sequence[Any] = (
    birdclef,
    verdict_table,
    xeno_canto,
    xeno_canto_annotations,
    text_grid,
    raven,
    kaleidoscope,
    kaggle_segments,
    inaturalist,
    macaulay,
    one_hot,
    sonic_visualiser,
    csv_table,
    audacity,
)
SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
SUFFIXES = tuple(dict.fromkeys(suffix for file_format in FORMATS for suffix in file_format.SUFFIXES))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A file of another program, and what was read from it.

    Attributes:
        path: of the file.
        format: name of its format; empty if none recognises it.
        rows: its rows.
        unused_columns: names of the columns of a table whose columns are known by their names that are not used.
        problem: why it cannot be read; empty if it can.
    """

    path: str
    format: str = ""
    rows: tuple[rows.Row, ...] = ()
    unused_columns: tuple[str, ...] = ()
    problem: str = ""

    @property
    def is_labelling(self) -> bool:
        """Whether a row says anything of species."""
        return any(row.labels.stated and not (row.labels.missing and not row.has_span) for row in self.rows)

    @property
    def names_recordings(self) -> bool:
        """Whether a row names its recording."""
        return any(row.files or row.catalogue_numbers for row in self.rows)

    @property
    def is_in_time(self) -> bool:
        """Whether a row is about a span."""
        return any(row.has_span for row in self.rows)


def read(path: str, options: rows.Options) -> Source:
    """Reads a file in the first format that recognises it. What cannot be read is told as its problem."""
    document, name = texts.Document(path), ""
    try:
        for file_format in FORMATS:
            if path.lower().endswith(file_format.SUFFIXES) and file_format.recognise(document, options):
                name = file_format.NAME
                found = tuple(file_format.read(document, options))
                unused = csv_table.unused_columns(document, options) if file_format is csv_table else ()
                problem = "" if found else "a table without rows"
                return Source(path=path, format=name, rows=found, unused_columns=unused, problem=problem)
    except config.InputError as error:
        return Source(path=path, format=name, problem=str(error).removeprefix(f"{path}: "))
    return Source(path=path, problem=_what_it_is(document))


def _what_it_is(document: texts.Document) -> str:
    known = "none of the known formats (see --columns for tables with other names of columns)"
    if document.path.lower().endswith(SPREADSHEETS):
        return "a spreadsheet; save it as CSV"
    try:
        header = document.header
    except config.InputError:  # such as JSON
        return known
    return f"{known}; its first line has {', '.join(header)[:300]}" if len(header) > 1 else known

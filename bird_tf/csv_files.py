"""Tables of bird_tf: comma-separated, UTF-8, with a header line. How they are written, and how they are read again.

Tables of other programs and of people are read by `labels.given_table`.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import math
import re
import sys
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from bird_tf import config, files, free_text, lines, stored

# A spreadsheet program runs a cell that begins so as a formula (OWASP, CSV injection).
_FORMULA_STARTS = frozenset("=+-@\t\r")
_DEFUSED_STARTS = _FORMULA_STARTS | {"'"}


@contextlib.contextmanager
def writing(
    path: str, columns: Sequence[str], *, byte_order_mark: bool = False, as_they_are: Collection[str] = ()
) -> Iterator[Callable[[Sequence[Any]], Any]]:
    """Yields a function that appends a row to a comma-separated table with a header line.

    The file appears when the block ends. Fields are quoted where necessary. A text that a spreadsheet program would run
    as a formula begins with an apostrophe; `read` takes it away.

    Args:
        path: of the table.
        columns: their names.
        byte_order_mark: whether the file begins with one, by which Excel recognises UTF-8.
        as_they_are: columns whose texts a program needs so, such as names of files.
    """
    with files.writing_text(path) as write_text:
        if byte_order_mark:
            write_text("\ufeff")
        # with this line end, csv quotes cells that hold either of its signs, as names of files may
        rows = types.SimpleNamespace(write=lambda row: write_text(row.removesuffix("\r\n") + "\n"))
        writer = csv.writer(rows, lineterminator="\r\n")
        kept = {number for number, column in enumerate(columns) if column in as_they_are}

        def append(row: Sequence[Any]) -> None:
            cells = list(map(_defused, row))
            for number in kept:
                cells[number] = row[number]
            writer.writerow(cells)

        append(columns)
        yield append


def write(path: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, byte_order_mark: bool = False) -> None:
    """Writes a table at once; see `writing`."""
    with writing(path, columns, byte_order_mark=byte_order_mark) as append:
        for row in rows:
            append(row)


def read(path: str, columns: Sequence[str]) -> Iterator[Row]:
    """Yields the rows of a table that `writing` wrote. Rows without any text are left out.

    Args:
        path: of the table.
        columns: that it must have; it may have more.

    Raises:
        InputError: it is no UTF-8 text, is not a table, lacks a column, or a row has not one cell for each column.
    """
    content = files.read_bytes(path, files.LARGEST_TEXT)
    reader = csv.reader(lines.of_rows(lines.each(content, stored.MOST_ROWS)), strict=True)
    header: list[str] = []
    number = 1
    try:
        for cells in reader:
            texts = [restored(cell) for cell in cells]
            if not header:
                header = texts
                _check_header(path, header, columns)
            elif any(texts):
                row = Row(path, number, dict(zip(header, texts, strict=False)))
                if len(cells) != len(header):
                    raise row.error(f"{len(cells)} cells, expected {len(header)}; {stored.REMEDY}")
                yield row
            number = reader.line_num + 1
    except csv.Error as error:
        raise config.InputError(f"{path}, line {number}: not a table ({error}); {stored.REMEDY}") from error
    except (lines.TooLargeError, lines.NotUnicodeError) as error:
        raise stored.damaged(path, f"not a table: {error}") from error
    if not header:
        _check_header(path, header, columns)


def _check_header(path: str, header: Sequence[str], columns: Sequence[str]) -> None:
    if missing := [column for column in columns if column not in header]:
        raise config.InputError(f"{path}: no column {missing[0]}, expected {', '.join(columns)}; {stored.REMEDY}")
    if len(set(named := [column for column in header if column])) < len(named):
        raise config.InputError(f"{path}: a column is there twice; {stored.REMEDY}")


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        path: of the table.
        line: number of its first line.
        cells: {column: text}.
        remedy: what to do about a cell that cannot be read.
    """

    path: str
    line: int
    cells: Mapping[str, str]
    remedy: str = stored.REMEDY

    def error(self, problem: str) -> config.InputError:
        """What is wrong with the row, for `raise`."""
        return config.InputError(f"{self.path}, line {self.line}: {problem[: stored.LONGEST_PROBLEM]}")

    def text(self, column: str) -> str:
        """A cell that must not be empty."""
        if not self.cells.get(column):
            raise self.error(f"{column} is missing; {self.remedy}")
        return self.cells[column]

    def number(self, column: str, lowest: float = -math.inf, highest: float = math.inf) -> float:
        """A number within limits; NaN if the cell is empty or the table has no such column."""
        cell = self.cells.get(column, "")
        value = free_text.number(cell, sys.float_info.max)
        if cell and not lowest <= value <= highest:
            raise self.error(f"{column} must be a number{_within(lowest, highest)}, not {cell[:40]!a}; {self.remedy}")
        return value

    def count(self, column: str, default: int | None = None) -> int:
        """A whole number of at least 0; the default if the cell is empty or the table has no such column.

        pandas writes a number as 41.0, if another cell of the column is empty.
        """
        cell = self.cells.get(column, "")
        if not cell and default is not None:
            return default
        if not (found := re.fullmatch(r"(\d{1,15})(?:\.0)?", cell, re.ASCII)):
            raise self.error(f"{column} must be a whole number, not {cell[:40]!a}; {self.remedy}")
        return int(found[1])


def _within(lowest: float, highest: float) -> str:
    if math.isinf(lowest) or math.isinf(highest):
        return f" of at least {lowest:g}" if math.isfinite(lowest) else ""
    return f" from {lowest:g} to {highest:g}"


def restored(cell: str) -> str:
    """The text of a cell: without the apostrophe by which `writing` defuses a formula."""
    return cell[1:] if cell[:1] == "'" and _runs(cell[1:]) else cell


def joined(parts: Iterable[str]) -> str:
    """Texts in one cell, separated by `;`. A text with a semicolon or quotation marks is quoted, as in CSV."""
    line = io.StringIO()
    csv.writer(line, delimiter=";", lineterminator="\n").writerow(list(parts))
    return line.getvalue().removesuffix("\n")


def divided(cell: str) -> list[str]:
    """The texts that `joined` put into a cell."""
    return next(csv.reader(io.StringIO(cell, newline=""), delimiter=";"), [])


def _defused(value: Any) -> Any:
    """The cell for a value. Numbers stay as they are, and so do texts that no program runs."""
    if value.__class__ is not str or value[:1] not in _DEFUSED_STARTS or not _runs(value):
        return value
    return f"'{value}"


def _runs(text: str) -> bool:
    """Whether a text is a formula, perhaps after apostrophes, and no number."""
    formula = text.lstrip("'")
    if len(formula) < 2 or formula[0] not in _FORMULA_STARTS:
        return False
    try:
        float(formula)
    except ValueError:
        return True
    return False

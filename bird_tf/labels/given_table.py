"""Tables and lists that a person wrote for a flag: with any encoding and delimiter, and numbers as people write them.

What the columns mean belongs to the modules that read them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bird_tf import config, csv_files, files
from bird_tf.labels import texts

_REMEDY = "correct the table"


def read(path: str, flag: str, columns: Sequence[str]) -> Iterator[csv_files.Row]:
    """Yields the rows of a table.

    Args:
        path: of the table.
        flag: its flag, for messages; empty if several flags can name it.
        columns: that it must have, in any order and in upper or lower case; it may have more, which are in lower case.

    Raises:
        InputError: it cannot be read, lacks a column, or a row has more cells than the header.
    """
    origin = f"--{flag}={path}" if flag else path
    rows = texts.Document(path).rows()
    _, first = next(rows, (0, []))
    if not first:
        raise config.InputError(f"{origin}: an empty table; need the columns {', '.join(columns)}")
    names = {texts.comparable(column): column for column in columns}
    found = [texts.comparable(csv_files.restored(texts.clean(name))) for name in first]
    header = [names.get(name, name) for name in found]
    for column in columns:
        if header.count(column) != 1:
            raise config.InputError(f"{origin}: need the column {column}, once, in the first line, as {columns}")
    for line, cells in rows:
        clean = [texts.clean(csv_files.restored(cell)) for cell in cells]
        row = csv_files.Row(
            origin, line, dict(zip(header, [*clean, *[""] * len(header)], strict=False)), remedy=_REMEDY
        )
        if any(clean[len(header) :]):
            raise row.error(f"{len(cells)} cells, but {len(header)} columns; {_REMEDY}")
        yield row


def read_own(path: str, columns: Sequence[str]) -> Iterator[csv_files.Row]:
    """Yields the rows of a table that we wrote, and that a person may have saved anew with a spreadsheet program.

    Tables may have been joined: a line in the middle that repeats the header is none of the rows.

    Args:
        path: of the table.
        columns: that it must have; it may have more.

    Raises:
        InputError: as `csv_files.read`; of a table that was saved anew as `read`.
    """
    as_written = _is_as_written(files.read_bytes(path, files.LARGEST_TEXT), columns)
    for row in csv_files.read(path, columns) if as_written else read(path, "", columns):
        told = {texts.comparable(column): texts.comparable(texts.clean(cell)) for column, cell in row.cells.items()}
        if any(cell not in ("", column) for column, cell in told.items()):
            yield row


def _is_as_written(content: bytes, columns: Sequence[str]) -> bool:
    """Whether a table has the encoding and the delimiter with which we write."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    first = re.split(r"[\r\n]", text, maxsplit=1)[0]
    return set(columns) <= set(first.replace('"', "").split(","))


def lines(path: str, comment: str = "") -> list[str]:
    """The lines of a list, cleaned, without empty ones, and without those that begin with `comment` if there is one.

    Raises:
        InputError: it cannot be read, or is no text.
    """
    cleaned = map(texts.clean, texts.Document(path).each_line())
    return [line for line in cleaned if line and not (comment and line.startswith(comment))]

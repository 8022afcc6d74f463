"""Text files of other programs: THE policy for their encodings, delimiters and damage.

What the text means belongs to the modules of the formats.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from absl import logging

from bird_tf import config, lines, typed
from bird_tf.labels import json_lines, parquet

_LARGEST_BYTES = 64 << 20  # of a table of short cells, the lists of cells take twenty times as much
_MOST_SHARED = 100_000  # different cells that are kept in mind
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # the first bytes of xlsx, ods and numbers, and of xls
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060\ufeff]")  # zero-width blanks and marks of direction
# The earlier of two delimiters that divide a line into equally many cells counts.
_DELIMITERS = "\t;,|"
_LONGEST_HEADER = 10_000  # characters of a first row of several lines


def clean(text: str) -> str:
    """A cell as people see it: composed characters, single blanks, nothing invisible."""
    if not text.isascii():
        text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    return " ".join(text.split())


def hidden(text: str) -> str:
    """The first sign of a text that nobody sees, and that is no blank; empty if there is none."""
    found = _CONTROLS.search(text) or _INVISIBLE.search(text)
    return found[0] if found else ""


def comparable(text: str) -> str:
    """What texts have in common that differ in upper and lower case, or in the form of accented letters."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def without_signs(text: str) -> str:
    """The words of a text as of `comparable`, with a blank between them: `Start (s)` and `start_s` are the same."""
    return " ".join(re.split(r"[\W_]+", comparable(text))).strip()


def read_bytes(path: str, largest: int = _LARGEST_BYTES) -> bytes:
    """The bytes of a file.

    Raises:
        InputError: it cannot be opened, or has more bytes than `largest`.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise config.InputError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > largest:
        raise config.InputError(f"{path}: larger than {largest >> 20} MB; divide it into smaller files")
    return content


def decode(path: str, content: bytes) -> str:
    """The text of a file's bytes. `path` is for messages.

    Raises:
        InputError: it is no text in UTF-8, UTF-16 or Windows-1252.
    """
    if content.startswith(_SPREADSHEETS):
        raise config.InputError(f"{path}: no text, but a spreadsheet or an archive; save a spreadsheet as CSV")
    mark, encoding = next((entry for entry in _MARKS if content.startswith(entry[0])), (b"", ""))
    if not encoding:
        encoding = _utf16_without_mark(content) or "utf-8"
    try:
        text = content.removeprefix(mark).decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8" or mark:
            raise config.InputError(
                f"{path}: damaged {encoding.upper()} text ({error.reason}); save it anew"
            ) from error
        text = _windows_text(path, content)
    if found := _CONTROLS.search(text):
        raise config.InputError(f"{path}: no text: it holds the control character {found[0]!r}; save it as UTF-8 text")
    return text


def _utf16_without_mark(content: bytes) -> str:
    """The encoding of UTF-16 text of which every second byte is mostly 0; empty for other text."""
    beginning = content[:1000]
    zeros = [beginning[parity::2].count(0) for parity in (0, 1)]
    if len(content) % 2 or max(zeros) <= len(beginning) // 4 or min(zeros) > 0:
        return ""
    return "utf-16-le" if zeros[1] else "utf-16-be"


def _windows_text(path: str, content: bytes) -> str:
    """Reads the lines that are not UTF-8 as Windows-1252: a file that was put together can hold both."""
    text, foreign = [], []
    for line in content.split(b"\n"):
        try:
            text.append(line.decode("utf-8"))
        except UnicodeDecodeError:
            try:
                foreign.append(line.decode("cp1252"))
            except UnicodeDecodeError as error:
                raise config.InputError(
                    f"{path}: neither UTF-8 nor Windows-1252 text ({error}); save it as UTF-8"
                ) from error
            text.append(foreign[-1])
    word = re.search(r"\w*[^\x00-\x7f]\w*", foreign[0])
    logging.warning(
        "%s is not UTF-8: %d lines are read as Windows-1252, as in %r; if that is wrong, save it as UTF-8",
        path, len(foreign), word[0][:40] if word else "",
    )  # fmt: skip
    return "\n".join(text)


@dataclasses.dataclass(frozen=True)
class Document:
    """A text file of another program, read when it is needed.

    Its properties raise InputError if they cannot be read.
    """

    path: str

    @functools.cached_property
    def text(self) -> str:
        """The whole text."""
        return decode(self.path, read_bytes(self.path))

    @functools.cached_property
    def lines(self) -> list[tuple[int, list[str]]]:
        """(number of the line, its cells) of each line with any text, divided by the delimiter of the first one.

        Quotes in tab-separated text are ordinary characters, unless they enclose a cell: Raven and Audacity know none.
        """
        return _sharing(self.rows())

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yields `lines`, one after the other."""
        if self.path.lower().endswith(parquet.SUFFIX):
            yield from parquet.rows(self.path)
            return
        if self.path.lower().endswith(json_lines.SUFFIXES):
            yield from json_lines.rows(self.path, self.each_line())
            return
        text, skipped = self.text, 0
        if text[:4].lower() == "sep=":  # Excel's own line
            text, skipped = text.partition("\n")[2], 1
        content = text.encode()
        del text
        try:
            for number, cells in _divided(content, _delimiter(content)):
                if any(map(str.strip, cells)):
                    yield number + skipped, cells
        except _RowError as error:
            raise config.InputError(f"{self.path}, line {error.number + skipped}: {error}") from error
        except lines.TooLargeError as error:
            raise config.InputError(f"{self.path}: {error}; is it a table? Divide it into smaller files") from error

    def each_line(self) -> Iterator[str]:
        """Yields the lines of a list.

        Raises:
            InputError: it cannot be read, or is too large.
        """
        try:
            yield from lines.each(self.text.encode())
        except lines.TooLargeError as error:
            raise config.InputError(f"{self.path}: {error}; is it a list?") from error

    @functools.cached_property
    def header(self) -> list[str]:
        """The cells of the first line."""
        return [clean(cell) for cell in self.lines[0][1]] if self.lines else []

    @functools.cached_property
    def misfits(self) -> dict[int, str]:
        """{number of a line with more cells than the first one: why it is not known which is of which column}.

        Empty cells at the end do no harm: some programs write them.
        """
        width, below = len(self.header), self.lines[1:]
        found = {number: len(cells) for number, cells in below if any(map(str.strip, cells[width:]))}
        hint = "put a text with the sign between cells into quotes, or add the line end that is missing"
        if len(found) == len(below) > 1 and {*found.values()} == {width + 1}:
            hint = "so have all: name each column, also the first one (unlike R), or put texts with commas into quotes"
        return {number: f"{n} cells, but the first line has {width}; {hint}" for number, n in found.items()}

    @functools.cached_property
    def json(self) -> Any:
        """The content, read as JSON."""
        try:
            return typed.parse_json(self.text, finite=False)
        except ValueError as error:
            raise config.InputError(f"{self.path}: not JSON ({error})") from error


def _delimiter(content: bytes) -> str:
    """The sign that divides the first row into most cells.

    Raises:
        _RowError: a cell of it is too long.
    """
    first = _first_row(content)

    def num_cells(sign: str) -> int:
        is_tab = sign == "\t"  # between tabs, cells hold no line ends
        return len(next(csv.reader(first[:1] if is_tab else first, delimiter=sign, skipinitialspace=not is_tab), []))

    try:
        return max(_DELIMITERS, key=num_cells)
    except csv.Error as error:
        raise _RowError(1, str(error)) from error


def _first_row(content: bytes) -> list[str]:
    """The first line with any text, and those after it in which its cells between quotation marks go on."""
    found: list[str] = []
    for line in lines.each(content):
        if found or line.strip():
            found.append(line)
        row = "".join(found)
        if found and row.count('"') % 2 == 0:
            return found
        if len(row) > _LONGEST_HEADER:
            break
    return found[:1]


class _RowError(ValueError):
    """A row cannot be divided into cells. `number` is that of its first line."""

    def __init__(self, number: int, problem: str) -> None:
        super().__init__(f"not a table ({problem}); is there a quotation mark too many in this row, or one too few?")
        self.number = number


def _divided(content: bytes, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    quoted = delimiter != "\t"
    found = lines.each(content)
    reader = csv.reader(
        lines.of_rows(found) if quoted else found,
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        skipinitialspace=quoted,
        strict=quoted,  # an open quotation mark must not swallow the rows after it
    )
    number = 1
    try:
        for cells in reader:
            yield number, cells if quoted else [_unquoted(cell) for cell in cells]
            number = reader.line_num + 1
    except csv.Error as error:
        raise _RowError(number, str(error)) from error


def _sharing(numbered: Iterable[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """Keeps equal cells once: the names and times of a large table repeat."""
    known: dict[str, str] = {}
    found = []
    for number, cells in numbered:
        if len(known) > _MOST_SHARED:
            known.clear()
        found.append((number, [known.setdefault(cell, cell) for cell in cells]))
    return found


def _unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell

"""The lines of a text of any origin, within limits: a table that needs more memory than there is ends in one line."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

# Python's objects for a row of a foreign table, and for what is read from it, have up to 1500 bytes
MOST = 1_000_000
LONGEST = 1 << 20  # characters of a row


class TooLargeError(ValueError):
    """A text has more lines than can be read, or a longer one. The message says which, without the file."""


class NotUnicodeError(ValueError):
    """Bytes are no UTF-8 text. The message says about where, without the file."""


def each(content: bytes, most: int | None = None) -> Iterator[str]:
    """Yields the lines of UTF-8 text with their ends (newline, carriage return or both), without a byte order mark.

    Args:
        content: the text.
        most: number of lines; None: `MOST`.

    Raises:
        NotUnicodeError: it is no such text.
        TooLargeError: there are more lines than that, or one has more than `LONGEST` characters.
    """
    number, most = 0, MOST if most is None else most
    try:
        for number, line in enumerate(io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline=""), 1):
            if number > most:
                raise TooLargeError(f"more than {most} lines")
            if len(line) > LONGEST:
                raise TooLargeError(f"line {number} is longer than {LONGEST} characters")
            yield line
    except UnicodeDecodeError as error:
        raise NotUnicodeError(f"not UTF-8 text after line {number} ({error.reason})") from error


def of_rows(lines: Iterable[str]) -> Iterator[str]:
    """Yields the lines of a table whose cells may hold line ends between quotation marks.

    Raises:
        TooLargeError: a row has more than `LONGEST` characters, as after a quotation mark without a second one.
    """
    length = quotes = 0
    for number, line in enumerate(lines, 1):
        length = len(line) + length * (quotes % 2)  # after an odd number of quotation marks the row goes on
        quotes += line.count('"')
        if length > LONGEST:
            raise TooLargeError(f"the row that ends after line {number} is longer than {LONGEST} characters")
        yield line

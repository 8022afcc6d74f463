"""Parts of a damaged file that can be decoded, each read as a file of its own."""

from __future__ import annotations

import bisect
import dataclasses
import io
import itertools
import os


@dataclasses.dataclass(frozen=True)
class Repeated:
    """Bytes that stand in no file, so many times."""

    content: bytes
    count: int = 1


# the first byte and the end of a stretch of the file, or other bytes
Piece = tuple[int, int] | Repeated


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a recording that a decoder takes for a whole file.

    Attributes:
        pieces: what it consists of; () is the whole file.
        end_seconds: position of its end in the recording; None if the part begins where the one before ends, or at 0.
    """

    pieces: tuple[Piece, ...] = ()
    end_seconds: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """What a file holds, as far as its headers, frames or pages show it without decoding.

    Attributes:
        parts: what can be decoded, in order.
        seconds: length of the recording; 0 if unknown.
        held_share: the share of the recording that is there, where its length is unknown.
        lost: (start, end) in seconds of what is lost within a part, where the part holds silence.
        damage: what is wrong with the sound, in words; empty if nothing is.
        warning: what is wrong with the header alone.
    """

    parts: tuple[Part, ...] = (Part(),)
    seconds: float = 0.0
    held_share: float = 1.0
    lost: tuple[tuple[float, float], ...] = ()
    damage: str = ""
    warning: str = ""


class Spliced(io.RawIOBase):
    """Pieces of a file, read as a file of their own."""

    def __init__(self, path: str, pieces: tuple[Piece, ...]) -> None:
        self._file = open(path, "rb")
        self._pieces = pieces
        self._ends = list(itertools.accumulate(map(_length, pieces)))
        self._position = 0

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Whether positions can be chosen."""
        return True

    def tell(self) -> int:
        """The position of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Chooses the position of the next byte, never before the first one."""
        size = self._ends[-1] if self._ends else 0
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills the buffer as far as there are bytes, also across pieces. Returns the number of bytes."""
        target, filled = memoryview(buffer).cast("B"), 0
        while filled < len(target) and (content := self._next(len(target) - filled)):
            target[filled : filled + len(content)] = content
            filled += len(content)
            self._position += len(content)
        return filled

    def _next(self, count: int) -> bytes:
        """The next bytes, at most so many, of one piece."""
        number = bisect.bisect_right(self._ends, self._position)
        if number == len(self._pieces):
            return b""
        piece, left = self._pieces[number], self._ends[number] - self._position
        offset, count = _length(piece) - left, min(count, left)
        if isinstance(piece, Repeated):
            size = len(piece.content)
            first = offset % size
            return (piece.content * (count // size + 2))[first : first + count]
        self._file.seek(piece[0] + offset)
        return self._file.read(count)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        super().close()


def _length(piece: Piece) -> int:
    return len(piece.content) * piece.count if isinstance(piece, Repeated) else piece[1] - piece[0]

"""Parts of a damaged file that can be decoded, each read as a file of its own."""

from __future__ import annotations

import dataclasses
import io
import itertools
import os

# bytes that stand in no file, or the first byte and the end of a stretch of the file
Piece = bytes | tuple[int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a recording that a decoder takes for a whole file.

    Attributes:
        pieces: what it consists of; () is the whole file.
        end_seconds: position of its end in the recording; None if the part begins where the one before ends.
    """

    pieces: tuple[Piece, ...] = ()
    end_seconds: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """What a file holds, as far as its headers, frames or pages show it without decoding.

    Attributes:
        parts: what can be decoded, in order.
        seconds: length of the recording; 0 if unknown.
        lost: (start, end) in seconds of what is lost within a part, where the part holds silence.
        damage: what is wrong with the sound, in words; empty if nothing is.
        warning: what is wrong with the header alone.
    """

    parts: tuple[Part, ...] = (Part(),)
    seconds: float = 0.0
    lost: tuple[tuple[float, float], ...] = ()
    damage: str = ""
    warning: str = ""


class Spliced(io.RawIOBase):
    """Pieces of a file, read as a file of their own."""

    def __init__(self, path: str, pieces: tuple[Piece, ...]) -> None:
        self._file = open(path, "rb")
        self._pieces = pieces
        lengths = (len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in pieces)
        self._ends = list(itertools.accumulate(lengths))
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
        target, filled, begin = memoryview(buffer).cast("B"), 0, 0
        for piece, end in zip(self._pieces, self._ends, strict=True):
            if begin <= self._position < end and filled < len(target):
                count = min(len(target) - filled, end - self._position)
                content = self._read(piece, self._position - begin, count)
                target[filled : filled + len(content)] = content
                filled += len(content)
                self._position += len(content)
            begin = end
        return filled

    def _read(self, piece: Piece, offset: int, count: int) -> bytes:
        if isinstance(piece, bytes):
            return piece[offset : offset + count]
        self._file.seek(piece[0] + offset)
        return self._file.read(count)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        super().close()

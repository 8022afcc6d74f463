"""The bytes of a file, read block by block.

No memory map: the system ends a program that touches a byte of it which the disk does not give, or which was cut off
meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import BinaryIO

_BLOCK_BYTES = 1 << 20
# no pattern that is searched is longer
_MOST_PATTERN_BYTES = 8
# tags mostly lie at the beginning
_TAG_BYTES = 1 << 16
# an ID3 tag begins so, with its length in the last four of these bytes, seven bits in each
ID3, ID3_HEAD_BYTES = b"ID3", 10


class Content:
    """The bytes of an open file, up to an end. All methods raise OSError where the disk does not give them."""

    def __init__(self, file: BinaryIO, end: int | None = None) -> None:
        size = os.fstat(file.fileno()).st_size
        self._file, self._size = file, size if end is None else min(size, end)
        self._begin, self._block = 0, b""

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, stretch: slice) -> bytes:
        start, stop, _ = stretch.indices(self._size)
        begin, block = self.around(start, stop - start)
        return block[start - begin : max(start, stop) - begin]

    def around(self, start: int, count: int) -> tuple[int, bytes]:
        """A block with so many bytes from a position on, fewer at the end of the file, and where the block begins."""
        count = min(count, self._size - start)
        if not self._begin <= start <= self._begin + len(self._block) - count:
            wanted = min(max(count, _BLOCK_BYTES), self._size - start)
            self._file.seek(start)
            block = self._file.read(wanted)
            if len(block) < wanted:
                raise OSError(0, "it became shorter while it was read")
            self._begin, self._block = start, block
        return self._begin, self._block

    def find(self, pattern: re.Pattern[bytes], start: int = 0) -> Iterator[int]:
        """Yields the positions where a pattern of at most 8 bytes begins."""
        while start < self._size:
            begin, block = self.around(start, min(_MOST_PATTERN_BYTES, self._size - start))
            for match in pattern.finditer(block, start - begin):
                start = begin + match.start() + 1
                yield start - 1
            end = begin + len(block)
            start = max(start, end if end == self._size else end - _MOST_PATTERN_BYTES + 1)


def beginning(path: str) -> str:
    """What a file begins with, as text in which the tags of any format can be searched. Raises OSError."""
    with open(path, "rb") as file:
        return file.read(_TAG_BYTES).replace(b"\0", b"").decode("latin-1")  # a tag may be UTF-16


def tag_bytes(head: bytes) -> int:
    """The length of the ID3 tag whose first ten bytes these are; 0 if there is none."""
    if not head.startswith(ID3) or len(head) < ID3_HEAD_BYTES:
        return 0
    length = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:ID3_HEAD_BYTES], (21, 14, 7, 0), strict=True))
    return ID3_HEAD_BYTES + length


@contextlib.contextmanager
def opened(path: str, end: int | None = None) -> Iterator[Content]:
    """Opens a file, up to an end, while the block runs. Raises OSError."""
    with open(path, "rb") as file:
        yield Content(file, end)

"""FLAC files (RFC 9639) that were joined to one, of which libsndfile reads the first, and those of unknown length."""

from __future__ import annotations

import mmap
import os
import re

from bird_tf.audio import parts

MAGIC = b"fLaC"

# how a file begins: with the head of the block that holds the sizes, which is the last block (128) or not
_START = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
# the number of samples: the last 36 of the 64 bits after the sizes of blocks and frames (section 8.2)
_LENGTH = (21, 26)


def read(path: str) -> parts.Layout:
    """Finds the files that follow each other in one."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        starts = [match.start() for match in _START.finditer(content)]
        ends = [*starts[1:], len(content)]
    if len(starts) < 2:
        return parts.Layout()
    return parts.Layout(parts=tuple(parts.Part(pieces=(piece,)) for piece in zip(starts, ends, strict=True)))


def endless(path: str, part: parts.Part) -> tuple[parts.Part, int]:
    """The part with the greatest length in its header (without one libsndfile cannot seek), and its number of bytes."""
    start, stop = part.pieces[0] if part.pieces else (0, os.path.getsize(path))  # type: ignore[misc]
    first, last = (start + offset for offset in _LENGTH)
    with open(path, "rb") as file:
        file.seek(first)
        bits = file.read(1)[0]
    length = parts.Repeated(bytes([bits & 0xF0]) + b"\xff" * 4)
    return parts.Part(pieces=((start, first), length, (last, stop))), stop - start

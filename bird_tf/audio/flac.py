"""FLAC files (RFC 9639) that were joined to one, of which libsndfile reads the first, and those of unknown length."""

from __future__ import annotations

import os
import re
from typing import BinaryIO

import numpy as np

from bird_tf.audio import content as contents
from bird_tf.audio import parts

MAGIC = b"fLaC"

# how a file begins: with the head of the block that holds the sizes, which is the last block (128) or not
_START = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
# how a frame begins (section 9.1); of what follows the sound, so much is searched for one
_SYNC, _MOST_SEARCHED_BYTES = re.compile(rb"\xff[\xf8\xf9]"), 1 << 20
# the number of samples: the last 36 bits of five bytes (section 8.2)
_LENGTH = 21
# blocks before the sound (section 8.1); files have a few of them
_LAST_BLOCK, _PADDING, _SEEK_TABLE, _MAX_BLOCKS = 0x80, 1, 3, 1000
# samples of a frame: few have less, none has more
_LEAST_SILENCE, _MAX_FRAME = 192, 65535


def is_flac(path: str, head: bytes) -> bool:
    """Whether a file that begins with these bytes is a FLAC file, perhaps behind ID3 tags."""
    return head.startswith(MAGIC) or (head.startswith(contents.ID3) and _begin(path) > 0)


def _begin(path: str) -> int:
    """The first byte of a FLAC file behind ID3 tags; -1 if there is none."""
    position = 0
    with open(path, "rb") as file:
        while size := contents.tag_bytes(head := file.read(contents.ID3_HEAD_BYTES)):
            position += size
            file.seek(position)
    return position if head.startswith(MAGIC) else -1


def read(path: str) -> parts.Layout:
    """Finds the files that follow each other in one."""
    with contents.opened(path) as content:
        starts = list(content.find(_START))
        ends = [*starts[1:], len(content)]
    if len(starts) < 2:
        return parts.Layout()
    return parts.Layout(parts=tuple(parts.Part(pieces=(piece,)) for piece in zip(starts, ends, strict=True)))


def searchable(path: str, part: parts.Part, *, has_length: bool) -> parts.Part:
    """A damaged part as libsndfile can search it.

    It is without its table of positions, which are wrong if bytes are missing, and has the greatest length in its
    header if it has none.
    """
    start, stop = _span(path, part)
    with open(path, "rb") as file:
        changes = [] if has_length else [_greatest_length(file, start)]
        changes += _tables_as_padding(file, start, stop)
    if not changes:
        return part
    pieces: list[parts.Piece] = []
    for position, content in changes:
        pieces += [(start, position), parts.Repeated(content)]
        start = position + len(content)
    return parts.Part(pieces=(*pieces, (start, stop)))


def has_more(path: str, part: parts.Part, num_read: int) -> bool:
    """Whether a frame may begin behind so many bytes of a part, of which tags and empty bytes hold none."""
    start = part.pieces[0][0] if part.pieces else 0  # type: ignore[index]
    _, stop = _span(path, part)
    if start + num_read >= stop:
        return False
    with open(path, "rb") as file:
        file.seek(start + num_read)
        return bool(_SYNC.search(file.read(min(stop - file.tell(), _MOST_SEARCHED_BYTES))))


def _span(path: str, part: parts.Part) -> tuple[int, int]:
    """The first byte of a part, behind tags, and its end."""
    return part.pieces[0] if part.pieces else (max(0, _begin(path)), os.path.getsize(path))  # type: ignore[return-value]


def _greatest_length(file: BinaryIO, start: int) -> tuple[int, bytes]:
    file.seek(start + _LENGTH)
    return start + _LENGTH, bytes([file.read(1)[0] & 0xF0]) + b"\xff" * 4


def _tables_as_padding(file: BinaryIO, start: int, stop: int) -> list[tuple[int, bytes]]:
    """The types of all blocks with positions, changed to that of empty blocks: (position, byte) of each."""
    found, position = [], start + len(MAGIC)
    for _ in range(_MAX_BLOCKS):
        file.seek(position)
        head = file.read(4)
        if position + 4 > stop:
            break
        if head[0] & ~_LAST_BLOCK == _SEEK_TABLE:
            found.append((position, bytes([head[0] & _LAST_BLOCK | _PADDING])))
        if head[0] & _LAST_BLOCK:
            break
        position += 4 + int.from_bytes(head[1:], "big")
    return found


def before_silence(block: np.ndarray) -> np.ndarray:
    """What precedes the silence that libFLAC puts in place of missing frames, of a block [n, channels] with an error.

    Little follows that silence, and its position may be wrong.
    """
    sound = np.concatenate([[-1], np.flatnonzero(block.any(axis=1)), [len(block)]])
    is_long = (np.diff(sound) > _LEAST_SILENCE) & (sound[1:] >= len(block) - _MAX_FRAME)
    begins = sound[:-1][is_long] + 1
    return block[: begins[-1]] if len(begins) else block

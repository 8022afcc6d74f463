"""The header of a WAV file, read by its chunks: the format, where the sound lies, and the texts of the recorder.

The sizes in the header are compared with the file, because recorders that lose power, pipes and files of more than
4 GiB leave wrong ones. The sound itself is not read here.
"""

from __future__ import annotations

import dataclasses
import os
import struct
from collections.abc import Mapping
from typing import BinaryIO

SUFFIXES = (".wav", ".rf64", ".bwf")

_KINDS = (b"RIFF", b"RF64", b"BW64")
# text chunks that recorders write, and the most bytes that are read of one
_TEXTS = (b"ICMT", b"IART", b"guan")
_MAX_TEXT_BYTES = 1 << 16
_MAX_CHUNKS = 1000
# chunks that often follow the sound; a file may end within one
_AFTER_SOUND = (b"LIST", b"bext", b"cue ", b"guan", b"wamd", b"id3 ", b"ID3 ", b"iXML", b"smpl", b"fact", b"PEAK")
_EXTENSIBLE = 0xFFFE
# programs that write into a pipe do not know the length, and write the largest number, rounded down in some way
_UNKNOWN_BYTES = 0x7FFF_0000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Header:
    """What the header of a WAV file says, and what the file holds.

    Attributes:
        code: format of a sample: 1 PCM, 3 floating point, 6 A-law, 7 µ-law; others are compressed.
        num_channels, sample_rate_hz, bits: as written; bits are those of one sample.
        data_offset: first byte of the sound.
        data_bytes: bytes of sound in the file.
        claimed_bytes: bytes of sound by the header.
        texts: {chunk id: text} of the comment (ICMT), the artist (IART) and the GUANO metadata (guan).
    """

    code: int
    num_channels: int
    sample_rate_hz: int
    bits: int
    data_offset: int
    data_bytes: int
    claimed_bytes: int
    texts: Mapping[str, str]

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels; 0 if the format is compressed."""
        return self.num_channels * (self.bits // 8) if self.code in (1, 3, 6, 7) else 0

    @property
    def is_right(self) -> bool:
        """Whether the header's size of the sound is that of the file."""
        return self.claimed_bytes == self.data_bytes

    @property
    def is_open_ended(self) -> bool:
        """Whether the header leaves the size open, as a program does that writes into a pipe."""
        return self.claimed_bytes >= _UNKNOWN_BYTES and self.claimed_bytes > self.data_bytes


def read(path: str) -> Header | None:
    """Reads the header of a WAV, RF64 or BW64 file; None if the file is of another kind, or holds no format.

    Only the headers of its chunks and a few texts are read, wherever they lie in the file.

    Raises:
        OSError: the file cannot be opened.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(12)
        if start[:4] not in _KINDS or start[8:12] != b"WAVE":
            return None
        return _read_chunks(file, size)


def _read_chunks(file: BinaryIO, size: int) -> Header | None:
    position, long_size, form, data, texts = 12, -1, b"", (-1, 0, 0), {}
    for _ in range(_MAX_CHUNKS):
        head = _chunk_head(file, position)
        if head is None:
            break
        name, length = head
        begin = position + 8
        if name == b"data":
            claimed = long_size if length == 0xFFFF_FFFF and long_size >= 0 else length
            data = (begin, claimed, _data_bytes(file, begin, claimed, size))
            length = data[2]
        elif name == b"ds64":
            long_size = int.from_bytes(_at(file, begin + 8, 8), "little")
        elif name == b"fmt ":
            form = _at(file, begin, min(length, 40))
        elif name == b"LIST" and _at(file, begin, 4) == b"INFO":
            texts.update(_info(file, begin + 4, min(begin + length, size)))
        elif name in _TEXTS:
            texts[name.decode()] = _text(_at(file, begin, min(length, _MAX_TEXT_BYTES)))
        position = begin + length + length % 2
    if len(form) < 16:
        return None
    code, channels, rate, _, _, bits = struct.unpack("<HHIIHH", form[:16])
    if code == _EXTENSIBLE and len(form) >= 26:
        code = int.from_bytes(form[24:26], "little")
    return Header(
        code=code, num_channels=channels, sample_rate_hz=rate, bits=bits, data_offset=data[0], claimed_bytes=data[1],
        data_bytes=data[2], texts=texts,
    )  # fmt: skip


def _data_bytes(file: BinaryIO, begin: int, claimed: int, size: int) -> int:
    """Bytes of sound in the file: those that the header claims if a chunk or the end of the file follows, else all."""
    end = begin + claimed
    padded = end + end % 2
    follows = (_chunk_head(file, position) for position in (padded, end))
    if end <= size and (size - padded < 8 or any(head and _is_chunk(head, size - end) for head in follows)):
        return claimed
    return max(0, size - begin)


def _is_chunk(head: tuple[bytes, int], bytes_left: int) -> bool:
    """Whether a chunk begins there, and not sound whose first bytes are letters by chance."""
    name, length = head
    return name in _AFTER_SOUND or 8 + length <= bytes_left


def _chunk_head(file: BinaryIO, position: int) -> tuple[bytes, int] | None:
    """Name and length of the chunk at a position; None if there is none."""
    head = _at(file, position, 8)
    name = head[:4]
    if len(head) < 8 or not all(32 <= byte < 127 for byte in name):
        return None
    return name, int.from_bytes(head[4:], "little")


def _info(file: BinaryIO, position: int, end: int) -> dict[str, str]:
    """The texts of a LIST chunk of the kind INFO."""
    texts: dict[str, str] = {}
    for _ in range(_MAX_CHUNKS):
        head = _chunk_head(file, position) if position < end else None
        if head is None:
            break
        name, length = head
        if name in _TEXTS:
            texts[name.decode()] = _text(_at(file, position + 8, min(length, _MAX_TEXT_BYTES)))
        position += 8 + length + length % 2
    return texts


def _at(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)


def _text(content: bytes) -> str:
    return content.split(b"\0")[0].decode("utf-8", "replace").strip()

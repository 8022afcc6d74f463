"""The header of a WAV, RF64, BW64 or W64 file: the format, where the sound lies, and the texts of the recorder.

The sizes in the header are compared with the file, because recorders that lose power, pipes and files of more than
4 GiB leave wrong ones. The sound itself is not read here. `write` makes a file.
"""

from __future__ import annotations

import dataclasses
import io
import os
import stat
import struct
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np
import soundfile

from bird_tf import files
from bird_tf.audio import parts, reports

SUFFIXES = (".wav", ".wave", ".rf64", ".bwf", ".w64")
# the first bytes of a file
MAGIC = (b"RIFF", b"RF64", b"BW64", b"riff")

# a smaller difference between header and file is no loss of sound
_LEAST_SECONDS = 0.1
# a name in W64 has 16 bytes and begins with the letters of that in WAV
_W64_NAME_BYTES = 16
# more does not fit into the sizes of a WAV header
_MAX_WAV_BYTES = (1 << 32) - (1 << 16)
# text chunks that recorders write, and the most bytes that are read of one
_TEXTS = (b"ICMT", b"IART", b"guan")
_MAX_TEXT_BYTES = 1 << 16
_MAX_CHUNKS = 1000
# chunks that often follow the sound; a file may end within one
_AFTER_SOUND = (b"LIST", b"bext", b"cue ", b"guan", b"wamd", b"id3 ", b"ID3 ", b"iXML", b"smpl", b"fact", b"PEAK")
_EXTENSIBLE = 0xFFFE
_MPEG = (0x50, 0x55)
# programs that write into a pipe do not know the length, and write the largest number, rounded down in some way
_UNKNOWN_BYTES = 0x7FFF_0000


def write(path: str, samples: np.ndarray, rate_hz: int) -> None:
    """Writes samples [n] float in [-1, 1] as 16-bit WAV, whole or not at all."""
    content = io.BytesIO()
    soundfile.write(content, samples, rate_hz, format="WAV", subtype="PCM_16")
    files.write_bytes(path, content.getvalue())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Header:
    """What the header of a WAV file says, and what the file holds.

    Attributes:
        form: the content of the chunk that describes the format.
        code: format of a sample: 1 PCM, 3 floating point, 6 A-law, 7 µ-law; others are compressed.
        num_channels, sample_rate_hz: as written.
        block_bytes: bytes of one sample of all channels, as written.
        data_offset: first byte of the sound.
        data_bytes: bytes of sound in the file.
        claimed_bytes: bytes of sound by the header.
        texts: {chunk id: text} of the comment (ICMT), the artist (IART) and the GUANO metadata (guan).
        is_odd: whether libsndfile does not find the sound: the file begins with BW64, which is RF64 by another name, or
            a chunk of odd length has no byte behind it that makes it even.
    """

    form: bytes
    code: int
    num_channels: int
    sample_rate_hz: int
    block_bytes: int
    data_offset: int
    data_bytes: int
    claimed_bytes: int
    texts: Mapping[str, str]
    is_odd: bool = False

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels; 0 if the format is compressed."""
        return self.block_bytes if self.code in (1, 3, 6, 7) else 0

    @property
    def is_mpeg(self) -> bool:
        """Whether the sound is that of an mp2 or mp3 file."""
        return self.code in _MPEG and self.data_bytes > 0

    @property
    def is_open_ended(self) -> bool:
        """Whether the header leaves the size open, as a program does that writes into a pipe."""
        return self.claimed_bytes >= _UNKNOWN_BYTES and self.claimed_bytes > self.data_bytes


def read(path: str) -> Header | None:
    """Reads the header of a file; None if it is of another kind, or holds no format.

    Only the headers of its chunks and a few texts are read, wherever they lie in the file.

    Raises:
        OSError: the file cannot be opened.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would wait for its writer
        return None
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(2 * _W64_NAME_BYTES + 8)
        if start[:4] in MAGIC and start[8:12] == b"WAVE":
            header = _read_chunks(_Reader(file, size, is_w64=False), 12)
            return header and dataclasses.replace(header, is_odd=header.is_odd or start[:4] == b"BW64")
        if start[:4] == b"riff" and start[24:28] == b"wave":
            return _read_chunks(_Reader(file, size, is_w64=True), len(start))
    return None


def layout(header: Header) -> parts.Layout:
    """What of a file is to be decoded. A header that tells too little is replaced."""
    # of compressed sound, the format tells the bytes in a second
    per_second = max(1, header.sample_rate_hz * header.frame_bytes or int.from_bytes(header.form[8:12], "little"))
    claimed, held = header.claimed_bytes / per_second, header.data_bytes / per_second
    sound = (header.data_offset, header.data_offset + header.data_bytes)
    rewritten = (parts.Part(pieces=(parts.Repeated(_written(header)), sound)),)
    as_it_is = rewritten if header.is_odd and header.data_bytes else (parts.Part(),)
    if header.is_open_ended or not header.data_bytes or abs(claimed - held) < _LEAST_SECONDS:
        return parts.Layout(parts=as_it_is)
    if claimed > held:
        found = parts.Layout(parts=as_it_is, damage="the file ends early")
        if header.frame_bytes:
            return dataclasses.replace(found, seconds=claimed)
        return dataclasses.replace(found, held_share=held / claimed)
    warning = f"{reports.told_and_held(claimed, held)}, which are used"
    return parts.Layout(parts=rewritten, warning=warning)


def _written(header: Header) -> bytes:
    """A header with the right size; RF64 where that needs more than 32 bits."""
    size = header.data_bytes
    form = b"fmt " + struct.pack("<I", len(header.form)) + header.form + b"\0" * (len(header.form) % 2)
    if size <= _MAX_WAV_BYTES:
        body = b"WAVE" + form + b"data" + struct.pack("<I", size)
        return b"RIFF" + struct.pack("<I", len(body) + size) + body
    unknown = struct.pack("<I", 0xFFFF_FFFF)
    long_sizes = struct.pack("<QQQI", size + 1024, size, size // max(1, header.block_bytes), 0)
    long_chunk = b"ds64" + struct.pack("<I", len(long_sizes)) + long_sizes
    return b"RF64" + unknown + b"WAVE" + long_chunk + form + b"data" + unknown


class _Reader:
    """The chunks of an open file of `size` bytes."""

    def __init__(self, file: BinaryIO, size: int, *, is_w64: bool) -> None:
        self._file, self.size, self._is_w64 = file, size, is_w64
        self.head_bytes = _W64_NAME_BYTES + 8 if is_w64 else 8

    def at(self, position: int, count: int) -> bytes:
        """Bytes at a position, fewer at the end of the file."""
        if position >= self.size:  # a damaged size may be larger than any file
            return b""
        self._file.seek(position)
        return self._file.read(count)

    def head(self, position: int) -> tuple[bytes, int] | None:
        """Name and length of the chunk at a position; None if there is none."""
        head = self.at(position, self.head_bytes)
        name = head[:4]
        if len(head) < self.head_bytes or not all(32 <= byte < 127 for byte in name):
            return None
        length = int.from_bytes(head[-8:] if self._is_w64 else head[-4:], "little")
        return name, max(0, length - self.head_bytes) if self._is_w64 else length

    def after(self, end: int) -> int:
        """Where the chunk begins that follows a chunk with this end."""
        return end + (-end % 8 if self._is_w64 else end % 2)

    def is_chunk(self, position: int) -> bool:
        """Whether a chunk begins there that ends within the file, or one that often follows the sound."""
        head = self.head(position)
        return head is not None and _is_chunk(head, self.size - position)


def _read_chunks(reader: _Reader, position: int) -> Header | None:
    long_size, form, data, texts, is_odd = -1, b"", (-1, 0, 0), {}, False
    for _ in range(_MAX_CHUNKS):
        head = reader.head(position)
        if head is None:
            break
        name, length = head
        begin = position + reader.head_bytes
        if name == b"data":
            claimed = long_size if length == 0xFFFF_FFFF and long_size >= 0 else length
            data = (begin, claimed, _data_bytes(reader, begin, claimed))
            length = data[2]
        elif name == b"ds64":
            long_size = int.from_bytes(reader.at(begin + 8, 8), "little")
        elif name == b"fmt ":
            form = reader.at(begin, min(length, 40))
        elif name == b"LIST" and reader.at(begin, 4) == b"INFO":
            texts.update(_info(reader, begin + 4, min(begin + length, reader.size)))
        elif name in _TEXTS:
            texts[name.decode()] = _text(reader.at(begin, min(length, _MAX_TEXT_BYTES)))
        end = begin + length
        position = reader.after(end)
        if position > end and reader.is_chunk(end) and not reader.is_chunk(position):
            position, is_odd = end, is_odd or not data[2]
    if len(form) < 16:
        return None
    code, channels, rate, _, block_bytes, _ = struct.unpack("<HHIIHH", form[:16])
    if code == _EXTENSIBLE and len(form) >= 26:
        code = int.from_bytes(form[24:26], "little")
    return Header(
        form=form, code=code, num_channels=channels, sample_rate_hz=rate, block_bytes=block_bytes,
        data_offset=data[0], claimed_bytes=data[1], data_bytes=data[2], texts=texts,
        is_odd=is_odd,
    )  # fmt: skip


def _data_bytes(reader: _Reader, begin: int, claimed: int) -> int:
    """Bytes of sound in the file: those that the header claims if a chunk or the end of the file follows, else all."""
    end, size = begin + claimed, reader.size
    padded = reader.after(end)
    follows = (reader.head(position) for position in (padded, end))
    if end <= size and (size - padded < 8 or any(head and _is_chunk(head, size - end) for head in follows)):
        return claimed
    return max(0, size - begin)


def _is_chunk(head: tuple[bytes, int], bytes_left: int) -> bool:
    """Whether a chunk begins there, and not sound whose first bytes are letters by chance."""
    name, length = head
    return name in _AFTER_SOUND or 8 + length <= bytes_left


def _info(reader: _Reader, position: int, end: int) -> dict[str, str]:
    """The texts of a LIST chunk of the kind INFO."""
    texts: dict[str, str] = {}
    for _ in range(_MAX_CHUNKS):
        head = reader.head(position) if position < end else None
        if head is None:
            break
        name, length = head
        if name in _TEXTS:
            texts[name.decode()] = _text(reader.at(position + 8, min(length, _MAX_TEXT_BYTES)))
        position += 8 + length + length % 2
    return texts


def _text(content: bytes) -> str:
    return content.split(b"\0")[0].decode("utf-8", "replace").strip()

"""The sound chunk of an AIFF or CAF file. Its size in the header is compared with the file, as that of a WAV.

libsndfile reads no more than the header tells, and nothing of a CAF that is cut off.
"""

from __future__ import annotations

import dataclasses
import os
import struct
from typing import BinaryIO

from bird_tf.audio import parts, reports

MAGIC = (b"FORM", b"caff")

_MAX_CHUNKS = 1000
_LEFT_OPEN = 1 << 62  # a CAF tells -1 while it is written
# AIFF-C: bytes of a sample, where the number of bits does not tell it; other kinds are compressed, but for those of PCM
_SAMPLE_BYTES = {b"fl32": 4, b"FL32": 4, b"fl64": 8, b"FL64": 8, b"ulaw": 1, b"ULAW": 1, b"alaw": 1, b"ALAW": 1}
_PCM = (b"NONE", b"twos", b"sowt", b"raw ", b"in24", b"in32", b"42ni", b"23ni")
# chunks that may follow the sound; a file may end within one
_AFTER_SOUND = (
    b"MARK", b"INST", b"COMT", b"APPL", b"ANNO", b"NAME", b"AUTH", b"(c) ", b"AESD", b"PEAK", b"ID3 ", b"COMM",
    b"free", b"info", b"uuid", b"strg", b"pakt", b"kuki", b"chan", b"mark", b"regn", b"peak", b"ovvw", b"umid",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Kind:
    """How a kind of file is written.

    Attributes:
        begin: the first chunk.
        size_bytes: of the length of a chunk.
        sound, form: names of the chunks with the sound and with its format.
        before: bytes of the sound's chunk before the sound.
    """

    begin: int
    size_bytes: int
    sound: bytes
    form: bytes
    before: int


_AIFF = _Kind(begin=12, size_bytes=4, sound=b"SSND", form=b"COMM", before=8)
_CAF = _Kind(begin=8, size_bytes=8, sound=b"data", form=b"desc", before=4)


def layout(path: str) -> parts.Layout:
    """What of a file is to be decoded. A size of the sound that is wrong is replaced.

    Of an AIFF that is cut off, and of sizes that are left open, the decoder knows. Nothing is said of compressed sound,
    nor of a file of another kind.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        size, start = os.fstat(file.fileno()).st_size, file.read(12)
        kind = _CAF if start[:4] == b"caff" else _AIFF
        if kind is _AIFF and start[8:] not in (b"AIFF", b"AIFC"):
            return parts.Layout()
        chunks = _chunks(file, kind, size)
        begin, told = chunks.get(kind.sound, (size, 0))
        form = _content(file, *chunks.get(kind.form, (size, 0)))
        per_second = _caf_bytes(form) if kind is _CAF else _aiff_bytes(form, is_compressed=start[8:] == b"AIFC")
        held, told = size - begin - kind.before, told - kind.before
        is_known = per_second >= 1 and held > 0 and 0 <= told < (held if kind is _AIFF else _LEFT_OPEN)
        if not is_known or _ends(file, kind, size, size - held + told):
            return parts.Layout()
    largest = 256**kind.size_bytes - 1  # an AIFF of more than 4 GiB cannot tell it
    length = parts.Repeated(min(held + kind.before, largest).to_bytes(kind.size_bytes, "big"))
    part = parts.Part(pieces=((0, begin - kind.size_bytes), length, (begin, size)))
    is_close = abs(told - held) < reports.LEAST_LOSS_SECONDS * per_second
    if told > held:
        damage = "" if is_close else "the file ends early"
        return parts.Layout(parts=(part,), damage=damage, seconds=told / per_second)
    warning = f"{reports.told_and_held(told / per_second, held / per_second)}, which are used"
    return parts.Layout() if is_close else parts.Layout(parts=(part,), warning=warning)


def _chunks(file: BinaryIO, kind: _Kind, size: int) -> dict[bytes, tuple[int, int]]:
    """{name: (first byte, length by the header)} of the chunks up to the sound."""
    found: dict[bytes, tuple[int, int]] = {}
    position = kind.begin
    for _ in range(_MAX_CHUNKS):
        head = _head(file, kind, position) if position < size else None  # a damaged length may be of any size
        if head is None:
            break
        name, length = head
        begin = position + 4 + kind.size_bytes
        found.setdefault(name, (begin, length))
        if name == kind.sound:
            break
        position = _after(kind, begin + length)
    return found


def _content(file: BinaryIO, begin: int, length: int) -> bytes:
    """The beginning of a chunk, more than describes a format."""
    file.seek(begin)
    return file.read(min(length, 64))


def _head(file: BinaryIO, kind: _Kind, position: int) -> tuple[bytes, int] | None:
    """Name and length of the chunk at a position; None if there is none."""
    file.seek(position)
    head = file.read(4 + kind.size_bytes)
    if len(head) < 4 + kind.size_bytes or not all(32 <= byte < 127 for byte in head[:4]):
        return None
    return head[:4], int.from_bytes(head[4:], "big")


def _after(kind: _Kind, end: int) -> int:
    """Where the chunk begins that follows one with this end."""
    return end + end % 2 if kind is _AIFF else end


def _ends(file: BinaryIO, kind: _Kind, size: int, end: int) -> bool:
    """Whether the sound ends there: at the end of the file, or before another chunk."""
    for position in (_after(kind, end), end):
        if 0 <= size - position < 4 + kind.size_bytes:
            return True
        head = _head(file, kind, position) if 0 <= position < size else None
        if head and (head[0] in _AFTER_SOUND or position + 4 + kind.size_bytes + head[1] <= size):
            return True
    return False


def _aiff_bytes(form: bytes, *, is_compressed: bool) -> float:
    """Bytes in a second of sound; 0 if it is compressed."""
    if len(form) < 18:
        return 0.0
    channels, _, bits, exponent, mantissa = struct.unpack(">HIHHQ", form[:18])
    compression = form[18:22] if is_compressed else b"NONE"
    sample_bytes = _SAMPLE_BYTES.get(compression, (bits + 7) // 8 if compression in _PCM else 0)
    return float(channels * sample_bytes * mantissa * 2.0 ** (min(exponent, 16446) - 16446))  # a number of 80 bits


def _caf_bytes(form: bytes) -> float:
    """Bytes in a second of sound; 0 if its packets differ in length."""
    if len(form) < 32:
        return 0.0
    rate, _, _, packet_bytes, packet_frames = struct.unpack(">d4sIII", form[:24])
    return float(rate * packet_bytes / packet_frames) if packet_frames else 0.0

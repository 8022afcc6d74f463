"""The pages of an Ogg file with Vorbis or Opus, checked one by one, to leave out what is damaged.

Format: RFC 3533. libsndfile leaves out damaged pages without a word, and later sound then comes too early; of
streams that follow each other it reads the first.
"""

from __future__ import annotations

import dataclasses
import re
import zlib

from bird_tf.audio import content as contents
from bird_tf.audio import parts

MAGIC = b"OggS"
_MAGIC = re.compile(MAGIC)

# packets before the sound: Vorbis has three, Opus two
_HEADER_PACKETS = {b"\x01vorbis": 3, b"OpusHead": 2}
_HEAD_BYTES = 27
_MOST_PAGE_BYTES = _HEAD_BYTES + 255 + 255 * 255
_NO_POSITION = (1 << 64) - 1
_OPUS_RATE_HZ = 48000
# no page is longer; a stream that was recorded from its middle on begins with a high number
_LONGEST_PAGE_SECONDS = 60
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclasses.dataclass(frozen=True, slots=True)
class _Page:
    begin: int
    end: int
    is_first: bool  # of its stream
    is_last: bool
    serial: int
    number: int
    position: int  # samples up to its end; _NO_POSITION if no packet ends in it
    packets: int  # that end in it
    packet: int  # first byte of its first packet


def read(path: str) -> parts.Layout:
    """Finds the parts of an Ogg file that can be decoded; of a file of another kind, nothing is said."""
    with contents.opened(path) as content:
        streams = _streams(_pages(content))
        if not all(_kind(content, stream) for stream in streams):
            return parts.Layout(damage="of its streams, only the first is read" if len(streams) > 1 else "")
        if not streams:
            return parts.Layout()
        found: list[parts.Part] = []
        seconds, damage, reached = 0.0, "", 0
        for stream in streams:
            length, is_whole = _read_stream(content, stream, seconds, found)
            if not is_whole or stream[0].begin > reached:
                damage = "pages are missing or damaged"
            seconds, reached = seconds + length, max(page.end for page in stream)
        behind = len(content) - reached
    if behind and seconds and not streams[-1][-1].is_last:
        damage = damage or "its last page is damaged"
        seconds += behind * seconds / max(1, reached)
    if not found or (not damage and len(streams) == 1):
        return parts.Layout(damage=damage)
    return parts.Layout(parts=tuple(found), seconds=seconds if damage else 0.0, damage=damage)


def _streams(pages: list[_Page]) -> list[list[_Page]]:
    """The pages of each stream. Streams within each other, as of sound and picture, give none."""
    streams: list[list[_Page]] = []
    for page in pages:
        if page.is_first:
            streams.append([])
        if not streams or (streams[-1] and page.serial != streams[-1][0].serial):
            return []
        streams[-1].append(page)
    return streams


def _kind(content: contents.Content, stream: list[_Page]) -> bytes:
    at = stream[0].packet
    return next((kind for kind in _HEADER_PACKETS if content[at : at + len(kind)] == kind), b"")


def _read_stream(
    content: contents.Content, stream: list[_Page], start: float, found: list[parts.Part]
) -> tuple[float, bool]:
    """Adds the parts of a stream that begins at `start` seconds. Returns its seconds, and whether it is whole."""
    kind, num_header, packets = _kind(content, stream), 0, 0
    while num_header < len(stream) and packets < _HEADER_PACKETS[kind]:
        packets += stream[num_header].packets
        num_header += 1
    header, pages = stream[:num_header], stream[num_header:]
    if [page.number for page in header] != list(range(num_header)) or not pages:
        return 0.0, not pages
    at = header[0].packet
    rate, skip = _OPUS_RATE_HZ, int.from_bytes(content[at + 10 : at + 12], "little")  # RFC 7845, section 5.1
    if kind != b"OpusHead":
        rate, skip = int.from_bytes(content[at + 12 : at + 16], "little"), 0
    runs = [[pages[0]]]
    for page in pages[1:]:
        if page.number == runs[-1][-1].number + 1:
            runs[-1].append(page)
        else:
            runs.append([page])
    length, origin, last = 0.0, skip, (num_header - 1, 0)  # number and position of the page before
    for run in runs:
        ends = [page.position for page in run if page.position != _NO_POSITION]
        if ends:
            gap, num_pages = ends[0] - last[1], run[0].number - last[0]
            begins_late = run is not runs[0] or num_pages > 1
            if run is runs[0] and run[0].begin == header[-1].end:  # its numbers may count from before the recording
                num_pages = 1
            if not 0 <= gap <= _LONGEST_PAGE_SECONDS * rate * num_pages:
                origin += gap
            last = run[-1].number, ends[-1]
            length = max(0, ends[-1] - origin) / max(1, rate)
            # in the middle of a stream, libsndfile counts the samples that it leaves out
            end = start + length - (skip / rate if begins_late else 0.0)
            pieces = ((header[0].begin, header[-1].end), (run[0].begin, run[-1].end))
            found.append(parts.Part(pieces=pieces, end_seconds=end if found or begins_late else None))
    return length, len(runs) == 1 and runs[0][0].number == num_header


def _pages(content: contents.Content) -> list[_Page]:
    """All pages whose checksum is right."""
    pages, position = [], 0
    while position < len(content):
        page = _page(content, position)
        if page:
            pages.append(page)
            position = page.end
        else:
            position = next(content.find(_MAGIC, position + 1), len(content))
    return pages


def _page(content: contents.Content, position: int) -> _Page | None:
    """The page that begins there, if its checksum is right."""
    start, block = content.around(position, _MOST_PAGE_BYTES)
    begin = position - start
    head = block[begin : begin + _HEAD_BYTES]
    if len(head) < _HEAD_BYTES or not head.startswith(MAGIC + b"\0"):  # with the version
        return None
    lacing = block[begin + _HEAD_BYTES : begin + _HEAD_BYTES + head[26]]
    packet = begin + _HEAD_BYTES + len(lacing)
    end = packet + sum(lacing)
    if len(lacing) < head[26] or end > len(block):
        return None
    checked = head[:22] + bytes(4) + block[begin + 26 : end]
    if _checksum(checked) != int.from_bytes(head[22:26], "little"):
        return None
    return _Page(
        position, start + end, is_first=bool(head[5] & 2), is_last=bool(head[5] & 4),
        serial=int.from_bytes(head[14:18], "little"),
        number=int.from_bytes(head[18:22], "little"), position=int.from_bytes(head[6:14], "little"),
        packets=sum(length < 255 for length in lacing), packet=start + packet,
    )  # fmt: skip


def _checksum(page: bytes) -> int:
    """Ogg's checksum: that of zlib with all bits in the other order, begun at 0, and not inverted at the end."""
    crc = zlib.crc32(page.translate(_REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{crc:032b}"[::-1], 2)

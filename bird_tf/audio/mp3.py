"""The frames of an mp3 file (MPEG 1, 2 and 2.5, layer III) or an mp2 file (layer II), found by their headers.

mpg123, which libsndfile uses, gives up behind longer damage, leaves out shorter damage without a word, and stops
early where the header's number of frames is missing or too small, or where the rate or the channels change.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import re

from bird_tf.audio import content as contents
from bird_tf.audio import parts, reports

# kbit/s by the bit rate code, of version 1 in layer III and II, and of versions 2 and 2.5 (ISO 11172-3, 13818-3)
_BIT_RATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_LAYER_III, _LAYER_II = 1, 2  # as in a header
_SAMPLE_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_SYNC = re.compile(rb"\xff[\xe2-\xe5\xf2-\xf5\xfa-\xfd]")
# after damage, so many frames must follow each other: two bytes of sound look like a header by chance
_CHAIN = 4
_TAGS = (b"TAG", b"APETAGEX", b"LYRICS", b"ID3", b"3DI")
# decoders count the header among the frames, or not
_MISCOUNT = 2


@dataclasses.dataclass(frozen=True)
class _Frame:
    """A frame: version, sample rate and layer, which all have in common; its bytes; its bit rate in bit/s."""

    stream: tuple[int, int, int]
    length: int
    bit_rate: int

    @property
    def num_samples(self) -> int:
        version, _, layer = self.stream
        return 1152 if version == 3 or layer == _LAYER_II else 576

    @property
    def seconds(self) -> float:
        return self.num_samples / self.stream[1]


def _frame_of(head: int) -> _Frame | None:
    """The frame whose second and third bytes are these; None if there is none, or one without a bit rate."""
    version, layer, bit_rate_code, rate_code = head >> 11 & 3, head >> 9 & 3, head >> 4 & 15, head >> 2 & 3
    is_known = layer in (_LAYER_III, _LAYER_II) and version != 1 and rate_code != 3 and bit_rate_code not in (0, 15)
    if head >> 13 != 7 or not is_known:
        return None
    rate, is_first = _SAMPLE_RATES[version][rate_code], version == 3
    bit_rate = 1000 * _BIT_RATES[layer - 1 if is_first else 2][bit_rate_code]
    is_half = layer == _LAYER_III and not is_first
    return _Frame((version, rate, layer), (72 if is_half else 144) * bit_rate // rate + (head >> 1 & 1), bit_rate)


_FRAMES = {head: frame for head in range(0xE200, 0x10000) if (frame := _frame_of(head))}
# the fourth byte of a mono frame is this or more
_MONO = 0xC0
_Kind = tuple[tuple[int, int, int], bool]
# {stream: {second and third byte: bytes of the frame}}
_LENGTHS: dict[tuple[int, int, int], dict[int, int]] = collections.defaultdict(dict)
for _head, _found in _FRAMES.items():
    _LENGTHS[_found.stream][_head] = _found.length


def is_mp3(head: bytes) -> bool:
    """Whether a file that begins with these bytes is an mp3 file, or some other with an ID3 tag."""
    return head.startswith(contents.ID3) or _frame(head, 0) is not None


def read(path: str, start: int = 0, end: int | None = None) -> parts.Layout:
    """Finds the frames of an mp3 file, and puts silent ones where some are lost.

    Frames have no number, so the length of what is lost is estimated by its bytes. An mp3 file of a kind that is not
    known here is left to the decoder.

    Args:
        path: the file.
        start, end: its first byte and its end, where it lies in another file.
    """
    whole = parts.Layout(parts=(parts.Part() if end is None else parts.Part(pieces=((start, end),)),))
    with contents.opened(path, end) as content:
        tagged = _after_tags(content, start)
        begin = _next_frame(content, tagged)
        return whole if begin is None else _layout(content, tagged, begin, whole)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Run:
    """Frames that follow each other: first byte, end, and their number."""

    begin: int
    end: int
    count: int


def _layout(content: contents.Content, start: int, begin: int, whole: parts.Layout) -> parts.Layout:
    """The streams that follow each other: a decoder stops where the rate or the channels change.

    Args:
        content: the file.
        start: the first byte behind its tags.
        begin: the first frame.
        whole: of a file without damage.
    """
    at = begin
    found: list[parts.Part] = []
    seconds, lost, damage, warnings = 0.0, [], "", [f"its first {begin - start} bytes are no sound"] * (begin > start)
    while at < len(content):
        stream, at = _stream(content, at)
        found += stream.parts
        lost += [(seconds + first, seconds + last) for first, last in stream.lost]
        seconds, damage = seconds + stream.seconds, damage or stream.damage
        warnings += [stream.warning] * bool(stream.warning)
    if not damage:
        seconds = 0.0
    if len(found) == len(found[0].pieces) == 1 and begin == start:
        return dataclasses.replace(whole, seconds=seconds, damage=damage)
    warning = "; ".join(warnings)
    return parts.Layout(parts=tuple(found), seconds=seconds, lost=tuple(lost), damage=damage, warning=warning)


def _stream(content: contents.Content, begin: int) -> tuple[parts.Layout, int]:
    """The stream that begins at a frame, and where the next one begins, or the file ends."""
    first = _FRAMES[int.from_bytes(content[begin + 1 : begin + 3], "big")]
    count_at = _count_position(content, begin, first)
    sound = begin + first.length if count_at else begin
    runs, bit_rates, end = _runs(content, sound, _kind(content, begin))
    found = sum(run.count for run in runs)
    rest = _bytes_between(content, runs[-1].end, end)
    gaps = [_bytes_between(content, before.end, run.begin) for before, run in itertools.pairwise(runs)]
    told = int.from_bytes(content[count_at : count_at + 4], "big") if count_at else 0
    warning = reports.too_much_told(told * first.seconds, found * first.seconds)
    if warning:
        told = 0
    lost = _lost(told - found, [*gaps, rest], found, sum(run.end - run.begin for run in runs) / max(1, found))
    seconds = (found + sum(lost)) * first.seconds
    damage = ""
    if any(gaps):
        damage = f"damaged in {sum(map(bool, gaps))} place(s), later times are estimates"
    elif lost[-1] > _MISCOUNT:
        damage = "its last frames are missing"
    # a decoder stops at the number of frames that it is told or, from bytes and bit rate, expects; in layer II at none
    is_told = first.stream[2] == _LAYER_III
    is_counted = found - _MISCOUNT <= told if count_at else len(bit_rates) == 1 or not is_told
    if len(runs) == 1 and is_counted:
        whole = parts.Part(pieces=((begin, runs[0].end),))
        return parts.Layout(parts=(whole,), seconds=seconds, damage=damage, warning=warning), end
    header: tuple[parts.Piece, ...] = ()
    if is_told:
        header = (parts.Repeated(_header(content, begin, first, found + sum(lost[:-1]))),)
    if count_at:
        header = ((begin, count_at), parts.Repeated((found + sum(lost[:-1])).to_bytes(4, "big")), (count_at + 4, sound))
    spliced: list[parts.Piece] = []
    silences, position = [], 0
    for run, missing in zip(runs, lost, strict=True):
        position += run.count
        spliced.append((run.begin, run.end))
        if run is not runs[-1] and missing:
            spliced.append(parts.Repeated(_silent(content, begin, first), missing))
            silences.append((position * first.seconds, (position + missing) * first.seconds))
            position += missing
    part = parts.Part(pieces=(*header, *spliced))
    layout = parts.Layout(parts=(part,), seconds=seconds, lost=tuple(silences), damage=damage, warning=warning)
    return layout, end


def _runs(content: contents.Content, begin: int, kind: _Kind) -> tuple[list[_Run], set[int], int]:
    """All frames of a stream, in runs without anything between, their bit rates, and where the next stream begins."""
    runs: list[_Run] = []
    heads: set[int] = set()
    position = begin
    while True:
        start, (position, count) = position, _follow(content, position, kind, heads)
        runs.append(_Run(begin=start, end=position, count=count))
        found = _next_frame(content, position)
        if found is None or _kind(content, found) != kind:
            end = len(content) if found is None else found
            return runs, {_FRAMES[head].bit_rate for head in heads}, end
        position = found


def _follow(content: contents.Content, position: int, kind: _Kind, heads: set[int]) -> tuple[int, int]:
    """Goes from frame to frame, and adds their second and third bytes to `heads`. Returns their end and number."""
    lengths, is_mono, size, count = _LENGTHS[kind[0]], kind[1], len(content), 0
    while position + 3 < size:
        begin, block = content.around(position, 4)
        at, last, left = position - begin, len(block) - 4, size - begin
        # a recording has hundreds of thousands of frames
        while at <= last and block[at] == 0xFF:
            head = block[at + 1] << 8 | block[at + 2]
            end = at + lengths.get(head, size)
            if end > left or (block[at + 3] >= _MONO) != is_mono:
                break
            at, count = end, count + 1
            heads.add(head)
        position = begin + at
        if at <= last:  # no frame is there
            break
    return position, count


def _lost(told: int, gaps: list[int], found: int, frame_bytes: float) -> list[int]:
    """Number of frames that are lost in each gap, of which the last is behind all frames.

    Args:
        told: by the header, if it tells more frames than there are.
        gaps: bytes in each gap.
        found: number of frames that are there.
        frame_bytes: mean length of a frame.
    """
    by_bytes = [round(gap / max(1.0, frame_bytes)) for gap in gaps]
    if told <= sum(by_bytes):
        return by_bytes if sum(gaps) > 4 * frame_bytes or len(gaps) > 1 else [0]
    missing = told - sum(by_bytes)
    widest = max(range(len(gaps)), key=gaps.__getitem__)  # where bytes are missing altogether
    by_bytes[widest if missing <= found else -1] += missing  # so many only at the end of a file that is cut off
    return by_bytes


def _header(content: contents.Content, begin: int, first: _Frame, num_frames: int) -> bytes:
    """A frame without sound that tells a decoder the number of frames that follow (a Xing header)."""
    head = bytearray(content[begin : begin + 4])
    head[1] |= 1  # no checksum
    head[2] = head[2] & 0x0C | 0x90  # a bit rate that gives it room
    has_one_channel = head[3] >> 6 == 3
    side_bytes = (17 if has_one_channel else 32) if first.stream[0] == 3 else (9 if has_one_channel else 17)
    frame = bytes(head) + bytes(side_bytes) + b"Xing" + (1).to_bytes(4, "big") + num_frames.to_bytes(4, "big")
    return frame.ljust(_FRAMES[head[1] << 8 | head[2]].length, b"\0")


def _silent(content: contents.Content, begin: int, first: _Frame) -> bytes:
    """A frame of silence: its header, without checksum, and zeros."""
    head = content[begin : begin + 4]
    return bytes([head[0], head[1] | 1, *head[2:]]).ljust(first.length, b"\0")


def _count_position(content: contents.Content, begin: int, first: _Frame) -> int:
    """Where the Xing or Info header in the first frame tells the number of frames; 0 if it does not."""
    frame = content[begin : begin + first.length]
    at = max(frame.find(b"Xing", 0, 64), frame.find(b"Info", 0, 64))
    return begin + at + 8 if at >= 0 and len(frame) >= at + 12 and frame[at + 7] & 1 else 0


def _after_tags(content: contents.Content, position: int) -> int:
    """The first byte behind the ID3 tags that begin at a position."""
    while size := contents.tag_bytes(content[position : position + contents.ID3_HEAD_BYTES]):
        position += size
    return position


def _next_frame(content: contents.Content, position: int) -> int | None:
    """Position of the next frame that others of its kind follow."""
    for start in content.find(_SYNC, position):
        at, kind = start, _kind(content, start)
        for _ in range(_CHAIN):
            frame = _frame(content, at)
            if frame is None or _kind(content, at) != kind:
                break
            at += frame.length
            if at == len(content):
                return start
        else:
            return start
    return None


def _frame(content: contents.Content | bytes, position: int) -> _Frame | None:
    """The frame whose header is at a position; None if there is none."""
    head = content[position : position + 3]
    return _FRAMES.get(head[1] << 8 | head[2]) if len(head) == 3 and head[0] == 0xFF else None


def _kind(content: contents.Content, position: int) -> _Kind:
    """What the frames of a stream have in common: version, sample rate and layer, and whether it is mono."""
    frame = _frame(content, position)
    return frame.stream if frame else (0, 0, 0), content[position + 3 : position + 4] >= bytes([_MONO])


def _bytes_between(content: contents.Content, begin: int, end: int) -> int:
    """Bytes of a stretch without frames; 0 if it is a tag."""
    return 0 if content[begin : begin + 8].startswith(_TAGS) else end - begin

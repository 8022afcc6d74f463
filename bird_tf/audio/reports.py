"""What is noticed of a recording while it is read, and what no recording can be."""

from __future__ import annotations

import dataclasses
import os
import re

import soundfile

from bird_tf import config
from bird_tf.audio import content

# Sample rates and numbers of channels of recorders, from seismic to ultrasonic ones and with arrays of microphones.
# What lies outside is a damaged header.
_MIN_RATE_HZ, _MAX_RATE_HZ, _MAX_CHANNELS = 1000, 2_000_000, 256
# no sound is stored in fewer bits (silence in FLAC takes 30 bit/s or more): a longer one is a damaged header
_MIN_BITS_PER_SECOND = 20
# a gap that even at so few bit/s would be longer than the file is a damaged number
_LEAST_BIT_RATE = 2000
# a header that tells so many times more sound than there is is damaged
_MOST_TOLD = 100
# a shorter loss is a matter of how decoders begin and end, and not told
LEAST_LOSS_SECONDS = 0.1

# What libsndfile writes into its log of an AIFF, AU or RIFX that is cut off: bytes of sound by the header, and in the
# file; of a VOC; and the header of a NIST file
_TOLD_BYTES = re.compile(r"^ *(?:SSND|Data Size|data) *: (\d+) \(should be (\d+)\)", re.MULTILINE | re.ASCII)
_TOLD_VOC_BYTES = re.compile(r"Extended II : (\d+)\n(?s:.)*Seems to be a truncated file", re.ASCII)
_NIST_FRAMES = re.compile(rb"^sample_count -i (\d{1,12})$", re.MULTILINE)
_VOC_HEAD_BYTES, _NIST_HEAD_BYTES = 12, 1024
# of an AU whose length is known
_AU_BYTES = re.compile(r"Data Offset *: (\d+)\n *Data Size *: (\d+)\n", re.ASCII)
# how an AudioMoth calls a recording with gaps, which it makes where a threshold or a frequency starts it
_TRIGGERED = re.compile(r"\d{8}_\d{6}T\.\w+", re.ASCII)
# programs that write into a pipe tell this length or more
_UNKNOWN_BYTES = 0x7F00_0000


class UnreadableError(config.InputError):
    """A recording that cannot be decoded."""


@dataclasses.dataclass(kw_only=True)
class Report:
    """What was noticed while a recording was read. It is complete when the last block was read.

    Attributes:
        seconds: length of the recording, with what was lost.
        lost: (start, end) in seconds of what could not be decoded. Silence stands for it, but at the end.
        damage: what is wrong with the sound; empty if nothing is.
        warnings: other things that a person must know, one sentence each.
        sample_rate_hz: of the file; 0 until it is open.
    """

    seconds: float = 0.0
    lost: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    damage: str = ""
    warnings: list[str] = dataclasses.field(default_factory=list)
    sample_rate_hz: float = 0.0

    @property
    def lost_seconds(self) -> float:
        """Length of all that could not be decoded."""
        return sum(end - start for start, end in self.lost)

    @property
    def loss(self) -> str:
        """What was lost, in words; empty if nothing was."""
        if not self.damage:
            return ""
        if self.lost_seconds < LEAST_LOSS_SECONDS:
            return f"{self.damage}; what could be decoded is used"
        return f"{self.lost_seconds:.1f} of {self.seconds:.1f} s cannot be decoded ({self.damage}); the rest is used"

    @property
    def note(self) -> str:
        """The loss and the warnings in a line; empty if there is nothing to tell."""
        return "; ".join(filter(None, [self.loss, *self.warnings]))

    def lost_share(self, start: float, end: float) -> float:
        """The share of a span, in seconds, that could not be decoded."""
        inside = (min(end, last) - max(start, first) for first, last in self.lost)
        return sum(max(0.0, length) for length in inside) / max(end - start, 1e-9)


def check_header(path: str, rate: int, num_channels: int) -> None:
    """Refuses a damaged header. Raises UnreadableError."""
    if not _MIN_RATE_HZ <= rate <= _MAX_RATE_HZ:
        raise UnreadableError(f"{path}: its header says {rate} Hz, which no recorder has; the header is damaged")
    if not 1 <= num_channels <= _MAX_CHANNELS:
        raise UnreadableError(f"{path}: its header says {num_channels} channels; the header is damaged")


def most_seconds(path: str) -> float:
    """More than the length of any recording in a file of this size."""
    return 8 * os.path.getsize(path) / _MIN_BITS_PER_SECOND


def most_gap_seconds(path: str) -> int:
    """A longer gap in a file of this size is a damaged number."""
    return round(8 * os.path.getsize(path) / _LEAST_BIT_RATE)


def too_much_told(told_seconds: float, held_seconds: float) -> str:
    """A warning of a header whose length cannot be believed; empty if it can."""
    if not told_seconds > _MOST_TOLD * held_seconds > 0:
        return ""
    return told_and_held(told_seconds, held_seconds)


def told_and_held(told_seconds: float, held_seconds: float) -> str:
    """The beginning of a warning of a header whose length is not that of the sound."""
    return f"its header tells {told_seconds:.1f} s of sound, the file holds {held_seconds:.1f} s"


def told_frames(path: str, file: soundfile.SoundFile) -> int:
    """The frames by the header of a file that is cut off, of which libsndfile tells what is there; 0 if it is whole."""
    if file.format == "NIST":
        with open(path, "rb") as opened:
            counted = _NIST_FRAMES.search(opened.read(_NIST_HEAD_BYTES))
        return int(counted[1]) if counted else 0
    told = held = 0
    if of_voc := _TOLD_VOC_BYTES.search(file.extra_info):
        told = int(of_voc[1]) - _VOC_HEAD_BYTES
        held = file.frames * file.channels * (2 if file.subtype == "PCM_16" else 1)
    elif found := _TOLD_BYTES.search(file.extra_info):
        told, held = map(int, found.groups())
    return round(file.frames * told / held) if 0 < held < told < _UNKNOWN_BYTES else 0


def left_out(path: str) -> str:
    """A warning of a triggered recording of an AudioMoth, which leaves out what is quiet between the calls; else empty.

    Raises:
        OSError: the file cannot be read.
    """
    if not _TRIGGERED.fullmatch(os.path.basename(path)) or "AudioMoth" not in content.beginning(path):
        return ""
    return (
        "AudioMoth left out what was quiet (T in its name), so that later times are too early: expand its WAV with the "
        "AudioMoth Configuration App"
    )


def rest_of_au(path: str, file: soundfile.SoundFile) -> str:
    """A warning of what follows the sound of an AU file, which libsndfile does not read; empty if nothing does.

    Nothing but sound can: the format has no metadata there. Of compressed sound, libsndfile reads all.
    """
    found = _AU_BYTES.search(file.extra_info) if file.format == "AU" else None
    offset, told = map(int, found.groups()) if found else (0, 0)
    if not told >= file.frames * file.channels > 0:
        return ""
    seconds = file.frames / file.samplerate
    rest_seconds = (os.path.getsize(path) - offset - told) * seconds / told
    if rest_seconds < LEAST_LOSS_SECONDS:
        return ""
    return f"its header tells {seconds:.1f} s of sound, {rest_seconds:.1f} s that follow are not read"

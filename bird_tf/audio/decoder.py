"""A recording as libsndfile decodes it, part by part: around damage, and with corrected headers."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Generator, Iterator

import numpy as np
import soundfile
import soxr

from bird_tf.audio import flac, iff, mp3, ogg, parts, reports, wav

BLOCK_SECONDS = 10.0
_MAX_BLOCK_VALUES = 1 << 24
# libsndfile returns at least this number if the header does not give the number of frames
_UNKNOWN_FRAMES = 1 << 62
# a decoder that fails so often without giving a frame has nothing more to give
_MAX_FAILURES = 20
# larger samples overflow in a power spectrum; nominal ones are within 1
_LARGEST_SAMPLE = 1e12
# containers whose 16-bit samples are read as they are
_UNCOMPRESSED = frozenset({"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF"})

# behind damage, the next frame is searched in steps of so many samples, and of this share of what was skipped
_FLAC_STEP, _FLAC_STEP_SHARE = 576, 1 / 16
# a file that needs more of them is hardly worth the minutes that they take
_MOST_SEARCHES = 20_000


class _SoundFile(soundfile.SoundFile):
    """A file that is read from its start to its end. In a FLAC without known length, libsndfile cannot seek."""

    def seekable(self) -> bool:
        return False


def without_start(blocks: Iterator[np.ndarray], frames: int) -> Iterator[np.ndarray]:
    """The blocks without so many frames at the start."""
    for block in blocks:
        if frames < len(block):
            yield block[frames:]
        frames = max(0, frames - len(block))


def with_zeros(block: np.ndarray) -> np.ndarray:
    """The block with zeros in place of values that are no samples."""
    return np.where(np.abs(block) < _LARGEST_SAMPLE, block, np.float32(0))


def duration_seconds(path: str, head: bytes) -> float:
    """Length of a recording by its header, seconds; 0 if it is not there. Raises UnreadableError."""
    with Decoder(path, head, reports.Report(), search_damage=False).file as file:
        return float(file.frames / file.samplerate) if file.frames < _UNKNOWN_FRAMES else 0.0


def searched_seconds(path: str, head: bytes) -> float:
    """Length of a recording as its headers, frames and pages tell it, seconds; 0 if unknown. Raises UnreadableError."""
    decoder = Decoder(path, head, reports.Report())
    with decoder.file:
        return decoder.seconds()


class Decoder:
    """Decodes a recording with libsndfile, part by part.

    Attributes:
        file: the first part.
        rate, num_channels: of the first part. Parts of another rate are resampled; parts with other channels give their
            mean in each.
    """

    def __init__(self, path: str, head: bytes, report: reports.Report, *, search_damage: bool = True) -> None:
        """Opens the first part; without a search for damage, of a compressed file the whole. Raises UnreadableError."""
        self._path, self._report = path, report
        searched = search_damage or head[:4] in (*wav.MAGIC, *iff.MAGIC)
        try:
            self._is_flac = searched and flac.is_flac(path, head)
            layout = _layout(path, head, is_flac=self._is_flac) if searched else parts.Layout()
            warnings = [layout.warning, reports.left_out(path)]
        except OSError as error:
            raise reports.UnreadableError(f"{path}: cannot be read ({error.strerror})") from error
        self._parts = layout.parts
        self.file = self._open(self._parts[0])
        report.damage = layout.damage  # of what libsndfile refuses, another decoder reports
        report.lost += layout.lost
        report.warnings += filter(None, [*warnings, reports.rest_of_au(path, self.file)])
        self.rate, self.num_channels = self.file.samplerate, self.file.channels
        self._most_frames = round(reports.most_seconds(path) * self.rate)
        self._most_gap = reports.most_gap_seconds(path) * self.rate
        self._seconds = layout.seconds
        self._expected = round(layout.seconds * self.rate)  # frames; 0 if unknown
        # mpg123 guesses the length
        if not self._expected and self.file.format != "MP3" and self.file.frames < _UNKNOWN_FRAMES:
            told = 0 if head[:4] in wav.MAGIC else reports.told_frames(path, self.file)
            self._expected = max(self.file.frames, told)
        self._expected = min(self._expected, self._most_frames)
        self._held_share = layout.held_share
        self._position = 0
        self._failed = ""  # what the decoder said of the last damage

    def _open(self, part: parts.Part) -> _SoundFile:
        """Opens a part. Raises UnreadableError."""
        source: parts.Spliced | str | int = parts.Spliced(self._path, part.pieces) if part.pieces else self._path
        try:
            if self._is_flac and not part.pieces:  # a descriptor, which can be asked how far libsndfile has read
                source = os.open(self._path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            file = _SoundFile(source)
        # TypeError: formats without header, whose sample rate is unknown
        except (soundfile.SoundFileError, OSError, TypeError) as error:
            reason = str(error).replace(f"Error opening {source!r}: ", "")
            raise reports.UnreadableError(f"{self._path}: cannot be decoded ({reason})") from error
        reports.check_header(self._path, file.samplerate, file.channels)
        return file

    def seconds(self) -> float:
        """Length of all parts as far as it is known without decoding them; 0 if it is unknown."""
        frames = self._frames(self.file)
        for part in self._parts[1:]:
            with contextlib.suppress(reports.UnreadableError), self._open(part) as file:
                frames += self._frames(file)
        return self._seconds or max(frames / self._held_share, self._expected) / self.rate

    def blocks(self, start_seconds: float) -> Generator[np.ndarray, None, None]:
        """Yields [n, channels] float32 of all parts, with silence where something is lost between them."""
        first = round(start_seconds * self.rate)
        is_whole = len(self._parts) == 1 and self._parts[0].end_seconds is None
        if first and is_whole and not self._jumped(first):
            yield from without_start(self.blocks(0.0), first)
            return
        yield from without_start(self._all(), first - self._position)
        self._finish()

    def _jumped(self, first: int) -> bool:
        """Whether the first part can go on at a frame, which it then does. Else it is opened anew."""
        try:
            self.file.seek(first)
            self._position = first
        except (soundfile.SoundFileError, ValueError):
            self.file.close()
            self.file = self._open(self._parts[0])
        return bool(self._position)

    def _all(self) -> Iterator[np.ndarray]:
        file, first, origin, due = self.file, self._position, 0, 0
        for part in self._parts:
            if part is not self._parts[0]:
                try:
                    file = self._open(part)
                except reports.UnreadableError:  # what is lost is counted by the parts that follow, or at the end
                    self._failed = self._failed or "a part of it cannot be decoded"
                    continue
                origin = first = self._position
                if reports.LEAST_LOSS_SECONDS * self.rate < due - first <= self._most_gap:
                    origin = first = due
            if part.end_seconds is not None:
                origin = first = round(part.end_seconds * self.rate) - self._frames(file)
            if len(self._parts) > 1:
                due = origin + self._frames(file)
                self._expected = max(self._expected, min(due, self._most_frames))
            failed, self._failed = self._failed, ""
            reached = yield from self._read(file, first)
            if self._is_flac and self._failed:
                yield from self._behind_damage(part, origin, due or self._expected)
            elif self._is_flac and flac.has_more(self._path, part, reached):
                yield from self._behind_length(part, origin)
            self._failed = failed or self._failed

    def _frames(self, file: _SoundFile) -> int:
        """The length of a part at the rate of the first one, by its header; 0 if it is unknown."""
        return round(file.frames * self.rate / file.samplerate) if file.frames < _UNKNOWN_FRAMES else 0

    def _behind_damage(self, part: parts.Part, origin: int, end: int) -> Iterator[np.ndarray]:
        """Goes on in a FLAC file. libsndfile gives nothing more after damage; opened anew, it finds later frames.

        Args:
            part: the file.
            origin, end: its position in the recording; it has no end if its length is unknown.
        """
        target = damaged = self._position
        part = flac.searchable(self._path, part, has_length=end > origin)
        if end <= origin:
            end = origin + 8 * os.path.getsize(self._path)
        for _ in range(_MOST_SEARCHES):
            target += max(_FLAC_STEP, round(_FLAC_STEP_SHARE * (target - damaged)))
            if target >= end:
                return
            with self._open(part) as file:
                try:
                    file.seek(round((target - origin) * file.samplerate / self.rate))
                except (soundfile.SoundFileError, ValueError):
                    continue
                yield from self._read(file, target)
            if self._position > target:
                target = damaged = self._position

    def _behind_length(self, part: parts.Part, origin: int) -> Iterator[np.ndarray]:
        """Goes on behind the length that the header of a FLAC file tells, if sound follows there."""
        told = self._position
        with self._open(flac.searchable(self._path, part, has_length=False)) as file:
            yield from self._read(file, told, told - origin)
        if self._position == told:  # what follows is no sound, and no damage
            self._failed = ""
            return
        told_seconds, held = ((end - origin) / self.rate for end in (told, self._position))
        self._report.warnings.append(f"{reports.told_and_held(told_seconds, held)}, which are used")

    def _read(self, file: _SoundFile, first: int, skipped: int = 0) -> Generator[np.ndarray, None, int]:
        """Yields what can be decoded of a file, after silence up to there.

        Args:
            file: is closed then.
            first: the position of its first frame that is not skipped.
            skipped: frames at its start that are not yielded.

        Returns:
            How many bytes of a FLAC file libsndfile has read.
        """
        if first - self._position > self._most_gap:
            first = self._position
        with file:
            for block in without_start(self._conformed(file), skipped):
                while self._position < first:  # only now it is known that there is sound
                    silence = np.zeros((min(len(block), first - self._position), self.num_channels), np.float32)
                    self._lose(len(silence))
                    self._position += len(silence)
                    yield silence
                finite = self._finite(block)
                self._position += len(block)
                yield finite
            return _num_bytes_read(file) if self._is_flac else 0

    def _conformed(self, file: _SoundFile) -> Iterator[np.ndarray]:
        """Yields what is decoded, in the rate and the channels of the first part."""
        blocks = self._decoded(file)
        if file.channels != self.num_channels:
            means = (block.mean(axis=1, keepdims=True) for block in blocks)
            blocks = (np.repeat(mean, self.num_channels, axis=1) for mean in means)
        if file.samplerate == self.rate:
            yield from blocks
            return
        resampler = soxr.ResampleStream(file.samplerate, self.rate, self.num_channels, dtype="float32", quality="HQ")
        for block in blocks:
            resampled = resampler.resample_chunk(with_zeros(block))
            if len(resampled):
                yield resampled
        rest = resampler.resample_chunk(np.zeros((0, self.num_channels), np.float32), last=True)
        if len(rest):
            yield rest

    def _decoded(self, file: _SoundFile) -> Iterator[np.ndarray]:
        """Yields what libsndfile decodes, also after an error."""
        frames = max(1, min(round(BLOCK_SECONDS * file.samplerate), _MAX_BLOCK_VALUES // file.channels))
        frames = min(frames, max(file.samplerate, file.frames))  # of a short recording no more than it has
        is_16_bit = file.subtype == "PCM_16" and file.format in _UNCOMPRESSED
        left = file.frames - file.tell() if self._is_flac else _UNKNOWN_FRAMES
        failures = 0
        while failures < _MAX_FAILURES and self._position < self._most_frames:
            if is_16_bit:
                block = self._integers(file, frames)
                if block is None:  # as floats it is told how much was decoded before the error
                    is_16_bit = False
                elif len(block):
                    yield block
                else:
                    return
                continue
            # asked for more than is left, libsndfile reads what follows a FLAC's sound, and fails at tags
            block = np.full((min(frames, left), file.channels), np.nan, np.float32)
            try:
                block = file.read(out=block)
                if not len(block):
                    return
                failed = False
            except (soundfile.SoundFileError, OSError) as error:
                self._failed, failed = str(error).removeprefix("Error : ").rstrip("."), True
                block = block[: np.argmax(np.append(np.isnan(block[:, 0]), True))]  # what was decoded before the error
                if self._is_flac:
                    block = flac.before_silence(block)
            left -= len(block)
            failures = 0 if len(block) else failures + 1
            if len(block):
                yield block
            if failed and self._is_flac:  # it gives nothing more
                return

    def _integers(self, file: _SoundFile, frames: int) -> np.ndarray | None:
        """The next frames of a 16-bit file, which NumPy scales faster than libsndfile does; None after an error."""
        first = file.tell()
        try:
            return np.asarray(file.read(frames, "int16", always_2d=True) * np.float32(2**-15))
        except (soundfile.SoundFileError, OSError):
            file.seek(first)
            return None

    def _finite(self, block: np.ndarray) -> np.ndarray:
        """The block, in which zeros stand for values that are no samples."""
        if block.min() > -_LARGEST_SAMPLE and block.max() < _LARGEST_SAMPLE:  # False for NaN
            return block
        usable = np.abs(block) < _LARGEST_SAMPLE  # which NaN is not
        self._report.damage = self._report.damage or "it holds samples that are not finite numbers"
        bad = np.flatnonzero(~usable.all(axis=1))
        for stretch in np.split(bad, np.flatnonzero(np.diff(bad) > 1) + 1):
            self._lose(len(stretch), int(stretch[0]))
        return with_zeros(block)

    def _lose(self, frames: int, offset: int = 0) -> None:
        """Notes that so many frames are lost, from the position on."""
        start, lost = (self._position + offset) / self.rate, self._report.lost
        end = start + frames / self.rate
        if lost and abs(lost[-1][1] - start) < 0.5 / self.rate:
            start = lost.pop()[0]
        lost.append((start, end))

    def _finish(self) -> None:
        """Completes the report. Raises UnreadableError if there is nothing but damage."""
        report = self._report
        self._expected = max(self._expected, min(round(self._position / self._held_share), self._most_frames))
        if warning := reports.too_much_told(self._expected / self.rate, self._position / self.rate):
            report.warnings.append(warning)
            self._expected = self._position
        missing = self._expected - self._position
        if missing / self.rate > reports.LEAST_LOSS_SECONDS:
            self._lose(missing)
            report.damage = report.damage or self._failed or "the file ends early"
        elif self._failed or report.lost_seconds > reports.LEAST_LOSS_SECONDS:
            report.damage = report.damage or self._failed or "damaged"
        report.seconds = max(self._position, self._expected) / self.rate
        if not self._position or report.lost_seconds > report.seconds - 0.5 / self.rate:
            raise reports.UnreadableError(
                f"{self._path}: holds no samples{f' ({report.damage})' if report.damage else ''}"
            )


def _num_bytes_read(file: _SoundFile) -> int:
    """How far libsndfile has read a file that was opened as a descriptor or as a stream."""
    return os.lseek(file.name, 0, os.SEEK_CUR) if isinstance(file.name, int) else file.name.tell()


def _layout(path: str, head: bytes, *, is_flac: bool) -> parts.Layout:
    """Finds out what of a file can be decoded."""
    if header := wav.read(path):
        reports.check_header(path, header.sample_rate_hz, header.num_channels)
        return _mpeg_layout(path, header) if header.is_mpeg else wav.layout(header)
    if head.startswith(iff.MAGIC):
        return iff.layout(path)
    if head.startswith(ogg.MAGIC):
        return ogg.read(path)
    if is_flac:
        return flac.read(path)
    if mp3.is_mp3(head) or path.lower().endswith((".mp3", ".mp2")):
        return mp3.read(path)
    return parts.Layout()


def _mpeg_layout(path: str, header: wav.Header) -> parts.Layout:
    """What can be decoded of mp2 or mp3 in a WAV file, as of a file of its own: so libsndfile reads both, and all."""
    found = mp3.read(path, header.data_offset, header.data_offset + header.data_bytes)
    if header.is_open_ended or header.claimed_bytes <= header.data_bytes:
        return found
    return dataclasses.replace(found, held_share=header.data_bytes / header.claimed_bytes)

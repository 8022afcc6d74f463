"""Audio file → mono float32 samples at the front-end's sample rate → chunks.

Files are read as a stream: memory does not grow with their length.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import soxr

from bird_tf import config, files
from bird_tf.audio import ahead as running
from bird_tf.audio import channels, digests, foreign, frontend, hearing, own_clips, reports, sound

# Suffixes of recordings. Such a file that cannot be read is listed as skipped.
SUFFIXES = (".wav", ".wave", ".flac", ".mp3", ".mp2", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".aifc", ".au", ".snd",
            ".caf", ".w64", ".rf64", ".bwf", ".sph", ".voc", *foreign.SUFFIXES)  # fmt: skip

_BLOCKS_AHEAD = 2  # of decoder.BLOCK_SECONDS

# users of this module need no other for the length of a recording, or for one that cannot be read
duration_seconds, durations, searched_seconds = sound.duration_seconds, sound.durations, sound.searched_seconds
UnreadableError = reports.UnreadableError


@dataclasses.dataclass(frozen=True, kw_only=True)
class _CutConfig:
    """What can be asked of chunks besides their overlap."""

    minimum_seconds: float = config.option(
        0.5,
        "a last, zero-padded chunk follows if this much is left of a recording, seconds; a shorter one still gives "
        "one chunk",
    )
    channel: str = config.option(
        "",
        "what to hear of recordings with several channels: mix (their mean), loudest, or 1, 2, …; empty: as the model "
        "was trained, in a conversion mix",
    )

    def __post_init__(self) -> None:
        channels.check(self.channel)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChunkingConfig(_CutConfig):
    """Settings for reading recordings and cutting them into chunks."""

    steps: ClassVar[int] = 1  # from one chunk to the next one that is not shifted

    overlap_seconds: float = config.option(0.0, "overlap of neighbouring chunks, seconds")

    def hop_samples(self, front_end: frontend.FrontendConfig | hearing.Hearing) -> int:
        """Samples from chunk to chunk.

        Raises:
            InputError: the overlap is negative, or not shorter than a chunk.
        """
        step = front_end.chunk_seconds - self.overlap_seconds
        hop = round(step * front_end.sample_rate_hz) if self.overlap_seconds >= 0 else 0  # NaN gives 0
        if hop < 1:
            raise config.InputError(
                f"--overlap_seconds={self.overlap_seconds}: need 0 <= overlap < {front_end.chunk_seconds:g}, "
                "the length of a chunk"
            )
        return hop

    def hop_seconds(self, front_end: frontend.FrontendConfig | hearing.Hearing) -> float:
        """Seconds from chunk to chunk, those that are shifted among them. Raises as `hop_samples`."""
        return self.hop_samples(front_end) / self.steps / front_end.sample_rate_hz


@dataclasses.dataclass(frozen=True, kw_only=True)
class WithShiftedChunks(ChunkingConfig):
    """The chunks of a ChunkingConfig, all of them, and between each two of them one that is shifted by half a hop."""

    steps: ClassVar[int] = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class SegmentChunkingConfig(_CutConfig):
    """Settings for chunks of which segments are made, where segments are asked for."""

    overlap_seconds: float | None = config.option(
        None,
        "overlap of neighbouring chunks, seconds; empty: half a chunk for answers per segment of 5 s, otherwise none",
    )

    def for_recordings(self) -> ChunkingConfig:
        """How recordings are cut for answers of whole recordings."""
        return self._overlapping(self.overlap_seconds or 0.0)

    def for_segments(self, chunk_seconds: float) -> ChunkingConfig:
        """How they are cut for answers of segments: overlapping chunks hear a call whole, wherever a segment ends.

        Args:
            chunk_seconds: the length of a chunk; of several models, that of the shortest.
        """
        return self._overlapping(chunk_seconds / 2 if self.overlap_seconds is None else self.overlap_seconds)

    def _overlapping(self, seconds: float) -> ChunkingConfig:
        return ChunkingConfig(minimum_seconds=self.minimum_seconds, channel=self.channel, overlap_seconds=seconds)


def find(folder: str) -> list[str]:
    """Sorted paths of all recordings below a folder. Hidden files and folders are left out, and so are own clips.

    Raises:
        InputError: the folder does not exist, or holds no recording.
    """
    if not os.path.isdir(folder):
        raise config.InputError(f"{folder} is not a folder; --audio names the folder with the recordings")
    found = files.find(folder, SUFFIXES)
    if not found:
        raise config.InputError(f"{folder} holds no recordings (looked for {' '.join(SUFFIXES)})")
    return own_clips.without(found)


def blocks(
    path: str, sample_rate_hz: int, channel: str = channels.MIX, report: reports.Report | None = None,
    start_seconds: float = 0.0, *, ahead: bool = False,
) -> Iterator[np.ndarray]:  # fmt: skip
    """Decodes a recording as a stream of blocks of one channel.

    Args:
        path: any format that `sound.opened` reads.
        sample_rate_hz: sample rate of the result; soxr resamples in high quality, as in librosa.
        channel: as --channel.
        report: what was noticed while the recording was read.
        start_seconds: where the blocks begin.
        ahead: whether a thread of its own decodes, while this one resamples.

    Yields:
        [n] float32, nominally in [-1, 1]. Where something is lost there are zeros.

    Raises:
        UnreadableError: the file is not audio, holds nothing that can be decoded, or has no such channel.
    """
    report = reports.Report() if report is None else report
    with sound.opened(path, report, start_seconds) as opened, contextlib.ExitStack() as stack:
        decoded = opened.blocks
        if ahead:
            decoded = stack.enter_context(contextlib.closing(running.run_ahead(decoded, _BLOCKS_AHEAD)))
        selector = channels.Selector(path, channel, opened.num_channels)
        resampler = None
        if opened.sample_rate_hz != sample_rate_hz:
            resampler = soxr.ResampleStream(opened.sample_rate_hz, sample_rate_hz, 1, dtype="float32", quality="HQ")
        for block in decoded:
            mono = selector.take(block)
            if resampler is not None:
                mono = resampler.resample_chunk(mono, last=False)
            if len(mono):
                yield mono
        if resampler is not None:
            rest = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
            if len(rest):
                yield rest
        if warning := selector.warning():
            report.warnings.append(warning)


def digest(path: str, sample_rate_hz: int, channel: str = channels.MIX) -> str:
    """The digest of all samples of a recording. Raises UnreadableError as `blocks`."""
    return str(_digest(path, sample_rate_hz, channel, sys.maxsize))


def opening_digest(path: str, sample_rate_hz: int, channel: str = channels.MIX) -> str:
    """A digest of the first tenth of a second, or of all if there is less. Raises UnreadableError as `blocks`."""
    return str(_digest(path, sample_rate_hz, channel, sample_rate_hz // 10))


def head_digest(path: str, sample_rate_hz: int, channel: str = channels.MIX) -> str:
    """The first part of the digest, from the first seconds. Raises UnreadableError as `blocks`."""
    return _digest(path, sample_rate_hz, channel, digests.HEAD_SECONDS * sample_rate_hz).head


def _digest(path: str, sample_rate_hz: int, channel: str, num_samples: int) -> digests.Digest:
    """The digest of the first samples, of which no more than these are read."""
    found = digests.Digest(sample_rate_hz)
    for block in blocks(path, sample_rate_hz, channel):
        found.update(block[:num_samples])
        num_samples -= min(num_samples, len(block))
        if not num_samples:
            break
    return found


class ChunkStream:
    """The chunks of a recording; each begins `hop_samples` after the one before.

    Chunk i covers samples i·hop … i·hop + chunk_samples. All whole chunks are kept. One more chunk, padded with zeros,
    follows if at least `minimum_seconds` are left that no whole chunk covers, or if there is no whole chunk. A model
    that hears more than the chunk gets its span: the chunk with the sound around it, zeros outside the recording.
    With shifted chunks, these are the chunks of even numbers: chunk i covers samples i·hop // 2 … + chunk_samples.

    Attributes:
        num_samples: number of samples read so far, at the model's sample rate.
        digest: of these samples, if it is asked for.
        report: what was noticed while the recording was read; complete after the last chunk.
    """

    def __init__(
        self, path: str, hears: frontend.FrontendConfig | hearing.Hearing, chunking: ChunkingConfig, batch_size: int, *,
        with_digest: bool = False, ahead: bool = False,
    ) -> None:  # fmt: skip
        """Describes the chunks.

        Args:
            path: the recording.
            hears: what the model hears.
            chunking: how the recording is cut.
            batch_size: the most chunks at once.
            with_digest: whether the digest is computed.
            ahead: as of `blocks`.
        """
        self._hears = hearing.of(hears) if isinstance(hears, frontend.FrontendConfig) else hears
        self._path, self._batch_size = path, batch_size
        self._hop, self._steps = chunking.hop_samples(hears), chunking.steps
        self._minimum = max(1.0, chunking.minimum_seconds * hears.sample_rate_hz)
        self._channel, self._ahead = chunking.channel or self._hears.channel, ahead
        self.num_samples, self.report = 0, reports.Report()
        self.digest = digests.Digest(hears.sample_rate_hz) if with_digest else None

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields [1 … batch_size, span_samples] float32; the span of a front-end is the chunk.

        Raises:
            UnreadableError: as `blocks`, or the recording has no samples.
        """
        size, span, before = self._hears.chunk_samples, self._hears.span_samples, self._hears.samples_before
        hop, steps, emitted = self._hop, self._steps, 0
        parts, waiting = [np.zeros(before, np.float32)] * (before > 0), before
        for block in blocks(self._path, self._hears.sample_rate_hz, self._channel, self.report, ahead=self._ahead):
            self.num_samples += len(block)
            if self.digest:
                self.digest.update(block)
            parts.append(np.ascontiguousarray(block))  # of one of several channels, keep no other
            waiting += len(block)
            if waiting < self._between(emitted, self._batch_size - 1) + span:
                continue
            pending = _joined(parts)
            while len(pending) >= self._between(emitted, self._batch_size - 1) + span:
                yield self._cut(pending, emitted, self._batch_size)
                pending = pending[self._between(emitted, self._batch_size) :]
                emitted += self._batch_size
            parts, waiting = [pending], len(pending)
        if self.num_samples == 0:
            raise UnreadableError(f"{self._path}: holds no samples")
        count = max(0, 1 + (steps * (self.num_samples - size + 1) - 1) // hop)  # whole ones
        unshifted = -(-count // steps)
        covered = (unshifted - 1) * hop + size if unshifted else 0
        if self.num_samples - covered >= self._minimum or not unshifted:
            count = unshifted * steps + 1
        if (missing := self._between(emitted, count - 1 - emitted) + span - waiting) > 0:
            parts.append(np.zeros(missing, np.float32))
        pending = _joined(parts)
        for first in range(emitted, count, self._batch_size):
            chunks = pending[self._between(emitted, first - emitted) :]
            yield self._cut(chunks, first, min(self._batch_size, count - first))

    def _between(self, first: int, count: int) -> int:
        """Samples from the beginning of a chunk to that of the chunk `count` chunks later."""
        return (first + count) * self._hop // self._steps - first * self._hop // self._steps

    def _cut(self, samples: np.ndarray, first: int, count: int) -> np.ndarray:
        """So many chunks from chunk `first` on, with which the samples begin."""
        windows = np.lib.stride_tricks.sliding_window_view(samples, self._hears.span_samples)
        if self._steps == 1:  # without a copy
            return windows[: (count - 1) * self._hop + 1 : self._hop]
        return windows[[self._between(first, i) for i in range(count)]]


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """The parts as one array, copied once."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)

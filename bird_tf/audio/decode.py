"""Audio file → mono float32 samples at the front-end's sample rate → chunks.

Files are read as a stream: memory does not grow with their length.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator

import numpy as np
import soundfile
import soxr

from bird_tf import config, files
from bird_tf.audio import digests, frontend, hearing

# Suffixes of recordings. If libsndfile cannot read such a file, it is listed as skipped.
SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64", ".rf64",
            ".m4a", ".aac", ".wma")  # fmt: skip

_BLOCK_SECONDS = 10.0
# libsndfile returns at least this number if the header does not give the number of frames
_UNKNOWN_FRAMES = 2**62


class UnreadableError(config.InputError):
    """A recording that cannot be decoded."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChunkingConfig:
    """Settings for cutting recordings into chunks."""

    overlap_seconds: float = config.option(0.0, "overlap of neighbouring chunks, seconds")
    minimum_seconds: float = config.option(
        0.5,
        "a last, zero-padded chunk follows if this much is left of a recording, seconds; a shorter one still gives "
        "one chunk",
    )

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


def find(folder: str) -> list[str]:
    """Sorted paths of all recordings below a folder. Hidden files and folders are left out.

    Raises:
        InputError: the folder does not exist, or holds no recording.
    """
    if not os.path.isdir(folder):
        raise config.InputError(f"{folder} is not a folder; --audio names the folder with the recordings")
    found = files.find(folder, SUFFIXES)
    if not found:
        raise config.InputError(f"{folder} holds no recordings (looked for {' '.join(SUFFIXES)})")
    return found


def duration_seconds(path: str) -> float:
    """Length of a recording by its header, seconds; 0 if libsndfile cannot read it there."""
    try:
        with _opened(path) as file:
            return float(file.frames / file.samplerate) if file.frames < _UNKNOWN_FRAMES else 0.0
    except UnreadableError:
        return 0.0


class _SoundFile(soundfile.SoundFile):
    """A file that is read from its start to its end. In a FLAC without known length, libsndfile cannot seek."""

    def seekable(self) -> bool:
        return False


def _opened(path: str) -> soundfile.SoundFile:
    """Opens the file. Raises UnreadableError."""
    try:
        return _SoundFile(path)
    except UnicodeEncodeError as error:
        raise UnreadableError(f"{path}: its name is not UTF-8; rename it") from error
    # TypeError: formats without header, whose sample rate is unknown
    except (soundfile.SoundFileError, OSError, TypeError) as error:
        raise UnreadableError(f"{path}: cannot be decoded ({error})") from error


def blocks(path: str, sample_rate_hz: int) -> Iterator[np.ndarray]:
    """Decodes a recording as a stream of mono blocks.

    Args:
        path: any format that libsndfile reads; channels are averaged.
        sample_rate_hz: sample rate of the result; soxr resamples in high quality, as in librosa.

    Yields:
        [n] float32, nominally in [-1, 1].

    Raises:
        UnreadableError: the file is not audio, is damaged, or has samples that are not finite.
    """
    try:
        with _opened(path) as file:
            resampler = None
            if file.samplerate != sample_rate_hz:
                resampler = soxr.ResampleStream(file.samplerate, sample_rate_hz, 1, dtype="float32", quality="HQ")
            frames = round(_BLOCK_SECONDS * file.samplerate)
            while True:
                block = file.read(frames, dtype="float32", always_2d=True)
                last = len(block) == 0
                mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
                if not np.isfinite(mono).all():
                    raise UnreadableError(f"{path}: holds samples that are not finite numbers")
                if resampler is not None:
                    mono = resampler.resample_chunk(mono, last=last)
                if len(mono):
                    yield mono
                if last:
                    return
    except (soundfile.SoundFileError, OSError) as error:
        raise UnreadableError(f"{path}: cannot be decoded ({error})") from error


def digest(path: str, sample_rate_hz: int) -> str:
    """The digest of all samples of a recording. Raises UnreadableError as `blocks`."""
    found = digests.Digest(sample_rate_hz)
    for block in blocks(path, sample_rate_hz):
        found.update(block)
    return str(found)


def head_digest(path: str, sample_rate_hz: int) -> str:
    """The first part of the digest, from the first seconds. Raises UnreadableError as `blocks`."""
    found = digests.Digest(sample_rate_hz)
    for block in blocks(path, sample_rate_hz):
        found.update(block)
        if found.has_head:
            break
    return found.head


class ChunkStream:
    """The chunks of a recording; each begins `hop_samples` after the one before.

    Chunk i covers samples i·hop … i·hop + chunk_samples. All whole chunks are kept. One more chunk, padded with zeros,
    follows if at least `minimum_seconds` are left that no whole chunk covers, or if there is no whole chunk. A model
    that hears more than the chunk gets its span: the chunk with the sound around it, zeros outside the recording.

    Attributes:
        num_samples: number of samples read so far, at the model's sample rate.
        digest: of these samples.
    """

    def __init__(
        self, path: str, hears: frontend.FrontendConfig | hearing.Hearing, chunking: ChunkingConfig, batch_size: int
    ) -> None:
        self._hears = hearing.of(hears) if isinstance(hears, frontend.FrontendConfig) else hears
        self._path, self._batch_size = path, batch_size
        self._hop = chunking.hop_samples(hears)
        self._minimum = max(1.0, chunking.minimum_seconds * hears.sample_rate_hz)
        self.num_samples, self.digest = 0, digests.Digest(hears.sample_rate_hz)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields [1 … batch_size, span_samples] float32; the span of a front-end is the chunk.

        Raises:
            UnreadableError: as `blocks`, or the recording has no samples.
        """
        size, span, before = self._hears.chunk_samples, self._hears.span_samples, self._hears.samples_before
        hop, emitted = self._hop, 0
        pending = np.zeros(before, np.float32)
        for block in blocks(self._path, self._hears.sample_rate_hz):
            self.num_samples += len(block)
            self.digest.update(block)
            pending = np.concatenate([pending, block])
            while len(pending) >= span + (self._batch_size - 1) * hop:
                yield self._cut(pending, self._batch_size)
                emitted += self._batch_size
                pending = pending[self._batch_size * hop :]
        if self.num_samples == 0:
            raise UnreadableError(f"{self._path}: holds no samples")
        whole = max(0, 1 + (len(pending) - before - size) // hop)
        covered = (emitted + whole - 1) * hop + size if emitted + whole else 0
        if self.num_samples - covered >= self._minimum or emitted + whole == 0:
            whole += 1
        pending = np.pad(pending, (0, max(0, (whole - 1) * hop + span - len(pending))))
        for first in range(0, whole, self._batch_size):
            yield self._cut(pending[first * hop :], min(self._batch_size, whole - first))

    def _cut(self, samples: np.ndarray, count: int) -> np.ndarray:
        windows = np.lib.stride_tricks.sliding_window_view(samples, self._hears.span_samples)
        return windows[: (count - 1) * self._hop + 1 : self._hop]

"""Measures the converter against the 2018 way on one core, clips, two workers against one, and memory.

The reference does what the 2018 baseline does for each chunk: librosa's mel spectrogram, which builds the filter bank
in each call, decibels, activity by medians and morphology, a PNG file. It is faster than 2018 in two places: files are
read once and resampled once, by today's librosa with soxr.
"""

from __future__ import annotations

import dataclasses
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import librosa
import numpy as np
import PIL.Image
import scipy.ndimage
import soundfile

from bird_tf import config, executor
from bird_tf.audio import activity, decode, frontend
from bird_tf.conversion import shard_tasks, worker
from bird_tf.labels import metadata, spans, taxonomy

_LABELS = taxonomy.Taxonomy(("a",), ("a",))
_CLIP_SECONDS = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Flags of the measurement."""

    audio: str = config.option("", "folder with recordings to measure on; empty: generated 44.1 kHz wav files")
    seconds: float = config.option(240.0, "approximate length of the audio to use, seconds")
    rounds: int = config.option(3, "repetitions; the fastest of each side counts")
    hours: float = config.option(
        0.0, "length of a silent wav file for the measurement of memory, hours; 0: no such measurement"
    )
    front_end: frontend.FrontendConfig


@dataclasses.dataclass(frozen=True)
class _Measured:
    """CPU seconds of both sides for the same chunks, the parts of the reference, and the difference of the results.

    Those of clips are CPU seconds of a chunk in clips of 2 s, beside whole recordings of the same sound (`uncut`).
    """

    chunks: int
    ours: float
    reference: float
    parts: dict[str, float]
    difference: float
    clips: float
    uncut: float

    @property
    def overhead(self) -> float:
        """CPU seconds for each clip besides those for its sound."""
        return _CLIP_SECONDS * (self.clips - self.uncut)


def _task(
    paths: Sequence[str], folder: str, front_end: frontend.FrontendConfig, number: int = 0, split: str = "val"
) -> shard_tasks.ShardTask:
    return shard_tasks.ShardTask(
        directory=folder,
        split=split,
        number=number,
        total=4,
        recordings=tuple(metadata.Recording(recording_id=str(i), path=p, label="a") for i, p in enumerate(paths)),
        classes=_LABELS,
        front_end=front_end,
        chunking=decode.ChunkingConfig(),
        activity=activity.ActivityConfig(),
        annotated=spans.AnnotationConfig(),
        max_chunks_per_class=0,
        noise_share=0.0,
    )


class Reference:
    """The 2018 way, with the CPU time of each part."""

    def __init__(self, front_end: frontend.FrontendConfig) -> None:
        self._front_end = front_end
        self.parts = dict.fromkeys(("load", "spectrogram", "activity", "PNG"), 0.0)

    def _timed(self, part: str, function: Callable[..., Any], *arguments: object) -> Any:
        started = time.process_time()
        result = function(*arguments)
        self.parts[part] += time.process_time() - started
        return result

    def convert(self, path: str, folder: str) -> int:
        """Writes a PNG file for each whole chunk of a recording. Returns the number of chunks."""
        fe = self._front_end
        samples = self._timed("load", lambda: librosa.load(path, sr=fe.sample_rate_hz)[0])
        count = len(samples) // fe.chunk_samples
        for i in range(count):
            chunk = samples[i * fe.chunk_samples : (i + 1) * fe.chunk_samples]
            spectrogram = self._timed("spectrogram", self.spectrogram, chunk)
            active_share = self._timed("activity", self.activity, spectrogram)
            target = os.path.join(folder, f"{int(active_share * 10000):04d}_{os.path.basename(path)}_{i}.png")
            self._timed("PNG", self._write, spectrogram, target)
        return count

    def _write(self, spectrogram: np.ndarray, path: str) -> None:
        PIL.Image.fromarray((spectrogram * 255).astype(np.uint8)).save(path)

    def spectrogram(self, samples: np.ndarray) -> np.ndarray:
        """[chunk_samples] → [num_bands, num_frames] float32 in [0, 1]."""
        fe = self._front_end
        samples = np.append(samples[0], samples[1:] - fe.pre_emphasis * samples[:-1])
        bands = librosa.feature.melspectrogram(
            y=samples, sr=fe.sample_rate_hz, n_fft=fe.n_fft, hop_length=fe.hop_length, n_mels=fe.num_bands,
            fmin=fe.fmin_hz, fmax=fe.fmax_hz, power=1.0, pad_mode="reflect",
        )  # fmt: skip
        decibels = librosa.amplitude_to_db(bands, ref=np.max, top_db=fe.top_db)[::-1, : fe.num_frames]
        decibels = decibels - decibels.min()
        return np.asarray(decibels / max(float(decibels.max()), 1e-9))

    def activity(self, spectrogram: np.ndarray) -> np.ndarray:
        """The share of active pixels as in `activity.active_share`, computed with SciPy."""
        rows, columns = np.median(spectrogram, axis=1, keepdims=True), np.median(spectrogram, axis=0, keepdims=True)
        binary = (spectrogram >= 1.25 * rows) & (spectrogram >= 1.15 * columns) & (spectrogram > 0)
        # the median of zeros and ones is a rounded mean, which SciPy computes faster than its median filter
        cleaned = scipy.ndimage.uniform_filter(binary.astype(np.float32), 3, mode="nearest") > 0.5
        return np.asarray(scipy.ndimage.grey_closing(cleaned.astype(np.uint8), (3, 3), mode="nearest").mean())


def _cut(paths: Sequence[str], folder: str, rate: int) -> tuple[list[str], list[str]]:
    """Writes the sound of recordings as 16-bit wav, whole and as clips. Returns the paths of both."""
    whole, clips, size = [], [], _CLIP_SECONDS * rate
    for number, path in enumerate(paths):
        samples = np.concatenate(list(decode.blocks(path, rate)))
        samples = samples[: len(samples) // size * size]
        whole.append(os.path.join(folder, f"whole{number}.wav"))
        soundfile.write(whole[-1], samples, rate)
        for first in range(0, len(samples), size):
            clips.append(os.path.join(folder, f"clip{number}_{first}.wav"))
            soundfile.write(clips[-1], samples[first : first + size], rate)
    return whole, clips


def _cpu_a_chunk(task: shard_tasks.ShardTask) -> float:
    started = time.process_time()
    result = worker.write_shard(task)
    seconds = time.process_time() - started
    return seconds / max(1, sum(converted.chunks.get("a", 0) for converted in result.recordings))


def _measure(paths: Sequence[str], front_end: frontend.FrontendConfig, rounds: int) -> _Measured:
    """Measures both sides on one core. It runs in a process of its own."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    ours, theirs, parts, chunks, cut = [], [], [], 0, []
    with tempfile.TemporaryDirectory() as folder:
        whole, clips = _cut(paths[:8], folder, front_end.sample_rate_hz)
        worker.write_shard(_task(paths[:1], folder, front_end))
        Reference(front_end).convert(paths[0], folder)
        for _ in range(rounds):
            started = time.process_time()
            result = worker.write_shard(_task(paths, folder, front_end))
            ours.append(time.process_time() - started)
            chunks = sum(converted.chunks.get("a", 0) for converted in result.recordings)
            reference = Reference(front_end)
            started = time.process_time()
            count = sum(reference.convert(path, folder) for path in paths)
            theirs.append((time.process_time() - started) / max(1, count) * chunks)
            parts.append({name: seconds / max(1, count) for name, seconds in reference.parts.items()})
            cut.append([_cpu_a_chunk(_task(files, folder, front_end)) for files in (clips, whole)])
    samples = next(iter(decode.ChunkStream(paths[0], front_end, decode.ChunkingConfig(), 8)))
    difference = frontend.spectrograms(samples, front_end).numpy() - [reference.spectrogram(s) for s in samples]
    clip_seconds, uncut_seconds = (min(column) for column in zip(*cut, strict=True))
    return _Measured(
        chunks, min(ours), min(theirs), parts[int(np.argmin(theirs))], float(np.abs(difference).max()), clip_seconds,
        uncut_seconds,
    )  # fmt: skip


def _cpu(task: shard_tasks.ShardTask) -> float:
    """CPU seconds of one task, measured in the worker."""
    started = time.process_time()
    worker.write_shard(task)
    return time.process_time() - started


def _pooled(paths: Sequence[str], front_end: frontend.FrontendConfig, workers: int) -> tuple[float, float]:
    """Wall-clock and CPU seconds for four tasks, without the start of the processes."""
    with tempfile.TemporaryDirectory() as folder, executor.alone() if workers == 1 else executor.start(workers) as pool:

        def run(numbers: Sequence[int]) -> tuple[float, float]:
            started = time.monotonic()
            shards = [pool.submit(_cpu, _task(paths, folder, front_end, number)) for number in numbers]
            cpu = sum(shard.result() for shard in shards)
            return time.monotonic() - started, cpu

        run(range(2 * workers))
        return run(range(4))


def _memory(path: str, front_end: frontend.FrontendConfig) -> tuple[float, float, float]:
    """Peak memory of a worker, GiB, after one chunk and after the long recording; and the seconds for both."""
    with tempfile.TemporaryDirectory() as folder:
        short = os.path.join(folder, "short.wav")
        soundfile.write(short, np.zeros(front_end.chunk_samples), front_end.sample_rate_hz)
        peaks, started = [], time.monotonic()
        for file in (short, path):
            worker.write_shard(_task([file], folder, front_end, split="train"))
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
        return peaks[0], peaks[1], time.monotonic() - started


def _silent_wav(path: str, hours: float, rate: int) -> None:
    """Writes a wav file of 16-bit zeros that needs no space on disk."""
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16") as file:
        file.write(np.zeros(1, np.int16))
    size = 2 * round(hours * 3600 * rate)
    with open(path, "r+b") as raw:
        for place, value in ((4, size + 36), (40, size)):
            raw.seek(place)
            raw.write(value.to_bytes(4, "little"))
        raw.truncate(44 + size)


def _choose(settings: Settings, folder: str) -> list[str]:
    if settings.audio:
        paths, seconds = [], 0.0
        # every tenth recording, so that the choice is mixed; then those between
        ordered = decode.find(settings.audio)
        for path in [p for start in range(10) for p in ordered[start::10]]:
            if seconds < settings.seconds:
                paths.append(path)
                seconds += decode.duration_seconds(path)
        return paths
    generator, rate, paths = np.random.default_rng(0), 44100, []
    for i in range(4):
        t = np.arange(round(settings.seconds / 4 * rate)) / rate
        chirp = np.sin(2 * np.pi * (3000 * t + 200 * np.sin((5 + i) * t))) * (np.sin(3 * t) > 0)
        paths.append(os.path.join(folder, f"{i}.wav"))
        soundfile.write(paths[-1], 0.3 * chirp + generator.normal(0, 0.02, len(t)), rate)
    return paths


def main(settings: Settings) -> list[tuple[str, str, str, float]]:
    """Prints the table. Returns (what, result, reference, ratio) for `all`."""
    front_end = settings.front_end
    with tempfile.TemporaryDirectory() as folder:
        paths = _choose(settings, folder)
        with executor.alone() as pool:
            measured = pool.submit(_measure, paths, front_end, settings.rounds).result()
        seconds = measured.chunks * front_end.chunk_seconds
        print(f"{measured.chunks} chunks of {len(paths)} recordings; spectrograms differ by {measured.difference:.1e}")
        print(f"{'':24}{'ms a chunk':>12}{'s of sound per CPU s':>24}")
        for name, cpu in (("2018 way", measured.reference), ("converter", measured.ours)):
            print(f"{name:24}{1000 * cpu / measured.chunks:12.2f}{seconds / cpu:24.0f}")
        for name, cpu in measured.parts.items():
            print(f"  of the 2018 way: {name:16}{1000 * cpu:.2f} ms")
        print(f"ratio {measured.reference / measured.ours:.2f}")
        print(
            f"clips of {_CLIP_SECONDS} s: {1000 * measured.clips:.2f} ms a chunk, uncut {1000 * measured.uncut:.2f}; "
            f"{1e6 * measured.overhead / front_end.chunk_seconds:.0f} µs for each clip besides its sound"
        )
        (one, one_cpu), (two, two_cpu) = _pooled(paths, front_end, 1), _pooled(paths, front_end, 2)
        # other load on the machine changes the first ratio; the second shows how two workers slow each other down
        print(f"two workers against one: {one / two:.2f} by the clock, {two_cpu / one_cpu:.2f} of its CPU seconds")
        if settings.hours:
            path = os.path.join(folder, "long.wav")
            _silent_wav(path, settings.hours, front_end.sample_rate_hz)
            with executor.alone() as pool:
                before, after, taken = pool.submit(_memory, path, front_end).result()
            print(f"{settings.hours:g} h in {taken:.0f} s: {before:.2f} GiB after 1 s of sound, {after:.2f} at the end")
    result = f"{seconds / measured.ours:.0f} s of sound a CPU second"
    return [
        ("convert", result, "the 2018 way", measured.reference / measured.ours),
        (
            f"convert, clips of {_CLIP_SECONDS} s",
            f"{front_end.chunk_seconds / measured.clips:.0f} s of sound a CPU second",
            "the same sound uncut",
            measured.uncut / measured.clips,
        ),
        ("convert, two workers", f"{seconds / two:.0f} s of sound a second", "one worker", one / two),
    ]  # fmt: skip

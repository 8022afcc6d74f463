"""Soundscapes with a known truth, mixed of labelled calls and of noise; and soundscapes of the noise alone."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from collections.abc import Mapping, Sequence

import numpy as np

from bird_tf import config, files
from bird_tf.audio import decode, wav
from bird_tf.records import manifests, shard_files

_FADE_SECONDS = 0.05
_COLUMNS = ("media_id", "class_id", "start_seconds", "end_seconds")

# path of a recording, and the start of a stretch of it that is as long as a chunk, in seconds
Stretch = tuple[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixtureConfig:
    """How soundscapes are mixed."""

    num_mixtures: int = config.option(20, "number of soundscapes with calls, and of soundscapes with noise alone")
    seconds: float = config.option(60.0, "length of a soundscape, seconds")
    calls: int = config.option(8, "calls in each soundscape")
    ratio_db: tuple[float, ...] = config.option(
        (0.0, 20.0), "interval of the power of a call relative to the noise, dB"
    )

    def __post_init__(self) -> None:
        if self.num_mixtures < 1 or self.seconds <= 0 or self.calls < 1 or len(self.ratio_db) != 2:
            raise config.InputError(
                f"--num_mixtures={self.num_mixtures} --seconds={self.seconds} --calls={self.calls} "
                f"--ratio_db={','.join(map(str, self.ratio_db))}: need numbers above 0, and two ratios"
            )


def spans(manifest: manifests.Manifest, part: str) -> list[tuple[str, float, int, float]]:
    """(recording id, start in seconds, label, activity) of every chunk of a split."""
    found: list[tuple[str, float, int, float]] = []
    for batch in shard_files.read(manifest, part, 256, ()) if manifest.num_chunks(part) else ():
        names = ("recording_id", "start_seconds", "label", "activity")
        for recording, start, label, activity in zip(*(batch[name].numpy() for name in names), strict=True):
            found.append((recording.decode(), float(start), int(label), float(activity)))
    return found


def clearest_calls(manifest: manifests.Manifest, paths: Mapping[str, str]) -> list[tuple[str, float, str]]:
    """(path, start, class id) of the chunk with the greatest activity of each validation recording.

    Args:
        manifest: the records.
        paths: {recording id: audio file}.
    """
    clearest: dict[str, tuple[str, float, int, float]] = {}
    for span in spans(manifest, "val"):
        clearest[span[0]] = max(clearest.get(span[0], span), span, key=lambda s: s[3])
    return [(paths[i], start, manifest.classes.class_ids[label]) for i, start, label, _ in clearest.values()]


def _fade(samples: np.ndarray, rate: int) -> np.ndarray:
    """Fades both ends of the samples."""
    ramp = np.minimum(1.0, np.minimum(np.arange(1, len(samples) + 1), np.arange(len(samples), 0, -1))
                      / (_FADE_SECONDS * rate))  # fmt: skip
    return np.asarray(samples * ramp)


class Mixer:
    """Cuts stretches out of recordings and adds them."""

    def __init__(
        self, settings: MixtureConfig, manifest: manifests.Manifest, calls: Sequence[tuple[str, float, str]],
        noise: Sequence[Stretch],
    ) -> None:  # fmt: skip
        """Makes a mixer.

        Args:
            settings: what is mixed.
            manifest: the records: length of a chunk, sample rate and channel.
            calls: as from `clearest_calls`, at least one.
            noise: stretches without a call, at least one.
        """
        self._settings, self._calls, self._noise = settings, calls, noise
        self._rate, self._seconds = manifest.front_end.sample_rate_hz, manifest.front_end.chunk_seconds
        self._channel = manifest.channel
        self._cut = functools.cache(self._decode)  # a span is used many times, and its whole recording is decoded

    def _decode(self, path: str, start: float) -> np.ndarray:
        """Samples of a stretch, scaled to power 1. At the end of the recording a shorter one is repeated."""
        samples = np.concatenate(list(decode.blocks(path, self._rate, self._channel)))
        first, length = round(start * self._rate), round(self._seconds * self._rate)
        span = np.resize(samples[first : first + length].astype(np.float64), length)
        return np.asarray(span / max(1e-9, np.sqrt(np.mean(np.square(span)))))

    def bed(self, generator: np.random.Generator) -> np.ndarray:
        """Noise of power about 1, [seconds · rate] float64: stretches of noise, with a crossfade between them."""
        bed = np.zeros(round(self._settings.seconds * self._rate))
        overlap, position = round(_FADE_SECONDS * self._rate), 0
        while position < len(bed):
            path, start = self._noise[generator.integers(len(self._noise))]
            piece = _fade(self._cut(path, start), self._rate)[: len(bed) - position]
            bed[position : position + len(piece)] += piece
            position += max(1, len(piece) - overlap)
        return bed

    def mixture(self, generator: np.random.Generator) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
        """Noise with calls, and (class id, start, end) of each call."""
        bed, truth = self.bed(generator), []
        lowest, highest = self._settings.ratio_db
        for _ in range(self._settings.calls):
            path, start, class_id = self._calls[generator.integers(len(self._calls))]
            call = _fade(self._cut(path, start), self._rate)[: len(bed)]
            position = int(generator.integers(0, len(bed) - len(call) + 1))
            bed[position : position + len(call)] += call * 10 ** (generator.uniform(lowest, highest) / 20)
            truth.append((class_id, position / self._rate, (position + len(call)) / self._rate))
        return bed, sorted(truth, key=lambda entry: entry[1])

    def write(self, output: str, seed: int) -> int:
        """Writes OUTPUT/mixtures and OUTPUT/noise, and their truth: mixtures.csv, and noise.csv without a row.

        Args:
            output: the folder.
            seed: equal seeds give equal bytes.

        Returns:
            The number of calls.
        """
        generator = np.random.default_rng(seed)
        rows: list[tuple[str, str, str, str]] = []
        self._remove_earlier(output)
        for number in range(self._settings.num_mixtures):
            samples, truth = self.mixture(generator)
            self._write(os.path.join(output, "mixtures", f"mix{number:03d}.wav"), samples)
            rows += [(f"mix{number:03d}", class_id, f"{start:.3f}", f"{end:.3f}") for class_id, start, end in truth]
            self._write(os.path.join(output, "noise", f"noise{number:03d}.wav"), self.bed(generator))
        files.write_table(os.path.join(output, "mixtures.csv"), _COLUMNS, rows)
        files.write_table(os.path.join(output, "noise.csv"), _COLUMNS, [])
        return len(rows)

    @staticmethod
    def _remove_earlier(output: str) -> None:
        """Removes what an earlier run wrote, the truth first: it would be judged with soundscapes of another one."""
        for part, beginning in (("mixtures", "mix"), ("noise", "noise")):
            files.remove(os.path.join(output, f"{part}.csv"))
            for name in files.names(os.path.join(output, part)):
                if re.fullmatch(rf"{beginning}\d{{3,}}\.wav", name):
                    files.remove(os.path.join(output, part, name))

    def _write(self, path: str, samples: np.ndarray) -> None:
        wav.write(path, 0.9 * samples / max(1e-9, float(np.abs(samples).max())), self._rate)

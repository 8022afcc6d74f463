"""Soundscapes with a known truth, mixed of labelled calls and of noise; and soundscapes of the noise alone."""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from bird_tf import config, csv_files, files
from bird_tf.audio import decode, wav
from bird_tf.evaluation import calls, excerpts
from bird_tf.inference import audio_files, result_files
from bird_tf.records import manifests, recordings_table, shard_files, verify

_FADE_SECONDS = 0.05
_TABLES = _TABLE, _NOISE_TABLE = ("mixtures.csv", "noise.csv")
_ADVICE = "; --audio=DIR names the folder of all"

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
        are_ratios = len(self.ratio_db) == 2 and self.ratio_db[0] <= self.ratio_db[1]
        if self.num_mixtures < 1 or self.seconds <= 0 or self.calls < 1 or not are_ratios:
            raise config.InputError(
                f"--num_mixtures={self.num_mixtures} --seconds={self.seconds} --calls={self.calls} "
                f"--ratio_db={','.join(map(str, self.ratio_db))}: need numbers above 0, and two ratios, the lower "
                "one first"
            )


def spans(manifest: manifests.Manifest, part: str) -> list[tuple[str, float, int, float]]:
    """(recording id, start in seconds, label, activity) of every chunk of a split."""
    chunks = _chunks(manifest, part, "label", "activity")
    return [(recording, start, int(label), float(activity)) for recording, start, label, activity in chunks]


def _chunks(manifest: manifests.Manifest, part: str, *names: str) -> Iterator[tuple[Any, ...]]:
    """Yields (recording id, start in seconds, value of each name) of every chunk of a split."""
    batches = shard_files.read(manifest, part, 256, ()) if manifest.num_chunks(part) else ()
    for batch in verify.naming_damage(batches, manifest):
        columns = (batch[name].numpy() for name in ("recording_id", "start_seconds", *names))
        for recording, start, *values in zip(*columns, strict=True):
            yield (recording.decode(), float(start), *values)


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


def without_others(
    manifest: manifests.Manifest, paths: Mapping[str, str], clearest: Sequence[tuple[str, float, str]]
) -> list[tuple[str, float, str]]:
    """The calls in whose chunks no further species is known: the truth of a mixture names one species for a call.

    A species of which fewer than half of the calls would be left keeps them all. A warning tells how many there are.

    Args:
        manifest: the records.
        paths: {recording id: audio file}.
        clearest: as from `clearest_calls`.
    """
    shared = {(paths[recording], start) for recording, start in _shared(manifest)}
    alone = [call for call in clearest if call[:2] not in shared]
    counts = [collections.Counter(class_id for _, _, class_id in some) for some in (clearest, alone)]
    found = [call for call in clearest if call[:2] not in shared or 2 * counts[1][call[2]] < counts[0][call[2]]]
    if further := len(found) - len(alone):
        logging.warning(
            "%d of %d calls are of chunks in which further species are known. The truth of the mixtures does not name "
            "these: who hears them counts as wrong", further, len(found),
        )  # fmt: skip
    return found


def _shared(manifest: manifests.Manifest) -> Iterator[tuple[str, float]]:
    """Yields (recording id, start in seconds) of the validation chunks with known background species."""
    for recording, start, background in _chunks(manifest, "val", "background"):
        if (background >= 0).any():
            yield recording, start


def validation_calls(
    manifest: manifests.Manifest, audio: str = "", without: Collection[str] = (), advice: str = _ADVICE
) -> list[tuple[str, float, str]]:
    """The clearest calls of the validation recordings, best of chunks `without_others`.

    Arguments and errors are those of `clearest_validation_calls`.
    """
    found = clearest_validation_calls(manifest, audio, without, advice)
    return without_others(manifest, _paths(manifest, audio), found)


def clearest_validation_calls(
    manifest: manifests.Manifest, audio: str = "", without: Collection[str] = (), advice: str = _ADVICE
) -> list[tuple[str, float, str]]:
    """The clearest call of each validation recording, as from `clearest_calls`.

    Args:
        manifest: the records.
        audio: folder of their recordings; empty: the one that they were converted from.
        without: ids of recordings that are not used.
        advice: what the message tells to do if their audio is not there.

    Raises:
        InputError: there are no validation recordings, or their audio is not there.
    """
    if not manifest.num_chunks("val"):
        raise config.InputError(f"{manifest.directory} has no validation recordings")
    paths = _paths(manifest, audio)
    unwanted = {paths[recording] for recording in without if recording in paths}
    found = [call for call in clearest_calls(manifest, paths) if call[0] not in unwanted]
    if not found:
        raise config.InputError(f"{manifest.directory}: the model has learnt from all validation recordings")
    if absent := [path for path, _, _ in found if not os.path.exists(path)]:
        raise _not_there(absent[0], advice)
    return found


def check_audio(manifest: manifests.Manifest, audio: str = "") -> None:
    """Raises InputError if none of the validation recordings is there, before hours of work; as `validation_calls`."""
    paths = _paths(manifest, audio)
    validation = [paths[r.recording_id] for r in recordings_table.validation(manifest) if r.recording_id in paths]
    if validation and not any(map(os.path.exists, validation)):
        raise _not_there(validation[0])


def _not_there(path: str, advice: str = _ADVICE) -> config.InputError:
    return config.InputError(f"{path}: this validation recording is not there{advice}")


def validation_noise(manifest: manifests.Manifest, audio: str = "") -> list[Stretch]:
    """The noise chunks of the validation recordings whose audio is there; `audio` as in `validation_calls`."""
    paths = _paths(manifest, audio)
    found = [(paths[recording], start) for recording, start, _, _ in spans(manifest, "val_noise")]
    return [(path, start) for path, start in found if os.path.exists(path)]


def _paths(manifest: manifests.Manifest, audio: str) -> dict[str, str]:
    return recordings_table.paths(manifest.directory, audio or str(manifest.converter.get("audio", "")))


def stretches(folder: str, manifest: manifests.Manifest) -> list[Stretch]:
    """Every stretch with sound of the recordings in a folder that is as long as a chunk; a shorter recording is one.

    Raises:
        InputError: there is no recording, or one cannot be read.
    """
    found, front_end = list[Stretch](), manifest.front_end
    for _, path in audio_files.find_below(folder):
        num_samples, with_sound = 0, set[int]()
        try:
            for block in decode.blocks(path, front_end.sample_rate_hz, manifest.channel):
                heard = np.unique((num_samples + np.flatnonzero(block)) // front_end.chunk_samples)
                with_sound.update(heard.tolist())
                num_samples += len(block)
        except decode.UnreadableError as error:
            raise config.InputError(f"--noise_audio={folder}: {error}; take it out") from error
        chunks = max(1, int(num_samples / front_end.sample_rate_hz // front_end.chunk_seconds))
        found += [(path, i * front_end.chunk_seconds) for i in range(chunks) if i in with_sound]
    if not found:
        raise config.InputError(f"--noise_audio={folder}: no recording there has any sound")
    return found


def _fade(samples: np.ndarray, rate: int) -> np.ndarray:
    """Fades both ends of the samples."""
    ramp = np.minimum(1.0, np.minimum(np.arange(1, len(samples) + 1), np.arange(len(samples), 0, -1))
                      / (_FADE_SECONDS * rate))  # fmt: skip
    return np.asarray(samples * ramp)


def places(output: str) -> tuple[str, str]:
    """Where `Mixer.write` puts mixtures: their folder, and the CSV of their calls, which is there when all are."""
    return os.path.join(output, "mixtures"), os.path.join(output, _TABLE)


class Mixer:
    """Cuts stretches out of recordings and adds them."""

    def __init__(
        self, settings: MixtureConfig, manifest: manifests.Manifest, clearest: Sequence[tuple[str, float, str]],
        noise: Sequence[Stretch],
    ) -> None:  # fmt: skip
        """Makes a mixer.

        Args:
            settings: what is mixed.
            manifest: the records: length of a chunk, sample rate and channel.
            clearest: as from `clearest_calls`, at least one.
            noise: stretches without a call, at least one.
        """
        self._settings, self._calls, self._noise = settings, clearest, noise
        self._rate, self._seconds = manifest.front_end.sample_rate_hz, manifest.front_end.chunk_seconds
        self._channel = manifest.channel
        self._cut = functools.cache(self._decode)  # a stretch is used many times

    def _decode(self, path: str, start: float) -> np.ndarray:
        """Samples of a stretch, scaled to power 1. At the end of the recording a shorter one is repeated."""
        samples = excerpts.samples(path, self._rate, start, start + self._seconds, self._channel)
        span = np.resize(samples.astype(np.float64), round(self._seconds * self._rate))
        return np.asarray(span / max(1e-9, np.sqrt(np.mean(np.square(span)))))

    def bed(self, generator: np.random.Generator) -> np.ndarray:
        """Noise of power about 1, [seconds · rate] float64: stretches of noise, with a crossfade between them."""
        bed = np.zeros(round(self._settings.seconds * self._rate))
        overlap, position = round(_FADE_SECONDS * self._rate), 0
        while position < max(1, len(bed) - overlap):  # what is left is the end of a crossfade
            path, start = self._noise[generator.integers(len(self._noise))]
            piece = _fade(self._cut(path, start), self._rate)[: len(bed) - position]
            bed[position : position + len(piece)] += piece
            position += max(1, len(piece) - overlap)
        return bed

    def mixture(self, generator: np.random.Generator) -> tuple[np.ndarray, list[tuple[str, float, float, str]]]:
        """Noise with calls, and (class id, start, end, the recording that it was cut from) of each call."""
        bed, truth = self.bed(generator), []
        lowest, highest = self._settings.ratio_db
        for _ in range(self._settings.calls):
            path, start, class_id = self._calls[generator.integers(len(self._calls))]
            call = _fade(self._cut(path, start), self._rate)[: len(bed)]
            position = int(generator.integers(0, len(bed) - len(call) + 1))
            bed[position : position + len(call)] += call * 10 ** (generator.uniform(lowest, highest) / 20)
            end = position + len(call)
            truth.append((class_id, position / self._rate, end / self._rate, os.path.abspath(path)))
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
        rows: list[tuple[str, ...]] = []
        results = result_files.ResultFiles(output, "mixing")
        with results.writing(_TABLES):
            for table in _TABLES:  # first: it would be judged with soundscapes of another run
                files.remove(results.path(table))
            for number in range(self._settings.num_mixtures):
                samples, truth = self.mixture(generator)
                self._write(results.path(f"mixtures/mix{number:03d}.wav"), samples)
                rows += [
                    (f"mix{number:03d}", class_id, f"{start:.3f}", f"{end:.3f}", path)
                    for class_id, start, end, path in truth
                ]
                self._write(results.path(f"noise/noise{number:03d}.wav"), self.bed(generator))
            for table, own in ((_TABLE, rows), (_NOISE_TABLE, [])):
                csv_files.write(results.path(table), (*calls.COLUMNS, calls.CUT_FROM), own)
        return len(rows)

    def _write(self, path: str, samples: np.ndarray) -> None:
        wav.write(path, 0.9 * samples / max(1e-9, float(np.abs(samples).max())), self._rate)

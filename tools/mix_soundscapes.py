"""Mixes soundscapes with a known truth from labelled recordings: calls at known times in noise, and noise alone.

python tools/mix_soundscapes.py --audio=DIR --records=tfrecords/NAME --output=DIR
then python -m bird_tf.evaluate --model=… --audio=DIR/mixtures --segments=DIR/mixtures.csv, and the same with noise

The calls are the chunks with the greatest activity of the validation recordings. The background is made of the records'
noise chunks, or of --noise_audio=DIR, recordings from elsewhere in which no bird is heard. To use nothing of a training
recording, give records without a training split, as the test records of a fold.
"""

from __future__ import annotations

import dataclasses
import functools
import os

import numpy as np

from bird_tf import config, files, next_steps, stored
from bird_tf.audio import decode, wav
from bird_tf.inference import audio_files
from bird_tf.records import manifests, shard_files

_FADE_SECONDS = 0.05
_COLUMNS = ("media_id", "class_id", "start_seconds", "end_seconds")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixConfig:
    """Flags of the mixer."""

    audio: str = config.option("", "folder with the recordings that the records were made from", required=True)
    records: str = config.option("", "records with validation recordings, and noise or --noise_audio", required=True)
    noise_audio: str = config.option(
        "", "folder with recordings without birds, as background; empty: the noise chunks of the records"
    )
    output: str = config.option("", "folder for mixtures/, noise/ and a CSV file with the truth of each", required=True)
    num_mixtures: int = config.option(20, "number of soundscapes with calls, and of soundscapes with noise alone")
    seconds: float = config.option(60.0, "length of a soundscape, seconds")
    calls: int = config.option(8, "calls in each soundscape")
    ratio_db: tuple[float, ...] = config.option(
        (0.0, 20.0), "interval of the power of a call relative to the noise, dB"
    )
    seed: int = config.option(0, "seed; equal seeds give equal bytes")

    def __post_init__(self) -> None:
        if self.num_mixtures < 1 or self.seconds <= 0 or self.calls < 1 or len(self.ratio_db) != 2:
            raise config.InputError(
                f"--num_mixtures={self.num_mixtures} --seconds={self.seconds} --calls={self.calls} "
                f"--ratio_db={','.join(map(str, self.ratio_db))}: need numbers above 0, and two ratios"
            )


def _spans(manifest: manifests.Manifest, part: str) -> list[tuple[str, float, int, float]]:
    """(recording id, start in seconds, label, activity) of every chunk of a split."""
    found: list[tuple[str, float, int, float]] = []
    for batch in shard_files.read(manifest, part, 256, ()) if manifest.num_chunks(part) else ():
        names = ("recording_id", "start_seconds", "label", "activity")
        for recording, start, label, activity in zip(*(batch[name].numpy() for name in names), strict=True):
            found.append((recording.decode(), float(start), int(label), float(activity)))
    return found


def _fade(samples: np.ndarray, rate: int) -> np.ndarray:
    """Fades both ends of the samples."""
    ramp = np.minimum(1.0, np.minimum(np.arange(1, len(samples) + 1), np.arange(len(samples), 0, -1))
                      / (_FADE_SECONDS * rate))  # fmt: skip
    return np.asarray(samples * ramp)


class Mixer:
    """Cuts spans out of recordings and adds them."""

    def __init__(self, settings: MixConfig) -> None:
        """Reads which calls and which noise there are.

        Raises:
            InputError: there is no validation chunk or no noise, or a recording of the noise cannot be read.
        """
        manifest = manifests.load(settings.records)
        self._settings, self._classes = settings, manifest.classes
        self._rate, self._seconds = manifest.front_end.sample_rate_hz, manifest.front_end.chunk_seconds
        self._channel = manifest.channel
        table = stored.read_table(os.path.join(settings.records, manifests.RECORDINGS), ("recording_id", "file"))
        self._paths = {row.text("recording_id"): os.path.join(settings.audio, row.text("file")) for row in table}
        clearest: dict[str, tuple[str, float, int, float]] = {}
        for span in _spans(manifest, "val"):
            clearest[span[0]] = max(clearest.get(span[0], span), span, key=lambda s: s[3])
        self._calls = list(clearest.values())
        self._noise = self._noise_starts(manifest)
        self._cut = functools.cache(self._decode)  # a span is used many times, and its whole recording is decoded
        if not self._calls or not self._noise:
            raise config.InputError(
                f"--records={settings.records}: {len(self._calls)} validation recordings and {len(self._noise)} "
                "stretches of noise, but both are needed; convert with --val_share above 0 and --noise_share=1, or "
                "name a folder of recordings without birds with --noise_audio"
            )

    def _noise_starts(self, manifest: manifests.Manifest) -> list[tuple[str, float]]:
        """(path, start in seconds) of every stretch of noise, as long as a chunk."""
        folder = self._settings.noise_audio
        if not folder:
            return [(self._paths[recording], start) for recording, start, _, _ in _spans(manifest, "noise")]
        found = []
        for _, path in audio_files.find_below(folder):
            try:
                num_samples = sum(len(block) for block in decode.blocks(path, self._rate, self._channel))
            except decode.UnreadableError as error:
                raise config.InputError(f"--noise_audio={folder}: {error}; take it out") from error
            count = max(1, int(num_samples / self._rate // self._seconds)) if num_samples else 0
            found += [(path, i * self._seconds) for i in range(count)]
        return found

    def _decode(self, path: str, start: float) -> np.ndarray:
        """Samples of a stretch, scaled to power 1. At the end of the recording a shorter one is repeated."""
        samples = np.concatenate(list(decode.blocks(path, self._rate, self._channel)))
        first, length = round(start * self._rate), round(self._seconds * self._rate)
        span = np.resize(samples[first : first + length].astype(np.float64), length)
        return np.asarray(span / max(1e-9, np.sqrt(np.mean(np.square(span)))))

    def bed(self, generator: np.random.Generator) -> np.ndarray:
        """Noise of power about 1, [seconds · rate] float64: noise chunks, with a crossfade between them."""
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
            recording, start, label, _ = self._calls[generator.integers(len(self._calls))]
            call = _fade(self._cut(self._paths[recording], start), self._rate)[: len(bed)]
            position = int(generator.integers(0, len(bed) - len(call) + 1))
            bed[position : position + len(call)] += call * 10 ** (generator.uniform(lowest, highest) / 20)
            truth.append((self._classes.class_ids[label], position / self._rate, (position + len(call)) / self._rate))
        return bed, sorted(truth, key=lambda entry: entry[1])

    def write(self, name: str, samples: np.ndarray) -> None:
        """Writes OUTPUT/NAME.wav."""
        path = os.path.join(self._settings.output, name + ".wav")
        wav.write(path, 0.9 * samples / max(1e-9, float(np.abs(samples).max())), self._rate)


def main(settings: MixConfig) -> None:
    """Writes OUTPUT/mixtures and OUTPUT/noise, and their truth: mixtures.csv, and noise.csv without a row."""
    mixer, generator = Mixer(settings), np.random.default_rng(settings.seed)
    rows: list[tuple[str, str, str, str]] = []
    for number in range(settings.num_mixtures):
        samples, truth = mixer.mixture(generator)
        mixer.write(f"mixtures/mix{number:03d}", samples)
        rows += [(f"mix{number:03d}", class_id, f"{start:.3f}", f"{end:.3f}") for class_id, start, end in truth]
        mixer.write(f"noise/noise{number:03d}", mixer.bed(generator))
    files.write_table(os.path.join(settings.output, "mixtures.csv"), _COLUMNS, rows)
    files.write_table(os.path.join(settings.output, "noise.csv"), _COLUMNS, [])
    print(f"{settings.output}: {settings.num_mixtures} mixtures with {len(rows)} calls, and as many of noise alone")
    print("next:")
    for part in ("mixtures", "noise"):
        path = os.path.join(settings.output, part)
        results = {"segments": f"{path}.csv", "output": f"{path}-evaluation"}
        print(f"  {next_steps.command('evaluate', model='runs/NAME/export', audio=path, **results)}")


def run() -> None:
    """Entry point of `bird-tf-mix`."""
    config.run(main, MixConfig)


if __name__ == "__main__":
    run()

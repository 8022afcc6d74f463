"""Makes a small data set in BirdCLEF's shape from a seed, for the demo and the tests.

Six invented species differ as birds do (whistle, trill, two sweeps, chatter, warble). They sing near and far, in noise
of many colours, some with a background species. Recordings of one session share their noise. One soundscape has a
time-stamped truth.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable

import numpy as np

from bird_tf import command_line, config, csv_files, files, locks
from bird_tf.audio import wav


@dataclasses.dataclass(frozen=True)
class Voice:
    """A species: its class id, genus and species, and its call, samples [n] float64 in about [-1, 1]."""

    class_id: str
    genus: str
    species: str
    call: Callable[[np.random.Generator, int], np.ndarray]

    @property
    def name(self) -> str:
        """Latin name."""
        return f"{self.genus} {self.species}"


def _tone(frequency_hz: np.ndarray, rate: int) -> np.ndarray:
    """A sine with this frequency at each sample, faded at both ends."""
    n = len(frequency_hz)
    ramp = np.minimum(1.0, np.minimum(np.arange(n), np.arange(n)[::-1]) / (0.01 * rate))
    return np.asarray(ramp * np.sin(2 * np.pi * np.cumsum(frequency_hz) / rate))


def _times(seconds: float, rate: int) -> np.ndarray:
    return np.arange(round(seconds * rate)) / rate


def _whistle(generator: np.random.Generator, rate: int) -> np.ndarray:
    high, low = generator.normal(3200, 80), generator.normal(2500, 80)
    gap = np.zeros(round(0.08 * rate))
    first, second = (_tone(np.full(round(s * rate), f), rate) for s, f in ((0.35, high), (0.5, low)))
    return np.concatenate([first, gap, second])


def _trill(generator: np.random.Generator, rate: int) -> np.ndarray:
    note = _tone(np.linspace(5200, 4300, round(0.035 * rate)) + generator.normal(0, 100), rate)
    notes = [np.concatenate([note, np.zeros(round(0.02 * rate))]) for _ in range(generator.integers(12, 20))]
    return np.concatenate(notes)


def _upsweep(generator: np.random.Generator, rate: int) -> np.ndarray:
    low, high = generator.normal(1800, 100), generator.normal(6000, 200)
    return _tone(np.geomspace(low, high, round(0.4 * rate)), rate)


def _downsweep(generator: np.random.Generator, rate: int) -> np.ndarray:
    notes = []
    for _ in range(3):
        notes += [_tone(np.geomspace(generator.normal(7500, 150), 3600, round(0.15 * rate)), rate)]
        notes += [np.zeros(round(0.06 * rate))]
    return np.concatenate(notes)


def _chatter(generator: np.random.Generator, rate: int) -> np.ndarray:
    bursts = []
    for _ in range(generator.integers(5, 9)):
        n = round(0.04 * rate)
        carrier = _tone(np.full(n, generator.normal(3800, 300)), rate)
        bursts += [carrier * generator.normal(0, 1.0, n).clip(-2, 2), np.zeros(round(0.05 * rate))]
    return np.concatenate(bursts) / 2


def _warble(generator: np.random.Generator, rate: int) -> np.ndarray:
    t = _times(1.0, rate)
    wobble = 900 * np.sin(2 * np.pi * generator.normal(9, 0.7) * t)
    return _tone(generator.normal(4000, 120) + wobble, rate)


VOICES = (
    Voice("fistul", "Fistulator", "duplex", _whistle),
    Voice("tremul", "Tremulus", "celer", _trill),
    Voice("ascend", "Ascensor", "clarus", _upsweep),
    Voice("cadent", "Cadens", "acutus", _downsweep),
    Voice("garrul", "Garrulus", "strepens", _chatter),
    Voice("undato", "Undator", "mollis", _warble),
)


def _noise(generator: np.random.Generator, colour: float, n: int) -> np.ndarray:
    """Noise whose power falls as 1 / f^colour, of standard deviation 1."""
    spectrum = np.fft.rfft(generator.normal(0, 1, n))
    spectrum /= np.maximum(1, np.arange(len(spectrum))) ** (colour / 2)
    noise = np.fft.irfft(spectrum, n)
    return np.asarray(noise / noise.std())


def _sing(
    generator: np.random.Generator, voice: Voice, samples: np.ndarray, rate: int, level: float
) -> list[tuple[float, float]]:
    """Adds calls of a species at irregular times. Returns (start, end) of each, seconds."""
    spans: list[tuple[float, float]] = []
    position = generator.uniform(0.0, 0.6)
    while True:
        call = voice.call(generator, rate) * level * generator.uniform(0.7, 1.3)
        begin = round(position * rate)
        if begin + len(call) > len(samples):
            return spans
        samples[begin : begin + len(call)] += call
        spans.append((begin / rate, (begin + len(call)) / rate))
        position += len(call) / rate + generator.uniform(0.2, 1.5)


def _write_wav(path: str, samples: np.ndarray, rate: int) -> None:
    peak = np.abs(samples).max()
    wav.write(path, samples / max(1.0, peak) * 0.9, rate)


def _xml(media_id: int, voice: Voice, background: list[Voice] | None, session: str, day: int) -> str:
    """Metadata in BirdCLEF's form. With `background` None, the element is left out: the background is unknown."""
    listed = "" if background is None else ",".join(v.name for v in background)
    element = "" if background is None else f"  <BackgroundSpecies>{listed}</BackgroundSpecies>\n"
    return (
        "<?xml version='1.0' encoding='utf-8'?>\n<Audio>\n"
        f"  <MediaId>{media_id}</MediaId>\n  <FileName>DEMO_RN{media_id}.wav</FileName>\n"
        f"  <ClassId>{voice.class_id}</ClassId>\n  <Date>2018-05-{day:02d}</Date>\n  <Time>06:30</Time>\n"
        f"  <Latitude>50.8</Latitude>\n  <Longitude>12.9</Longitude>\n  <AuthorID>{session}</AuthorID>\n{element}"
        f"  <Genus>{voice.genus}</Genus>\n  <Species>{voice.species}</Species>\n</Audio>\n"
    )


def recordings(output: str, per_species: int, seconds: float, rate: int, seed: int, first_id: int = 1) -> int:
    """Writes `output`/wav and `output`/xml.

    Args:
        output: folder.
        per_species: recordings of each of the VOICES.
        seconds: mean length of a recording.
        rate: of the files, Hz.
        seed: equal seeds give equal files.
        first_id: MediaId of the first recording.

    Returns:
        The number of recordings.
    """
    wav, xml = os.path.join(output, "wav"), os.path.join(output, "xml")
    files.make_folder(wav)
    files.make_folder(xml)
    generator = np.random.default_rng(seed)
    media_id = first_id
    for i in range(per_species):
        colour, loudness = generator.uniform(0.0, 1.4), 10 ** generator.uniform(-2.0, -1.0)  # the same in a session
        for voice in VOICES:
            samples = np.zeros(round(generator.uniform(0.6, 1.4) * seconds * rate))
            _sing(generator, voice, samples, rate, level=10 ** generator.uniform(-1.3, -0.2))
            others = [v for v in VOICES if v is not voice]
            background = [others[generator.integers(len(others))]] if generator.random() < 0.4 else []
            for other in background:
                _sing(generator, other, samples, rate, level=10 ** generator.uniform(-1.8, -1.2))
            samples += loudness * _noise(generator, colour, len(samples))
            _write_wav(os.path.join(wav, f"DEMO_RN{media_id}.wav"), samples, rate)
            noted = None if generator.random() < 0.2 else background
            text = _xml(media_id, voice, noted, session=f"session{i:03d}", day=1 + i % 28)
            files.write_text(os.path.join(xml, f"DEMO_RN{media_id}.xml"), text)
            media_id += 1
    return media_id - first_id


def soundscape(output: str, seconds: float, rate: int, seed: int, media_id: int) -> None:
    """Writes one long recording with every species to `output`/wav, and truth.csv.

    truth.csv: media_id, class_id, start_seconds, end_seconds of each call.
    """
    wav = os.path.join(output, "wav")
    files.make_folder(wav)
    generator = np.random.default_rng(seed)
    samples = np.zeros(round(seconds * rate))
    rows = []
    for voice in VOICES:
        for _ in range(2):
            length = min(len(samples), round(12 * rate))
            begin = int(generator.integers(0, len(samples) - length + 1))
            spans = _sing(generator, voice, samples[begin : begin + length], rate, 10 ** generator.uniform(-1.0, -0.4))
            rows += [(media_id, voice.class_id, begin / rate + start, begin / rate + end) for start, end in spans]
    samples += 0.02 * _noise(generator, 0.8, len(samples))
    _write_wav(os.path.join(wav, f"DEMO_RN{media_id}.wav"), samples, rate)
    csv_files.write(
        os.path.join(output, "truth.csv"),
        ("media_id", "class_id", "start_seconds", "end_seconds"),
        [(m, c, f"{start:.3f}", f"{end:.3f}") for m, c, start, end in sorted(rows, key=lambda row: row[2])],
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SynthesiseConfig:
    """Flags of the tool."""

    output: str = config.option("", "folder for train/, test/ and soundscape/", required=True)
    per_species: int = config.option(14, "training recordings of each species")
    seconds: float = config.option(9.0, "mean length of a recording, seconds")
    rate_hz: int = config.option(22050, "sample rate of the files, Hz")
    seed: int = config.option(0, "equal seeds give equal files")

    def __post_init__(self) -> None:
        config.check_seed("seed", self.seed)


def main(settings: SynthesiseConfig) -> None:
    """Writes a training set, a test set and a soundscape."""
    with locks.held(settings.output, work="synthesis", flag="--output"):
        _synthesise(settings)


def _synthesise(settings: SynthesiseConfig) -> None:
    train, test = os.path.join(settings.output, "train"), os.path.join(settings.output, "test")
    count = recordings(train, settings.per_species, settings.seconds, settings.rate_hz, settings.seed)
    recordings(test, 2, settings.seconds, settings.rate_hz, settings.seed + 1, first_id=count + 1)
    last_id = count + 2 * len(VOICES) + 1
    soundscape(os.path.join(settings.output, "soundscape"), 63.0, settings.rate_hz, settings.seed + 2, last_id)
    print(f"{settings.output}: {count} training recordings of {len(VOICES)} species, a test set and a soundscape")


if __name__ == "__main__":
    command_line.run(main, SynthesiseConfig)

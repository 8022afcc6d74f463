"""Synthesised noise without birds: rain, wind, water, hum, engines, insects, voices, knocks and hiss, mixed at random.

Training shows it to a network as chunks without a call, and `evaluate --tune` sets thresholds above what a model makes
of it. The kinds are as broad as their physics allows; none is fitted to a recording.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import numpy as np

_MOST_KINDS = 3  # in one chunk
_BANK_SIZE, _BANK_SEED = 64, 2**20
_LEAST_POWER = np.float32(1e-20)  # below this a sound is silence
_QUIETEST_DB = -25.0  # of a second or third kind, relative to the first


def synthesise(count: int, rate_hz: int, num_samples: int, seed: int, first: int = 0) -> np.ndarray:
    """Chunks of noise: equal arguments give equal samples.

    Args:
        count: number of chunks.
        rate_hz: sample rate.
        num_samples: length of each.
        seed: of the random numbers.
        first: number of the first chunk; the chunks of a seed are numbered from 0.

    Returns:
        [count, num_samples] float32 in [-0.5, 0.5].
    """
    return np.stack([_chunk(np.random.default_rng((seed, i)), num_samples, rate_hz)
                     for i in range(first, first + count)])  # fmt: skip


@functools.lru_cache(maxsize=2)
def _bank(rate_hz: int, num_samples: int) -> np.ndarray:
    return synthesise(_BANK_SIZE, rate_hz, num_samples, _BANK_SEED)


def added(samples: np.ndarray, rate_hz: int, ratio_db: float, number: int) -> np.ndarray:
    """The samples with noise of a bank: a chunk of it, shifted in a circle. Equal arguments give equal samples.

    Args:
        samples: [n] float32 in [-1, 1].
        rate_hz: sample rate.
        ratio_db: power of the samples relative to that of the noise.
        number: which chunk and which shift; from 0.

    Returns:
        [n] float32 in [-1, 1], scaled down where the sum would be greater; silence stays silence.
    """
    bank = _bank(rate_hz, len(samples))
    return combined(samples, np.roll(bank[number % len(bank)], number // len(bank) % len(samples)), ratio_db)


def combined(samples: np.ndarray, other: np.ndarray, ratio_db: float) -> np.ndarray:
    """The samples with another sound.

    Args:
        samples, other: [n] float32 in [-1, 1].
        ratio_db: power of the samples relative to that of the other sound.

    Returns:
        [n] float32 in [-1, 1], scaled down where the sum would be greater; silence stays silence.
    """
    power = np.maximum(np.mean(np.square(other)), _LEAST_POWER)
    gain = np.sqrt(np.mean(np.square(samples)) / power) * 10 ** (-ratio_db / 20)
    mixed = samples + gain * other
    return np.asarray(mixed / max(1.0, float(np.abs(mixed).max())), np.float32)


def _chunk(generator: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """One to three kinds over a floor of coloured noise, behind a random equaliser."""
    mixed = np.zeros(n)
    for number in range(generator.integers(1, _MOST_KINDS + 1)):
        kind = KINDS[generator.integers(len(KINDS))](generator, n, rate)
        level_db = generator.uniform(_QUIETEST_DB, 0) if number else 0.0
        mixed += 10 ** (level_db / 20) * kind / max(1e-9, float(kind.std()))
    mixed += 10 ** (generator.uniform(-50, -10) / 20) * _coloured(generator, n, rate)
    equalised = _filtered(mixed, rate, *_curve(generator, spread_db=6.0))
    return np.asarray(0.5 * equalised / np.abs(equalised).max(), np.float32)


def _curve(generator: np.random.Generator, spread_db: float) -> tuple[np.ndarray, np.ndarray]:
    """A random smooth response: frequencies, Hz, and gains, dB, at eight points."""
    return np.geomspace(50, 16000, 8), generator.normal(0, spread_db, 8)


def _filtered(samples: np.ndarray, rate: int, frequencies_hz: np.ndarray, gains_db: np.ndarray) -> np.ndarray:
    spectrum = np.fft.rfft(samples)
    bins = np.maximum(1.0, np.fft.rfftfreq(len(samples), 1 / rate))
    gains = np.interp(np.log(bins), np.log(frequencies_hz), gains_db)
    return np.asarray(np.fft.irfft(spectrum * 10 ** (gains / 20), len(samples)))


def _coloured(generator: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Steady noise whose power falls as 1 / f^a with a of -0.5 (blue) to 2 (brown), and has broad hills."""
    frequencies, gains = _curve(generator, spread_db=4.0)
    gains = gains - 10 * generator.uniform(-0.5, 2.0) * np.log10(frequencies / frequencies[0])
    return _unit(_filtered(generator.normal(0, 1, n), rate, frequencies, gains))


def _unit(samples: np.ndarray) -> np.ndarray:
    return np.asarray(samples / max(1e-9, float(samples.std())))


def _slow(generator: np.random.Generator, n: int, rate: int, rate_hz: float) -> np.ndarray:
    """A random curve of standard deviation about 1 that changes about `rate_hz` times a second."""
    points = max(4, int(n / rate * rate_hz) + 3)
    return np.asarray(np.interp(np.linspace(0, points - 1, n), np.arange(points), generator.normal(0, 1, points)))


def _band(generator: np.random.Generator, n: int, rate: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Noise of a band with soft edges."""
    edges = np.array([low_hz / 2, low_hz, high_hz, high_hz * 1.5])
    return _unit(_filtered(generator.normal(0, 1, n), rate, edges, np.array([-60.0, 0.0, 0.0, -60.0])))


def _wind(generator: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Gusts: low noise, with leaves above it, both rising and falling."""
    rumble = _band(generator, n, rate, 20, generator.uniform(150, 800)) * np.exp(_slow(generator, n, rate, 1.5))
    leaves = _band(generator, n, rate, generator.uniform(500, 3000), generator.uniform(4000, 12000))
    return np.asarray(rumble + generator.uniform(0, 0.6) * leaves * np.exp(0.8 * _slow(generator, n, rate, 3.0)))


def _pulses(generator: np.random.Generator, n: int, rate: int, per_second: float,
            pulse: Callable[[], np.ndarray]) -> np.ndarray:  # fmt: skip
    """Pulses at random times, of random heights."""
    samples = np.zeros(n)
    for _ in range(min(1500, generator.poisson(per_second * n / rate))):
        shape, start = pulse(), int(generator.integers(0, n))
        end = min(n, start + len(shape))
        samples[start:end] += generator.lognormal(0, 0.8) * shape[: end - start]
    return samples


def _ringing(generator: np.random.Generator, rate: int, frequency_hz: float, decay_seconds: float) -> np.ndarray:
    """A decaying sine."""
    t = np.arange(round(5 * decay_seconds * rate) + 1) / rate
    return np.asarray(np.exp(-t / decay_seconds) * np.sin(2 * np.pi * frequency_hz * t + generator.uniform(0, 6.3)))


def _rain(generator: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Drops on leaves, roofs and the housing, over the hiss of the far ones."""
    low, high = sorted(generator.uniform(300, 9000, 2))

    def drop() -> np.ndarray:
        return _ringing(generator, rate, generator.uniform(low, high), 10 ** generator.uniform(-3.6, -2.3))

    drops = _unit(_pulses(generator, n, rate, 10 ** generator.uniform(0.5, 2.6), drop))
    return np.asarray(drops + generator.uniform(0, 2) * _coloured(generator, n, rate))


def _water(generator: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """A stream or surf: bubbles whose pitch depends on their size, over noise that swells."""

    def bubble() -> np.ndarray:
        return _ringing(generator, rate, 10 ** generator.uniform(2.5, 3.6), 10 ** generator.uniform(-2.3, -1.5))

    swell = np.exp(generator.uniform(0, 1) * _slow(generator, n, rate, 0.7))
    bubbles = _pulses(generator, n, rate, 10 ** generator.uniform(1, 2.3), bubble)
    return np.asarray(_unit(bubbles) * generator.uniform(0, 1) + swell * _coloured(generator, n, rate))


def _harmonics(generator: np.random.Generator, frequency_hz: np.ndarray, rate: int, slope: float) -> np.ndarray:
    """A tone with overtones: frequency_hz [n] of the lowest; the power of the k-th falls as k^-slope, with scatter."""
    lowest = np.exp(2j * np.pi * np.cumsum(frequency_hz) / rate)
    tone, samples = lowest.copy(), np.zeros(len(frequency_hz))
    for k in range(1, max(2, min(24, int(0.45 * rate / frequency_hz.max())))):
        start = k ** (-slope / 2) * generator.lognormal(0, 0.7) * np.exp(1j * generator.uniform(0, 2 * np.pi))
        samples += (start * tone).real
        tone *= lowest
    return samples


def _hum(generator: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Mains, transformers, pumps: steady overtones of a low tone, or a whine of a few steady tones."""
    if generator.random() < 0.7:
        lowest = float(generator.choice([50.0, 60.0, 100.0, 120.0, generator.uniform(30, 400)]))
        return _unit(_harmonics(generator, np.full(n, lowest), rate, generator.uniform(0, 3)))
    tones = [generator.lognormal(0, 0.7) * np.sin(2 * np.pi * f / rate * np.arange(n))
             for f in generator.uniform(400, 10000, generator.integers(1, 5))]  # fmt: skip
    return _unit(np.sum(tones, axis=0))


def _engine(generator: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Cars, boats, aeroplanes, saws: overtones that glide, noise of tyres or air, a slow passage."""
    glide = np.exp(np.linspace(0, generator.normal(0, 0.15), n) + 0.01 * _slow(generator, n, rate, 8.0))
    tone = _unit(_harmonics(generator, 10 ** generator.uniform(1.3, 2.5) * glide, rate, generator.uniform(0, 3)))
    beat = 1 + generator.uniform(0, 1) * np.sin(2 * np.pi * generator.uniform(4, 30) / rate * np.arange(n))
    passage = np.exp(generator.uniform(0, 1) * _slow(generator, n, rate, 0.5))
    return np.asarray(passage * (beat * tone + generator.uniform(0, 2) * _coloured(generator, n, rate)))


def _insects(generator: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Crickets and cicadas: steady or pulsed tones or narrow bands, with a regular pulse for a long time."""
    samples, t = np.zeros(n), np.arange(n) / rate
    for _ in range(generator.integers(1, 5)):
        centre = generator.uniform(2000, 0.42 * rate)
        width = generator.choice([0.0, 0.0, generator.uniform(0.01, 0.3)])
        jitter = 1 + 0.003 * _slow(generator, n, rate, 10.0)
        carrier = np.sin(2 * np.pi * np.cumsum(centre * jitter) / rate)
        if width:
            carrier = _band(generator, n, rate, centre * (1 - width), centre * (1 + width))
        pulse_hz, duty = 10 ** generator.uniform(0.3, 2.0), generator.uniform(0.2, 0.9)
        gate = np.clip(8 * (np.sin(2 * np.pi * pulse_hz * t + generator.uniform(0, 6.3)) - np.cos(np.pi * duty)), 0, 1)
        if generator.random() < 0.4:  # pulses in groups: the chirps of a cricket
            gate = gate * (np.sin(2 * np.pi * generator.uniform(0.7, 4) * t + generator.uniform(0, 6.3)) > 0)
        steady = generator.random() < 0.25
        samples += generator.lognormal(0, 0.7) * carrier * (1.0 if steady else gate)
    return samples


def _voices(generator: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """People: a gliding voice behind three resonances that move from syllable to syllable, with hisses between."""
    lowest = generator.uniform(80, 300) * np.exp(0.15 * _slow(generator, n, rate, 4.0))
    buzz, syllables = _harmonics(generator, lowest, rate, 2.0), _slow(generator, n, rate, generator.uniform(4, 9))
    resonances, edges = np.zeros(n), np.linspace(0, n, generator.integers(3, 9), dtype=int)
    for begin, end in itertools.pairwise(edges):
        centres = np.array([generator.uniform(*span) for span in ((250, 900), (900, 2400), (2300, 3500))])
        points = np.sort(np.concatenate([centres, centres * 0.8, centres * 1.25, [80.0, 9000.0]]))
        gains = np.where(np.isin(points, centres), 0.0, -20.0)
        resonances[begin:end] = _filtered(buzz[begin:end], rate, points, gains)
    hisses = _band(generator, n, rate, 3500, 9000) * np.clip(-syllables - 0.8, 0, 1)
    return np.asarray(_unit(resonances) * np.clip(syllables + 0.3, 0, 1) + generator.uniform(0, 0.6) * hisses)


def _knocks(generator: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Steps, handling, branches, clicks and crackle: short bursts, few or many, dull or bright."""
    low, high = sorted(10 ** generator.uniform(1.7, 4.0, 2))
    length = 10 ** generator.uniform(-3.3, -0.8)

    def knock() -> np.ndarray:
        size = max(8, round(4 * length * rate))
        noise = generator.normal(0, 1, size) * np.exp(-np.arange(size) / (length * rate))
        ringing = _ringing(generator, rate, generator.uniform(low, high), length)
        return np.asarray(noise + np.resize(ringing, size) * np.exp(-np.arange(size) / (length * rate)))

    bursts = _pulses(generator, n, rate, 10 ** generator.uniform(-0.3, 1.5), knock)
    colour = _filtered(bursts, rate, *_curve(generator, spread_db=10.0))
    return np.asarray(_unit(colour) + 10 ** generator.uniform(-2, 0) * _coloured(generator, n, rate))


KINDS: tuple[Callable[[np.random.Generator, int, int], np.ndarray], ...] = (
    _coloured, _wind, _rain, _water, _hum, _engine, _insects, _voices, _knocks,
)  # fmt: skip

"""Measures the front-end: seconds of sound a CPU second, against librosa's and torchaudio's mel spectrograms.

All make decibels of the same bands from the same chunks; only ours also scales each chunk to [0, 1].
"""

from __future__ import annotations

import dataclasses
import importlib
import statistics
import time
from collections.abc import Callable

import librosa
import numpy as np

from bird_tf import config, tf
from bird_tf.audio import frontend


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Flags of the benchmark."""

    front_end: frontend.FrontendConfig
    seconds: float = config.option(64.0, "length of the sound in each round, seconds")
    batch_size: int = config.option(16, "chunks in each call of ours and of torchaudio")
    rounds: int = config.option(5, "repetitions; the median counts")


Work = Callable[[np.ndarray], object]


def _ours(front_end: frontend.FrontendConfig, batch_size: int, compiled: bool) -> Work:
    spec = tf.TensorSpec([batch_size, front_end.chunk_samples], tf.float32)
    function = tf.function(lambda s: frontend.spectrograms(s, front_end), [spec], jit_compile=compiled, autograph=False)
    concrete = function.get_concrete_function()
    return lambda batch: concrete(tf.constant(batch)).numpy()


def _librosa(front_end: frontend.FrontendConfig) -> Work:
    def one(samples: np.ndarray) -> np.ndarray:
        emphasised = librosa.effects.preemphasis(samples, coef=front_end.pre_emphasis)
        bands = librosa.feature.melspectrogram(
            y=emphasised, sr=front_end.sample_rate_hz, n_fft=front_end.n_fft, hop_length=front_end.hop_length,
            n_mels=front_end.num_bands, fmin=front_end.fmin_hz, fmax=front_end.fmax_hz, power=1.0, pad_mode="reflect",
        )  # fmt: skip
        return np.asarray(librosa.amplitude_to_db(bands, ref=np.max, top_db=front_end.top_db))

    return lambda batch: [one(samples) for samples in batch]


def _torchaudio(front_end: frontend.FrontendConfig) -> Work:
    """Raises ImportError, or OSError if its libraries do not load."""
    torch, torchaudio = importlib.import_module("torch"), importlib.import_module("torchaudio")
    torch.set_num_threads(1)
    bands = torchaudio.transforms.MelSpectrogram(
        sample_rate=front_end.sample_rate_hz, n_fft=front_end.n_fft, hop_length=front_end.hop_length,
        n_mels=front_end.num_bands, f_min=front_end.fmin_hz, f_max=front_end.fmax_hz, power=1.0, norm="slaney",
        mel_scale="slaney",
    )  # fmt: skip
    decibels = torchaudio.transforms.AmplitudeToDB("magnitude", front_end.top_db)

    def all_at_once(batch: np.ndarray) -> object:
        with torch.inference_mode():
            samples = torch.from_numpy(batch)
            samples = torch.cat([samples[:, :1], samples[:, 1:] - front_end.pre_emphasis * samples[:, :-1]], dim=1)
            return decibels(bands(samples)).numpy()

    return all_at_once


def _cpu_seconds(work: Work, batches: list[np.ndarray]) -> float:
    started = time.process_time()
    for batch in batches:
        work(batch)
    return time.process_time() - started


def main(settings: Settings) -> list[tuple[str, str, str, float]]:
    """Prints a line for each.

    Returns:
        (name, result, reference, ratio) against each of the others, for `all`.
    """
    front_end, size = settings.front_end, settings.batch_size
    count = max(1, round(settings.seconds / front_end.chunk_seconds / size))
    sound = count * size * front_end.chunk_seconds
    generator = np.random.default_rng(0)
    batches = [generator.normal(0, 0.1, (size, front_end.chunk_samples)).astype(np.float32) for _ in range(count)]
    works = {
        "ours, compiled": _ours(front_end, size, compiled=True),
        "ours": _ours(front_end, size, compiled=False),
        "librosa": _librosa(front_end),
    }
    try:
        works["torchaudio"] = _torchaudio(front_end)
    except (ImportError, OSError) as error:
        print(f"no comparison with torchaudio: {error}")
    for work in works.values():
        work(batches[0])
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(settings.rounds):
        for name, work in works.items():
            found[name].append(_cpu_seconds(work, batches))
    rates = {name: sound / statistics.median(seconds) for name, seconds in found.items()}
    for name, rate in rates.items():
        print(f"{name:16}{rate:10.0f} s of sound a CPU second")
    ours = rates.pop("ours, compiled")
    return [("front-end", f"{ours:.0f} s of sound a CPU second", name, ours / rate) for name, rate in rates.items()]

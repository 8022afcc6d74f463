"""Measures prediction: seconds of sound per second, the share of each stage, and the ratio to the bare network.

Networks are untrained unless --model names one: weights do not change the speed. Each round measures all parts one
after the other, so that other work on the machine affects all of them. The median round counts.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np
import soundfile

from bird_tf import config, tf
from bird_tf.audio import decode, frontend
from bird_tf.inference import ensembles, scoring
from bird_tf.labels import taxonomy
from bird_tf.models import architectures
from bird_tf.scores import prior
from bird_tf.training import exporter, run_directory


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Flags of the benchmark."""

    model: tuple[str, ...] = config.option((), "exported model; may be repeated; empty: untrained networks")
    architectures: tuple[str, ...] = config.option(
        architectures.OF_SPECTROGRAMS, "architectures of the untrained networks; may be repeated"
    )
    seconds: float = config.option(128.0, "length of the recording, seconds")
    rate_hz: int = config.option(48000, "its sample rate, Hz; it is resampled if the model has another one")
    rounds: int = config.option(3, "how often each part is measured")
    num_classes: int = config.option(100, "outputs of the untrained networks")


def _untrained(folder: str, architecture: str, num_classes: int) -> str:
    """Exports a network with initial weights. Returns the path of the SavedModel."""
    front_end, model = frontend.FrontendConfig(), architectures.ModelConfig(architecture=architecture)
    names = tuple(f"species{i:04d}" for i in range(num_classes))
    classes = taxonomy.Taxonomy(names, names)
    network = architectures.build(model, {"spectrogram": (front_end.num_bands, front_end.num_frames)}, num_classes)
    run = run_directory.Run(
        model=model, loss="softmax", pooling="mean", front_end=front_end, classes=classes,
        prior=prior.fit([], classes), training={}, metrics={}, versions={},
    )  # fmt: skip
    run_dir = os.path.join(folder, architecture)
    run_directory.save(run_dir, run, network)
    return exporter.export(run_dir)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(model_path: str, recording: str, rounds: int) -> tuple[float, dict[str, float]]:
    """Seconds of sound in the chunks, and for each part the median seconds of computation."""
    ensemble, chunking = ensembles.Ensemble([model_path], "none"), decode.ChunkingConfig()
    model = ensemble.models[0]
    chunks = np.concatenate(list(decode.ChunkStream(recording, model.front_end, chunking, model.batch_size)))
    spectrograms = model.spectrograms(chunks)
    batch = tf.constant(np.resize(spectrograms, (model.batch_size, *spectrograms.shape[1:])))
    signature = tf.saved_model.load(model_path)

    def bare() -> None:
        for _ in range(-(-len(chunks) // model.batch_size)):  # the last batch is padded, as in the end-to-end part
            signature.signatures["spectrogram"](spectrogram=batch)["probabilities"].numpy()

    parts: dict[str, Callable[[], object]] = {
        "end to end": lambda: list(scoring.score_recordings(ensemble, [("x", recording)], chunking)),
        "decoding": lambda: [
            len(c) for c in decode.ChunkStream(recording, model.front_end, chunking, model.batch_size)
        ],
        "front-end": lambda: model.spectrograms(chunks),
        "network": lambda: model.predict_features({"spectrogram": spectrograms}),
        "bare network": bare,
    }
    for work in parts.values():
        work()  # traces the graph and fills caches
    measured: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(rounds):
        for name, work in parts.items():
            measured[name].append(_seconds(work))
    return len(chunks) * model.front_end.chunk_seconds, {n: statistics.median(t) for n, t in measured.items()}


def main(settings: Settings) -> list[tuple[str, str, str, float]]:
    """Prints a line for each model. Decoding and models run at the same time, so the sum of the shares can exceed 1.

    Returns:
        (name, result, reference, ratio) of each model, for `all`.
    """
    with tempfile.TemporaryDirectory() as folder:
        recording = os.path.join(folder, "recording.flac")
        noise = np.random.default_rng(0).normal(0, 0.1, round(settings.seconds * settings.rate_hz))
        soundfile.write(recording, noise, settings.rate_hz)
        paths = settings.model or [_untrained(folder, a, settings.num_classes) for a in settings.architectures]
        lines, headlines = [], []
        for path in paths:
            sound, seconds = measure(path, recording, settings.rounds)
            whole = seconds["end to end"]
            name = os.path.basename(os.path.dirname(path.rstrip("/")))
            shares = "".join(f"{seconds[part] / whole:12.2f}" for part in ("decoding", "front-end", "network"))
            of_bare = seconds["bare network"] / whole
            lines.append(f"{name:12}{sound / whole:12.1f}{shares}{of_bare:16.2f}")
            headlines.append((f"predict, {name}", f"{sound / whole:.1f} s of sound a second", "bare network", of_bare))
    columns = "".join(f"{column:>12}" for column in ("sound s/s", "decoding", "front-end", "network"))
    print("\n".join([f"{'model':12}{columns}{'of bare rate':>16}", *lines]))
    return headlines

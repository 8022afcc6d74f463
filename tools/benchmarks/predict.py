"""Measures prediction on all cores: seconds of sound a second, the share of each stage, and ratios to its parts.

Networks are untrained unless --model names one: weights do not change the speed. Each round measures all parts one
after the other, so that other work on the machine affects all of them. The median round counts.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

import numpy as np
import soundfile

from bird_tf import config, executor, tf
from bird_tf.audio import decode, frontend
from bird_tf.backbones import presets, sources
from bird_tf.inference import ensembles, model_files, saved_model, scoring
from bird_tf.labels import taxonomy
from bird_tf.models import architectures
from bird_tf.scores import prior
from bird_tf.training import exporter, run_directory

# a headline: what, its result, the reference, the ratio
Headline = tuple[str, str, str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Flags of the benchmark."""

    model: tuple[str, ...] = config.option((), "exported model; may be repeated; empty: untrained networks")
    architectures: tuple[str, ...] = config.option(
        architectures.OF_SPECTROGRAMS, "architectures of the untrained networks; may be repeated"
    )
    audio: str = config.option("", "folder with recordings to measure on; empty: generated FLAC files of noise")
    seconds: float = config.option(256.0, "approximate length of all recordings, seconds")
    rate_hz: int = config.option(48000, "sample rate of generated files, Hz; they are resampled if the model differs")
    birdnet_seconds: float = config.option(60.0, "sound that BirdNET gets in each round, seconds; 0: no comparison")
    rounds: int = config.option(3, "how often each part is measured")
    cores: tuple[int, ...] = config.option(
        (), "numbers of cores, as 1,2,4: how the rate grows with them, on so many times --seconds; empty: all cores"
    )
    num_classes: int = config.option(100, "outputs of the untrained networks")


@dataclasses.dataclass(frozen=True)
class _Cost:
    """What work costs: wall-clock and CPU seconds."""

    wall: float
    cpu: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Measured:
    """Costs of the parts for the same seconds of sound."""

    name: str
    cores: int
    sound: float
    costs: dict[str, _Cost]

    @property
    def rate(self) -> float:
        """Seconds of sound a second."""
        return self.sound / self.costs["end to end"].wall

    @property
    def used(self) -> float:
        """Share of the cores that is used."""
        return self.costs["end to end"].cpu / self.costs["end to end"].wall / self.cores

    @property
    def of_parts(self) -> float:
        """The time that decoding and models alone would take on these cores, of the whole's."""
        parts = self.costs["decoding"].cpu + self.costs["models"].cpu
        return parts / self.cores / self.costs["end to end"].wall


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


def _recordings(folder: str, settings: Settings) -> list[str]:
    """The recordings: those of --audio, up to --seconds, or 16 files of noise."""
    if settings.audio:
        found, total = [], 0.0
        for path in decode.find(settings.audio):
            if total < settings.seconds and (seconds := decode.duration_seconds(path)):
                found.append(path)
                total += seconds
        return found
    paths = [os.path.join(folder, f"recording{number:02d}.flac") for number in range(16)]
    for number, path in enumerate(paths):
        count = round(settings.seconds / len(paths) * settings.rate_hz)
        soundfile.write(path, np.random.default_rng(number).normal(0, 0.1, count), settings.rate_hz)
    return paths


def _cost(work: Callable[[], object]) -> _Cost:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return _Cost(time.perf_counter() - wall, time.process_time() - cpu)


def _interpreters(source: sources.Source, count: int) -> list[tf.lite.Interpreter]:
    """So many interpreters of a TFLite file, one thread each."""
    found = [tf.lite.Interpreter(model_path=source.model, num_threads=1) for _ in range(count)]
    for interpreter in found:
        interpreter.allocate_tensors()
    return found


def _invoke(interpreter: tf.lite.Interpreter, windows: np.ndarray) -> None:
    """Runs [windows, window_samples], one after the other."""
    details = interpreter.get_input_details()[0]
    for window in windows:
        interpreter.set_tensor(details["index"], window.reshape(details["shape"]))
        interpreter.invoke()


def _bare(model: saved_model.Model, samples: np.ndarray) -> Callable[[], object]:
    """The network alone: for a head, its backbone's TFLite file on all cores; else calls of its signature."""
    if model_files.is_head(model.features):
        described = model.description.backbone or {}
        folder = os.path.join(model.path, model_files.BACKBONE)
        cores = executor.num_cores()
        interpreters = _interpreters(sources.from_description(described, model.path, folder), cores)
        size = round(described["window_seconds"] * described["sample_rate_hz"])
        parts = np.array_split(samples[:, :size], cores)  # one window a chunk

        def on_all_cores() -> None:
            with futures.ThreadPoolExecutor(cores) as pool:
                list(pool.map(_invoke, interpreters, parts))

        return on_all_cores
    spectrograms = model.spectrograms(samples[: model.batch_size])
    batch = tf.constant(np.resize(spectrograms, (model.batch_size, *spectrograms.shape[1:])))
    signature = tf.saved_model.load(model.path)

    def called() -> None:
        for _ in range(-(-len(samples) // model.batch_size)):
            signature.signatures["spectrogram"](spectrogram=batch)["probabilities"].numpy()

    return called


def measure(model_path: str, paths: Sequence[str], rounds: int, more: dict[str, Callable[[], object]]) -> _Measured:
    """Measures a model on recordings; `more` are further parts of each round."""
    ensemble, chunking = ensembles.Ensemble([model_path], "none"), decode.ChunkingConfig()
    model = ensemble.models[0]
    recordings = [(path, path) for path in paths]

    def decoded() -> list[np.ndarray]:
        return [c for path in paths for c in decode.ChunkStream(path, model.hearing, chunking, model.batch_size)]

    samples = np.concatenate(decoded())
    parts: dict[str, Callable[[], object]] = {
        "end to end": lambda: list(scoring.score_recordings(ensemble, recordings, chunking)),
        "decoding": decoded,
        "models": lambda: ensemble.predict_samples(0, samples),
        "bare network": _bare(model, samples),
        **more,
    }
    for work in parts.values():
        work()  # traces the graph and fills caches
    measured: dict[str, list[_Cost]] = {name: [] for name in parts}
    for _ in range(rounds):
        for name, work in parts.items():
            measured[name].append(_cost(work))
    return _Measured(
        name=os.path.basename(os.path.dirname(model_path.rstrip("/"))),
        cores=executor.num_cores(),
        sound=len(samples) * model.front_end.chunk_seconds,
        costs={
            name: _Cost(statistics.median(c.wall for c in costs), statistics.median(c.cpu for c in costs))
            for name, costs in measured.items()
        },
    )


def _birdnet(seconds: float) -> dict[str, Callable[[], object]]:
    """BirdNET on silence with one thread, if it is installed: windows of 3 s, nothing else."""
    preset = presets.PRESETS["birdnet"]
    try:
        model, labels = preset.files()
    except config.InputError as error:
        print(f"no comparison with BirdNET: {error}")
        return {}
    source = sources.Source(
        name="birdnet", model=model, labels=labels, sample_rate_hz=preset.sample_rate_hz, gives_logits=True
    )
    [interpreter] = _interpreters(source, 1)
    windows = np.zeros((max(1, round(seconds / 3)), 3 * preset.sample_rate_hz), np.float32)
    return {"BirdNET": lambda: _invoke(interpreter, windows)}


def _headlines(measured: _Measured, birdnet_seconds: float) -> list[Headline]:
    costs, rate = measured.costs, measured.rate
    of_network = costs["bare network"].wall / costs["end to end"].wall
    name = f"predict, {measured.name}"
    lines: list[Headline] = [
        (name, f"{rate:.1f} s of sound a second", "bare network", of_network),
        (name, f"{100 * measured.used:.0f} % of {measured.cores} cores used", "its parts alone", measured.of_parts),
    ]
    if "BirdNET" in costs:
        theirs = birdnet_seconds / costs["BirdNET"].wall
        lines.append((name, f"{rate:.1f} s of sound a second", f"BirdNET, one thread: {theirs:.1f}", rate / theirs))
    return lines


def _on_cores(cores: int, path: str, paths: Sequence[str], rounds: int) -> _Measured:
    """`measure` in a new process that has the first cores alone: TensorFlow counts them when it starts."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:cores])
    try:
        with futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            return pool.submit(measure, path, [*paths] * cores, rounds, {}).result()
    finally:
        os.sched_setaffinity(0, allowed)


def _scaling(paths: Sequence[str], models: Sequence[str], settings: Settings) -> list[Headline]:
    """Prints a line for each model and number of cores; the rate is compared with the first number's."""
    if max(settings.cores) > executor.num_cores() or min(settings.cores) < 1:
        raise config.InputError(f"--cores={settings.cores}: this machine has 1 to {executor.num_cores()}")
    print(f"{'model':12}{'cores':>8}{'sound s/s':>12}{'of the first':>14}{'cores used':>12}{'of its parts':>14}")
    headlines: list[Headline] = []
    for path in models:
        first = 0.0
        for cores in settings.cores:
            found = _on_cores(cores, path, paths, settings.rounds)
            first = first or found.rate
            ratio, used = found.rate / first, found.used * cores
            print(
                f"{found.name:12}{cores:8}{found.rate:12.1f}{ratio:14.2f}{used:12.2f}{found.of_parts:14.2f}", flush=True
            )
            name, base = f"predict, {found.name}, {cores} cores", f"{settings.cores[0]} cores"
            headlines.append((name, f"{found.rate:.1f} s of sound a second", base, ratio))
    return headlines


def main(settings: Settings) -> list[Headline]:
    """Prints a line for each model. Its parts run at the same time: their shares are of the CPU time.

    Returns:
        (name, result, reference, ratio) of each model, for `all`.
    """
    more: dict[str, Callable[[], Any]] = _birdnet(settings.birdnet_seconds) if settings.birdnet_seconds else {}
    lines, headlines = [], []
    with tempfile.TemporaryDirectory() as folder:
        recordings = _recordings(folder, settings)
        models = settings.model or [_untrained(folder, a, settings.num_classes) for a in settings.architectures]
        if settings.cores:
            return _scaling(recordings, models, settings)
        for path in models:
            measured = measure(path, recordings, settings.rounds, more)
            found = _headlines(measured, settings.birdnet_seconds)
            costs = measured.costs
            shares = "".join(f"{costs[part].cpu / costs['end to end'].cpu:12.2f}" for part in ("decoding", "models"))
            ratios = "".join(f"{ratio:16.2f}" for *_, ratio in found)
            lines.append(f"{measured.name:12}{measured.rate:12.1f}{shares}{ratios}")
            headlines += found
    columns = "".join(f"{column:>12}" for column in ("sound s/s", "decoding", "models"))
    print("\n".join([f"{'model':12}{columns}{'of bare network':>16}{'of its parts':>16}{'of BirdNET':>16}", *lines]))
    return headlines

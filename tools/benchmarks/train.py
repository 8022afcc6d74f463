"""Speed of training steps, input and checkpoints included, compared with a plain Keras `fit` on arrays in memory.

Both train the same network on the same random spectrograms, in turns. The ratio is the median over the rounds. 0.95
means that everything besides the step itself costs 5 %.
"""

import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence

import numpy as np

from bird_tf import config, keras, tf
from bird_tf.audio import frontend
from bird_tf.labels import taxonomy
from bird_tf.models import architectures
from bird_tf.records import manifests, schema, shard_files
from bird_tf.training import distribution, epochs, experiments, training_flags

_NUM_CLASSES, _NUM_SHARDS = 100, 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Flags of the measurement."""

    model: architectures.ModelConfig
    batch_size: int = config.option(32, "spectrograms in a batch")
    steps: int = config.option(20, "steps in a round")
    rounds: int = config.option(5, "rounds of each; a first one is not counted")
    num_bands: int = config.option(128, "height of a spectrogram")
    num_frames: int = config.option(256, "width of a spectrogram")
    dtype_policy: str = config.option(
        "float32", "precision of the network", choices=("float32", "mixed_float16", "mixed_bfloat16")
    )
    peak_tflops: float = config.option(0.0, "peak of the device in that precision, to print the share of it")


def write_shards(directory: str, split: str, parts: Sequence[Iterable[schema.Chunk]]) -> tuple[manifests.Shard, ...]:
    """Writes chunks, those of each shard. Returns the description of the shards."""
    written = []
    for number, part in enumerate(parts):
        name = shard_files.shard_name(split, number, len(parts))
        with shard_files.writing(directory, name) as writer:
            for chunk in part:
                writer.write(chunk)
        written.append(shard_files.describe_shard(directory, name, writer.count))
    return tuple(written)


def make_records(
    directory: str, settings: Settings, spectrograms: np.ndarray, labels: np.ndarray
) -> manifests.Manifest:
    """Writes the arrays as records of eight training shards; the first chunk is the validation's as well."""
    front_end = frontend.FrontendConfig(num_bands=settings.num_bands, num_frames=settings.num_frames)
    indices = {"train": np.array_split(np.arange(len(labels)), _NUM_SHARDS), "val": [np.arange(1)], "noise": [[]]}

    def chunk(index: int) -> schema.Chunk:
        return schema.Chunk(
            features={schema.SPECTROGRAM: spectrograms[index]}, label=int(labels[index]), background=(),
            background_known=True, recording_id=str(index), chunk_index=0, start_seconds=0.0, activity=0.0,
        )  # fmt: skip

    shards = {split: write_shards(directory, split, [map(chunk, part) for part in parts])
              for split, parts in indices.items()}  # fmt: skip
    class_ids = tuple(f"class{i:03d}" for i in range(_NUM_CLASSES))
    manifest = manifests.Manifest(
        directory=directory,
        front_end=front_end,
        classes=taxonomy.Taxonomy(class_ids, class_ids),
        shards=shards,
        chunks_per_class={
            "train": tuple(int(n) for n in np.bincount(labels, minlength=_NUM_CLASSES)),
            **dict.fromkeys(("val", "noise"), (0,) * _NUM_CLASSES),
        },
        num_recordings={"train": len(labels), "val": 1, "noise": 0},
        converter={},
        skipped=(),
        versions={},
        features={schema.SPECTROGRAM: schema.spectrogram_feature(front_end)},
    )
    manifests.save(manifest)
    return manifest


def main(settings: Settings) -> list[tuple[str, str, str, float]]:
    """Measures and prints. Returns (name, result, reference, ratio) for `all`."""
    generator = np.random.default_rng(0)
    total = settings.steps * settings.batch_size
    spectrograms = generator.integers(0, 256, (total, settings.num_bands, settings.num_frames), np.uint8)
    labels = generator.integers(0, _NUM_CLASSES, total)
    with tempfile.TemporaryDirectory() as folder:
        manifest = make_records(os.path.join(folder, "records"), settings, spectrograms, labels)
        flags = {
            **config.to_mapping(settings.model), "records": manifest.directory, "batch_size": settings.batch_size,
            "run_dir": os.path.join(folder, "run"), "dtype_policy": settings.dtype_policy, "optimizer": "adam",
            "epochs": settings.rounds + 1,
        }  # fmt: skip
        experiment = experiments.Experiment(
            config.from_mapping(training_flags.TrainConfig, flags), manifest, distribution.strategy("none", 1)
        )
        batches = iter(experiment.batches())
        plain = architectures.build(
            settings.model, {"spectrogram": (settings.num_bands, settings.num_frames)}, _NUM_CLASSES
        )
        plain = keras.Model(plain.input, plain.output["logits"])
        plain.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
        arrays = frontend.dequantise(spectrograms).numpy(), np.eye(_NUM_CLASSES, dtype=np.float32)[labels]

        seconds: list[tuple[float, float]] = []
        for _ in range(settings.rounds + 1):
            started = time.perf_counter()
            epochs.run(experiment, batches, [])
            experiment.progress.epochs += 1
            between = time.perf_counter()
            plain.fit(*arrays, batch_size=settings.batch_size, epochs=1, verbose=0)
            seconds.append((between - started, time.perf_counter() - between))
        experiment.events.close()
    our_median, plain_median = (statistics.median(column) for column in zip(*seconds[1:], strict=True))
    ratio = statistics.median(plain_seconds / our_seconds for our_seconds, plain_seconds in seconds[1:])
    flops = architectures.forward_flops(experiment.state.network)
    # forward, and backward to inputs and to weights
    achieved = 3 * flops * total / our_median / 1e12
    devices = ", ".join(str(device.name) for device in tf.config.list_logical_devices())
    print(f"{settings.model.architecture}, batches of {settings.batch_size}, {settings.dtype_policy}, on {devices}")
    print(f"train          {total / our_median:10.1f} spectrograms/s, {settings.steps / our_median:.2f} steps/s")
    print(f"Keras fit      {total / plain_median:10.1f} spectrograms/s, of arrays in memory")
    print(f"ratio          {ratio:10.3f}")
    print(f"model          {flops / 1e9:10.3f} GFLOP forward for a spectrogram; training {achieved:.4f} TFLOP/s")
    if settings.peak_tflops:
        print(f"share of peak  {achieved / settings.peak_tflops:10.1%}")
    result = f"{total / our_median:.1f} spectrograms/s"
    return [(f"train, {settings.model.architecture}", result, "Keras fit of arrays in memory", ratio)]

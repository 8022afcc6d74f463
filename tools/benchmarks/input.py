"""Measures the input graph: reading alone, each augmentation alone on every chunk, and recipes from configs/.

Each row is the best of several rounds; the rows take turns, so that other load on the machine affects all of them.
`share` is the throughput relative to a plain pipeline that reads, parses and casts. `per core` divides by the CPU time
used, which depends little on other load. The number of devices that a recipe feeds is an estimate, without a device.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
import time
from collections.abc import Callable

import numpy as np

from bird_tf import config, tf
from bird_tf.audio import frontend
from bird_tf.input import dataset
from bird_tf.input.augment import augmentations
from bird_tf.labels import taxonomy
from bird_tf.models import architectures
from bird_tf.records import manifests, schema
from bird_tf.training import training_flags

from . import train


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Flags of the measurement."""

    records: str = config.option("", "records to read; empty: generated ones of 128 bands × 256 frames")
    recipes: tuple[str, ...] = config.option(("configs/resnet.flags",), "training flagfile; may be repeated")
    batches: int = config.option(100, "batches of a round")
    rounds: int = config.option(3, "rounds")
    each: bool = config.option(True, "measure each augmentation too")
    peak_tflops: float = config.option(989.0, "peak of the device to be fed, TFLOP/s; 989: H100 SXM, dense bfloat16")
    utilisation: float = config.option(0.3, "assumed share of that peak in training")


# one augmentation a row, at a usual strength
_EACH: dict[str, float | bool | tuple[float, ...]] = {
    "roll_time": 0.5, "roll_frequency": 0.1, "flip": True, "crop": 0.1, "zoom": 0.1, "rotation": 3.0,
    "warp_time": 0.2, "warp_frequency": 0.1, "add_noise": True, "background_db": (0.0, 30.0),
    "gaussian_noise": 0.05, "brightness": 0.2, "multiplication": 0.2, "mean_subtraction": 1.0, "gain": 0.25,
    "blur": 1.0, "pixel_dropout": 0.1, "time_mask": 0.2, "frequency_mask": 0.2, "same_species": 1.0, "mixup": 1.0,
    "or_mixup": 1.0,
}  # fmt: skip


def generate(directory: str, num_chunks: int = 16384, num_noise: int = 512) -> manifests.Manifest:
    """Writes records of random chunks, eight shards a split.

    They are larger than the shuffle buffer, so that as many chunks are read as are used.
    """
    generator, classes = np.random.default_rng(0), [f"class{i:03d}" for i in range(100)]

    def chunk(i: int) -> schema.Chunk:
        return schema.Chunk(
            features={schema.SPECTROGRAM: generator.integers(0, 256, (128, 256), np.uint8)},
            label=i % 100, background=(), background_known=True, recording_id=str(i // 10),
            chunk_index=i % 10, start_seconds=0.0, activity=0.01,
        )  # fmt: skip

    shards: dict[str, tuple[manifests.Shard, ...]] = {"val": ()}
    for split, count in (("train", num_chunks), ("noise", num_noise)):
        shards[split] = train.write_shards(directory, split, [map(chunk, range(first, count, 8)) for first in range(8)])
    counts = {"train": tuple(np.bincount(np.arange(num_chunks) % 100, minlength=100).tolist())}
    front_end = frontend.FrontendConfig()
    return manifests.Manifest(
        directory=directory, front_end=front_end, shards=shards, chunks_per_class=counts,
        classes=taxonomy.Taxonomy(class_ids=tuple(classes), names=tuple(classes)),
        num_recordings={}, converter={}, skipped=(), versions={},
        features={schema.SPECTROGRAM: schema.spectrogram_feature(front_end)},
    )  # fmt: skip


def bare(manifest: manifests.Manifest, batch_size: int) -> tf.data.Dataset:
    """A pipeline that only reads in file order, parses and casts."""
    shards = tf.data.Dataset.from_tensor_slices(manifest.paths("train"))
    examples = shards.interleave(tf.data.TFRecordDataset, cycle_length=8, num_parallel_calls=tf.data.AUTOTUNE)
    batches = examples.repeat().batch(batch_size, drop_remainder=True)

    def cast(serialised: tf.Tensor) -> tf.Tensor:
        return frontend.dequantise(schema.parse(serialised, manifest.features.values())[schema.SPECTROGRAM])

    return batches.map(cast, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def measure(make: Callable[[], tf.data.Dataset], batches: int) -> tuple[float, float]:
    """Wall-clock seconds and CPU seconds for some batches, after a warm-up."""
    iterator = iter(make())
    for _ in range(batches // 2):
        next(iterator)
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(batches):
        next(iterator)
    return time.perf_counter() - wall, time.process_time() - processor


def feeds(
    recipe: training_flags.TrainConfig, front_end: frontend.FrontendConfig, rate: float, settings: Settings
) -> str:
    """A sentence: how many devices a rate of examples a second keeps busy, by the operations of the network."""
    size = front_end.num_bands, front_end.num_frames
    # the forward pass, and the backward pass to inputs and to weights
    flops = 3 * architectures.forward_flops(architectures.build(recipe.model, {"spectrogram": size}, 100))
    needed = settings.peak_tflops * 1e12 * settings.utilisation / flops
    return (
        f"feeds {rate / needed:.2f} devices of {settings.peak_tflops:g} TFLOP/s peak at {settings.utilisation:.0%}: "
        f"each would train {needed:.0f} spectrograms/s at {flops / 1e9:.2f} GFLOP (estimate)"
    )


def main(settings: Settings) -> list[tuple[str, str, str, float]]:
    """Prints one row for each pipeline; for each recipe the parts of its CPU time and the devices that it feeds.

    Returns:
        (what, result, reference, ratio) of the recipes for `all`.
    """
    with tempfile.TemporaryDirectory() as directory:
        manifest = manifests.load(settings.records) if settings.records else generate(directory)
        plain = dataset.DatasetConfig()

        def training(augmentation: augmentations.AugmentConfig) -> Callable[[], tf.data.Dataset]:
            return lambda: dataset.training(manifest, plain, augmentation, seed=0)

        rows = {
            "bare read, parse, cast": lambda: bare(manifest, plain.batch_size),
            "shuffled, with targets": training(augmentations.AugmentConfig()),
        }
        recipes = {}
        for path in settings.recipes:
            recipe = config.parse(training_flags.TrainConfig, [f"--flagfile={path}", "--records=-", "--run_dir=-"])
            recipes[f"recipe {os.path.basename(path)}"] = recipe
            rows[f"recipe {os.path.basename(path)}"] = training(recipe.augmentation)
        for name, strength in _EACH.items() if settings.each else ():
            one = {name: strength, "augment_probability": 1.0}
            rows[name] = training(config.from_mapping(augmentations.AugmentConfig, one))
        best = dict.fromkeys(rows, (float("inf"), float("inf")))
        for _ in range(settings.rounds):
            for name, make in rows.items():
                wall, processor = measure(make, settings.batches)
                best[name] = min(best[name][0], wall), min(best[name][1], processor)
    examples = settings.batches * plain.batch_size
    reference, shuffled = best["bare read, parse, cast"], best["shuffled, with targets"]
    print(f"{os.cpu_count()} cores, batches of {plain.batch_size}, best of {settings.rounds} rounds")
    print(f"{'':26}{'examples/s':>11}{'share':>8}{'per core':>10}{'share':>8}")
    for name, (wall, processor) in best.items():
        print(
            f"{name:26}{examples / wall:11.0f}{reference[0] / wall:8.0%}"
            f"{examples / processor:10.0f}{reference[1] / processor:8.0%}"
        )
    for name, recipe in recipes.items():
        wall, processor = best[name]
        stages = reference[1], shuffled[1] - reference[1], processor - shuffled[1]
        read, shuffle, vary = (f"{seconds / processor:.0%}" for seconds in stages)
        print(f"{name}: {read} reading, parsing, casting; {shuffle} shuffling, targets; {vary} augmentation")
        print(f"{name}: {feeds(recipe, manifest.front_end, examples / wall, settings)}")
    return [
        (f"input, {name}", f"{examples / wall:.0f} examples/s", "bare read, parse, cast", reference[0] / wall)
        for name, (wall, _) in best.items()
        if name.startswith("recipe")
    ]

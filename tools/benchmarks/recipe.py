"""Where a training step of a recipe spends its time, beside a plain Keras loop over one batch.

The bare network is forward and backward pass with the recipe's loss, on one batch that stays in memory. 0.9 means that
input, augmentation, optimiser and all else cost a tenth. Without a GPU, CPU seconds count: on a busy machine the clock
says little. With a GPU, the clock counts, for the processor mostly waits.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bird_tf import config, keras, tf
from bird_tf.models import architectures, losses
from bird_tf.records import manifests
from bird_tf.training import distribution, epochs, experiments, training_flags

from . import train

# a process that uses so little in a pause is idle
_PAUSE_SECONDS, _IDLE_SECONDS = 0.3, 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Flags of the measurement."""

    recipe: str = config.option("recommended.flags", "flagfile of the training")
    steps: int = config.option(40, "steps in a round: many more than the input keeps ready")
    rounds: int = config.option(3, "rounds of each; a first one is not counted")
    num_bands: int = config.option(64, "height of a spectrogram")
    num_frames: int = config.option(128, "width of a spectrogram")
    records: str = config.option("", "records to train on, as a head needs; empty: random spectrograms")
    training_flags: tuple[str, ...] = config.option(
        (), "flag in place of the recipe's, as --training_flags=--dtype_policy=float32; may be repeated"
    )
    peak_tflops: float = config.option(0.0, "peak of the device in the recipe's precision, to print the share of it")


def _seconds() -> float:
    """What counts: CPU seconds without a GPU, the clock with one, both once all work is done."""
    if not tf.config.list_logical_devices("GPU"):
        return _cpu_seconds()
    tf.test.experimental.sync_devices()
    return time.perf_counter()


class _Waited:
    """Batches, and the seconds by the clock for which the training waited for them."""

    def __init__(self, batches: Iterator[Any]) -> None:
        self._batches, self.seconds = batches, 0.0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        asked = time.perf_counter()
        batch = next(self._batches)
        self.seconds += time.perf_counter() - asked
        return batch


def _cpu_seconds() -> float:
    """CPU seconds of this process, once the threads of the input have nothing more to prepare."""
    before, now = -1.0, time.process_time()
    while now - before > _IDLE_SECONDS:
        time.sleep(_PAUSE_SECONDS)
        before, now = now, time.process_time()
    return now


def _plain(network: keras.Model, batch: dict[str, tf.Tensor]) -> Callable[[], Any]:
    """A step of a Keras loop with the same network, a loss for several classes and the same kind of optimiser."""
    logits = keras.Model(network.input, network.output["logits"])
    logits.compile(keras.optimizers.AdamW(1e-6, global_clipnorm=1.0), keras.losses.BinaryCrossentropy(from_logits=True))
    inputs = {node.name: batch[node.name] for node in network.inputs}
    return lambda: logits.train_on_batch(inputs, batch["targets"])


def _bare(
    network: keras.Model, batch: dict[str, tf.Tensor], loss: losses.LossConfig, *, jit_compile: bool
) -> Callable[[], Any]:
    """Forward and backward pass alone."""

    @tf.function(autograph=False, jit_compile=jit_compile or None)
    def gradients() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            outputs = architectures.call(network, batch, training=True)
            total, weight = losses.loss_and_weight(outputs["logits"], batch["targets"], batch["weights"], loss)
            mean = total / weight
        found: list[tf.Tensor] = tape.gradient(mean, [v.value for v in network.trainable_variables])
        return found

    return lambda: [gradient.shape for gradient in gradients()]


def _random_records(folder: str, settings: Settings, recipe: training_flags.TrainConfig) -> manifests.Manifest:
    """Records of random spectrograms, as many as the steps need."""
    generator = np.random.default_rng(0)
    count = settings.steps * recipe.dataset.batch_size
    spectrograms = generator.integers(0, 256, (count, settings.num_bands, settings.num_frames), np.uint8)
    sizes = train.Settings(model=recipe.model, num_bands=settings.num_bands, num_frames=settings.num_frames)
    return train.make_records(folder, sizes, spectrograms, generator.integers(0, 100, count))


def main(settings: Settings) -> list[tuple[str, str, str, float]]:
    """Measures and prints. Returns (name, result, reference, ratio) for `all`."""
    with tempfile.TemporaryDirectory() as folder:
        records, run = settings.records or os.path.join(folder, "records"), os.path.join(folder, "run")
        flags = [f"--flagfile={settings.recipe}", f"--records={records}", f"--run_dir={run}", *settings.training_flags]
        recipe = config.parse(training_flags.TrainConfig, [*flags, "--records_recipe="])
        manifest = manifests.load(records) if settings.records else _random_records(records, settings, recipe)
        size = recipe.dataset.batch_size
        strategy = distribution.strategy("none", 1)
        experiment = experiments.Experiment(recipe, manifest, strategy)
        network, batches = experiment.state.network, _Waited(iter(experiment.batches()))
        batch = next(batches)

        def epoch() -> None:
            epochs.run(experiment, batches, [])
            experiment.progress.epochs += 1

        steps = experiment.num_steps

        def repeated(step: Callable[[], Any]) -> Callable[[], None]:
            def run_round() -> None:
                for _ in range(steps):
                    step()

            return run_round

        measured: dict[str, Callable[[], None]] = {
            "whole training": epoch,
            "step, without input": repeated(lambda: experiment.state.step(batch)),
            "bare network": repeated(_bare(network, batch, recipe.loss, jit_compile=experiment.is_compiled)),
            "plain Keras loop": repeated(_plain(network, batch)),
        }
        seconds: dict[str, list[float]] = {name: [] for name in measured}
        waits, rates = [], []
        for _ in range(settings.rounds + 1):
            for name, run_round in measured.items():
                batches.seconds, started, began = 0.0, _seconds(), time.perf_counter()
                run_round()
                took = time.perf_counter() - began
                seconds[name].append((_seconds() - started) / steps)
                if name == "whole training":
                    waits.append(batches.seconds / took)
                    rates.append(steps * size / took)
        experiment.events.close()
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    on_gpu = distribution.is_one_gpu(strategy)
    unit, by = ("ms", "s") if on_gpu else ("ms of CPU", "CPU second")
    shape = " × ".join(str(length) for node in network.inputs for length in node.shape[1:])
    print(f"{settings.recipe}, batches of {size}, {shape}, {recipe.dtype_policy}, on {distribution.devices(strategy)}")
    for name, median in medians.items():
        print(f"{name:22}{1000 * median:8.1f} {unit} a step{medians['bare network'] / median:8.2f}")
    whole, step, bare = (medians[name] for name in ("whole training", "step, without input", "bare network"))
    print(
        f"of the whole: network {bare / whole:.0%}, optimiser {(step - bare) / whole:.0%}, input and loop "
        f"{(whole - step) / whole:.0%}"
    )
    print(f"of the clock, {statistics.median(waits[1:]):.1%} is waiting for batches")
    # forward, and backward to inputs and to weights
    flops = 3 * architectures.forward_flops(network)
    rate = statistics.median(rates[1:])
    achieved = f"{flops * rate / 1e12:.3f} TFLOP/s"
    share = f", {flops * rate / 1e12 / settings.peak_tflops:.1%} of the peak" if settings.peak_tflops else ""
    print(f"{flops / 1e9:.3f} GFLOP a chunk, {rate:.0f} chunks a second by the clock: {achieved}{share}")
    result = f"{size / whole:.0f} chunks a {by}"
    return [
        (f"train, {settings.recipe}", result, reference, medians[reference] / whole)
        for reference in ("bare network", "plain Keras loop")
    ]

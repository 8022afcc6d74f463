"""Where a training step of a recipe spends its time, in CPU seconds, beside a plain Keras loop over one batch.

The bare network is forward and backward pass with the recipe's loss, on one batch that stays in memory. 0.9 means that
input, augmentation, optimiser and all else cost a tenth. CPU seconds: on a busy machine, the clock says little.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bird_tf import config, keras, tf
from bird_tf.models import architectures, losses
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
    return lambda: logits.train_on_batch(batch["spectrogram"], batch["targets"])


def _bare(network: keras.Model, batch: dict[str, tf.Tensor], loss: losses.LossConfig) -> Callable[[], Any]:
    """Forward and backward pass alone."""

    @tf.function(autograph=False)
    def gradients() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            outputs = architectures.call(network, batch, training=True)
            total, weight = losses.loss_and_weight(outputs["logits"], batch["targets"], batch["weights"], loss)
            mean = total / weight
        found: list[tf.Tensor] = tape.gradient(mean, [v.value for v in network.trainable_variables])
        return found

    return lambda: [gradient.shape for gradient in gradients()]


def main(settings: Settings) -> list[tuple[str, str, str, float]]:
    """Measures and prints. Returns (name, result, reference, ratio) for `all`."""
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        records, run = os.path.join(folder, "records"), os.path.join(folder, "run")
        flags = [f"--flagfile={settings.recipe}", f"--records={records}", f"--run_dir={run}"]
        recipe = config.parse(training_flags.TrainConfig, [*flags, "--records_recipe="])
        size = recipe.dataset.batch_size
        count = settings.steps * size
        shape = (count, settings.num_bands, settings.num_frames)
        sizes = train.Settings(model=recipe.model, num_bands=settings.num_bands, num_frames=settings.num_frames)
        labels = generator.integers(0, 100, count)
        manifest = train.make_records(records, sizes, generator.integers(0, 256, shape, np.uint8), labels)
        experiment = experiments.Experiment(recipe, manifest, distribution.strategy("none", 1))
        network, batches = experiment.state.network, iter(experiment.batches())
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
            "bare network": repeated(_bare(network, batch, recipe.loss)),
            "plain Keras loop": repeated(_plain(network, batch)),
        }
        seconds: dict[str, list[float]] = {name: [] for name in measured}
        for _ in range(settings.rounds + 1):
            for name, run_round in measured.items():
                started = _cpu_seconds()
                run_round()
                seconds[name].append((_cpu_seconds() - started) / steps)
        experiment.events.close()
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    print(f"{settings.recipe}, batches of {size}, {settings.num_bands} × {settings.num_frames}")
    for name, median in medians.items():
        print(f"{name:22}{1000 * median:8.0f} ms of CPU a step{medians['bare network'] / median:8.2f}")
    whole, step, bare = (medians[name] for name in ("whole training", "step, without input", "bare network"))
    print(
        f"of the whole: network {bare / whole:.0%}, optimiser {(step - bare) / whole:.0%}, input and loop "
        f"{(whole - step) / whole:.0%}"
    )
    result = f"{size / medians['whole training']:.0f} spectrograms a CPU second"
    return [
        (f"train, {settings.recipe}", result, reference, medians[reference] / medians["whole training"])
        for reference in ("bare network", "plain Keras loop")
    ]

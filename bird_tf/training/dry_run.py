"""What a training would need, by a few of its steps: memory and time. Nothing is kept."""

from __future__ import annotations

import dataclasses
import math
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from bird_tf import tf
from bird_tf.records import manifests
from bird_tf.training import experiments, training_flags

_TIMED_STEPS = 4
_GIB = 2**30


@dataclasses.dataclass(frozen=True, kw_only=True)
class DryRun:
    """Memory and time of a training on these records and this machine.

    Attributes:
        num_parameters: of the network.
        state_bytes: size of weights, optimiser and moving average, which a checkpoint holds.
        buffer_bytes: size of the features in a full shuffle buffer.
        peak_bytes: {device: maximum of the memory in use so far}; that of the process under "host".
        step_seconds: median of a few steps after the first, input included.
        steps: number of steps in an epoch.
        num_epochs: number of epochs by --epochs (of both trainings with --refit) and --max_minutes, without validation.
        examples_per_second: training chunks per second.
    """

    num_parameters: int
    state_bytes: int
    buffer_bytes: int
    peak_bytes: dict[str, int]
    step_seconds: float
    steps: int
    num_epochs: float
    examples_per_second: float

    def lines(self) -> list[str]:
        """What is logged."""
        peaks = ", ".join(f"{name} {peak / _GIB:.2f} GiB" for name, peak in self.peak_bytes.items())
        epoch_minutes = self.steps * self.step_seconds / 60
        return [
            f"{self.num_parameters} parameters; a checkpoint has {self.state_bytes / _GIB:.3f} GiB",
            f"memory: {peaks} at most so far; a full shuffle buffer needs {self.buffer_bytes / _GIB:.2f} GiB",
            f"{self.step_seconds:.3f} s a step, {self.examples_per_second:.0f} chunks/s; {self.steps} steps an epoch",
            f"{epoch_minutes:.2f} minutes an epoch without validation, {self.num_epochs:.1f} epochs in "
            f"{self.num_epochs * epoch_minutes / 60:.2f} hours",
        ]


def estimate(
    settings: training_flags.TrainConfig,
    manifest: manifests.Manifest,
    strategy: tf.distribute.Strategy,
    step: Callable[[experiments.Experiment, Any], Any],
) -> DryRun:
    """Builds a training, takes a few of its steps, and measures them.

    Args:
        settings: of the training; its run directory is not touched.
        manifest: the records.
        strategy: the devices.
        step: the step that `train` takes with an experiment and a batch.

    Raises:
        InputError: building or a step failed, as for a batch that does not fit into memory.
    """
    with tempfile.TemporaryDirectory() as folder:
        experiment = experiments.Experiment(dataclasses.replace(settings, run_dir=folder), manifest, strategy)
        batches, seconds = iter(experiment.batches()), []
        for _ in range(1 + _TIMED_STEPS):
            started = time.perf_counter()
            step(experiment, next(batches))
            seconds.append(time.perf_counter() - started)
        experiment.events.close()
    step_seconds = statistics.median(seconds[1:])
    epoch_seconds = experiment.num_steps * step_seconds
    chunks = min(settings.dataset.shuffle_buffer, manifest.num_chunks("train"))
    return DryRun(
        num_parameters=experiment.state.network.count_params(),
        state_bytes=sum(array.nbytes for array in experiment.state.arrays().values()),
        buffer_bytes=chunks * sum(feature.bytes for feature in manifest.features.values()),
        peak_bytes=_peaks(),
        step_seconds=step_seconds,
        steps=experiment.num_steps,
        num_epochs=min(settings.num_trainings * settings.epochs, settings.max_minutes * 60 / epoch_seconds or math.inf),
        examples_per_second=settings.dataset.batch_size / step_seconds,
    )


def _peaks() -> dict[str, int]:
    unit = 1 if sys.platform == "darwin" else 1024
    peaks = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    for device in tf.config.list_logical_devices("GPU"):
        name = device.name.removeprefix("/device:")
        peaks[name] = tf.config.experimental.get_memory_info(name)["peak"]
    return peaks

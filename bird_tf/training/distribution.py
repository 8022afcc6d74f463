"""The devices of a training, and the part of each batch that a device gets.

--batch_size is that of all devices together. Learning rate, steps and shuffling are those of one device.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from absl import logging

from bird_tf import config, tf, typed

KINDS = ("none", "mirrored", "multiworker")
# it is there if the kernel has the driver
_NVIDIA_DRIVER = "/proc/driver/nvidia/version"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Cluster:
    """What TF_CONFIG must hold: {kind of process: its addresses}."""

    cluster: Mapping[str, tuple[str, ...]]


def check(kind: str) -> None:
    """Refuses a distribution that cannot start, before anything is written.

    Raises:
        InputError: --distribute=multiworker, but TF_CONFIG does not name the workers.
    """
    if kind == "multiworker" and not _names_workers(os.environ.get("TF_CONFIG", "")):
        raise config.InputError(
            "--distribute=multiworker: the environment variable TF_CONFIG does not name the workers; set on each "
            'TF_CONFIG=\'{"cluster": {"worker": ["HOST:PORT", …]}, "task": {"type": "worker", "index": N}}\''
        )


def _names_workers(cluster: str) -> bool:
    """Whether the text of TF_CONFIG does."""
    try:
        found = typed.convert(_Cluster, typed.parse_json(cluster), partial=True)
    except ValueError:
        return False
    return bool(found.cluster.get("worker"))


def strategy(kind: str, batch_size: int) -> tf.distribute.Strategy:
    """Makes the strategy, and connects the workers. Call it before any other use of TensorFlow.

    Raises:
        InputError: the batch cannot be divided evenly.
    """
    if kind == "none":
        return tf.distribute.get_strategy()
    if kind == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        if len(devices) == 1:
            return tf.distribute.get_strategy()
        made = tf.distribute.MirroredStrategy([device.name for device in devices])
    else:
        made = tf.distribute.MultiWorkerMirroredStrategy()
    if batch_size % made.num_replicas_in_sync:
        raise config.InputError(
            f"--batch_size={batch_size}: cannot be divided among {made.num_replicas_in_sync} devices; use a multiple"
        )
    return made


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the files. It is the first worker."""
    resolver = strategy.cluster_resolver
    return resolver is None or resolver.task_id in (None, 0)


def is_one_gpu(strategy: tf.distribute.Strategy) -> bool:
    """Whether the training has a GPU, and only one."""
    return strategy.num_replicas_in_sync == 1 and bool(tf.config.list_logical_devices("GPU"))


def devices(strategy: tf.distribute.Strategy) -> str:
    """The devices that a training runs on, for people. Warns of an NVIDIA GPU that TensorFlow cannot use."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        if os.path.exists(_NVIDIA_DRIVER) and os.environ.get("CUDA_VISIBLE_DEVICES", "0") not in ("", "-1"):
            logging.warning(
                "TensorFlow cannot use the NVIDIA GPU of this machine, for it finds no CUDA libraries that fit; "
                "docs/how-to/install.md#gpu tells how to get them"
            )
        return "the processor" + f" ({strategy.num_replicas_in_sync} devices)" * (strategy.num_replicas_in_sync > 1)
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    return name if strategy.num_replicas_in_sync == 1 else f"{strategy.num_replicas_in_sync} x {name}"


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Returns when all workers have called it."""
    if strategy.cluster_resolver is None:  # a single process
        return

    @tf.function(autograph=False)
    def collective() -> tf.Tensor:
        return strategy.reduce("SUM", strategy.run(tf.ones, args=([],)), axis=None)

    collective()


def distribute_batches(strategy: tf.distribute.Strategy, batches: tf.data.Dataset) -> Any:
    """Divides each batch into equal parts, one for each of n devices, which gets every nth chunk.

    Chunks of a kind, as those without a call, lie together in a batch: no device may get all of them, since the
    statistics of normalisations and the pairs of chunks in a loss are those of one device.

    Every worker reads and augments whole batches and keeps its own part, so equal seeds give equal batches with any
    number of workers.

    Args:
        strategy: the devices.
        batches: dictionaries of [batch, …] tensors.
    """
    if is_one_gpu(strategy):  # a batch is copied while the one before it is computed
        return batches.apply(tf.data.experimental.prefetch_to_device("/GPU:0", buffer_size=2))
    if strategy.num_replicas_in_sync == 1:
        return batches

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        num_devices = context.num_replicas_in_sync
        num_local = num_devices // context.num_input_pipelines
        first = context.input_pipeline_id * num_local

        def divide(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            # [batch, …] → [devices of this worker, batch / devices, …]
            own = range(first, first + num_local)
            return {name: tf.stack([value[device::num_devices] for device in own]) for name, value in batch.items()}

        return batches.map(divide).unbatch().prefetch(tf.data.AUTOTUNE)

    return strategy.distribute_datasets_from_function(of_worker)

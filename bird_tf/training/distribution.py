"""On how many devices a training runs, and which part of a batch each of them gets.

A batch is always the global one: it is cut among the devices, so learning rate, steps and shuffling stay as on one.
"""

from __future__ import annotations

import json
import os
from typing import Any

from bird_tf import config, tf

KINDS = ("none", "mirrored", "multiworker")


def check(kind: str) -> None:
    """Refuses what cannot start, before anything is written.

    Raises:
        InputError: several workers are asked for and TF_CONFIG does not name them.
    """
    if kind == "multiworker" and not json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster"):
        raise config.InputError(
            "--distribute=multiworker: the environment variable TF_CONFIG does not name the workers; set on each "
            'TF_CONFIG=\'{"cluster": {"worker": ["HOST:PORT", …]}, "task": {"type": "worker", "index": N}}\''
        )


def strategy(kind: str, batch_size: int) -> tf.distribute.Strategy:
    """Makes the strategy; several workers meet here. Call it before any other work of TensorFlow.

    Raises:
        InputError: the batch cannot be cut evenly.
    """
    if kind == "none":
        return tf.distribute.get_strategy()
    if kind == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        made = tf.distribute.MirroredStrategy([device.name for device in devices])
    else:
        made = tf.distribute.MultiWorkerMirroredStrategy()
    if batch_size % made.num_replicas_in_sync:
        raise config.InputError(
            f"--batch_size={batch_size}: cannot be cut among {made.num_replicas_in_sync} devices; use a multiple"
        )
    return made


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes."""
    resolver = strategy.cluster_resolver
    return resolver is None or resolver.task_id in (None, 0)


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Returns when every worker has come here."""

    @tf.function
    def meet() -> tf.Tensor:
        return strategy.reduce("SUM", strategy.run(tf.ones, args=([],)), axis=None)

    meet()


def share_out(strategy: tf.distribute.Strategy, batches: tf.data.Dataset) -> Any:
    """Cuts each batch into equal parts in order, one a device.

    Every worker reads and augments whole batches and keeps its part: equal seeds then give equal batches on any
    number of workers.

    Args:
        strategy: the devices.
        batches: dictionaries of [batch, …] tensors.
    """
    if strategy.num_replicas_in_sync == 1:
        return batches

    def part(context: tf.distribute.InputContext) -> tf.data.Dataset:
        total = context.num_replicas_in_sync
        here = total // context.num_input_pipelines
        first = context.input_pipeline_id * here

        def cut(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            return {k: tf.reshape(v, [total, -1, *v.shape[1:]])[first : first + here] for k, v in batch.items()}

        return batches.map(cut).unbatch().prefetch(tf.data.AUTOTUNE)

    return strategy.distribute_datasets_from_function(part)

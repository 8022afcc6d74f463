"""Which training chunks are seen, how often in an epoch, and which meets which: filters, class balance, partners.

All of it works on the stream of serialised examples. Order and batches belong to `dataset`.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
from absl import logging

from bird_tf import config, records, tf

# examples that are looked into at once; one by one is slow
_BLOCK = 256
# chunks of a species that are each other's partners
_WINDOW = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """Which of the training chunks are seen how often."""

    balance: float = config.option(
        0.0, "a: a species with n chunks is drawn in proportion to n^(1 - a); 0: as they are, 0.5 helps, 1: all alike"
    )
    min_per_class: int = config.option(0, "chunks of a species an epoch at least, by repetition")
    max_per_class: int = config.option(0, "chunks of a species an epoch at most, others each time; 0: no limit")
    min_signal_to_noise: float = config.option(0.0, "leave out training chunks below this value")
    max_signal_to_noise: float = config.option(1.0, "leave out training chunks above this value")

    def __post_init__(self) -> None:
        if not 0 <= self.balance <= 1:
            raise config.InputError(f"--balance={self.balance}: need a value in [0, 1]")
        if self.min_per_class < 0 or self.max_per_class < 0 or 0 < self.max_per_class < self.min_per_class:
            raise config.InputError(
                f"--min_per_class={self.min_per_class} --max_per_class={self.max_per_class}: need 0 <= min <= max, or "
                "a max of 0"
            )
        if not self.min_signal_to_noise <= self.max_signal_to_noise:
            raise config.InputError(
                f"--min_signal_to_noise={self.min_signal_to_noise} is above "
                f"--max_signal_to_noise={self.max_signal_to_noise}"
            )

    @property
    def filters(self) -> bool:
        """Whether the signal-to-noise interval leaves anything out."""
        return self.min_signal_to_noise > 0.0 or self.max_signal_to_noise < 1.0


def counts(manifest: records.Manifest, settings: SamplingConfig) -> np.ndarray:
    """Training chunks of each class within the signal-to-noise interval, [classes] int64.

    The manifest knows them; only with an interval are the records read for it, once in a process.

    Raises:
        InputError: no chunk.
    """
    if not manifest.num_chunks("train"):
        raise config.InputError(f"{manifest.directory} has no training chunk")
    if not settings.filters:
        return np.asarray(manifest.chunks_per_class["train"], np.int64)
    lowest, highest = settings.min_signal_to_noise, settings.max_signal_to_noise
    found = _count(tuple(manifest.paths("train")), lowest, highest, len(manifest.classes))
    if not found.sum():
        raise config.InputError(
            f"{manifest.directory} has no training chunk within --min_signal_to_noise={lowest} and "
            f"--max_signal_to_noise={highest}"
        )
    return found


@functools.lru_cache(maxsize=4)
def _count(paths: tuple[str, ...], lowest: float, highest: float, num_classes: int) -> np.ndarray:
    logging.info("counting the chunks within the signal-to-noise interval")
    found = np.zeros(num_classes, np.int64)
    for block in tf.data.TFRecordDataset(list(paths)).batch(_BLOCK).map(records.parse_label):
        kept = (block["signal_to_noise"] >= lowest) & (block["signal_to_noise"] <= highest)
        found += np.bincount(block["label"][kept], minlength=num_classes)
    return found


def rates(found: np.ndarray, settings: SamplingConfig) -> np.ndarray:
    """How often a chunk of each class is expected in an epoch.

    Of N chunks in all, a class with n has in expectation N · n^(1 - a) / Σ n^(1 - a) in an epoch, limited to
    [min_per_class, max_per_class].

    Args:
        found: [classes] chunks of each class.
        settings: a = `balance`, and the limits.

    Returns:
        [classes] float64, 0 for a class without chunks.
    """
    present = found > 0
    shares = np.where(present, np.maximum(found, 1) ** (1.0 - settings.balance), 0.0)
    wanted = found.sum() * shares / shares.sum()
    wanted = np.clip(wanted, settings.min_per_class, settings.max_per_class or math.inf)
    return np.where(present, wanted / np.maximum(found, 1), 0.0)


def chunks_per_epoch(manifest: records.Manifest, settings: SamplingConfig) -> float:
    """Expected number of training chunks in an epoch."""
    found = counts(manifest, settings)
    return float(found @ rates(found, settings))


def resample(
    examples: tf.data.Dataset, wanted: np.ndarray, settings: SamplingConfig, seed: tf.Tensor
) -> tf.data.Dataset:
    """Leaves out and repeats examples so that each class comes as often as is wanted.

    Each example is passed on ⌊r + u⌋ times, r the rate of its class and u of U(0, 1): in expectation r times,
    whatever came before, so nothing is kept in memory.

    Args:
        examples: serialised examples.
        wanted: [classes], what `rates` gives.
        settings: the signal-to-noise interval.
        seed: [2] int64.
    """
    if not settings.filters and np.allclose(wanted[wanted > 0], 1.0):
        return examples

    def block(index: tf.Tensor, serialised: tf.Tensor) -> tf.data.Dataset:
        found = records.parse_label(serialised)
        draws = tf.random.stateless_uniform(tf.shape(serialised), tf.random.fold_in(seed, index))
        copies = tf.cast(tf.floor(tf.gather(wanted.astype(np.float32), found["label"]) + draws), tf.int32)
        ratio = found["signal_to_noise"]
        kept = (ratio >= settings.min_signal_to_noise) & (ratio <= settings.max_signal_to_noise)
        return tf.data.Dataset.from_tensor_slices(tf.repeat(serialised, tf.where(kept, copies, 0)))

    return examples.batch(_BLOCK).enumerate().flat_map(block)


def with_partners(examples: tf.data.Dataset) -> tf.data.Dataset:
    """Pairs each example with another of the same species, from among those that come next in the stream.

    A species' last example in the stream may have none left; it is its own partner then.

    Args:
        examples: serialised examples, shuffled.

    Returns:
        (example, partner), the examples of a species in groups: to be shuffled again.
    """
    labelled = examples.batch(_BLOCK).map(lambda block: (records.parse_label(block)["label"], block)).unbatch()
    windows = labelled.group_by_window(
        key_func=lambda label, _: label,
        reduce_func=lambda _, window: window.map(lambda _, example: example).batch(_WINDOW),
        window_size=_WINDOW,
    )
    return windows.map(lambda group: (group, tf.roll(group, 1, axis=0))).unbatch()

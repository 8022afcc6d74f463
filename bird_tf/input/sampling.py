"""Which training chunks are seen, how often in an epoch, and which meets which: filters, class balance, partners.

All of it works on the stream of serialised examples. Order and batches belong to `dataset`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
from absl import logging

from bird_tf import config, tf
from bird_tf.records import manifests, schema

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
    teacher_presence: float = config.option(
        0.0,
        "leave out training chunks to which the records' teacher gives less than this share of the most that it gives "
        "their label in the recording; for recordings labelled as a whole",
    )

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
        if not 0 <= self.teacher_presence <= 1:
            raise config.InputError(f"--teacher_presence={self.teacher_presence}: need a share in [0, 1]")

    @property
    def filters(self) -> bool:
        """Whether the signal-to-noise interval or the teacher may leave anything out."""
        return self.min_signal_to_noise > 0.0 or self.max_signal_to_noise < 1.0 or self.teacher_presence > 0.0


Filter = Callable[["tf.Tensor"], "tf.Tensor"]


def chunk_filter(manifest: manifests.Manifest, settings: SamplingConfig) -> Filter | None:
    """The function that tells which training chunks are seen at all: [batch] serialised examples → [batch] bool.

    A chunk stays if its signal to noise lies in the interval, and if the teacher gives its label at least
    `teacher_presence` of what it gives it in any training chunk of the recording, or does not know the species.

    Returns:
        It, or None if all are seen.

    Raises:
        InputError: the records hold no teacher's answers, and they are needed.
    """
    if settings.teacher_presence:
        manifest.require_teacher(f"--teacher_presence={settings.teacher_presence}")
    return _chunk_filter(tuple(manifest.paths("train")), len(manifest.classes), settings) if settings.filters else None


def _chunk_filter(paths: tuple[str, ...], num_classes: int, settings: SamplingConfig) -> Filter:
    # constants rather than a lookup table: they travel to the workers of a data service
    keys, greatest = _greatest_answers(paths, num_classes) if settings.teacher_presence else (None, None)

    def keeps(serialised: tf.Tensor) -> tf.Tensor:
        ratio = schema.parse_label(serialised)["signal_to_noise"]
        kept = (ratio >= settings.min_signal_to_noise) & (ratio <= settings.max_signal_to_noise)
        if keys is not None:
            key, answer = _presence(serialised, num_classes)
            least = settings.teacher_presence * tf.gather(greatest, tf.searchsorted(keys, key))
            kept &= (answer >= least) | tf.math.is_nan(answer)
        return kept

    return keeps


def _presence(serialised: tf.Tensor, num_classes: int) -> tuple[tf.Tensor, tf.Tensor]:
    """A number for label and recording, [batch] int64, and the teacher's answer of the label, [batch] float32."""
    found = schema.parse_backbone(serialised, num_classes)
    key = tf.strings.join([tf.strings.as_string(found["label"]), found["recording_id"]], " ")
    return tf.strings.to_hash_bucket_fast(key, 2**62), tf.gather(found["teacher"], found["label"], batch_dims=1)


@functools.lru_cache(maxsize=4)
def _greatest_answers(paths: tuple[str, ...], num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The greatest answer for each label of each recording: rising keys of `_presence`, and the answers."""
    logging.info("looking for the chunks in which the teacher hears the labels")
    answers = tf.data.TFRecordDataset(list(paths)).batch(_BLOCK).map(lambda block: _presence(block, num_classes))
    found, values = (np.concatenate(parts) for parts in zip(*answers.as_numpy_iterator(), strict=True))
    keys, places = np.unique(found, return_inverse=True)
    greatest = np.full(len(keys), np.nan, np.float32)
    np.fmax.at(greatest, places, values)
    return keys, greatest


def counts(manifest: manifests.Manifest, settings: SamplingConfig) -> np.ndarray:
    """Training chunks of each class that are seen at all, [classes] int64.

    The manifest knows them; only with a filter are the records read for it, once in a process.

    Raises:
        InputError: no chunk, or as `keeping`.
    """
    if not manifest.num_chunks("train"):
        raise config.InputError(f"{manifest.directory} has no training chunk")
    if not settings.filters:
        return np.asarray(manifest.chunks_per_class["train"], np.int64)
    chunk_filter(manifest, settings)
    found = _count(tuple(manifest.paths("train")), len(manifest.classes), settings)
    if not found.sum():
        raise config.InputError(
            f"{manifest.directory} has no training chunk within --min_signal_to_noise={settings.min_signal_to_noise} "
            f"and --max_signal_to_noise={settings.max_signal_to_noise}"
        )
    return found


@functools.lru_cache(maxsize=4)
def _count(paths: tuple[str, ...], num_classes: int, settings: SamplingConfig) -> np.ndarray:
    logging.info("counting the chunks that the filters leave")
    keeps = _chunk_filter(paths, num_classes, settings)
    found = np.zeros(num_classes, np.int64)
    blocks = tf.data.TFRecordDataset(list(paths)).batch(_BLOCK)
    for labels, kept in blocks.map(lambda block: (schema.parse_label(block)["label"], keeps(block))):
        found += np.bincount(labels[kept], minlength=num_classes)
    return found


def rates(found: np.ndarray, settings: SamplingConfig) -> np.ndarray:
    """How often a chunk of each class is expected in an epoch.

    Of N chunks in all, a class with n has in odds N · n^(1 - a) / Σ n^(1 - a) in an epoch, limited to
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


def chunks_per_epoch(manifest: manifests.Manifest, settings: SamplingConfig) -> float:
    """Expected number of training chunks in an epoch."""
    found = counts(manifest, settings)
    return float(found @ rates(found, settings))


def resample(examples: tf.data.Dataset, wanted: np.ndarray, keeps: Filter | None, seed: tf.Tensor) -> tf.data.Dataset:
    """Leaves out and repeats examples so that each class comes as often as is wanted.

    Each example is passed on ⌊r + u⌋ times, r the rate of its class and u of U(0, 1): in odds r times,
    whatever came before, so nothing is kept in memory.

    Args:
        examples: serialised examples.
        wanted: [classes], what `rates` gives.
        keeps: which are seen at all, from `keeping`.
        seed: [2] int64.
    """
    if keeps is None and np.allclose(wanted[wanted > 0], 1.0):
        return examples

    def block(index: tf.Tensor, serialised: tf.Tensor) -> tf.data.Dataset:
        rate = tf.gather(wanted.astype(np.float32), schema.parse_label(serialised)["label"])
        draws = tf.random.stateless_uniform(tf.shape(serialised), tf.random.fold_in(seed, index))
        copies = tf.cast(tf.floor(rate + draws), tf.int32)
        copies = copies if keeps is None else tf.where(keeps(serialised), copies, 0)
        return tf.data.Dataset.from_tensor_slices(tf.repeat(serialised, copies))

    return examples.batch(_BLOCK).enumerate().flat_map(block)


def with_partners(examples: tf.data.Dataset) -> tf.data.Dataset:
    """Pairs each example with another of the same species, from among those that come next in the stream.

    A species' last example in the stream may have none left; it is its own partner then.

    Args:
        examples: serialised examples, shuffled.

    Returns:
        (example, partner), the examples of a species in groups: to be shuffled again.
    """
    labelled = examples.batch(_BLOCK).map(lambda block: (schema.parse_label(block)["label"], block)).unbatch()
    windows = labelled.group_by_window(
        key_func=lambda label, _: label,
        reduce_func=lambda _, window: window.map(lambda _, example: example).batch(_WINDOW),
        window_size=_WINDOW,
    )
    return windows.map(lambda group: (group, tf.roll(group, 1, axis=0))).unbatch()

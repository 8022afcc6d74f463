"""Which training chunks are used, how often in an epoch, and with which partner: filters, class balance, partners.

All functions work on the stream of serialised examples. Order and batches are made in `dataset`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
from absl import logging

from bird_tf import config, tf
from bird_tf.audio import activity
from bird_tf.records import manifests, schema

# examples that are parsed at once; parsing them one by one is slow
_BLOCK = 256
# chunks of a species that become partners of each other
_WINDOW = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """Which training chunks are used, and how often."""

    balance: float = config.option(
        0.0,
        "a: a species with n chunks is drawn in proportion to n^(1 - a); 0: unchanged, 0.5: more balanced, 1: all "
        "species equally often",
    )
    min_per_class: int = config.option(0, "the fewest chunks of a species in an epoch; chunks are repeated")
    max_per_class: int = config.option(
        0, "the most chunks of a species in an epoch, other ones in each epoch; 0: no limit"
    )
    interval: activity.ActivityInterval = dataclasses.field(default_factory=activity.ActivityInterval)
    backbone_presence: float = config.option(
        0.0,
        "leave out training chunks in which the backbone's probability of the label is below this share of its "
        "maximum in the recording, and do the same with single background species; for recordings without annotations",
        was=("teacher_presence",),
    )

    def __post_init__(self) -> None:
        if not 0 <= self.balance <= 1:
            raise config.InputError(f"--balance={self.balance}: need a value in [0, 1]")
        if self.min_per_class < 0 or self.max_per_class < 0 or 0 < self.max_per_class < self.min_per_class:
            raise config.InputError(
                f"--min_per_class={self.min_per_class} --max_per_class={self.max_per_class}: need 0 <= min <= max, or "
                "a max of 0"
            )
        if not 0 <= self.backbone_presence <= 1:
            raise config.InputError(f"--backbone_presence={self.backbone_presence}: need a share in [0, 1]")

    @property
    def has_filter(self) -> bool:
        """Whether the activity or the backbone's answers may leave chunks out."""
        return self.interval.is_limited or self.backbone_presence > 0.0


Filter = Callable[["tf.Tensor"], "tf.Tensor"]
Unheard = Callable[["tf.Tensor"], "tf.Tensor"]


def chunk_filter(manifest: manifests.Manifest, settings: SamplingConfig) -> Filter | None:
    """Makes the filter of training chunks, a function: [batch] serialised examples → [batch] bool.

    A chunk passes if the records select it for training, if its activity is in the interval, and if the backbone's
    answer for its label is at least `backbone_presence` times the greatest answer for that label in the training chunks
    of its recording, or the backbone does not know the species.

    Returns:
        The function; None if all chunks pass.

    Raises:
        InputError: the settings need the backbone's answers, and the records have none.
    """
    if settings.backbone_presence:
        manifest.select([schema.BACKBONE_ANSWERS], f"--backbone_presence={settings.backbone_presence}")
    return _chunk_filter(_source(manifest), settings) if _has_filter(manifest, settings) else None


def _has_filter(manifest: manifests.Manifest, settings: SamplingConfig) -> bool:
    return settings.has_filter or manifest.selected is not None


@dataclasses.dataclass(frozen=True)
class _Source:
    """The training shards of some records, by place and content; hashable, unlike a manifest."""

    paths: tuple[str, ...]
    checksums: tuple[str, ...]
    num_classes: int
    answers: schema.Feature | None
    limits: tuple[int, ...] | None

    def blocks(self) -> tf.data.Dataset:
        """Blocks of serialised examples."""
        return tf.data.TFRecordDataset(list(self.paths)).batch(_BLOCK)


def _source(manifest: manifests.Manifest) -> _Source:
    limits = manifest.selected.limits if manifest.selected else None
    answers = manifest.features.get(schema.BACKBONE_ANSWERS)
    paths, checksums = manifest.paths("train"), [shard.checksum for shard in manifest.shards["train"]]
    return _Source(tuple(paths), tuple(checksums), len(manifest.classes), answers, limits)


def _selected(serialised: tf.Tensor, source: _Source) -> tf.Tensor:
    """[batch] bool: whether the records select a chunk for training."""
    if source.limits is None:
        return tf.ones(tf.shape(serialised), bool)
    parsed = schema.parse_order(serialised)
    limit = tf.gather(tf.constant(source.limits, tf.int64), parsed["label"])
    return (parsed["training_order"] >= 0) & (parsed["training_order"] < limit)


def _chunk_filter(source: _Source, settings: SamplingConfig) -> Filter:
    if settings.backbone_presence:
        _greatest_answers(source)  # here, and not while a graph is traced

    def passes(serialised: tf.Tensor) -> tf.Tensor:
        passed = settings.interval.contains(schema.parse_label(serialised)["activity"]) & _selected(serialised, source)
        if settings.backbone_presence:
            _, heard = _heard(serialised, source, settings.backbone_presence)
            passed &= heard[:, 0]
        return passed

    return passes


def _answers(serialised: tf.Tensor, source: _Source) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The species that the labels give each chunk: the label and, after it, the background.

    Returns:
        Their classes, [batch, 1 + n] int64 padded with -1; a hash of class and recording, [batch, 1 + n] int64; the
        backbone's answers for them, [batch, 1 + n] float32, NaN where it does not know the species.
    """
    parsed = schema.parse(serialised, [source.answers] if source.answers else [])
    given = tf.concat([parsed["label"][:, None], parsed["background"]], axis=1)
    recording = tf.repeat(parsed["recording_id"][:, None], tf.shape(given)[1], axis=1)
    key = tf.strings.join([tf.strings.as_string(given), recording], " ")
    answer = tf.sigmoid(tf.gather(parsed[schema.BACKBONE_ANSWERS], tf.maximum(given, 0), batch_dims=1))
    return given, tf.strings.to_hash_bucket_fast(key, 2**62), tf.where(given >= 0, answer, math.nan)


@functools.lru_cache(maxsize=4)
def _greatest_answers(source: _Source) -> tuple[np.ndarray, np.ndarray]:
    """The greatest answer for each species of each recording: ascending keys of `_answers`, and the answers."""
    logging.info("looking for the chunks in which the backbone finds the label")

    def known(block: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        given, key, answer = _answers(block, source)
        answer = tf.where(_selected(block, source)[:, None], answer, math.nan)  # other chunks set no maximum
        return key[given >= 0], answer[given >= 0]

    found, values = (
        np.concatenate(parts) for parts in zip(*source.blocks().map(known).as_numpy_iterator(), strict=True)
    )
    keys, places = np.unique(found, return_inverse=True)
    greatest = np.full(len(keys), np.nan, np.float32)
    np.fmax.at(greatest, places, values)
    return keys, greatest


def _heard(serialised: tf.Tensor, source: _Source, presence: float) -> tuple[tf.Tensor, tf.Tensor]:
    """The classes of `_answers`, and whether the backbone finds them in the chunk, [batch, 1 + n] bool."""
    # constants and no lookup table: they can be sent to the workers of a data service
    keys, greatest = _greatest_answers(source)
    given, key, answer = _answers(serialised, source)
    places = tf.minimum(tf.searchsorted(keys, tf.reshape(key, [-1])), len(keys) - 1)  # padding has no place
    least = presence * tf.reshape(tf.gather(greatest, places), tf.shape(key))
    return given, (answer >= least) | tf.math.is_nan(answer)


def unheard(manifest: manifests.Manifest, settings: SamplingConfig) -> Unheard | None:
    """Makes a function: [batch] serialised examples → [batch, classes] bool, the background that is not in the chunk.

    It is the background species for which the backbone's answer is below `backbone_presence` times its greatest in the
    recording; of the label `chunk_filter` takes care.

    Returns:
        The function; None without `backbone_presence`.

    Raises:
        InputError: as `chunk_filter`.
    """
    if not settings.backbone_presence:
        return None
    manifest.select([schema.BACKBONE_ANSWERS], f"--backbone_presence={settings.backbone_presence}")
    source, num_classes = _source(manifest), len(manifest.classes)
    _greatest_answers(source)  # here, and not while a graph is traced

    def found(serialised: tf.Tensor) -> tf.Tensor:
        given, heard = _heard(serialised, source, settings.backbone_presence)
        missing = tf.where(heard, tf.constant(-1, tf.int64), given)[:, 1:]
        return tf.reduce_any(tf.one_hot(missing, num_classes, on_value=True, off_value=False), axis=1)

    return found


def counts(manifest: manifests.Manifest, settings: SamplingConfig) -> np.ndarray:
    """Number of training chunks of each class that pass the filter, [classes] int64.

    Without a filter the numbers are in the manifest. With one the records are read, once in a process.

    Raises:
        InputError: there is no chunk, or as `chunk_filter`.
    """
    if not manifest.num_chunks("train"):
        raise config.InputError(f"{manifest.directory} has no training chunk")
    if not settings.has_filter:
        # a selection is counted in the manifest too
        return np.asarray(manifest.chunks_per_class["train"], np.int64)
    chunk_filter(manifest, settings)
    found = _count(_source(manifest), settings)
    if not found.sum():
        raise config.InputError(f"{manifest.directory} has no training chunk within {settings.interval}")
    return found


@functools.lru_cache(maxsize=4)
def _count(source: _Source, settings: SamplingConfig) -> np.ndarray:
    logging.info("counting the chunks that pass the filter")
    passes = _chunk_filter(source, settings)
    found = np.zeros(source.num_classes, np.int64)
    for labels, passed in source.blocks().map(lambda block: (schema.parse_label(block)["label"], passes(block))):
        found += np.bincount(labels[passed], minlength=source.num_classes)
    return found


def rates(found: np.ndarray, settings: SamplingConfig) -> np.ndarray:
    """How often a chunk of each class is expected in an epoch.

    Of N chunks in an epoch, N · n^(1 - a) / Σ n^(1 - a) are expected of a class with n chunks, limited to
    [min_per_class, max_per_class].

    Args:
        found: [classes] chunks of each class.
        settings: a = `balance`, and the limits.

    Returns:
        [classes] float64, 0 for a class without chunks.
    """
    present = found > 0
    shares = np.where(present, np.maximum(found, 1) ** (1.0 - settings.balance), 0.0)
    expected = found.sum() * shares / shares.sum()
    expected = np.clip(expected, settings.min_per_class, settings.max_per_class or math.inf)
    return np.where(present, expected / np.maximum(found, 1), 0.0)


def chunks_per_epoch(manifest: manifests.Manifest, settings: SamplingConfig) -> float:
    """Expected number of training chunks in an epoch."""
    found = counts(manifest, settings)
    return float(found @ rates(found, settings))


def resample(
    examples: tf.data.Dataset, class_rates: np.ndarray, passes: Filter | None, seed: tf.Tensor
) -> tf.data.Dataset:
    """Leaves out and repeats examples so that each class comes as often as expected.

    Each example is passed on ⌊r + u⌋ times, with the rate r of its class and u of U(0, 1): r times on average. It
    does not depend on earlier examples, so nothing is kept in memory.

    Args:
        examples: serialised examples.
        class_rates: [classes], as from `rates`.
        passes: the filter, from `chunk_filter`.
        seed: [2] int64.
    """
    if passes is None and np.allclose(class_rates[class_rates > 0], 1.0):
        return examples

    def block(index: tf.Tensor, serialised: tf.Tensor) -> tf.data.Dataset:
        rate = tf.gather(class_rates.astype(np.float32), schema.parse_label(serialised)["label"])
        draws = tf.random.stateless_uniform(tf.shape(serialised), tf.random.fold_in(seed, index))
        copies = tf.cast(tf.floor(rate + draws), tf.int32)
        copies = copies if passes is None else tf.where(passes(serialised), copies, 0)
        return tf.data.Dataset.from_tensor_slices(tf.repeat(serialised, copies))

    return examples.batch(_BLOCK).enumerate().flat_map(block)


def with_partners(examples: tf.data.Dataset) -> tf.data.Dataset:
    """Pairs each example with another one of the same species that is near it in the stream.

    The last example of a species may have no other one left; then it is its own partner.

    Args:
        examples: serialised examples, shuffled.

    Returns:
        (example, partner) with the examples of a species in groups, so it must be shuffled again.
    """
    labelled = examples.batch(_BLOCK).map(lambda block: (schema.parse_label(block)["label"], block)).unbatch()
    windows = labelled.group_by_window(
        key_func=lambda label, _: label,
        reduce_func=lambda _, window: window.map(lambda _, example: example).batch(_WINDOW),
        window_size=_WINDOW,
    )
    return windows.map(lambda group: (group, tf.roll(group, 1, axis=0))).unbatch()

"""Finds the shard and the record that are damaged, when reading fails in the middle of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np

from bird_tf import config, files, tf
from bird_tf.records import manifests, schema

Element = TypeVar("Element")


def naming_damage(batches: Iterable[Element], *read: manifests.Manifest) -> Iterator[Element]:
    """Passes batches on. If reading one fails, all shards are searched for the cause.

    TensorFlow's own message gives a position in bytes, but no file.

    Args:
        batches: a dataset that reads from `read`.
        read: the records, one or several.

    Raises:
        InputError: a shard is missing or damaged; the message gives its path and the record's number and position.
    """
    iterator = iter(batches)
    while True:
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except (tf.errors.DataLossError, tf.errors.NotFoundError, tf.errors.InvalidArgumentError) as error:
            for manifest in read:
                for path in (path for split in manifest.shards for path in manifest.paths(split)):
                    if found := find_damage(path, manifest):
                        raise config.InputError(f"{found}; copy it again or convert again") from error
            raise
        yield batch


def find_damage(path: str, manifest: manifests.Manifest) -> str:
    """Reads a shard from the start. Returns a description of the first damage, or "" if there is none."""
    if not files.exists(path):
        return f"{path}: this shard is missing"
    features, number, position = tuple(manifest.features.values()), 0, 0
    try:
        for example in tf.data.TFRecordDataset(path):
            if wrong := _wrong_size(example, features):
                return f"{path}: record {number} at byte {position} holds {wrong} of the manifest"
            schema.parse(example[None], features)
            # a record: 8 bytes of length, 4 of checksum, the example, 4 of checksum
            number, position = number + 1, position + 12 + len(example.numpy()) + 4
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError):
        return f"{path}: record {number} at byte {position} is damaged"
    return ""


def _wrong_size(example: tf.Tensor, features: Iterable[schema.Feature]) -> str:
    """Says which feature of an example has another size than the manifest states, and which size; else ""."""
    for feature in features:
        if not feature.key:
            spec = tf.io.FixedLenFeature([], tf.string)
            size = len(tf.io.parse_single_example(example, {feature.name: spec})[feature.name].numpy())
            if size != np.dtype(feature.dtype).itemsize * math.prod(feature.shape):
                shape = " x ".join(map(str, feature.shape))
                return f"the feature {feature.name} of {size} bytes, not the {shape} {feature.dtype}"
    return ""

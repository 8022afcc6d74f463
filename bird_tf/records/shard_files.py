"""The TFRecord files of a records directory: names, writing, reading."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence

from bird_tf import files, tf
from bird_tf.records import manifests, schema


def shard_name(split: str, index: int, total: int) -> str:
    """train-00003-of-00064.tfrecord"""
    return f"{split}-{index:05d}-of-{total:05d}.tfrecord"


def read(
    manifest: manifests.Manifest, split: str, batch_size: int, features: Sequence[schema.Feature] | None = None
) -> tf.data.Dataset:
    """Reads every chunk of a split once, in order: batches as from `schema.parse`. The last one may be smaller.

    Args:
        manifest: the records.
        split: which of their splits.
        batch_size: chunks in a batch.
        features: the features to read, from `manifest.select`; None: all.
    """
    wanted = tuple(manifest.features.values()) if features is None else features
    examples = tf.data.TFRecordDataset(manifest.paths(split)).batch(batch_size)
    return examples.map(lambda serialised: schema.parse(serialised, wanted), num_parallel_calls=tf.data.AUTOTUNE)


class ShardWriter:
    """Writes one shard under a temporary name. `writing` renames it."""

    def __init__(self, path: str, writer: tf.io.TFRecordWriter) -> None:
        self._path, self._writer = path, writer
        self.count = 0

    def write(self, chunk: schema.Chunk) -> None:
        """Appends a chunk."""
        self.write_serialised(schema.serialise(chunk))

    def write_serialised(self, example: bytes) -> None:
        """Appends a chunk that `schema.serialise` has made."""
        try:
            self._writer.write(example)
        except tf.errors.ResourceExhaustedError as error:
            raise files.DiskFullError(self._path) from error
        self.count += 1

    def close(self) -> None:
        """Writes the rest of the data and closes the file."""
        try:
            self._writer.close()
        except tf.errors.ResourceExhaustedError as error:
            raise files.DiskFullError(self._path) from error


@contextlib.contextmanager
def writing(directory: str, name: str) -> Iterator[ShardWriter]:
    """Yields a writer for `directory/name`. The file appears there only when the block ends without an exception.

    Raises:
        InputError: the disk is full.
    """
    path = os.path.join(directory, name)
    with files.replacing(path, durable=True) as temporary:
        writer = ShardWriter(path, tf.io.TFRecordWriter(temporary))
        try:
            yield writer
        except BaseException:
            # the file is removed, so a second error while closing it does not matter
            with contextlib.suppress(tf.errors.OpError):
                writer.close()
            raise
        writer.close()


def describe_shard(directory: str, name: str, count: int) -> manifests.Shard:
    """Size and checksum of a written shard. Object stores keep no file without content, so an empty one is not read."""
    if not count:
        return manifests.Shard(name, 0, 0, hashlib.md5(usedforsecurity=False).hexdigest())
    path = os.path.join(directory, name)
    return manifests.Shard(name, count, files.size(path), files.checksum(path))

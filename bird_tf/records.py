"""Format of a records directory: schema of a chunk, shard writer, reader, manifest. tfrecords/README.md specifies it.

Which chunks are written belongs to `convert`; what training makes of them, to `dataset`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import bird_tf
from bird_tf import config, files, frontend, taxonomy, tf

FORMAT_VERSION = 2
_READABLE = (1, 2)  # the first knew no teacher
SPLITS = ("train", "val", "noise")
MANIFEST = "manifest.json"
CLASSES = "classes.csv"
RECORDINGS = "recordings.csv"
SUMMARY = "summary.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chunk:
    """One example. `spectrogram` is [num_bands, num_frames] uint8; the rest as in `metadata.Recording`.

    `teacher` holds the teacher's probability of each class, NaN where it does not know it; None without a teacher.
    """

    spectrogram: np.ndarray
    label: int
    background: Sequence[int]
    background_known: bool
    recording_id: str
    chunk_index: int
    start_seconds: float
    signal_to_noise: float
    latitude: float
    longitude: float
    day_of_year: float
    hour: float
    teacher: Sequence[float] | np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of a split: its name in the directory, number of chunks, size in bytes, and md5 checksum."""

    name: str
    count: int
    bytes: int
    checksum: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a finished records directory says of itself.

    Attributes:
        directory: where it lies.
        front_end: what made the spectrograms.
        classes: the classes, in the order of the labels.
        shards: {split: its shards}.
        chunks_per_class: {split: number of chunks of each class}, by label.
        num_recordings: {split: number of recordings with at least one chunk}.
        converter: the converter's flags.
        skipped: {"file", "reason"} of every recording that was left out.
        versions: {package: version} that wrote it.
        teacher: what `listener.describe` says of the model whose answers the chunks hold; None if they hold none.
    """

    directory: str
    front_end: frontend.FrontendConfig
    classes: taxonomy.Taxonomy
    shards: Mapping[str, tuple[Shard, ...]]
    chunks_per_class: Mapping[str, tuple[int, ...]]
    num_recordings: Mapping[str, int]
    converter: Mapping[str, Any]
    skipped: tuple[Mapping[str, str], ...]
    versions: Mapping[str, str]
    teacher: Mapping[str, Any] | None = None

    def num_chunks(self, split: str) -> int:
        """Number of chunks in a split."""
        return sum(shard.count for shard in self.shards[split])

    def paths(self, split: str) -> list[str]:
        """Paths of the shards of a split that hold any chunk, in order."""
        return [os.path.join(self.directory, shard.name) for shard in self.shards[split] if shard.count]

    def with_all_for_training(self) -> Manifest:
        """The same records, their validation recordings among those to train on; nothing is left to validate."""
        train, val = self.chunks_per_class["train"], self.chunks_per_class["val"]
        together = tuple(a + b for a, b in zip(train, val, strict=True))
        num = self.num_recordings["train"] + self.num_recordings["val"]
        return dataclasses.replace(
            self,
            shards={**self.shards, "train": (*self.shards["train"], *self.shards["val"]), "val": ()},
            chunks_per_class={**self.chunks_per_class, "train": together, "val": (0,) * len(val)},
            num_recordings={**self.num_recordings, "train": num, "val": 0},
        )

    def require_teacher(self, flag: str) -> None:
        """Refuses a flag that needs a teacher's answers, if the chunks hold none.

        Raises:
            InputError: they do not.
        """
        if self.teacher is None:
            raise config.InputError(
                f"{flag}: {self.directory} holds no teacher's answers; convert with --teacher_model"
            )


def shard_name(split: str, index: int, total: int) -> str:
    """train-00003-of-00064.tfrecord"""
    return f"{split}-{index:05d}-of-{total:05d}.tfrecord"


def serialise(chunk: Chunk) -> bytes:
    """The chunk as a tf.train.Example, equal bytes for equal chunks."""
    feature, floats, ints = tf.train.Feature, tf.train.FloatList, tf.train.Int64List
    raw = tf.train.BytesList
    features = {
        "spectrogram": feature(bytes_list=raw(value=[np.ascontiguousarray(chunk.spectrogram).tobytes()])),
        "label": feature(int64_list=ints(value=[chunk.label])),
        "background": feature(int64_list=ints(value=list(chunk.background))),
        "background_known": feature(int64_list=ints(value=[int(chunk.background_known)])),
        "recording_id": feature(bytes_list=raw(value=[chunk.recording_id.encode()])),
        "chunk_index": feature(int64_list=ints(value=[chunk.chunk_index])),
    }
    for name in ("start_seconds", "signal_to_noise", "latitude", "longitude", "day_of_year", "hour"):
        features[name] = feature(float_list=floats(value=[getattr(chunk, name)]))
    if chunk.teacher is not None:
        features["teacher"] = feature(float_list=floats(value=chunk.teacher))
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString(deterministic=True))


def parse(serialised: tf.Tensor, front_end: frontend.FrontendConfig) -> dict[str, tf.Tensor]:
    """Reads a batch of examples; the way back from `serialise`.

    Args:
        serialised: [batch] string.
        front_end: gives the shape of the spectrograms.

    Returns:
        spectrogram [batch, num_bands, num_frames] uint8; label, chunk_index [batch] int64; background [batch, None]
        int64, filled up with -1; background_known [batch] bool; recording_id [batch] string; start_seconds,
        signal_to_noise, latitude, longitude, day_of_year, hour [batch] float32.
    """
    scalar = {
        "spectrogram": tf.string,
        "label": tf.int64,
        "background_known": tf.int64,
        "recording_id": tf.string,
        "chunk_index": tf.int64,
        **dict.fromkeys(
            ("start_seconds", "signal_to_noise", "latitude", "longitude", "day_of_year", "hour"), tf.float32
        ),
    }
    features = {name: tf.io.FixedLenFeature([], kind) for name, kind in scalar.items()}
    parsed = tf.io.parse_example(serialised, {**features, "background": tf.io.RaggedFeature(tf.int64)})
    parsed["spectrogram"] = _decode(parsed["spectrogram"], front_end)
    parsed["background"] = parsed["background"].to_tensor(-1)
    parsed["background_known"] = parsed["background_known"] > 0
    return dict(parsed)


def _decode(raw: tf.Tensor, front_end: frontend.FrontendConfig) -> tf.Tensor:
    # not -1: spectrograms of another size, all alike, would pass as more or fewer chunks
    shape = [tf.shape(raw)[0], front_end.num_bands, front_end.num_frames]
    return tf.reshape(tf.io.decode_raw(raw, tf.uint8), shape)


def parse_spectrogram(serialised: tf.Tensor, front_end: frontend.FrontendConfig) -> tf.Tensor:
    """Only the spectrograms of a batch of examples, [batch, num_bands, num_frames] uint8."""
    parsed = tf.io.parse_example(serialised, {"spectrogram": tf.io.FixedLenFeature([], tf.string)})
    return _decode(parsed["spectrogram"], front_end)


def parse_label(serialised: tf.Tensor) -> dict[str, tf.Tensor]:
    """Only "label" [batch] int64 and "signal_to_noise" [batch] float32 of a batch of examples; quicker than `parse`."""
    features = {
        "label": tf.io.FixedLenFeature([], tf.int64),
        "signal_to_noise": tf.io.FixedLenFeature([], tf.float32),
    }
    return dict(tf.io.parse_example(serialised, features))


def parse_teacher(serialised: tf.Tensor, num_classes: int) -> dict[str, tf.Tensor]:
    """What a teacher said of a batch of examples, of records that know it.

    Returns:
        teacher [batch, classes] float32 in [0, 1], NaN where it does not know the class; label [batch] int64;
        recording_id [batch] string.
    """
    features = {
        "teacher": tf.io.FixedLenFeature([num_classes], tf.float32),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "recording_id": tf.io.FixedLenFeature([], tf.string),
    }
    return dict(tf.io.parse_example(serialised, features))


def read(manifest: Manifest, split: str, batch_size: int) -> tf.data.Dataset:
    """Every chunk of a split once, in order, as batches of what `parse` gives; the last one may be smaller."""
    examples = tf.data.TFRecordDataset(manifest.paths(split)).batch(batch_size)
    return examples.map(lambda serialised: parse(serialised, manifest.front_end), num_parallel_calls=tf.data.AUTOTUNE)


class ShardWriter:
    """Writes one shard under a temporary name; `writing` gives it its final one."""

    def __init__(self, path: str, writer: tf.io.TFRecordWriter) -> None:
        self._path, self._writer = path, writer
        self.count = 0

    def write(self, chunk: Chunk) -> None:
        """Appends a chunk."""
        self.write_serialised(serialise(chunk))

    def write_serialised(self, example: bytes) -> None:
        """Appends what `serialise` gave."""
        try:
            self._writer.write(example)
        except tf.errors.ResourceExhaustedError as error:
            raise files.DiskFullError(self._path) from error
        self.count += 1

    def close(self) -> None:
        """Writes what is still in memory."""
        try:
            self._writer.close()
        except tf.errors.ResourceExhaustedError as error:
            raise files.DiskFullError(self._path) from error


@contextlib.contextmanager
def writing(directory: str, name: str) -> Iterator[ShardWriter]:
    """Yields a writer for `directory/name`, which appears there only when the block ends without an exception.

    Raises:
        InputError: the disk is full.
    """
    path = os.path.join(directory, name)
    with files.replacing(path) as temporary:
        writer = ShardWriter(path, tf.io.TFRecordWriter(temporary))
        try:
            yield writer
        except BaseException:
            # what is written goes away: that closing it fails too is no news
            with contextlib.suppress(tf.errors.OpError):
                writer.close()
            raise
        writer.close()


def describe_shard(directory: str, name: str, count: int) -> Shard:
    """Size and checksum of a written shard."""
    path = os.path.join(directory, name)
    return Shard(name, count, int(tf.io.gfile.stat(path).length), files.checksum(path))


def versions() -> dict[str, str]:
    """Versions of the code and of the libraries that decide numbers."""
    import librosa
    import soundfile
    import soxr

    return {
        "bird_tf": bird_tf.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "librosa": librosa.__version__,
        "soundfile": soundfile.__version__,
        "libsndfile": soundfile.__libsndfile_version__,
        "soxr": soxr.__version__,
    }


def save(manifest: Manifest) -> None:
    """Writes classes.csv and, last, manifest.json: from then on the directory is finished."""
    taxonomy.save(os.path.join(manifest.directory, CLASSES), manifest.classes)
    files.write_json(
        os.path.join(manifest.directory, MANIFEST),
        {
            "format_version": FORMAT_VERSION,
            "front_end": frontend.describe(manifest.front_end),
            "classes_digest": manifest.classes.digest,
            "shards": {split: [dataclasses.astuple(s) for s in shards] for split, shards in manifest.shards.items()},
            "chunks_per_class": {split: list(counts) for split, counts in manifest.chunks_per_class.items()},
            "num_recordings": dict(manifest.num_recordings),
            "converter": dict(manifest.converter),
            "skipped": [dict(entry) for entry in manifest.skipped],
            "versions": dict(manifest.versions),
            "teacher": None if manifest.teacher is None else dict(manifest.teacher),
        },
    )


def load(directory: str) -> Manifest:
    """Opens a records directory.

    Raises:
        InputError: no such directory, unfinished, of another format or front-end version, classes.csv changed, or a
            shard missing or of another size.
    """
    path = os.path.join(directory, MANIFEST)
    if not files.exists(directory):
        raise config.InputError(f"{directory}: no such records; make them with tools/make_tfrecords.py")
    if not files.exists(path):
        raise config.InputError(
            f"{directory} has no {MANIFEST}: its conversion did not finish, or these are not records; "
            "run tools/make_tfrecords.py again with the same flags"
        )
    stored = files.read_json(path)
    if stored.get("format_version") not in _READABLE:
        raise config.InputError(
            f"{path}: format version {stored.get('format_version')}, this is version {FORMAT_VERSION}: convert again"
        )
    classes = taxonomy.load(os.path.join(directory, CLASSES))
    if classes.digest != stored["classes_digest"]:
        raise config.InputError(f"{directory}: {CLASSES} is not the one these records were made with")
    manifest = Manifest(
        directory=directory,
        front_end=frontend.from_description(stored["front_end"], path),
        classes=classes,
        shards={split: tuple(Shard(*shard) for shard in stored["shards"][split]) for split in SPLITS},
        chunks_per_class={split: tuple(counts) for split, counts in stored["chunks_per_class"].items()},
        num_recordings=stored["num_recordings"],
        converter=stored["converter"],
        skipped=tuple(stored["skipped"]),
        versions=stored["versions"],
        teacher=stored.get("teacher"),
    )
    for shard in (shard for shards in manifest.shards.values() for shard in shards):
        shard_path = os.path.join(directory, shard.name)
        if not files.exists(shard_path):
            raise config.InputError(f"{shard_path}: this shard is missing; copy it again or convert again")
        if tf.io.gfile.stat(shard_path).length != shard.bytes:
            raise config.InputError(f"{shard_path}: not {shard.bytes} bytes long, as the manifest says; damaged?")
    return manifest

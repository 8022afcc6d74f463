"""The manifest of a records directory: what was made, by what, and whether it is complete and undamaged."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

import bird_tf
from bird_tf import config, files, tf
from bird_tf.audio import frontend
from bird_tf.labels import taxonomy

FORMAT_VERSION = 2
_READABLE = (1, 2)  # the first knew no teacher
SPLITS = ("train", "val", "noise")
MANIFEST = "manifest.json"
CLASSES = "classes.csv"
RECORDINGS = "recordings.csv"
SUMMARY = "summary.json"


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
        teacher: what `backbone.describe` says of the model whose answers the chunks hold; None if they hold none.
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

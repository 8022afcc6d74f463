"""The manifest of a records directory: what the records hold, how they were made, and whether all files are there."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from absl import logging

import bird_tf
from bird_tf import config, files, next_steps, stored, tf
from bird_tf.audio import channels, frontend
from bird_tf.labels import taxonomy
from bird_tf.records import schema, selection

# {format version that can be read: the manifest's field that describes the backbone}
_BACKBONE_FIELDS = {1: "teacher", 2: "teacher", 3: "backbone", schema.FORMAT_VERSION: "backbone"}
# what to do for a feature that is not there
_REMEDIES = {schema.SPECTROGRAM: "without --spectrogram=false, or train with --flagfile=configs/head.flags"}
SPLITS = ("train", "val", "noise")
# What another split of the recordings needs: labelled chunks of the training recordings that do not train, and noise of
# the validation recordings.
SPARE = ("rest", "val_noise")
# of training and of validation recordings; see also SPLITS and SPARE
NOISE = ("noise", "val_noise")
# Mixtures of training chunks with other recordings of the same side, and with noise; if the records have them.
MIXED = ("mixed", "val_mixed")
MANIFEST = "manifest.json"
CLASSES = "classes.csv"
RECORDINGS = "recordings.csv"
DUPLICATES = "duplicates.csv"
CONTACT_SHEET = "contact.png"  # spectrograms of the records, which the inspection draws
_LONGEST_NAME = 100  # of a shard


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of a split: its name, its number of chunks, its size in bytes, and its md5 checksum."""

    name: str
    count: int
    bytes: int
    checksum: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """The description of a finished records directory.

    Attributes:
        directory: the directory.
        front_end: the front-end that cut the recordings into chunks and made their spectrograms.
        classes: the classes, in the order of the labels.
        shards: {split: its shards}, spare ones included.
        chunks_per_class: {split: number of chunks of each class}, by label.
        num_recordings: {split: number of recordings with at least one chunk}.
        selected: the chunks in the training shards that train; None: all.
        selected_for_refit: the chunks of training and validation recordings that train if all of them are for training;
            None in records before version 4, which do not say it.
        training_splits: the splits of recordings.csv whose recordings are for training.
        converter: the converter's flags.
        skipped: {"file", "reason"} of every recording that was left out.
        versions: {package: version} of the code that wrote the records.
        features: {name: description} of the tensors in each chunk.
        backbone: what `backbone.describe` gives for the model whose answers are in the chunks; None without one.
        format_version: of manifest and chunks.
        num_further: number of classes at the end of `classes` that no label names; see `with_further_classes`.
        read_digest: `digest` as it was read, whatever has been joined or added since; empty if it was not read.
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
    features: Mapping[str, schema.Feature]
    selected: selection.Selection | None = None
    selected_for_refit: selection.Selection | None = None
    training_splits: tuple[str, ...] = ("train",)
    backbone: Mapping[str, Any] | None = None
    format_version: int = schema.FORMAT_VERSION
    num_further: int = 0
    read_digest: str = dataclasses.field(default="", compare=False)

    @property
    def labelled_classes(self) -> taxonomy.Taxonomy:
        """The classes that labels can name."""
        return self.classes.subset(range(len(self.classes) - self.num_further))

    @property
    def channel(self) -> str:
        """What was heard of recordings with several channels, as --channel; before that flag, their mean."""
        return str(self.converter.get("channel") or channels.MIX)

    @property
    def digest(self) -> str:
        """Equal for records with equal content."""
        checksums = {split: [shard.checksum for shard in shards] for split, shards in self.shards.items()}
        return files.digest({"front_end": self.front_end.fingerprint, "classes": self.classes.digest, **checksums})

    @property
    def origin(self) -> dict[str, Any]:
        """What a model tells of the records that it was trained on, which may be gone one day."""
        made = {"converter": dict(self.converter), "versions": dict(self.versions)}
        return {"digest": self.read_digest or self.digest, **made}

    def num_chunks(self, split: str) -> int:
        """Number of chunks in a split; of the training split, of those that train."""
        if split == "train" and self.selected:
            return sum(self.selected.chunks_per_class)
        return sum(shard.count for shard in self.shards.get(split, ()))

    def paths(self, split: str) -> list[str]:
        """Paths of the shards of a split that hold any chunk, in order."""
        return [os.path.join(self.directory, shard.name) for shard in self.shards.get(split, ()) if shard.count]

    def with_all_for_training(self) -> Manifest:
        """The same records with the validation recordings in the training split; the validation split is empty.

        The training shards then hold chunks that do not train; see `selected`.
        """
        none = (0,) * len(self.classes)
        joined = {"train": ("train", "val"), "noise": NOISE}
        shards = {
            to: tuple(s for part in parts for s in self.shards.get(part, ()))
            for to, parts in {**joined, MIXED[0]: MIXED}.items()
        }
        counts = {
            to: tuple(map(sum, zip(*(self.chunks_per_class.get(part, none) for part in parts), strict=True)))
            for to, parts in joined.items()
        }
        num = {to: sum(self.num_recordings.get(part, 0) for part in parts) for to, parts in joined.items()}
        if selected := self.selected_for_refit:
            counts["train"], num["train"] = selected.chunks_per_class, selected.num_recordings
        else:
            logging.warning(
                "%s is of format %d: all chunks of its validation recordings train, also those without activity; "
                "convert again to leave them out", self.directory, self.format_version,
            )  # fmt: skip
        return dataclasses.replace(
            self,
            shards={**shards, "val": ()},
            chunks_per_class={**counts, "val": none},
            num_recordings={**num, "val": 0},
            selected=selected,
            training_splits=("train", "val"),
        )

    def with_further_classes(self, further: taxonomy.Taxonomy, known: Iterable[str]) -> Manifest:
        """The same records with more classes, which come last, so that the stored labels mean what they meant.

        The labels say nothing of these classes, and the backbone was not asked for them: its answers are NaN.

        Args:
            further: classes that the records lack.
            known: the ids of those that the backbone knows.
        """
        zeros = (0,) * len(further)

        def widened(chosen: selection.Selection | None) -> selection.Selection | None:
            if chosen is None:
                return None
            counts = chosen.chunks_per_class + zeros
            return dataclasses.replace(chosen, limits=chosen.limits + zeros, chunks_per_class=counts)

        features, backbone = dict(self.features), self.backbone
        for name in (schema.BACKBONE_ANSWERS, schema.IN_NOISE[schema.BACKBONE_ANSWERS]):
            if answers := features.get(name):
                features[name] = dataclasses.replace(answers, padding=answers.padding + len(further))
        if backbone:
            backbone = {**backbone, "classes": [*backbone.get("classes", ()), *known]}
        return dataclasses.replace(
            self,
            classes=taxonomy.union([self.classes, further]),
            chunks_per_class={split: (*counts, *zeros) for split, counts in self.chunks_per_class.items()},
            selected=widened(self.selected),
            selected_for_refit=widened(self.selected_for_refit),
            features=features,
            backbone=backbone,
            num_further=self.num_further + len(further),
        )

    def select(self, names: Iterable[str], wanted_by: str) -> tuple[schema.Feature, ...]:
        """The descriptions of features, for `schema.parse`.

        Args:
            names: of the features.
            wanted_by: what needs them, for the message.

        Raises:
            InputError: the chunks lack one of them.
        """
        names = tuple(names)
        for name in names:
            if name not in self.features:
                remedy = _REMEDIES.get(name, "with --backbone, for example --backbone=birdnet")
                raise config.InputError(
                    f"{wanted_by} needs the feature {name}, and {self.directory} has only "
                    f"{', '.join(self.features)}; convert {remedy}"
                )
        return tuple(self.features[name] for name in names)


def versions() -> dict[str, str]:
    """Versions of this package and of the libraries that influence the numbers."""
    import soundfile
    import soxr

    return {
        "bird_tf": bird_tf.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "soundfile": soundfile.__version__,
        "libsndfile": soundfile.__libsndfile_version__,
        "soxr": soxr.__version__,
    }


def save(manifest: Manifest) -> None:
    """Writes classes.csv and then manifest.json, which makes the directory a finished one."""
    taxonomy.save(os.path.join(manifest.directory, CLASSES), manifest.classes)
    files.synchronise(manifest.directory)
    files.write_json(
        os.path.join(manifest.directory, MANIFEST),
        {
            "format_version": manifest.format_version,
            "front_end": frontend.describe(manifest.front_end),
            **_described(manifest),
            "classes_digest": manifest.classes.digest,
            "shards": {split: [dataclasses.astuple(s) for s in shards] for split, shards in manifest.shards.items()},
            "chunks_per_class": {split: list(counts) for split, counts in manifest.chunks_per_class.items()},
            "num_recordings": dict(manifest.num_recordings),
            "selected_for_refit": manifest.selected_for_refit and dataclasses.asdict(manifest.selected_for_refit),
            "converter": dict(manifest.converter),
            "skipped": [dict(entry) for entry in manifest.skipped],
            "versions": dict(manifest.versions),
            _BACKBONE_FIELDS[manifest.format_version]: None if manifest.backbone is None else dict(manifest.backbone),
        },
        durable=True,
    )


def _described(manifest: Manifest) -> dict[str, Any]:
    """The field of the features; before format 4 there was none."""
    features = [feature.describe() for feature in manifest.features.values()]
    return {"features": features} if manifest.format_version >= 4 else {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Backbone:
    """What is read of the description of a backbone. Earlier versions have fewer fields."""

    fingerprint: str
    model: str
    classes: tuple[str, ...] = ()
    title: str = ""
    licence: str = ""
    origin: str = ""
    sample_rate_hz: int = 1
    window_seconds: float = 1.0
    embedding_size: int = 0
    backbones: tuple[Mapping[str, str], ...] = ()


def check_backbone(path: str, description: Mapping[str, Any] | None) -> None:
    """Checks the description of a backbone that a file holds; None for none. Raises InputError."""
    if description is not None:
        read = stored.as_type(f"{path}, backbone", _Backbone, description, partial=True)
        if not (0 < read.sample_rate_hz < 2**24 and 0 < read.window_seconds < 2**16):
            raise stored.damaged(path, "the backbone must have a sample rate and a window above 0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Stored:
    """The content of manifest.json. The fields with a default are not in all formats."""

    format_version: int
    front_end: Mapping[str, Any]
    classes_digest: str
    shards: Mapping[str, tuple[tuple[str, int, int, str], ...]]
    chunks_per_class: Mapping[str, tuple[int, ...]]
    num_recordings: Mapping[str, int]
    converter: Mapping[str, Any]
    skipped: tuple[Mapping[str, str], ...]
    versions: Mapping[str, str]
    features: tuple[schema.Feature, ...] = ()
    selected_for_refit: selection.Selection | None = None
    backbone: Mapping[str, Any] | None = None
    teacher: Mapping[str, Any] | None = None

    def check(self, path: str, num_classes: int) -> None:
        """Checks what the types do not say. Raises InputError."""
        check_backbone(path, self.backbone or self.teacher)
        try:
            channels.check(str(self.converter.get("channel") or ""))
        except config.InputError as error:
            raise stored.damaged(path, "the channel of converter must be mix, loudest or a number") from error
        lists = {f"chunks_per_class.{split}": counts for split, counts in self.chunks_per_class.items()}
        if selected := self.selected_for_refit:
            lists |= {"selected_for_refit": selected.limits, "selected_for_refit ": selected.chunks_per_class}
        for name, numbers in lists.items():
            if len(numbers) != num_classes or min(numbers, default=0) < 0:
                raise stored.damaged(path, f"{name.strip()} must have a count for each of {num_classes} classes")
        for name, count, size, _ in (shard for shards in self.shards.values() for shard in shards):
            if os.path.basename(name) != name or not 0 < len(name) <= _LONGEST_NAME or min(count, size) < 0:
                raise stored.damaged(path, f"the shard {name[:80]!a} has no name and sizes of a shard")
        for split in SPLITS:
            if not (split in self.shards and split in self.chunks_per_class and split in self.num_recordings):
                raise stored.damaged(path, f"shards, chunks_per_class and num_recordings must have the split {split}")


def _features(read: _Stored, front_end: frontend.FrontendConfig, num_classes: int) -> tuple[schema.Feature, ...]:
    """The features that a manifest describes, of any format version."""
    if read.format_version >= 4:
        return read.features
    features = [schema.spectrogram_feature(front_end)]
    if described := read.backbone or read.teacher:
        features.append(
            schema.earlier_answers_feature(
                num_classes, read.format_version, described["model"], described["fingerprint"]
            )
        )
    return tuple(features)


def load(directory: str) -> Manifest:
    """Reads the manifest of a records directory and checks that all files are there.

    Raises:
        InputError: the directory does not exist or is not finished; its format or front-end version cannot be read;
            classes.csv was changed; or a shard is missing or has another size.
    """
    path = os.path.join(directory, MANIFEST)
    if not files.exists(directory):
        raise config.InputError(f"{directory}: no such records; make them with {next_steps.command('convert')}")
    if not files.exists(path):
        if os.path.isfile(directory):
            raise config.InputError(f"{directory} is a file; name the folder of the records")
        raise config.InputError(
            f"{directory} has no {MANIFEST}: its conversion did not finish, or it holds no records; "
            f"run {next_steps.command('convert')} again with the same flags"
        )
    content = stored.read_any(path)
    format_version = stored.version_of(content)
    known = ", ".join(map(str, _BACKBONE_FIELDS))
    remedy = f"{path}: format version {format_version} cannot be read, only {known}; convert again"
    stored.check_version(path, format_version, _BACKBONE_FIELDS, remedy)
    classes = taxonomy.load(os.path.join(directory, CLASSES))
    read = stored.as_type(path, _Stored, content)
    if classes.digest != read.classes_digest:
        raise config.InputError(f"{directory}: {CLASSES} does not belong to these records; copy it again")
    read.check(path, len(classes))
    front_end = frontend.from_description(read.front_end, path)
    manifest = Manifest(
        directory=directory,
        front_end=front_end,
        classes=classes,
        shards={split: tuple(Shard(*shard) for shard in shards) for split, shards in read.shards.items()},
        chunks_per_class=read.chunks_per_class,
        num_recordings=read.num_recordings,
        selected_for_refit=read.selected_for_refit,
        converter=read.converter,
        skipped=read.skipped,
        versions=read.versions,
        features={feature.name: feature for feature in _features(read, front_end, len(classes))},
        backbone=read.backbone or read.teacher,
        format_version=format_version,
    )
    for shard in (shard for shards in manifest.shards.values() for shard in shards if shard.count):
        shard_path = os.path.join(directory, shard.name)
        if not files.exists(shard_path):
            raise config.InputError(f"{shard_path}: this shard is missing; copy it again or convert again")
        if files.size(shard_path) != shard.bytes:
            raise config.InputError(f"{shard_path}: its size is not {shard.bytes} bytes; copy it again")
    return dataclasses.replace(manifest, read_digest=manifest.digest)

"""What a worker of the converter gets, the recordings of a shard, and what it returns."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from bird_tf.audio import activity, decode, frontend
from bird_tf.backbones import sources
from bird_tf.labels import metadata, spans, taxonomy
from bird_tf.records import manifests, shard_files

UNFINISHED = ".unfinished"
# {split of a shard: those of the noise and of the mixtures beside it}
NOISE_OF, MIXED_OF = (dict(zip(("train", "val"), pair, strict=True)) for pair in (manifests.NOISE, manifests.MIXED))
_PARTS = {"train": ("train", "rest", "noise"), "val": ("val", "val_noise")}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardTask:
    """Everything a worker needs for one shard.

    Attributes:
        directory: the records directory.
        split: "train" or "val".
        number, total: the shard, from 0, and the number of shards of its split.
        recordings: the recordings of the shard.
        classes: gives labels and background their indices.
        front_end, chunking, activity, annotated, max_chunks_per_class, noise_share, spectrogram, backbone_noise,
            backbone_mixtures: as in ConvertConfig.
        backbone: the backbone that adds features; None without one.
        unusable: ids of recordings that have crashed a worker process; they are not opened again.
        kept: {recording id: numbers of the only chunks that are written}; None: all may be.
    """

    directory: str
    split: str
    number: int
    total: int
    recordings: tuple[metadata.Recording, ...]
    classes: taxonomy.Taxonomy
    front_end: frontend.FrontendConfig
    chunking: decode.ChunkingConfig
    activity: activity.ActivityConfig
    annotated: spans.AnnotationConfig
    max_chunks_per_class: int
    noise_share: float
    spectrogram: bool = True
    backbone_noise: bool = False
    backbone_mixtures: int = 0
    backbone: sources.Source | None = None
    unusable: tuple[str, ...] = ()
    kept: Mapping[str, frozenset[int]] | None = None

    @property
    def name(self) -> str:
        """Name of the shard."""
        return self.shard_name(self.split)

    @property
    def parts(self) -> tuple[str, ...]:
        """The splits that it writes."""
        return _PARTS[self.split] + (MIXED_OF[self.split],) * bool(self.backbone_mixtures)

    def shard_name(self, part: str) -> str:
        """Name of the shard of another split beside it."""
        return shard_files.shard_name(part, self.number, self.total)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertedRecording:
    """The result of converting one recording.

    Attributes:
        recording_id: of the recording.
        seconds: length of the audio that was read.
        chunks: {class id: number of chunks with this label}.
        candidates: {class id: number of those that may train}.
        noise: {class id: number of noise chunks}.
        digest: of the samples that were read.
        reason: why the recording, or a part of it, was skipped; "" if it was not.
        warnings: other things that a person must know of it.
    """

    recording_id: str
    seconds: float = 0.0
    chunks: Mapping[str, int] = dataclasses.field(default_factory=dict)
    candidates: Mapping[str, int] = dataclasses.field(default_factory=dict)
    noise: Mapping[str, int] = dataclasses.field(default_factory=dict)
    digest: str = ""
    reason: str = ""
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardResult:
    """The result of a task: the shards, and what was written of each recording."""

    shards: tuple[manifests.Shard, ...]
    recordings: tuple[ConvertedRecording, ...]


def note_path(task: ShardTask, suffix: str) -> str:
    """Path of a worker's note about a shard: `.json` for its result, `.now` for the recording that is being read."""
    return os.path.join(task.directory, UNFINISHED, task.name + suffix)

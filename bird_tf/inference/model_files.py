"""The folder of an exported model: what lies in it, and what it says of the training. The graph is not loaded."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from bird_tf import config, files, next_steps, stored
from bird_tf.audio import channels, frontend, hearing
from bird_tf.backbones import exported, windows
from bird_tf.labels import taxonomy
from bird_tf.records import manifests, schema

# the description of the training
DESCRIPTION = exported.DESCRIPTION
# in a run directory, beside the folder of the exported model
RUN_DESCRIPTION = "run.json"
# in the run directory of a training with --refit: the run that did not train on the validation recordings
VALIDATED = "validated"
# inside the folder of a head: copies of the backbone's files, if they are no SavedModel
BACKBONE = "backbone"
# what decides a backbone's features beside its files, of which the fingerprint is
_MEANING = ("sample_rate_hz", "gives_logits", "embedding")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """What a model says of its training. Early versions have no fields of loss, backbones, features, channel, classes
    and records.

    Attributes:
        pooling: the default method to pool chunk scores.
        training: the flags of the training.
        loss: as in `run_directory.Run`; empty if it is not known.
        backbones, features, backbone, channel: as in `run_directory.Run`.
        classes: `Taxonomy.digest` of the classes; empty if it is not known.
        records: as in `run_directory.Run`.
    """

    pooling: str
    training: Mapping[str, Any]
    loss: str = ""
    backbones: tuple[Mapping[str, str], ...] = ()
    features: tuple[schema.Feature, ...] = ()
    backbone: Mapping[str, Any] | None = None
    channel: str = channels.MIX
    classes: str = ""
    records: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        channels.check(self.channel)

    def hearing(self, front_end: frontend.FrontendConfig) -> hearing.Hearing:
        """What the model, whose front-end this is, hears of a recording."""
        heard = hearing.of(front_end)
        if self.backbone:
            heard = windows.described_hearing(self.backbone, front_end.chunk_seconds)
        return dataclasses.replace(heard, channel=self.channel)


def read_classes(path: str, described: Description) -> taxonomy.Taxonomy:
    """Reads the list of the classes that a model was trained with.

    Args:
        path: of the list.
        described: what is said of the training.

    Raises:
        InputError: it is damaged, or is the list of another model.
    """
    classes = taxonomy.load(path)
    if described.classes and described.classes != classes.digest:
        raise other_classes(path)
    return classes


def other_classes(path: str) -> config.InputError:
    """The error of a list of classes that is not that of the model beside it, for `raise`."""
    return config.InputError(
        f"{path} is not the list of the classes that the model was trained with, in its order; copy the model again"
    )


def read_description(path: str) -> Description:
    """Reads what the exported model in a folder says of its training.

    Raises:
        InputError: it is damaged, or a newer version wrote it.
    """
    described = os.path.join(path, DESCRIPTION)
    read = stored.as_type(described, Description, exported.read(path), partial=True)
    manifests.check_backbone(described, read.backbone)
    return read


def check(path: str) -> None:
    """Raises InputError if a folder is no exported model."""
    for place in (path, os.path.join(path, "variables")):
        if not files.exists(place):  # a killed command may have set it aside
            files.clean_up(os.path.dirname(place) or ".")
    if not all(files.exists(os.path.join(path, name)) for name in ("saved_model.pb", "assets")):
        inner = os.path.join(path, "export")
        hint = f"; did you mean {inner}?" if files.exists(inner) else f"; train one with {next_steps.command('train')}"
        raise config.InputError(f"{path} is not an exported model{hint}")


def folder_to_lock(path: str) -> str:
    """The folder that a command locks before it changes an exported model: its run, or, outside of a run, its own."""
    if files.is_remote(path):
        return path
    path = os.path.realpath(path)
    run = os.path.dirname(path)
    return run if os.path.exists(os.path.join(run, RUN_DESCRIPTION)) else path


def is_head(features: Sequence[schema.Feature]) -> bool:
    """Whether a network with these features hears nothing itself: a backbone makes them."""
    return all(feature.name != schema.SPECTROGRAM for feature in features)


def front_end_differences(
    features: Sequence[schema.Feature], front_end: frontend.FrontendConfig, theirs: frontend.FrontendConfig
) -> str:
    """What differs between a network's front-end and that of records, as "fmax_hz 10000.0 / 9000.0"; "" if nothing.

    Of a head only the length of the chunk matters.
    """
    if front_end == theirs or (is_head(features) and front_end.chunk_seconds == theirs.chunk_seconds):
        return ""
    mine, other = config.to_mapping(front_end), config.to_mapping(theirs)
    return ", ".join(f"{k} {mine[k]} / {other[k]}" for k in mine if mine[k] != other[k])


def check_features(
    path: str,
    features: Sequence[schema.Feature],
    front_end: frontend.FrontendConfig,
    backbone: Mapping[str, Any] | None,
    manifest: manifests.Manifest,
) -> None:
    """Refuses records whose chunks are not what a network takes.

    Args:
        path: of the model, for the message.
        features: the features that the network takes.
        front_end: chunk → spectrogram; of a head only the length of the chunk matters.
        backbone: of a head, as `sources.describe`.
        manifest: the records.

    Raises:
        InputError: the records lack a feature; or another front-end or backbone has made it, or the same one that was
            asked otherwise, of which the message names the difference.
    """
    directory, theirs = manifest.directory, manifest.front_end
    stored = manifest.select([feature.name for feature in features], path)
    if names := front_end_differences(features, front_end, theirs):
        raise config.InputError(f"{path} and {directory} have different front-ends: {names}")
    for needed, found in zip(features, stored, strict=True):
        if is_head(features) and needed.fingerprint != found.fingerprint:
            raise config.InputError(
                f"{path} needs the feature {needed.name} of {needed.producer}, and {directory} has it of another "
                f"version or of another backbone, {found.producer}; convert with the same backbone"
            )
    if is_head(features):
        ours, others = backbone or {}, manifest.backbone or {}
        differing = [name for name in _MEANING if name in ours and name in others and ours[name] != others[name]]
        if differing:
            names = ", ".join(f"{name} {ours[name]!r} / {others[name]!r}" for name in differing)
            raise config.InputError(
                f"{path} and {directory} have the same backbone, asked in different ways: {names}; convert with the "
                "flags of the backbone that the model's records had, or train again on these"
            )

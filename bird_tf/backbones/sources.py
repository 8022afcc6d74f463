"""Which files a backbone consists of, and what its input and outputs mean: from flags, or from a description."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterable, Mapping
from typing import Any

from absl import logging

from bird_tf import config, files, stored
from bird_tf.audio import frontend
from bird_tf.backbones import exported, presets
from bird_tf.labels import given_table, taxonomy
from bird_tf.records import manifests


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """The model, and the meaning of its input and outputs. A preset or a model of bird_tf needs only the first flag."""

    backbone: str = config.option(
        "",
        f"pretrained model of waveforms: {', '.join(presets.PRESETS)}, or a SavedModel, .tflite or .onnx file; its "
        "embedding and its answers for each chunk go into the records; empty: none",
        was=("teacher_model",),
    )
    backbone_labels: str = config.option(
        "",
        "text file with the backbone's classes in the order of its outputs, one a line, as Turdus merula or "
        "Turdus merula_Common Blackbird",
        was=("teacher_labels",),
    )
    backbone_sample_rate_hz: int = config.option(
        0, "sample rate that the backbone needs, Hz", was=("teacher_sample_rate_hz",)
    )
    backbone_logits: bool = config.option(
        False, "the backbone's scores are logits, not probabilities", was=("teacher_logits",)
    )
    backbone_embedding: str = config.option(
        "", "the backbone's output (.tflite: or tensor) that is its embedding, where that is not plain from its outputs"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A backbone's files, and the meaning of its input and outputs.

    Attributes:
        name: what --backbone gave: the name of a preset, or a path.
        model: path of the model.
        labels: path of its labels: a text file, or the classes.csv of a model of bird_tf.
        sample_rate_hz: sample rate that it needs, Hz.
        gives_logits: whether its scores are logits; else probabilities.
        embedding: name of its embedding; "": to be found.
        licence, origin: as in `presets.Preset`; "" if unknown.
        uncalibrated: whether it is a model of bird_tf that is asked for its raw scores. Earlier versions asked for its
            probabilities, which change with its calibration; so their records and models do still.
        classes: ids of those of our classes that it was asked for, as a description tells; others it does not know
            whatever its labels say, since a head has learnt without its answers. None: all that it knows.
    """

    name: str
    model: str
    labels: str
    sample_rate_hz: int
    gives_logits: bool
    embedding: str = ""
    licence: str = ""
    origin: str = ""
    uncalibrated: bool = False
    classes: tuple[str, ...] | None = None

    @property
    def title(self) -> str:
        """Name for people."""
        return presets.PRESETS[self.name].title if self.name in presets.PRESETS else self.name

    @property
    def is_saved_model(self) -> bool:
        """Whether it is a SavedModel: a folder, and no file of a known suffix."""
        return not self.model.endswith((".tflite", ".onnx"))

    @property
    def is_ours(self) -> bool:
        """Whether it is a model that bird_tf exported."""
        return exported.is_exported(self.model)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Digest of what decides the backbone's answers: its graph, its weights and its labels, as first asked for."""
        if self.uncalibrated:
            return files.digest([exported.fingerprint(self.model), self.label_names()])
        paths = [os.path.join(folder, name) for folder, _, names in os.walk(self.model) for name in sorted(names)]
        # assets may change without changing the outputs: `evaluate --tune` writes there
        inside = sorted(path for path in paths if os.path.relpath(path, self.model).split(os.sep)[0] != "assets")
        return files.digest([files.checksum(path) for path in [*(inside or [self.model]), self.labels]])

    def label_names(self) -> list[tuple[str, ...]]:
        """The names by which each output may be known: Latin name, id, or the whole line of the label file."""
        lines = given_table.lines(self.labels)
        if lines and "," in lines[0] and self.labels.endswith(".csv"):
            try:
                classes = taxonomy.load(self.labels)
            except config.InputError as error:
                raise config.InputError(
                    f"{error}; if it is not the classes.csv of a model of bird_tf, give a text file with one name a "
                    "line, in the order of the outputs, without a header"
                ) from error
            return list(zip(classes.class_ids, classes.names, strict=True))
        return [(line, line.partition("_")[0].strip()) for line in given_table.lines(self.labels)]


def from_flags(settings: BackboneConfig) -> Source:
    """The backbone that the flags name.

    Raises:
        InputError: it is not there; its labels or its sample rate are not given; or flags have no effect.
    """
    name, given = settings.backbone, dataclasses.replace(settings, backbone="") != BackboneConfig()
    if preset := presets.PRESETS.get(name):
        config.refuse_without_effect({f"--backbone_… with --backbone={name}": given})
        model, labels = preset.files()
        return Source(
            name=name, model=model, labels=labels, sample_rate_hz=preset.sample_rate_hz,
            gives_logits=preset.gives_logits, embedding=preset.embedding, licence=preset.licence, origin=preset.origin,
        )  # fmt: skip
    if not files.exists(name):
        raise config.InputError(
            f"--backbone={name}: no such file or folder, and no known name ({', '.join(presets.PRESETS)})"
        )
    if exported.is_exported(name):
        config.refuse_without_effect({f"--backbone_… with --backbone={name}, a model of bird_tf,": given})
        return _ours(name)
    if not settings.backbone_labels or settings.backbone_sample_rate_hz < 1:
        raise config.InputError(
            f"--backbone={name} does not contain its labels and its sample rate: give --backbone_labels and "
            "--backbone_sample_rate_hz"
        )
    if not files.exists(settings.backbone_labels):
        raise config.InputError(f"--backbone_labels={settings.backbone_labels}: no such file")
    return Source(
        name=name, model=name, labels=settings.backbone_labels, sample_rate_hz=settings.backbone_sample_rate_hz,
        gives_logits=settings.backbone_logits, embedding=settings.backbone_embedding,
    )  # fmt: skip


def _ours(path: str) -> Source:
    """A model that bird_tf exported. A head hears at the sample rate of its own backbone, not at its records'."""
    described = os.path.join(path, exported.DESCRIPTION)
    inner = exported.read(path).get("backbone")
    manifests.check_backbone(described, inner)
    rate = inner["sample_rate_hz"] if inner else frontend.load(os.path.join(path, exported.FRONT_END)).sample_rate_hz
    labels = os.path.join(path, exported.CLASSES)
    found = Source(name=path, model=path, labels=labels, sample_rate_hz=rate, gives_logits=False, uncalibrated=True)
    if inner and not dataclasses.replace(found, model=inner["model"]).is_saved_model:
        raise config.InputError(
            f"--backbone={path} is a head whose backbone is a file outside of its graph; name that file, "
            f"{inner['model']}, or a student of the head"
        )
    return found


def describe(source: Source) -> dict[str, Any]:
    """The description of a backbone in manifests and models; `from_description` finds the same one again.

    A model of bird_tf has "backbones", too: the credits of those that it has learnt from.
    """
    described = {**dataclasses.asdict(source), "title": source.title, "fingerprint": source.fingerprint}
    if source.is_ours:
        path = os.path.join(source.model, exported.DESCRIPTION)
        found = exported.read(source.model).get("backbones", [])
        described["backbones"] = list(stored.as_type(path, tuple[dict[str, str], ...], found))
    return described


def credit(description: Mapping[str, Any]) -> dict[str, str]:
    """What a model that has learnt from a backbone must keep of its description: title, licence, origin, fingerprint.

    Args:
        description: as from `describe`, or from a manifest of any format.
    """
    title = description.get("title", description.get("model", ""))
    return {"title": title, **{name: description.get(name, "") for name in ("licence", "origin", "fingerprint")}}


def log_credits(title: str, credits: Iterable[Mapping[str, str]]) -> None:
    """Tells whose licences bear on a model that has learnt from others."""
    for found in credits:
        logging.info(
            "%s has learnt from %s, whose licence is %s; see to what that asks of you",
            title, found["title"], found["licence"] or "unknown",
        )  # fmt: skip


def from_description(description: Mapping[str, Any], origin: str, folder: str = "") -> Source:
    """Finds the backbone of a description.

    Args:
        description: as from `describe`.
        origin: what needs the backbone, for messages.
        folder: a folder that holds copies of model and labels under their own names; "": where `describe` found them.
            A preset is looked for in its package, wherever that is installed now.

    Raises:
        InputError: a file is not there, or is another one than the description means.
    """
    source = stored.as_type(origin, Source, description, partial=True)
    fingerprint = str(description.get("fingerprint"))
    try:
        if folder:
            model, labels = (os.path.join(folder, os.path.basename(path)) for path in (source.model, source.labels))
        elif source.name in presets.PRESETS:
            model, labels = presets.PRESETS[source.name].files()
        else:
            model, labels = source.model, source.labels
    except config.InputError as error:
        raise config.InputError(f"{origin} needs its backbone: {error}") from error
    for path in (model, labels):
        if not files.exists(path):
            raise config.InputError(f"{origin} needs its backbone {source.title}: {path} is not there")
    source = dataclasses.replace(source, model=model, labels=labels)
    if source.fingerprint != fingerprint:
        remedy = "install or copy the version that it was trained with"
        if source.is_ours and not source.uncalibrated:
            remedy += ", or convert again: since an earlier version, evaluate --tune or an export has changed its files"
        raise config.InputError(
            f"{origin} needs its backbone {source.title}: {model} with {labels} is another one; {remedy}"
        )
    return source

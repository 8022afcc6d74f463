"""A run on disk: its flags and summary, the description of its network, and the weights."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from bird_tf import config, files, keras, stored
from bird_tf.audio import channels, frontend
from bird_tf.inference import model_files
from bird_tf.labels import metadata, taxonomy
from bird_tf.models import architectures
from bird_tf.records import learnt, manifests, recordings_table, schema
from bird_tf.scores import prior
from bird_tf.training import known_sound, weights

FORMAT_VERSION = 1
FLAGS = "run.flags"
WEIGHTS = f"best{weights.SUFFIX}"
PRIOR = "prior.json"
# What a training, and what follows it, writes at the top of a run, as patterns.
OWN = (
    FLAGS, "best.*", "checkpoint*", PRIOR, model_files.RUN_DESCRIPTION, manifests.CLASSES, learnt.FILE,
    known_sound.FILE, files.SUMMARY, "logs", "snapshots", "export*", model_files.VALIDATED, "tflite", "onnx",
    "evaluation*",
)  # fmt: skip
# version 0.1.0 wrote the arrays in the order of the network's weights, without names
_UNNAMED_WEIGHTS = "best.npz"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """The description of a run's network.

    Attributes:
        model: the network's options.
        loss: "softmax" or another one, with a sigmoid for each class; decides how logits become probabilities.
        pooling: the default method to pool chunk scores into the scores of a recording.
        front_end: chunk → spectrogram.
        classes: in the order of the outputs.
        prior: the classes' odds by place and time in the training recordings.
        training: the flags of the training.
        metrics: of the exported weights, on validation recordings.
        versions: {package: version}.
        learnt: the recordings that the weights know; None if that is not known.
        backbones: `sources.credit` of each backbone that the weights have learnt from.
        features: the features of a chunk that the network takes; none: the spectrogram of the front-end.
        backbone: `backbone.describe` of the backbone that makes some of them; None without one.
        channel: what was heard of recordings with several channels, as --channel.
        records: `Manifest.origin` of the records; empty in runs of early versions.
        known_sound: how the training recordings sound; None if that is not known.
    """

    model: architectures.ModelConfig
    loss: str
    pooling: str
    front_end: frontend.FrontendConfig
    classes: taxonomy.Taxonomy
    prior: prior.Prior
    training: Mapping[str, Any]
    metrics: Mapping[str, float]
    versions: Mapping[str, str]
    learnt: learnt.Learnt | None = None
    backbones: tuple[Mapping[str, str], ...] = ()
    features: tuple[schema.Feature, ...] = ()
    backbone: Mapping[str, Any] | None = None
    channel: str = channels.MIX
    records: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    known_sound: known_sound.KnownSound | None = None

    @property
    def taken(self) -> tuple[schema.Feature, ...]:
        """The features that the network takes, with the spectrogram in place of none."""
        return self.features or (schema.spectrogram_feature(self.front_end),)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """{name: shape} of the features that the network takes."""
        return {feature.name: feature.shape for feature in self.taken}


def finished(run_dir: str) -> dict[str, Any] | None:
    """The summary of a finished training; None if it is not finished."""
    path = os.path.join(run_dir, files.SUMMARY)
    return stored.read_json(path, dict[str, Any]) if files.exists(path) else None


def save(run_dir: str, run: Run, network: keras.Model) -> None:
    """Writes what `load` reads: classes.csv, prior.json, learnt.csv, known_sound.npz, best.weights.h5, run.json."""
    taxonomy.save(os.path.join(run_dir, manifests.CLASSES), run.classes)
    prior.save(os.path.join(run_dir, PRIOR), run.prior)
    if run.learnt is not None:
        learnt.save(run_dir, run.learnt)
    if run.known_sound is not None:
        known_sound.save(run_dir, run.known_sound)
    weights.save(os.path.join(run_dir, WEIGHTS), network)
    files.write_json(
        os.path.join(run_dir, model_files.RUN_DESCRIPTION),
        {
            "format_version": FORMAT_VERSION,
            "model": config.to_mapping(run.model),
            "front_end": frontend.describe(run.front_end),
            **description(run),
        },
    )


def description(run: Run) -> dict[str, Any]:
    """The part of the description that the SavedModel's train.json holds too."""
    return {
        "loss": run.loss,
        "pooling": run.pooling,
        "training": dict(run.training),
        "records": dict(run.records),
        "metrics": dict(run.metrics),
        "versions": dict(run.versions),
        "backbones": [dict(backbone) for backbone in run.backbones],
        "features": [feature.describe() for feature in run.features],
        "backbone": None if run.backbone is None else dict(run.backbone),
        "channel": run.channel,
        "classes": run.classes.digest,
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Stored(model_files.Description):
    """The content of run.json."""

    format_version: int
    model: Mapping[str, Any]
    front_end: Mapping[str, Any]
    loss: str = dataclasses.field()  # of a run it is always known
    metrics: Mapping[str, float]
    versions: Mapping[str, str]


def load_description(run_dir: str) -> Run:
    """Reads the description of a run.

    Raises:
        InputError: not a run directory, or one of another format or front-end version.
    """
    path = os.path.join(run_dir, model_files.RUN_DESCRIPTION)
    if not files.exists(path):
        outer = os.path.dirname(os.path.normpath(run_dir))
        is_part = outer and files.exists(os.path.join(outer, model_files.RUN_DESCRIPTION))
        hint = _of_round(run_dir) or (f"did you mean {outer}?" if is_part else "train it first")
        raise config.InputError(f"{run_dir} is not a finished run (no {model_files.RUN_DESCRIPTION}); {hint}")
    content = stored.read_any(path)
    version = stored.version_of(content)
    remedy = f"{path}: run format {version}, this is {FORMAT_VERSION}; train again"
    stored.check_version(path, version, (FORMAT_VERSION,), remedy)
    read = stored.as_type(path, _Stored, content)
    manifests.check_backbone(path, read.backbone)
    classes = model_files.read_classes(os.path.join(run_dir, manifests.CLASSES), read)
    prior_path = os.path.join(run_dir, PRIOR)
    return Run(
        model=config.from_mapping(architectures.ModelConfig, read.model, path),
        loss=read.loss,
        pooling=read.pooling,
        front_end=frontend.from_description(read.front_end, path),
        classes=classes,
        # early runs have no prior.json
        prior=prior.load(prior_path)
        if files.exists(prior_path)
        else prior.fit(_training_recordings(str(read.training.get("records"))), classes),
        training=read.training,
        metrics=read.metrics,
        versions=read.versions,
        learnt=learnt.load(run_dir, read.training),
        backbones=read.backbones,
        features=read.features,
        backbone=read.backbone,
        channel=read.channel,
        records=read.records,
        known_sound=known_sound.load(run_dir),
    )


def _of_round(run_dir: str) -> str:
    """What to name in place of a self-training, which has a run for each round and keeps the model of one; or empty."""
    summary = finished(run_dir) or {}
    if "winner" not in summary:
        return ""
    if winner := summary["winner"]:
        return f"it is a self-training, which keeps the model of a round; did you mean {run_dir}/round-{winner}?"
    return "it is a self-training, in which no round was better than the first teachers; name the run of a teacher"


def _training_recordings(records: str) -> list[metadata.Recording]:
    return [r for r in recordings_table.read(records) if r.split == "train"]


def digest(run_dir: str) -> str:
    """A digest of the weights and classes of a finished run; empty if it has none."""
    parts = [os.path.join(run_dir, name) for name in (WEIGHTS, _UNNAMED_WEIGHTS, manifests.CLASSES)]
    sums = [files.checksum(path) for path in parts if files.exists(path)]
    return files.digest(sums) if sums else ""


def load(run_dir: str) -> tuple[Run, keras.Model]:
    """Reads a run directory: the description, and the trained network in float32, whatever it was trained in.

    Raises:
        InputError: as `load_description`; or the weights are damaged or do not fit the description.
    """
    run = load_description(run_dir)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        network = architectures.build(run.model, run.shapes, len(run.classes))
    finally:
        keras.config.set_dtype_policy(policy)
    path, unnamed = (os.path.join(run_dir, name) for name in (WEIGHTS, _UNNAMED_WEIGHTS))
    if files.exists(path) or not files.exists(unnamed):
        weights.load(path, network)
    else:
        arrays = stored.read_arrays(unnamed)
        expected = {f"arr_{i}": array.shape for i, array in enumerate(network.get_weights())}
        weights.check_arrays(expected, arrays, unnamed)
        network.set_weights([arrays[name] for name in expected])
    return run, network

"""A finished run: what its directory says of the network, and the weights."""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from bird_tf import config, files
from bird_tf.audio import frontend
from bird_tf.labels import taxonomy
from bird_tf.models import architectures
from bird_tf.records import manifests, recordings_table
from bird_tf.scores import prior

FORMAT_VERSION = 1
RUN_DESCRIPTION = "run.json"
WEIGHTS = "best.npz"
PRIOR = "prior.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """What a run directory says of its model, weights apart.

    Attributes:
        model: the network's options.
        loss: "softmax" or "sigmoid"; decides how logits become probabilities.
        pooling: how chunk scores become the scores of a recording, unless one asks for another way.
        front_end: chunk → spectrogram.
        classes: in the order of the outputs.
        prior: what the training recordings tell before a sound is heard.
        training: the flags of the training.
        metrics: of the best epoch, on validation recordings.
        versions: {package: version}.
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


def save(run_dir: str, run: Run, weights: list[np.ndarray]) -> None:
    """Writes what `load_run` reads: classes.csv, prior.json, best.npz, run.json."""
    taxonomy.save(os.path.join(run_dir, manifests.CLASSES), run.classes)
    prior.save(os.path.join(run_dir, PRIOR), run.prior)
    buffer = io.BytesIO()
    np.savez(buffer, *weights)
    files.write_bytes(os.path.join(run_dir, WEIGHTS), buffer.getvalue())
    files.write_json(
        os.path.join(run_dir, RUN_DESCRIPTION),
        {
            "format_version": FORMAT_VERSION,
            "model": config.to_mapping(run.model),
            "front_end": frontend.describe(run.front_end),
            **description(run),
        },
    )


def description(run: Run) -> dict[str, Any]:
    """What the SavedModel's train.json keeps."""
    return {
        "loss": run.loss,
        "pooling": run.pooling,
        "training": dict(run.training),
        "metrics": dict(run.metrics),
        "versions": dict(run.versions),
    }


def load(run_dir: str) -> tuple[Run, list[np.ndarray]]:
    """Reads a run directory: the run, and the weights in the order of the network's variables.

    Raises:
        InputError: not a run directory, or of another format or front-end version.
    """
    path = os.path.join(run_dir, RUN_DESCRIPTION)
    if not files.exists(path):
        raise config.InputError(f"{run_dir} is not a finished run (no {RUN_DESCRIPTION}); train it first")
    stored = files.read_json(path)
    if stored.get("format_version") != FORMAT_VERSION:
        raise config.InputError(f"{path}: run format {stored.get('format_version')}, this is {FORMAT_VERSION}")
    classes = taxonomy.load(os.path.join(run_dir, manifests.CLASSES))
    prior_path = os.path.join(run_dir, PRIOR)
    run = Run(
        model=config.from_mapping(architectures.ModelConfig, stored["model"]),
        loss=stored["loss"],
        pooling=stored["pooling"],
        front_end=frontend.from_description(stored["front_end"], path),
        classes=classes,
        # runs of earlier versions kept none
        prior=prior.load(prior_path)
        if files.exists(prior_path)
        else prior.fit(recordings_table.read(stored["training"]["records"]), classes),
        training=stored["training"],
        metrics=stored["metrics"],
        versions=stored["versions"],
    )
    with np.load(io.BytesIO(files.read_bytes(os.path.join(run_dir, WEIGHTS)))) as arrays:
        return run, [arrays[f"arr_{i}"] for i in range(len(arrays.files))]

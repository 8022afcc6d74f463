"""A pretrained model of waveforms, and its probabilities of our classes."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging

from bird_tf import config, files
from bird_tf.audio import frontend
from bird_tf.backbones import saved_model, tflite
from bird_tf.labels import taxonomy


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """The model, and the meaning of its input and output. A model exported by bird_tf needs only the first flag."""

    backbone: str = config.option(
        "",
        "SavedModel or .tflite file of waveforms; its probabilities of each chunk go into the records; empty: none",
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
        False,
        "the backbone's outputs are logits, as BirdNET's; a sigmoid makes probabilities of them",
        was=("teacher_logits",),
    )


class Backbone:
    """A loaded backbone. It processes one window at a time; calls from several threads wait for each other.

    Attributes:
        sample_rate_hz: sample rate of its windows, Hz.
        window_samples: length of a window.
        known: [classes] bool, which of our classes it knows.
    """

    def __init__(self, settings: BackboneConfig, classes: taxonomy.Taxonomy) -> None:
        """Loads the model.

        Raises:
            InputError: the model does not exist or cannot be loaded; the labels or the sample rate are not given; its
                inputs or outputs do not fit; or it knows none of our classes.
        """
        path, description = settings.backbone, os.path.join(settings.backbone, "assets", "frontend.json")
        if not files.exists(path):
            raise config.InputError(f"--backbone={path}: no such file or folder")
        self._settings, self._lock = settings, threading.Lock()
        if files.exists(description):
            front_end = frontend.from_description(files.read_json(description), description)
            own = taxonomy.load(os.path.join(path, "assets", "classes.csv"))
            self.sample_rate_hz, names = front_end.sample_rate_hz, list(zip(own.class_ids, own.names, strict=True))
        else:
            if not settings.backbone_labels or settings.backbone_sample_rate_hz < 1:
                raise config.InputError(
                    f"--backbone={path} does not contain its labels and its sample rate: give --backbone_labels and "
                    "--backbone_sample_rate_hz"
                )
            self.sample_rate_hz, names = settings.backbone_sample_rate_hz, _read_labels(settings.backbone_labels)
        load = tflite.load if path.endswith(".tflite") else saved_model.load
        self._predict, self._shape = load(path, len(names))
        self.window_samples = self._shape[-1]
        self._columns = _matching_outputs(names, classes)
        self.known = self._columns >= 0
        if not self.known.any():
            raise config.InputError(
                f"--backbone={path} knows none of the {len(classes)} classes; compare its labels with their names"
            )

    def probabilities(self, windows: np.ndarray) -> np.ndarray:
        """Probabilities of our classes.

        Args:
            windows: [windows, window_samples] float32 in [-1, 1].

        Returns:
            [windows, classes] float32 in [0, 1], NaN for classes that the backbone does not know.

        Raises:
            InputError: an output is no probability.
        """
        with self._lock:
            outputs = np.stack([self._predict(window.reshape(self._shape)).reshape(-1) for window in windows])
        chosen = np.where(self.known, outputs[:, self._columns], np.nan).astype(np.float32)
        if self._settings.backbone_logits:
            return np.asarray(0.5 + 0.5 * np.tanh(0.5 * chosen))  # the sigmoid, without overflow
        if np.any((chosen < 0) | (chosen > 1)):
            raise config.InputError(
                f"--backbone={self._settings.backbone}: its outputs from {np.nanmin(chosen):g} to "
                f"{np.nanmax(chosen):g} are no probabilities; if they are logits, add --backbone_logits"
            )
        return chosen


@functools.lru_cache(maxsize=1)
def load(settings: BackboneConfig, classes: taxonomy.Taxonomy) -> Backbone:
    """The backbone, loaded once in a process. Raises as `Backbone`."""
    atexit.register(load.cache_clear)  # a graph that still exists when the interpreter ends prints a traceback
    loaded = Backbone(settings, classes)
    if missing := [name for name, known in zip(classes.names, loaded.known, strict=True) if not known]:
        logging.warning(
            "the backbone does not know %d of %d classes: %s", len(missing), len(classes), ", ".join(missing[:10])
        )
    return loaded


def describe(settings: BackboneConfig, classes: taxonomy.Taxonomy) -> dict[str, Any] | None:
    """The manifest's description of the backbone: its path, a digest of its files, and the classes that it knows.

    Returns:
        The description; None without a backbone.

    Raises:
        InputError: as `Backbone`.
    """
    if not settings.backbone:
        return None
    known = load(settings, classes).known
    return {
        "model": settings.backbone,
        "fingerprint": fingerprint(settings),
        "classes": [class_id for class_id, is_known in zip(classes.class_ids, known, strict=True) if is_known],
    }


def fingerprint(settings: BackboneConfig) -> str:
    """Digest of the backbone's files and labels; "" without a backbone."""
    parts = [settings.backbone, settings.backbone_labels]
    paths = [os.path.join(folder, name) for part in parts for folder, _, names in os.walk(part) for name in names]
    paths += [part for part in parts if part and not os.path.isdir(part)]
    return files.digest([files.checksum(path) for path in sorted(paths)]) if paths else ""


def _read_labels(path: str) -> list[tuple[str, str]]:
    """The two possible names of each label: the whole line, and the part before an underscore."""
    lines = files.read_text(path).splitlines()
    return [(line.strip(), line.partition("_")[0].strip()) for line in lines if line.strip()]


def _matching_outputs(names: Sequence[Sequence[str]], classes: taxonomy.Taxonomy) -> np.ndarray:
    """Index of the output for each of our classes, found by Latin name or else by class id, [classes]; -1: none."""
    columns = {name.casefold(): i for i, synonyms in reversed(list(enumerate(names))) for name in synonyms}
    ours = zip(classes.names, classes.class_ids, strict=True)
    return np.array([columns.get(name.casefold(), columns.get(class_id.casefold(), -1)) for name, class_id in ours])

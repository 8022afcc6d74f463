"""A pretrained model of waveforms that the user supplies, and its answers for our classes."""

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
    """Who listens, and what its answers mean. An exported model of ours needs only the first flag."""

    teacher_model: str = config.option(
        "", "SavedModel or .tflite file of waveforms whose probabilities of each chunk go into the records; empty: none"
    )
    teacher_labels: str = config.option(
        "", "its classes in the order of its outputs, one a line, as Turdus merula or Turdus merula_Common Blackbird"
    )
    teacher_sample_rate_hz: int = config.option(0, "rate of the samples it takes, Hz")
    teacher_logits: bool = config.option(False, "its outputs are logits, as BirdNET's: a sigmoid makes probabilities")


class Backbone:
    """A teacher as it answers; one window at a time, on one thread of its own.

    Attributes:
        sample_rate_hz, window_samples: what it hears at once.
        known: [classes] bool, which of our classes it knows.
    """

    def __init__(self, settings: BackboneConfig, classes: taxonomy.Taxonomy) -> None:
        """Loads it.

        Raises:
            InputError: no such model; labels or rate are missing; it takes no waveform or has no output with one
                number a label; or it knows none of our classes.
        """
        path, description = settings.teacher_model, os.path.join(settings.teacher_model, "assets", "frontend.json")
        if not files.exists(path):
            raise config.InputError(f"--teacher_model={path}: no such file or folder")
        self._settings, self._lock = settings, threading.Lock()
        if files.exists(description):
            front_end = frontend.from_description(files.read_json(description), description)
            own = taxonomy.load(os.path.join(path, "assets", "classes.csv"))
            self.sample_rate_hz, names = front_end.sample_rate_hz, list(zip(own.class_ids, own.names, strict=True))
        else:
            if not settings.teacher_labels or settings.teacher_sample_rate_hz < 1:
                raise config.InputError(
                    f"--teacher_model={path} does not say what it knows and hears: name --teacher_labels and "
                    "--teacher_sample_rate_hz"
                )
            self.sample_rate_hz, names = settings.teacher_sample_rate_hz, _read_labels(settings.teacher_labels)
        load = tflite.load if path.endswith(".tflite") else saved_model.load
        self._answer, shape = load(path, len(names))
        self.window_samples, self._shape = shape[-1], shape
        self._columns = _matching_outputs(names, classes)
        self.known = self._columns >= 0
        if not self.known.any():
            raise config.InputError(f"--teacher_model={path} knows none of the {len(classes)} classes: other names?")

    def probabilities(self, windows: np.ndarray) -> np.ndarray:
        """[windows, window_samples] float32 in [-1, 1] → [windows, classes] float32 in [0, 1], NaN where unknown.

        Raises:
            InputError: an answer is no probability.
        """
        with self._lock:
            outputs = np.stack([self._answer(window.reshape(self._shape)).reshape(-1) for window in windows])
        chosen = np.where(self.known, outputs[:, self._columns], np.nan).astype(np.float32)
        if self._settings.teacher_logits:
            return np.asarray(0.5 + 0.5 * np.tanh(0.5 * chosen))  # the sigmoid, without overflow
        if np.any((chosen < 0) | (chosen > 1)):
            raise config.InputError(
                f"--teacher_model={self._settings.teacher_model} answers {np.nanmin(chosen):g} to "
                f"{np.nanmax(chosen):g}, which are no probabilities; if they are logits, say --teacher_logits"
            )
        return chosen


@functools.lru_cache(maxsize=1)
def load(settings: BackboneConfig, classes: taxonomy.Taxonomy) -> Backbone:
    """The teacher, loaded once a process; raises as `Listener`."""
    atexit.register(load.cache_clear)  # a graph that is still alive when the interpreter ends prints a traceback
    listener = Backbone(settings, classes)
    if missing := [name for name, known in zip(classes.names, listener.known, strict=True) if not known]:
        logging.warning(
            "the teacher does not know %d of %d classes: %s", len(missing), len(classes), ", ".join(missing[:10])
        )
    return listener


def describe(settings: BackboneConfig, classes: taxonomy.Taxonomy) -> dict[str, Any] | None:
    """What the manifest says of the teacher: its path, a digest of its files, the classes it knows; None without one.

    Raises:
        InputError: as `Listener`.
    """
    if not settings.teacher_model:
        return None
    known = load(settings, classes).known
    return {
        "model": settings.teacher_model,
        "fingerprint": fingerprint(settings),
        "classes": [class_id for class_id, is_known in zip(classes.class_ids, known, strict=True) if is_known],
    }


def fingerprint(settings: BackboneConfig) -> str:
    """Equal for teachers of equal files and labels; "" without one."""
    parts = [settings.teacher_model, settings.teacher_labels]
    paths = [os.path.join(folder, name) for part in parts for folder, _, names in os.walk(part) for name in names]
    paths += [part for part in parts if part and not os.path.isdir(part)]
    return files.digest([files.checksum(path) for path in sorted(paths)]) if paths else ""


def _read_labels(path: str) -> list[tuple[str, str]]:
    """The names by which each label may be found: the line, and what stands before an underscore in it."""
    lines = files.read_text(path).splitlines()
    return [(line.strip(), line.partition("_")[0].strip()) for line in lines if line.strip()]


def _matching_outputs(names: Sequence[Sequence[str]], classes: taxonomy.Taxonomy) -> np.ndarray:
    """Index of the teacher's output for each of our classes, by Latin name or else by id, [classes]; -1: unknown."""
    columns = {name.casefold(): i for i, alike in reversed(list(enumerate(names))) for name in alike}
    ours = zip(classes.names, classes.class_ids, strict=True)
    return np.array([columns.get(name.casefold(), columns.get(class_id.casefold(), -1)) for name, class_id in ours])

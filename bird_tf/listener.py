"""A teacher that hears samples: any SavedModel or TFLite model of waveforms → class probabilities of chunks.

It answers once, at conversion, and the records keep what it says; so it may have another front-end, rate and window
than ours. What training makes of its answers belongs to `dataset` and `sampling`; teachers that see our spectrograms
answer while it trains, in `teachers`.
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from bird_tf import audio, config, files, frontend, taxonomy, tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListenerConfig:
    """Who listens, and what its answers mean. An exported model of ours needs only the first flag."""

    teacher_model: str = config.option(
        "", "SavedModel or .tflite file of waveforms whose probabilities of each chunk go into the records; empty: none"
    )
    teacher_labels: str = config.option(
        "", "its classes in the order of its outputs, one a line, as Turdus merula or Turdus merula_Common Blackbird"
    )
    teacher_sample_rate_hz: int = config.option(0, "rate of the samples it takes, Hz")
    teacher_logits: bool = config.option(False, "its outputs are logits, as BirdNET's: a sigmoid makes probabilities")


class Listener:
    """A teacher as it answers; one window at a time, on one thread of its own.

    Attributes:
        sample_rate_hz, window_samples: what it hears at once.
        known: [classes] bool, which of our classes it knows.
    """

    def __init__(self, settings: ListenerConfig, classes: taxonomy.Taxonomy) -> None:
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
        load = _load_tflite if path.endswith(".tflite") else _load_saved_model
        self._answer, shape = load(path, len(names))
        self.window_samples, self._shape = shape[-1], shape
        self._columns = _matching(names, classes)
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
def load(settings: ListenerConfig, classes: taxonomy.Taxonomy) -> Listener:
    """The teacher, loaded once a process; raises as `Listener`."""
    atexit.register(load.cache_clear)  # a graph that is still alive when the interpreter ends prints a traceback
    listener = Listener(settings, classes)
    if missing := [name for name, known in zip(classes.names, listener.known, strict=True) if not known]:
        logging.warning(
            "the teacher does not know %d of %d classes: %s", len(missing), len(classes), ", ".join(missing[:10])
        )
    return listener


def describe(settings: ListenerConfig, classes: taxonomy.Taxonomy) -> dict[str, Any] | None:
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


def fingerprint(settings: ListenerConfig) -> str:
    """Equal for teachers of equal files and labels; "" without one."""
    parts = [settings.teacher_model, settings.teacher_labels]
    paths = [os.path.join(folder, name) for part in parts for folder, _, names in os.walk(part) for name in names]
    paths += [part for part in parts if part and not os.path.isdir(part)]
    return files.digest([files.checksum(path) for path in sorted(paths)]) if paths else ""


def _read_labels(path: str) -> list[tuple[str, str]]:
    """The names by which each label may be found: the line, and what stands before an underscore in it."""
    lines = files.read_text(path).splitlines()
    return [(line.strip(), line.partition("_")[0].strip()) for line in lines if line.strip()]


def _matching(names: Sequence[Sequence[str]], classes: taxonomy.Taxonomy) -> np.ndarray:
    """Index of the teacher's output for each of our classes, by Latin name or else by id, [classes]; -1: unknown."""
    columns = {name.casefold(): i for i, alike in reversed(list(enumerate(names))) for name in alike}
    ours = zip(classes.names, classes.class_ids, strict=True)
    return np.array([columns.get(name.casefold(), columns.get(class_id.casefold(), -1)) for name, class_id in ours])


Answer = Callable[[np.ndarray], np.ndarray]


def _load_tflite(path: str, num_labels: int) -> tuple[Answer, tuple[int, ...]]:
    """A TFLite model's function of one window, and the shape in which it takes it."""
    try:
        interpreter = tf.lite.Interpreter(model_path=path, num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise config.InputError(f"--teacher_model={path}: not a TFLite model that can be run ({error})") from error
    inputs = {d["index"]: (d["shape_signature"], d["dtype"]) for d in interpreter.get_input_details()}
    outputs = {d["name"]: (d["shape"], d["index"]) for d in interpreter.get_output_details()}
    shape = _waveform(list(inputs.values()))
    name = _output({name: shape for name, (shape, _) in outputs.items()}, num_labels)
    if not shape or not name:
        raise _unfit(path, num_labels)
    source, target = next(iter(inputs)), outputs[name][1]

    def answer(window: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(source, window)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(target))

    return answer, shape


def _load_saved_model(path: str, num_labels: int) -> tuple[Answer, tuple[int, ...]]:
    """The same of a SavedModel: of its serving_default, or of the first signature by name that fits."""
    try:
        loaded = tf.saved_model.load(path)
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise config.InputError(f"--teacher_model={path}: not a SavedModel that can be loaded ({error})") from error
    for signature in sorted(loaded.signatures, key=lambda name: (name != "serving_default", name)):
        function = loaded.signatures[signature]
        inputs = function.structured_input_signature[1]
        shape = _waveform([(spec.shape.as_list(), spec.dtype.as_numpy_dtype) for spec in inputs.values()])
        specs = function.structured_outputs
        name = _output({k: spec.shape.as_list() for k, spec in specs.items() if spec.shape.rank}, num_labels)
        if shape and name:
            [source] = inputs
            break
    else:
        raise _unfit(path, num_labels)

    def answer(window: np.ndarray) -> np.ndarray:
        with tf.device("CPU"):
            return np.asarray(function(**{source: tf.constant(window)})[name].numpy())

    answer.model = loaded  # type: ignore[attr-defined]  # the signatures live as long as this does
    return answer, shape


def _waveform(inputs: Sequence[tuple[Sequence[int | None], Any]]) -> tuple[int, ...]:
    """Shape of one window, (samples,) or (1, samples), if that is what a model takes; else ()."""
    if len(inputs) != 1 or inputs[0][1] != np.float32 or len(inputs[0][0]) not in (1, 2):
        return ()
    *batch, samples = inputs[0][0]
    fits = samples is not None and samples > 1 and all(size in (None, -1, 1) for size in batch)
    return (*(1 for _ in batch), int(samples)) if samples is not None and fits else ()


def _output(shapes: Mapping[str, Sequence[int | None]], num_labels: int) -> str:
    """The one output with a number for each label, "probabilities" if there are several; else ""."""
    fitting = [name for name, shape in shapes.items() if list(shape[-1:]) == [num_labels] and len(shape) <= 2]
    return "probabilities" if "probabilities" in fitting else fitting[0] if len(fitting) == 1 else ""


def _unfit(path: str, num_labels: int) -> config.InputError:
    return config.InputError(
        f"--teacher_model={path}: need one float32 input [batch, samples] of fixed length and one output [batch, "
        f"{num_labels}], a number for each label"
    )


class Lesson:
    """One recording as the teacher hears it, read forwards at the teacher's rate."""

    def __init__(self, listener: Listener, path: str, chunk_seconds: float) -> None:
        self._listener, self._chunk_seconds = listener, chunk_seconds
        self._blocks = audio.blocks(path, listener.sample_rate_hz)
        self._samples, self._first = np.zeros(0, np.float32), 0

    def answers(self, start_seconds: float) -> np.ndarray:
        """What the teacher says of a chunk, the greatest of its windows' probabilities; chunks come in order of time.

        A window longer than the chunk is centred on it; shorter ones are spread over it evenly, the first at its
        start, the last at its end, ⌈chunk / window⌉ in all. Outside the recording, and from where it cannot be
        decoded, there is silence.

        Returns:
            [classes] float32 in [0, 1], NaN where the teacher does not know the class.
        """
        rate, window = self._listener.sample_rate_hz, self._listener.window_samples
        chunk = round(self._chunk_seconds * rate)
        span, count = max(chunk, window), math.ceil(chunk / window)
        heard = self._cut(round(start_seconds * rate) - (span - chunk) // 2, span)
        starts = np.linspace(0, span - window, count).round().astype(int)
        windows = np.stack([heard[start : start + window] for start in starts])
        return np.asarray(self._listener.probabilities(windows).max(axis=0))

    def _cut(self, start: int, length: int) -> np.ndarray:
        """Samples [start, start + length) with zeros outside the recording; forgets what lies before them."""
        while self._first + len(self._samples) < start + length:
            try:
                block = next(self._blocks, None)
            except audio.UnreadableError:  # the converter meets it as well, and says so
                block = None
            if block is None:
                break
            self._samples = np.concatenate([self._samples, block])
            self._forget(start)
        self._forget(start)
        before = max(0, self._first - start)
        inside = self._samples[: max(0, length - before)]
        return np.pad(inside, (before, length - before - len(inside)))

    def _forget(self, start: int) -> None:
        gone = min(max(0, start - self._first), len(self._samples))
        self._samples, self._first = self._samples[gone:], self._first + gone

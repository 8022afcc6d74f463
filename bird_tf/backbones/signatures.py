"""Finds the waveform input, the scores and the embedding among the inputs and outputs of a backbone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bird_tf import config
from bird_tf.backbones import sources

# answers nearer to 0 or 1 are as certain as this
LEAST_PROBABILITY = 1e-7
LEAST_LOGIT = math.log(LEAST_PROBABILITY) - math.log1p(-LEAST_PROBABILITY)
# sizes of an axis of windows, of which a model gets one at a time
_ONE = (None, -1, 1)
# (shape, dtype or its name) of the inputs; None or -1 for an unknown size
Inputs = Sequence[tuple[Sequence["int | None"], Any]]
# {name: shape} of outputs; None or -1 for an unknown size
Shapes = Mapping[str, Sequence["int | None"]]


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A model that is ready to run.

    Attributes:
        shape: of one window: (samples,) or (1, samples).
        embedding_size: numbers in the embedding; 0 without one.
        predict: a function of one window, float32 of that shape → scores [labels] and embedding [embedding_size], both
            float32. Several threads may call it.
        reading: how another program reads scores and embedding from the file, as `small_computer.py` does; empty for a
            SavedModel.
    """

    shape: tuple[int, ...]
    embedding_size: int
    predict: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    reading: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def window_shape(inputs: Inputs) -> tuple[int, ...]:
    """Shape of one window.

    Args:
        inputs: of the model.

    Returns:
        (samples,) or (1, samples), if the only input is a float32 waveform of fixed length; else ().
    """
    if len(inputs) != 1 or inputs[0][1] != np.float32 or len(inputs[0][0]) not in (1, 2):
        return ()
    *batch, samples = inputs[0][0]
    fits = samples is not None and samples > 1 and all(size in _ONE for size in batch)
    return (*(1 for _ in batch), int(samples)) if samples is not None and fits else ()


def vector_size(shape: Sequence[int | None]) -> int:
    """Numbers in an output that is one vector for a window, as [batch, n], [n] or [batch, 1, 1, n]; 0 for others."""
    if len(shape) > 1 and shape[0] not in _ONE:  # a vector for each frame
        return 0
    sizes = [size for size in (shape[1:] if len(shape) > 1 else shape) if size != 1]
    return int(sizes[0] or 0) if len(sizes) == 1 and sizes[0] not in (None, -1) else 0


def score_name(shapes: Shapes, num_labels: int, gives_logits: bool, uncalibrated: bool = False) -> str:
    """Name of the output that has one number for each label; of several, "logits", "scores" or "probabilities".

    Args:
        shapes: of the outputs.
        num_labels: number of labels.
        gives_logits: whether "logits" is meant.
        uncalibrated: whether "scores" are meant; "probabilities" if there are none, as early models had no calibration.

    Returns:
        The name; "" if no output fits, if several fit and none has that name, or if logits are meant and the only one
        that fits is called "probabilities".
    """
    fit = [[num_labels], *([one, num_labels] for one in _ONE)]
    fitting = [name for name, shape in shapes.items() if list(shape) in fit]
    preferred = ["logits"] if gives_logits else ["scores", "probabilities"] if uncalibrated else ["probabilities"]
    named = [name for name in preferred if name in fitting]
    if fitting == ["probabilities"] and gives_logits:
        return ""
    return named[0] if named else fitting[0] if len(fitting) == 1 else ""


def embedding_name(shapes: Shapes, num_labels: int) -> str:
    """Name of the output that is the embedding: "embedding" or "embeddings", or the only vector without scores."""
    vectors = [name for name, shape in shapes.items() if vector_size(shape) not in (0, num_labels)]
    named = [name for name in ("embedding", "embeddings") if name in vectors]
    return named[0] if named else vectors[0] if len(vectors) == 1 else ""


def unfit_model(source: sources.Source, num_labels: int, inputs: Inputs, outputs: Shapes) -> config.InputError:
    """The error for a model without such an input or output."""
    if not window_shape(inputs):
        found = ", ".join(f"{list(shape)} of {getattr(dtype, '__name__', dtype)}" for shape, dtype in inputs) or "none"
        return config.InputError(
            f"--backbone={source.name}: need one input [batch, samples] of float32 and of fixed length; its inputs are "
            f"{found}. Save the model anew, with such an input in front"
        )
    if source.gives_logits and list(outputs.get("probabilities", ()))[-1:] == [num_labels]:
        return config.InputError(f"--backbone={source.name}: its output is probabilities: leave out --backbone_logits")
    header = any(list(shape[-1:]) == [num_labels - 1] for shape in outputs.values())
    hint = "; that is one line more than an output has: is the first one a header?" if header else ""
    return config.InputError(
        f"--backbone={source.name}: need one float32 output [batch, {num_labels}], a number for each line of "
        f"{source.labels}; its outputs are {listed(outputs)}{hint}"
    )


def unknown_embedding(source: sources.Source, outputs: Shapes) -> config.InputError:
    """The error for a name of an embedding that the model does not have, or that is no vector."""
    return config.InputError(
        f"--backbone_embedding={source.embedding}: {source.name} has no output of this name that is one float32 "
        f"vector; its outputs are {listed(outputs)}"
    )


def listed(outputs: Shapes) -> str:
    """The outputs with their shapes, for messages."""
    return ", ".join(f"{name} {list(shape)}" for name, shape in outputs.items()) or "none of float32"


def of_silence(silent: np.ndarray, answers: np.ndarray, answer: float) -> np.ndarray:
    """What a backbone says, with one answer in place of what is no finite number in windows without sound.

    A backbone that normalises its input divides by zero there.

    Args:
        silent: [windows] bool, whether all samples of the window are equal.
        answers: [windows, n] float32.
        answer: LEAST_LOGIT, or 0 for an embedding.
    """
    return np.where(silent[:, None] & ~np.isfinite(answers), np.float32(answer), answers)


def logits(probabilities: np.ndarray) -> np.ndarray:
    """The logits of probabilities in [0, 1], float32; within 1e-7 of 0 and 1 they stay at ±16.1."""
    clipped = np.clip(probabilities.astype(np.float64), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.asarray(np.log(clipped) - np.log1p(-clipped), np.float32)

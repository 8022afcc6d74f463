"""Finds the waveform input and the score output among the inputs and outputs of a backbone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bird_tf import config

# one window, in the shape that `window_shape` gives → the scores of its labels
PredictFunction = Callable[[np.ndarray], np.ndarray]


def window_shape(inputs: Sequence[tuple[Sequence[int | None], Any]]) -> tuple[int, ...]:
    """Shape of one window.

    Args:
        inputs: (shape, dtype) of each input of the model; None for an unknown size.

    Returns:
        (samples,) or (1, samples), if the only input is a float32 waveform of fixed length; else ().
    """
    if len(inputs) != 1 or inputs[0][1] != np.float32 or len(inputs[0][0]) not in (1, 2):
        return ()
    *batch, samples = inputs[0][0]
    fits = samples is not None and samples > 1 and all(size in (None, -1, 1) for size in batch)
    return (*(1 for _ in batch), int(samples)) if samples is not None and fits else ()


def output_name(shapes: Mapping[str, Sequence[int | None]], num_labels: int) -> str:
    """Name of the output that has one number for each label; of several, "probabilities".

    Args:
        shapes: {name: shape} of the outputs.
        num_labels: number of labels.

    Returns:
        The name; "" if no output fits, or if several fit and none is called "probabilities".
    """
    fitting = [name for name, shape in shapes.items() if list(shape[-1:]) == [num_labels] and len(shape) <= 2]
    return "probabilities" if "probabilities" in fitting else fitting[0] if len(fitting) == 1 else ""


def unfit_model(path: str, num_labels: int) -> config.InputError:
    """The error for a model without such an input or output."""
    return config.InputError(
        f"--backbone={path}: need one float32 input [batch, samples] of fixed length and one output [batch, "
        f"{num_labels}], a number for each label"
    )

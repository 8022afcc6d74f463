"""Which input and output of a foreign model are the waveform and the scores of its labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bird_tf import config

PredictFunction = Callable[[np.ndarray], np.ndarray]


def window_shape(inputs: Sequence[tuple[Sequence[int | None], Any]]) -> tuple[int, ...]:
    """Shape of one window, (samples,) or (1, samples), if that is what a model takes; else ()."""
    if len(inputs) != 1 or inputs[0][1] != np.float32 or len(inputs[0][0]) not in (1, 2):
        return ()
    *batch, samples = inputs[0][0]
    fits = samples is not None and samples > 1 and all(size in (None, -1, 1) for size in batch)
    return (*(1 for _ in batch), int(samples)) if samples is not None and fits else ()


def output_name(shapes: Mapping[str, Sequence[int | None]], num_labels: int) -> str:
    """The one output with a number for each label, "probabilities" if there are several; else ""."""
    fitting = [name for name, shape in shapes.items() if list(shape[-1:]) == [num_labels] and len(shape) <= 2]
    return "probabilities" if "probabilities" in fitting else fitting[0] if len(fitting) == 1 else ""


def unfit_model(path: str, num_labels: int) -> config.InputError:
    return config.InputError(
        f"--teacher_model={path}: need one float32 input [batch, samples] of fixed length and one output [batch, "
        f"{num_labels}], a number for each label"
    )

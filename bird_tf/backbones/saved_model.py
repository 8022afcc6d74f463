"""SavedModels as backbones."""

from __future__ import annotations

import numpy as np

from bird_tf import config, tf
from bird_tf.backbones import signatures


def load(path: str, num_labels: int) -> tuple[signatures.PredictFunction, tuple[int, ...]]:
    """The same of a SavedModel: of its serving_default, or of the first signature by name that fits."""
    try:
        loaded = tf.saved_model.load(path)
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise config.InputError(f"--teacher_model={path}: not a SavedModel that can be loaded ({error})") from error
    for signature in sorted(loaded.signatures, key=lambda name: (name != "serving_default", name)):
        function = loaded.signatures[signature]
        inputs = function.structured_input_signature[1]
        shape = signatures.window_shape([(spec.shape.as_list(), spec.dtype.as_numpy_dtype) for spec in inputs.values()])
        specs = function.structured_outputs
        name = signatures.output_name(
            {k: spec.shape.as_list() for k, spec in specs.items() if spec.shape.rank}, num_labels
        )
        if shape and name:
            [source] = inputs
            break
    else:
        raise signatures.unfit_model(path, num_labels)

    def answer(window: np.ndarray) -> np.ndarray:
        with tf.device("CPU"):
            return np.asarray(function(**{source: tf.constant(window)})[name].numpy())

    answer.model = loaded  # type: ignore[attr-defined]  # the signatures live as long as this does
    return answer, shape

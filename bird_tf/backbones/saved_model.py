"""SavedModels as backbones."""

from __future__ import annotations

import numpy as np

from bird_tf import config, tf
from bird_tf.backbones import signatures


def load(path: str, num_labels: int) -> tuple[signatures.PredictFunction, tuple[int, ...]]:
    """Loads a SavedModel: its signature `serving_default`, or else the first signature by name that fits.

    Returns:
        A function of one window, and the shape of the window.

    Raises:
        InputError: the SavedModel cannot be loaded, or no signature fits.
    """
    try:
        loaded = tf.saved_model.load(path)
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise config.InputError(f"--backbone={path}: not a SavedModel that can be loaded ({error})") from error
    for signature in sorted(loaded.signatures, key=lambda name: (name != "serving_default", name)):
        function = loaded.signatures[signature]
        inputs = function.structured_input_signature[1]
        shape = signatures.window_shape([(spec.shape.as_list(), spec.dtype.as_numpy_dtype) for spec in inputs.values()])
        specs = function.structured_outputs
        output = signatures.output_name(
            {name: spec.shape.as_list() for name, spec in specs.items() if spec.shape.rank}, num_labels
        )
        if shape and output:
            [argument] = inputs
            break
    else:
        raise signatures.unfit_model(path, num_labels)

    def predict(window: np.ndarray) -> np.ndarray:
        with tf.device("CPU"):
            return np.asarray(function(**{argument: tf.constant(window)})[output].numpy())

    predict.model = loaded  # type: ignore[attr-defined]  # its signatures are valid only while it exists
    return predict, shape

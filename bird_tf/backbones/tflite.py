"""TensorFlow Lite files as backbones."""

from __future__ import annotations

import numpy as np

from bird_tf import config, tf
from bird_tf.backbones import signatures


def load(path: str, num_labels: int) -> tuple[signatures.PredictFunction, tuple[int, ...]]:
    """Loads a TensorFlow Lite model.

    Returns:
        A function of one window, and the shape of the window.

    Raises:
        InputError: the file cannot be loaded, or its inputs and outputs do not fit.
    """
    try:
        interpreter = tf.lite.Interpreter(model_path=path, num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise config.InputError(f"--backbone={path}: not a TFLite model that can be loaded ({error})") from error
    inputs = {d["index"]: (d["shape_signature"], d["dtype"]) for d in interpreter.get_input_details()}
    outputs = {d["name"]: (d["shape"], d["index"]) for d in interpreter.get_output_details()}
    shape = signatures.window_shape(list(inputs.values()))
    name = signatures.output_name({name: shape for name, (shape, _) in outputs.items()}, num_labels)
    if not shape or not name:
        raise signatures.unfit_model(path, num_labels)
    input_index, output_index = next(iter(inputs)), outputs[name][1]

    def predict(window: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(input_index, window)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(output_index))

    return predict, shape

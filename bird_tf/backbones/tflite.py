"""TensorFlow Lite files as backbones."""

from __future__ import annotations

import numpy as np

from bird_tf import config, tf
from bird_tf.backbones import signatures


def load(path: str, num_labels: int) -> tuple[signatures.PredictFunction, tuple[int, ...]]:
    """A TFLite model's function of one window, and the shape in which it takes it."""
    try:
        interpreter = tf.lite.Interpreter(model_path=path, num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise config.InputError(f"--teacher_model={path}: not a TFLite model that can be run ({error})") from error
    inputs = {d["index"]: (d["shape_signature"], d["dtype"]) for d in interpreter.get_input_details()}
    outputs = {d["name"]: (d["shape"], d["index"]) for d in interpreter.get_output_details()}
    shape = signatures.window_shape(list(inputs.values()))
    name = signatures.output_name({name: shape for name, (shape, _) in outputs.items()}, num_labels)
    if not shape or not name:
        raise signatures.unfit_model(path, num_labels)
    source, target = next(iter(inputs)), outputs[name][1]

    def answer(window: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(source, window)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(target))

    return answer, shape

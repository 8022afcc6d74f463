"""SavedModel → TensorFlow Lite files for phones and small computers, compared with the SavedModel.

Front-end and network are separate files. The range of int8 is too small for the front-end (42 dB; a frame needs 80 dB),
and all networks can use the small float32 front-end.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from bird_tf import files, tf
from bird_tf.inference.formats import compare

FRONTEND = "frontend.tflite"
# {type of the stored weights: the largest allowed difference from a probability of the SavedModel}
TOLERANCES = {"float32": 1e-4, "float16": 0.02, "int8": 0.1}


def network_name(kind: str) -> str:
    """Name of the file with the network whose weights are stored as `kind`, one of TOLERANCES."""
    return f"network_{kind}.tflite"


def convert(model_path: str, output: str) -> None:
    """Writes OUTPUT/frontend.tflite, network_*.tflite, frontend.json and classes.csv.

    Raises:
        InputError: the model is a head.
        RuntimeError: the predictions of a converted model differ from the SavedModel's; nothing is written.
    """
    compare.convert(model_path, output, _write, _predict, TOLERANCES)


def _write(model_path: str, folder: str) -> None:
    files.write_bytes(os.path.join(folder, FRONTEND), _converted(model_path, "frontend", "float32"))
    for kind in TOLERANCES:
        files.write_bytes(os.path.join(folder, network_name(kind)), _converted(model_path, "spectrogram", kind))


def _converted(model_path: str, signature: str, kind: str) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(model_path, signature_keys=[signature])
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return bytes(converter.convert())


def _predict(folder: str, samples: np.ndarray) -> dict[str, np.ndarray]:
    """{kind: scores [batch, classes]}."""
    spectrograms = _runner(os.path.join(folder, FRONTEND), "frontend")(samples=samples)["spectrogram"]
    networks = {kind: _runner(os.path.join(folder, network_name(kind)), "spectrogram") for kind in TOLERANCES}
    return {kind: network(spectrogram=spectrograms)["scores"] for kind, network in networks.items()}


def _runner(path: str, signature: str) -> Any:
    return tf.lite.Interpreter(model_path=path).get_signature_runner(signature)

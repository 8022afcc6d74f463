"""SavedModel → TensorFlow Lite files for phones and small computers, compared with the SavedModel.

Front-end and network are files of their own: int8 would ruin the front-end (its frames span 80 dB, int8 spans 42),
and the small float32 front-end serves every network.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

import numpy as np
from absl import logging

import bird_tf
from bird_tf import files, tf

FRONTEND = "frontend.tflite"
# how a network's weights are stored → how far a probability may be from the SavedModel's
TOLERANCES = {"float32": 1e-4, "float16": 0.02, "int8": 0.1}


def network_name(kind: str) -> str:
    """File of the network whose weights are stored as `kind`, one of TOLERANCES."""
    return f"network_{kind}.tflite"


def convert(model_path: str, output: str) -> None:
    """Writes OUTPUT/frontend.tflite, network_*.tflite, frontend.json and classes.csv.

    Raises:
        RuntimeError: a converted model answers otherwise than the SavedModel; nothing is written.
    """
    with files.replacing(output) as folder:
        os.makedirs(folder)
        _write(os.path.join(folder, FRONTEND), _converted(model_path, "frontend", "float32"))
        for kind in TOLERANCES:
            _write(os.path.join(folder, network_name(kind)), _converted(model_path, "spectrogram", kind))
        for name in ("frontend.json", "classes.csv"):
            shutil.copy(os.path.join(model_path, "assets", name), os.path.join(folder, name))
        differences = _differences(model_path, folder)
        for kind, difference in differences.items():
            if not difference <= TOLERANCES[kind]:
                raise RuntimeError(f"{output}: {kind} differs from the SavedModel by {difference:g}")
    logging.info(
        "%s: largest differences from the SavedModel: %s",
        output, ", ".join(f"{kind} {difference:.1e}" for kind, difference in differences.items()),
    )  # fmt: skip


def _converted(model_path: str, signature: str, kind: str) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(model_path, signature_keys=[signature])
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    with bird_tf.without_chatter():
        return bytes(converter.convert())


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def _differences(model_path: str, folder: str) -> dict[str, float]:
    """For each kind the largest difference of a probability, from samples to the end, on noise of many colours."""
    signatures = tf.saved_model.load(model_path).signatures
    num_samples = signatures["serving_default"].structured_input_signature[1]["samples"].shape[1]
    noise = np.random.default_rng(0).normal(0, 1, (8, num_samples))
    spectra = np.fft.rfft(noise) / np.maximum(1, np.arange(num_samples // 2 + 1)) ** np.linspace(0, 1, 8)[:, None]
    coloured = np.fft.irfft(spectra, num_samples)
    samples = (0.5 * coloured / np.abs(coloured).max(axis=1, keepdims=True)).astype(np.float32)
    expected = signatures["serving_default"](samples=tf.constant(samples))["probabilities"].numpy()
    pictures = _runner(os.path.join(folder, FRONTEND), "frontend")(samples=samples)["spectrogram"]
    found = {}
    for kind in TOLERANCES:
        network = _runner(os.path.join(folder, network_name(kind)), "spectrogram")
        found[kind] = float(np.abs(network(spectrogram=pictures)["probabilities"] - expected).max())
    return found


def _runner(path: str, signature: str) -> Any:
    return tf.lite.Interpreter(model_path=path).get_signature_runner(signature)

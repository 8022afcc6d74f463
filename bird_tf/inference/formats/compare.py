"""SavedModel → a folder of files in another format, if their predictions equal those of the SavedModel.

Writing and running a format belongs to its own module: `tflite`, `onnx`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping

import numpy as np
from absl import logging

from bird_tf import config, files, stored, tf
from bird_tf.scores import decisions


def convert(
    model_path: str,
    output: str,
    write: Callable[[str, str], None],
    predict: Callable[[str, np.ndarray], Mapping[str, np.ndarray]],
    tolerances: Mapping[str, float],
) -> None:
    """Writes OUTPUT: the files of another format, frontend.json, classes.csv, and decisions.json of a tuned model.

    Args:
        model_path: the SavedModel.
        output: folder; an existing one is replaced.
        write: (model_path, folder) → None; writes the files of the format into an empty folder.
        predict: (folder, samples [batch, chunk_samples] float32) → {kind: scores [batch, classes] float32}, before
            calibration: a steep one would multiply the rounding of int8 weights.
        tolerances: {kind: the largest allowed difference from a score of the SavedModel}.

    Raises:
        InputError: the model is a head.
        RuntimeError: the predictions differ by more than that; nothing is written.
    """
    signatures = tf.saved_model.load(model_path).signatures
    if "spectrogram" not in signatures:
        raise config.InputError(
            f"{model_path} is a head, which needs its backbone: it has no TFLite or ONNX form; train a network with "
            "configs/student.flags, which learns from it and needs no backbone"
        )
    with files.replacing(output) as folder:
        os.makedirs(folder)
        write(model_path, folder)
        for name in ("frontend.json", "classes.csv"):
            shutil.copy(os.path.join(model_path, "assets", name), os.path.join(folder, name))
        if files.exists(os.path.join(model_path, decisions.ASSET)):
            shutil.copy(os.path.join(model_path, decisions.ASSET), folder)
            if "context" in stored.read_any(os.path.join(model_path, decisions.ASSET)):
                logging.warning(
                    "%s: these files answer for each chunk alone, with the thresholds of chunks; only bird_tf.predict, "
                    "submission and evaluate use what the chunks around a chunk say of it", output,
                )  # fmt: skip
        serve = signatures["serving_default"]
        samples = _coloured_noise(serve.structured_input_signature[1]["samples"].shape[1])
        expected = serve(samples=tf.constant(samples))["scores"].numpy()
        differences = {kind: float(np.abs(p - expected).max()) for kind, p in predict(folder, samples).items()}
        for kind, difference in differences.items():
            if not difference <= tolerances[kind]:
                raise RuntimeError(
                    f"{output}: {kind} differs from the SavedModel by {difference:g}; nothing was written"
                )
    logging.info(
        "%s: largest differences from the SavedModel: %s",
        output, ", ".join(f"{kind} {difference:.1e}" for kind, difference in differences.items()),
    )  # fmt: skip


def _coloured_noise(num_samples: int) -> np.ndarray:
    """[8, num_samples] float32 in [-0.5, 0.5]: from white to brown noise, the same each time."""
    noise = np.random.default_rng(0).normal(0, 1, (8, num_samples))
    spectra = np.fft.rfft(noise) / np.maximum(1, np.arange(num_samples // 2 + 1)) ** np.linspace(0, 1, 8)[:, None]
    coloured = np.fft.irfft(spectra, num_samples)
    return (0.5 * coloured / np.abs(coloured).max(axis=1, keepdims=True)).astype(np.float32)

"""SavedModel → a folder of files in another format, if their predictions equal those of the SavedModel.

Writing and running a file belongs to the format's own module: `tflite`, `onnx`.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Mapping

import numpy as np
from absl import logging

from bird_tf import config, files, stored
from bird_tf.backbones import exported
from bird_tf.inference.formats import parts
from bird_tf.scores import decisions

Arrays = Mapping[str, np.ndarray]
# of logits: of noise a head says 0 for all species, so that scores would hide an error
_HEAD_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """A format of files.

    Attributes:
        title: its name for people.
        front_end: name of the file with the front-end.
        network: name of the file with the network whose weights are stored as a type, a function.
        tolerances: {type of the stored weights: the largest allowed difference from a score of the SavedModel}.
        write: (signature, type of the weights, path of the file) → None. It may raise anything.
        run: (path of the file, {name: input}) → {name: output}.
    """

    title: str
    front_end: str
    network: Callable[[str], str]
    tolerances: Mapping[str, float]
    write: Callable[[parts.Signature, str, str], None]
    run: Callable[[str, Arrays], Arrays]


def convert(model_path: str, output: str, form: Format) -> None:
    """Writes OUTPUT: the files of a format, model.json, classes.csv, and decisions.json of a tuned model.

    Of a head there are only float32 weights, and a copy of its backbone if that is a file of its own; of other models
    there is frontend.json.

    Args:
        model_path: the SavedModel.
        output: folder; an existing one is replaced.
        form: the format.

    Raises:
        InputError: the model has no such form; or as `parts.of`.
        RuntimeError: the predictions differ; nothing is written.
    """
    with parts.of(model_path) as found, files.replacing(output) as folder:
        os.makedirs(folder)
        kinds = list(form.tolerances) if found.front_end else [parts.FLOAT32]
        if found.front_end:
            _write(form, model_path, found.front_end, parts.FLOAT32, os.path.join(folder, form.front_end))
        for kind in kinds:
            _write(form, model_path, found.network, kind, os.path.join(folder, form.network(kind)))
        found.describe(folder)
        for name in [exported.CLASSES, *([exported.FRONT_END] if found.front_end else [])]:
            shutil.copy(os.path.join(model_path, name), folder)
        if files.exists(os.path.join(model_path, decisions.ASSET)):
            shutil.copy(os.path.join(model_path, decisions.ASSET), folder)
            if "context" in stored.read_any(os.path.join(model_path, decisions.ASSET)):
                logging.warning(
                    "%s: these files answer for each chunk alone, with the thresholds of chunks; only bird_tf.predict, "
                    "submission and evaluate use what the chunks around a chunk say of it", output,
                )  # fmt: skip
        differences = _differences(form, found, kinds, folder)
        for kind, difference in differences.items():
            if not difference <= (form.tolerances[kind] if found.front_end else _HEAD_TOLERANCE):
                raise RuntimeError(
                    f"{output}: {kind} differs from the SavedModel by {difference:g}; nothing was written"
                )
    logging.info(
        "%s: largest differences from the SavedModel: %s",
        output, ", ".join(f"{kind} {difference:.1e}" for kind, difference in differences.items()),
    )  # fmt: skip
    if found.backbone:
        logging.info(
            "%s: the backbone stays the file that it is, %s", output, os.path.basename(found.backbone.source.model)
        )


def _write(form: Format, model_path: str, signature: parts.Signature, kind: str, path: str) -> None:
    """Writes one file; what a converter says of operations that the format lacks becomes one line."""
    try:
        form.write(signature, kind, path)
    except OSError:
        raise
    except Exception as error:  # the converters' exceptions have no common type
        [reason, *_] = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise config.InputError(
            f"{model_path}: {form.title} cannot hold this model ({reason[:300]}); if it is a head, train a network "
            "with configs/student.flags, which learns from it and needs no backbone"
        ) from error


def _differences(form: Format, found: parts.Parts, kinds: list[str], folder: str) -> dict[str, float]:
    """{type of weights: the largest difference of a score, or of a head's logit, relative to logits beyond ±1}.

    It is taken before calibration: a steep one would multiply the rounding of int8 weights.
    """
    samples = _coloured_noise(found.model.hearing.span_samples)
    inputs, output = found.inputs(samples), "scores" if found.front_end else "logits"
    expected = (
        found.model.predict_samples(samples).probabilities
        if found.front_end
        else found.model.logits_of_samples(samples)
    )
    if found.front_end:
        inputs = dict(form.run(os.path.join(folder, form.front_end), inputs))
    paths = {kind: os.path.join(folder, form.network(kind)) for kind in kinds}
    size = np.maximum(1, np.abs(expected))
    return {kind: float((np.abs(form.run(path, inputs)[output] - expected) / size).max())
            for kind, path in paths.items()}  # fmt: skip


def _coloured_noise(num_samples: int) -> np.ndarray:
    """[8, num_samples] float32 in [-0.5, 0.5]: from white to brown noise, the same each time."""
    noise = np.random.default_rng(0).normal(0, 1, (8, num_samples))
    spectra = np.fft.rfft(noise) / np.maximum(1, np.arange(num_samples // 2 + 1)) ** np.linspace(0, 1, 8)[:, None]
    coloured = np.fft.irfft(spectra, num_samples)
    return (0.5 * coloured / np.abs(coloured).max(axis=1, keepdims=True)).astype(np.float32)

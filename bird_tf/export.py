"""Run directory → one self-contained SavedModel, compared with the network after it is loaded again.

The SavedModel takes samples and holds front-end, network, classes and configuration; it is float32 throughout and has
no custom operation. Stands before `train` in the order of the modules, since a training ends with it.
"""

from __future__ import annotations

import dataclasses
import io
import os
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from bird_tf import (
    config,
    decisions,
    files,
    frontend,
    inventory,
    keras,
    losses,
    models,
    onnx,
    prior,
    records,
    taxonomy,
    tf,
    tflite,
)

FORMAT_VERSION = 1
RUN_DESCRIPTION = "run.json"
WEIGHTS = "best.npz"
PRIOR = "prior.json"
EXPORT = "export"

# Outputs before and after saving come from the same float32 graph; only the order of sums may differ.
_TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """What a run directory says of its model, weights apart.

    Attributes:
        model: the network's options.
        loss: "softmax" or "sigmoid"; decides how logits become probabilities.
        pooling: how chunk scores become the scores of a recording, unless one asks for another way.
        front_end: chunk → spectrogram.
        classes: in the order of the outputs.
        prior: what the training recordings tell before a sound is heard.
        training: the flags of the training.
        metrics: of the best epoch, on validation recordings.
        versions: {package: version}.
    """

    model: models.ModelConfig
    loss: str
    pooling: str
    front_end: frontend.FrontendConfig
    classes: taxonomy.Taxonomy
    prior: prior.Prior
    training: Mapping[str, Any]
    metrics: Mapping[str, float]
    versions: Mapping[str, str]


def save_run(run_dir: str, run: Run, weights: list[np.ndarray]) -> None:
    """Writes what `load_run` reads: classes.csv, prior.json, best.npz, run.json."""
    taxonomy.save(os.path.join(run_dir, records.CLASSES), run.classes)
    prior.save(os.path.join(run_dir, PRIOR), run.prior)
    buffer = io.BytesIO()
    np.savez(buffer, *weights)
    files.write_bytes(os.path.join(run_dir, WEIGHTS), buffer.getvalue())
    files.write_json(
        os.path.join(run_dir, RUN_DESCRIPTION),
        {
            "format_version": FORMAT_VERSION,
            "model": config.to_mapping(run.model),
            "front_end": frontend.describe(run.front_end),
            **_description(run),
        },
    )


def _description(run: Run) -> dict[str, Any]:
    """What the SavedModel's train.json keeps."""
    return {
        "loss": run.loss,
        "pooling": run.pooling,
        "training": dict(run.training),
        "metrics": dict(run.metrics),
        "versions": dict(run.versions),
    }


def load_run(run_dir: str) -> tuple[Run, list[np.ndarray]]:
    """Reads a run directory: the run, and the weights in the order of the network's variables.

    Raises:
        InputError: not a run directory, or of another format or front-end version.
    """
    path = os.path.join(run_dir, RUN_DESCRIPTION)
    if not files.exists(path):
        raise config.InputError(f"{run_dir} is not a finished run (no {RUN_DESCRIPTION}); train it first")
    stored = files.read_json(path)
    if stored.get("format_version") != FORMAT_VERSION:
        raise config.InputError(f"{path}: run format {stored.get('format_version')}, this is {FORMAT_VERSION}")
    classes = taxonomy.load(os.path.join(run_dir, records.CLASSES))
    prior_path = os.path.join(run_dir, PRIOR)
    run = Run(
        model=config.from_mapping(models.ModelConfig, stored["model"]),
        loss=stored["loss"],
        pooling=stored["pooling"],
        front_end=frontend.from_description(stored["front_end"], path),
        classes=classes,
        # runs of earlier versions kept none
        prior=prior.load(prior_path)
        if files.exists(prior_path)
        else prior.fit(inventory.read(stored["training"]["records"]), classes),
        training=stored["training"],
        metrics=stored["metrics"],
        versions=stored["versions"],
    )
    with np.load(io.BytesIO(files.read_bytes(os.path.join(run_dir, WEIGHTS)))) as arrays:
        return run, [arrays[f"arr_{i}"] for i in range(len(arrays.files))]


def _float32_network(run: Run, weights: list[np.ndarray]) -> keras.Model:
    """The trained network, rebuilt under the float32 policy whatever it was trained under."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        network = models.build(run.model, run.front_end.num_bands, run.front_end.num_frames, len(run.classes))
    finally:
        keras.config.set_dtype_policy(policy)
    network.set_weights(weights)
    return network


def serving_module(run: Run, network: keras.Model) -> tuple[tf.Module, dict[str, Any]]:
    """The graph that is saved, and its signatures by name.

    serving_default: samples [batch, chunk_samples] float32 in [-1, 1] → probabilities, logits [batch, classes].
    spectrogram: spectrogram [batch, num_bands, num_frames] float32 in [0, 1] → probabilities, logits.
    Both say when, if the network is attention: moments [batch, moments, classes], each moment's evidence of a class,
    weighted by attention; the moments divide the chunk evenly, and their mean is the logits. And they say how much
    attention [batch] the chunk claims: its softmax over chunks gives their weights (pooling.attended).
    frontend: samples → spectrogram. embed: samples → embeddings [batch, features].
    """
    samples = tf.TensorSpec([None, run.front_end.chunk_samples], tf.float32, "samples")
    pictures = tf.TensorSpec([None, run.front_end.num_bands, run.front_end.num_frames], tf.float32, "spectrogram")

    def answer(spectrogram: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = network(spectrogram, training=False)
        said = {"probabilities": losses.probabilities(outputs["logits"], run.loss), "logits": outputs["logits"]}
        if "moments" in outputs:
            num_moments = outputs["moments"].shape[1]
            said["moments"] = network.get_layer("logits")(num_moments * outputs["moments"])
            said["attention"] = outputs["attention"]
        return said

    def hear(samples: tf.Tensor) -> tf.Tensor:
        return frontend.spectrograms(samples, run.front_end)

    module = tf.Module()
    module.network_variables = [variable.value for variable in network.variables]
    module.serve = tf.function(lambda samples: answer(hear(samples)), input_signature=[samples])
    module.serve_spectrogram = tf.function(answer, input_signature=[pictures])
    module.frontend = tf.function(lambda samples: {"spectrogram": hear(samples)}, input_signature=[samples])
    module.embed = tf.function(
        lambda samples: {"embeddings": network(hear(samples), training=False)["embeddings"]}, input_signature=[samples]
    )
    return module, {
        "serving_default": module.serve,
        "spectrogram": module.serve_spectrogram,
        "frontend": module.frontend,
        "embed": module.embed,
    }


def export(run_dir: str) -> str:
    """Writes RUN_DIR/export from the best weights of a run, and proves that it answers as the network does.

    Decisions that an earlier export of the same weights was given by bird_tf.evaluate --tune stay with it.

    Returns:
        The path of the SavedModel.

    Raises:
        InputError: as `load_run`.
        RuntimeError: the SavedModel, loaded again, answers differently.
    """
    run, weights = load_run(run_dir)
    network = _float32_network(run, weights)
    module, signatures = serving_module(run, network)
    target = os.path.join(run_dir, EXPORT)
    kept = os.path.join(target, decisions.ASSET)
    with tempfile.TemporaryDirectory() as assets, files.replacing(target) as temporary:
        if files.exists(kept):
            files.write_text(os.path.join(assets, os.path.basename(kept)), files.read_text(kept))
        prior.save(os.path.join(assets, PRIOR), run.prior)
        files.write_json(os.path.join(assets, "frontend.json"), frontend.describe(run.front_end))
        files.write_json(os.path.join(assets, "train.json"), {"format_version": FORMAT_VERSION, **_description(run)})
        taxonomy.save(os.path.join(assets, records.CLASSES), run.classes)
        module.assets = [tf.saved_model.Asset(os.path.join(assets, name)) for name in sorted(os.listdir(assets))]
        verbosity = logging.get_verbosity()
        logging.set_verbosity(logging.ERROR)  # TensorFlow remarks on the names of its own lambdas
        tf.saved_model.save(module, temporary, signatures=signatures)
        logging.set_verbosity(verbosity)
        difference = _largest_difference(temporary, run, network)
        if not difference <= _TOLERANCE:
            raise RuntimeError(f"{target}: the saved model answers differently from the network, by {difference:g}")
    logging.info("exported %s (largest difference after reloading: %.1e)", target, difference)
    return target


def _largest_difference(path: str, run: Run, network: keras.Model) -> float:
    """Largest difference of probabilities between a SavedModel and the network, on noise, a tone and silence."""
    time = np.arange(run.front_end.chunk_samples) / run.front_end.sample_rate_hz
    tone = 0.5 * np.sin(2 * np.pi * 0.5 * (run.front_end.fmin_hz + run.front_end.fmax_hz) * time)
    noise = np.random.default_rng(0).normal(0, 0.1, len(time))
    samples = np.stack([noise, tone, np.zeros_like(time)]).astype(np.float32)
    logits = network(frontend.spectrograms(samples, run.front_end), training=False)["logits"]
    expected = losses.probabilities(logits, run.loss)
    reloaded = tf.saved_model.load(path).signatures["serving_default"](samples=tf.constant(samples))
    return float(tf.reduce_max(tf.abs(reloaded["probabilities"] - expected)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Flags of the export."""

    run_dir: str = config.option("", "run directory, as runs/NAME; the SavedModel goes to its export/", required=True)
    tflite: bool = config.option(False, "write RUN_DIR/tflite/ as well, for phones and small computers")
    onnx: bool = config.option(False, "write RUN_DIR/onnx/ as well, for runtimes other than TensorFlow's")


def main(settings: ExportConfig) -> None:
    """Exports a finished run again."""
    path = export(settings.run_dir)
    if settings.tflite:
        tflite.convert(path, os.path.join(settings.run_dir, "tflite"))
    if settings.onnx:
        onnx.convert(path, os.path.join(settings.run_dir, "onnx"))


def run() -> None:
    """Entry point of `bird-tf-export`."""
    config.run(main, ExportConfig)


if __name__ == "__main__":
    run()

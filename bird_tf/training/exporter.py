"""Run directory → one self-contained SavedModel, compared with the network after it is loaded again."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np
from absl import logging

from bird_tf import files, keras, tf
from bird_tf.audio import frontend
from bird_tf.labels import taxonomy
from bird_tf.models import architectures, losses
from bird_tf.records import manifests
from bird_tf.scores import decisions, prior
from bird_tf.training import run_directory

EXPORT = "export"
# Outputs before and after saving come from the same float32 graph; only the order of sums may differ.
_TOLERANCE = 1e-4


def _float32_network(run: run_directory.Run, weights: list[np.ndarray]) -> keras.Model:
    """The trained network, rebuilt under the float32 policy whatever it was trained under."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        network = architectures.build(run.model, run.front_end.num_bands, run.front_end.num_frames, len(run.classes))
    finally:
        keras.config.set_dtype_policy(policy)
    network.set_weights(weights)
    return network


def serving_module(run: run_directory.Run, network: keras.Model) -> tuple[tf.Module, dict[str, Any]]:
    """The graph that is saved, and its signatures by name.

    serving_default: samples [batch, chunk_samples] float32 in [-1, 1] → probabilities, logits [batch, classes].
    spectrogram: spectrogram [batch, num_bands, num_frames] float32 in [0, 1] → probabilities, logits.
    Both say when, if the network is attention: moments [batch, moments, classes], each moment's evidence of a class,
    weighted by attention; the moments divide the chunk evenly, and their mean is the logits. And they say how much
    attention [batch] the chunk claims: its softmax over chunks gives their weights (pooling.attended).
    frontend: samples → spectrogram. embed: samples → embeddings [batch, features].
    """
    samples = tf.TensorSpec([None, run.front_end.chunk_samples], tf.float32, "samples")
    spectrograms = tf.TensorSpec([None, run.front_end.num_bands, run.front_end.num_frames], tf.float32, "spectrogram")

    def answer(spectrogram: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = network(spectrogram, training=False)
        said = {"probabilities": losses.probabilities(outputs["logits"], run.loss), "logits": outputs["logits"]}
        if "moments" in outputs:
            num_moments = outputs["moments"].shape[1]
            said["moments"] = network.get_layer("logits")(num_moments * outputs["moments"])
            said["attention"] = outputs["attention"]
        return said

    def spectrograms_of(samples: tf.Tensor) -> tf.Tensor:
        return frontend.spectrograms(samples, run.front_end)

    module = tf.Module()
    module.network_variables = [variable.value for variable in network.variables]
    module.serve = tf.function(lambda samples: answer(spectrograms_of(samples)), input_signature=[samples])
    module.serve_spectrogram = tf.function(answer, input_signature=[spectrograms])
    module.frontend = tf.function(lambda samples: {"spectrogram": spectrograms_of(samples)}, input_signature=[samples])
    module.embed = tf.function(
        lambda samples: {"embeddings": network(spectrograms_of(samples), training=False)["embeddings"]},
        input_signature=[samples],
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
    run, weights = run_directory.load(run_dir)
    network = _float32_network(run, weights)
    module, signatures = serving_module(run, network)
    target = os.path.join(run_dir, EXPORT)
    kept = os.path.join(target, decisions.ASSET)
    with tempfile.TemporaryDirectory() as assets, files.replacing(target) as temporary:
        if files.exists(kept):
            files.write_text(os.path.join(assets, os.path.basename(kept)), files.read_text(kept))
        prior.save(os.path.join(assets, run_directory.PRIOR), run.prior)
        files.write_json(os.path.join(assets, "frontend.json"), frontend.describe(run.front_end))
        files.write_json(
            os.path.join(assets, "train.json"),
            {"format_version": run_directory.FORMAT_VERSION, **run_directory.description(run)},
        )
        taxonomy.save(os.path.join(assets, manifests.CLASSES), run.classes)
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


def _largest_difference(path: str, run: run_directory.Run, network: keras.Model) -> float:
    """Largest difference of probabilities between a SavedModel and the network, on noise, a tone and silence."""
    time = np.arange(run.front_end.chunk_samples) / run.front_end.sample_rate_hz
    tone = 0.5 * np.sin(2 * np.pi * 0.5 * (run.front_end.fmin_hz + run.front_end.fmax_hz) * time)
    noise = np.random.default_rng(0).normal(0, 0.1, len(time))
    samples = np.stack([noise, tone, np.zeros_like(time)]).astype(np.float32)
    logits = network(frontend.spectrograms(samples, run.front_end), training=False)["logits"]
    expected = losses.probabilities(logits, run.loss)
    reloaded = tf.saved_model.load(path).signatures["serving_default"](samples=tf.constant(samples))
    return float(tf.reduce_max(tf.abs(reloaded["probabilities"] - expected)))

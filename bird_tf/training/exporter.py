"""Run directory → one self-contained SavedModel, which is loaded again and compared with the network."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np
from absl import logging

from bird_tf import files, keras, tf
from bird_tf.audio import activity, frontend
from bird_tf.inference import serving
from bird_tf.labels import taxonomy
from bird_tf.models import losses
from bird_tf.records import learnt, manifests
from bird_tf.scores import calibration, decisions, prior
from bird_tf.training import run_directory

EXPORT = "export"
# Before and after saving the graph is the same, in float32; only the order of sums may differ.
_TOLERANCE = 1e-4


def serving_module(
    run: run_directory.Run, network: keras.Model, fitted: calibration.Calibration | None = None
) -> tuple[tf.Module, dict[str, Any]]:
    """The graph that is saved, with the calibration of chunks if there is one, and its signatures by name.

    serving_default: samples [batch, chunk_samples] float32 in [-1, 1] → logits, and the outputs of `serving.Decisions`:
    probabilities, scores, present_f1, present_precision; [batch, classes] each. Scores are 0 in chunks without sound.
    spectrogram: spectrogram [batch, num_bands, num_frames] float32 in [0, 1] → the same outputs.
    The attention network adds two outputs to both. time_steps: [batch, time_steps, classes], the evidence for each
    class at each time step, weighted by attention; time steps are of equal length, and their mean is the logits.
    attention: [batch], the attention logit of the chunk; softmax over chunks gives their weights.
    frontend: samples → spectrogram. embed: samples → embeddings [batch, features].
    predict_and_embed: samples → the outputs of serving_default and embeddings, with one pass of the network.
    """
    samples = tf.TensorSpec([None, run.front_end.chunk_samples], tf.float32, "samples")
    spectrograms = tf.TensorSpec([None, run.front_end.num_bands, run.front_end.num_frames], tf.float32, "spectrogram")

    module, decided = tf.Module(), serving.Decisions(len(run.classes))
    if fitted:
        decided.assign(fitted)
    module.decisions = decided.variables

    def predict_and_embed(spectrogram: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = network(spectrogram, training=False)
        scores = losses.probabilities(outputs["logits"], run.loss)
        has_sound = tf.reduce_max(spectrogram, axis=[1, 2]) > tf.reduce_min(spectrogram, axis=[1, 2])
        scores *= tf.cast(has_sound, tf.float32)[:, None]
        signature = {**decided.outputs(scores), "logits": outputs["logits"]}
        if "attention_logits" in outputs:
            num_time_steps = outputs["time_steps"].shape[1]
            signature["time_steps"] = network.get_layer("logits")(num_time_steps * outputs["time_steps"])
            signature["attention"] = outputs["attention_logits"]
        return {**signature, "embeddings": outputs["embeddings"]}

    def predict(spectrogram: tf.Tensor) -> dict[str, tf.Tensor]:
        return {name: output for name, output in predict_and_embed(spectrogram).items() if name != "embeddings"}

    def spectrograms_of(samples: tf.Tensor) -> tf.Tensor:
        has_sound = activity.has_sound(samples, run.front_end.sample_rate_hz)
        return frontend.spectrograms(samples, run.front_end) * tf.cast(has_sound, tf.float32)[:, None, None]

    module.network_variables = [variable.value for variable in network.variables]
    module.serve = tf.function(lambda samples: predict(spectrograms_of(samples)), input_signature=[samples])
    module.serve_spectrogram = tf.function(predict, input_signature=[spectrograms])
    module.frontend = tf.function(lambda samples: {"spectrogram": spectrograms_of(samples)}, input_signature=[samples])
    module.embed = tf.function(
        lambda samples: {"embeddings": network(spectrograms_of(samples), training=False)["embeddings"]},
        input_signature=[samples],
    )
    module.predict_and_embed = tf.function(
        lambda samples: predict_and_embed(spectrograms_of(samples)), input_signature=[samples]
    )
    return module, {
        "serving_default": module.serve,
        "spectrogram": module.serve_spectrogram,
        "frontend": module.frontend,
        "embed": module.embed,
        "predict_and_embed": module.predict_and_embed,
    }


def export(run_dir: str) -> str:
    """Writes RUN_DIR/export from the best weights of a run, and checks that its outputs equal the network's.

    Thresholds and calibration that `bird_tf.evaluate --tune` stored in an earlier export of the run are kept, and are
    in the signatures.

    Returns:
        The path of the SavedModel.

    Raises:
        InputError: as `run_directory.load`.
        RuntimeError: the outputs of the SavedModel differ from the network's.
    """
    run, network = run_directory.load(run_dir)
    target = os.path.join(run_dir, EXPORT)
    tuned = os.path.join(target, decisions.ASSET)
    fitted = decisions.load(tuned, run.classes, 1).chunk if files.exists(tuned) else None
    module, signatures = serving_module(run, network, fitted)
    with tempfile.TemporaryDirectory() as assets, files.replacing(target, durable=True) as temporary:
        if fitted:
            files.write_text(os.path.join(assets, os.path.basename(tuned)), files.read_text(tuned))
        prior.save(os.path.join(assets, run_directory.PRIOR), run.prior)
        if run.learnt is not None:
            learnt.save(assets, run.learnt)
        files.write_json(os.path.join(assets, "frontend.json"), frontend.describe(run.front_end))
        files.write_json(
            os.path.join(assets, "train.json"),
            {"format_version": run_directory.FORMAT_VERSION, **run_directory.description(run)},
        )
        taxonomy.save(os.path.join(assets, manifests.CLASSES), run.classes)
        module.assets = [tf.saved_model.Asset(os.path.join(assets, name)) for name in sorted(os.listdir(assets))]
        verbosity = logging.get_verbosity()
        logging.set_verbosity(logging.ERROR)  # TensorFlow warns about the names of its own functions
        tf.saved_model.save(module, temporary, signatures=signatures)
        logging.set_verbosity(verbosity)
        difference = _largest_difference(temporary, run, network)
        if not difference <= _TOLERANCE:
            raise RuntimeError(f"{target}: the outputs of the saved model differ from the network's by {difference:g}")
    logging.info("exported %s (largest difference after reloading: %.1e)", target, difference)
    for backbone in run.backbones:
        logging.info(
            "it has learnt from %s, whose licence is %s; see to what that asks of you",
            backbone["title"], backbone["licence"] or "unknown",
        )  # fmt: skip
    return target


def _largest_difference(path: str, run: run_directory.Run, network: keras.Model) -> float:
    """Largest difference of scores between a SavedModel and the network, on noise, a tone and silence (0)."""
    time = np.arange(run.front_end.chunk_samples) / run.front_end.sample_rate_hz
    tone = 0.5 * np.sin(2 * np.pi * 0.5 * (run.front_end.fmin_hz + run.front_end.fmax_hz) * time)
    noise = np.random.default_rng(0).normal(0, 0.1, len(time))
    samples = np.stack([noise, tone, np.zeros_like(time)]).astype(np.float32)
    logits = network(frontend.spectrograms(samples, run.front_end), training=False)["logits"]
    expected = losses.probabilities(logits, run.loss) * [[1.0], [1.0], [0.0]]
    reloaded = tf.saved_model.load(path).signatures["serving_default"](samples=tf.constant(samples))
    return float(tf.reduce_max(tf.abs(reloaded["scores"] - expected)))

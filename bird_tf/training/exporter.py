"""Run directory → one self-contained SavedModel, which is loaded again and compared with the network."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from absl import logging

from bird_tf import config, files, keras, tf
from bird_tf.audio import activity, frontend, hearing
from bird_tf.backbones import backbone, exported, graph, sources, windows
from bird_tf.inference import model_files, saved_model, serving, strangeness
from bird_tf.labels import taxonomy
from bird_tf.models import architectures, losses
from bird_tf.records import learnt, manifests, schema
from bird_tf.scores import calibration, decisions, prior
from bird_tf.training import known_sound, run_directory

EXPORT = "export"
# Before and after saving the graph is the same, in float32; only the order of sums may differ.
_TOLERANCE = 1e-4


def serving_module(
    run: run_directory.Run,
    network: keras.Model,
    fitted: calibration.Calibration | None = None,
    source: sources.Source | None = None,
) -> tuple[tf.Module, dict[str, Any]]:
    """The graph that is saved, with the calibration of chunks if there is one, and its signatures by name.

    serving_default: samples [batch, span_samples] float32 in [-1, 1] → logits, and the outputs of `serving.Decisions`:
    probabilities, scores, present_f1, present_precision; [batch, classes] each. Scores are 0 in chunks without sound.
    spectrogram: spectrogram [batch, num_bands, num_frames] float32 in [0, 1] → the same outputs.
    The attention network adds two outputs to both. time_steps: [batch, time_steps, classes], the evidence for each
    class at each time step, weighted by attention; time steps are of equal length, and their mean is the logits.
    attention: [batch], the attention logit of the chunk; softmax over chunks gives their weights.
    If the run knows how its training recordings sound, both have strangeness, [batch], too: how far the chunk is from
    that, see `inference.strangeness`; 0 in chunks without sound.
    frontend: samples → spectrogram. embed: samples → embeddings [batch, features].
    predict_and_embed: samples → the outputs of serving_default and embeddings, with one pass of the network.

    A head, whose backbone is `source`, has no spectrograms. Its signature features: embedding, backbone_answers → the
    same outputs. It has those of samples, spans as its backbone hears them, only if the backbone is a SavedModel and so
    becomes a part of the graph.
    """
    module, decided = tf.Module(), serving.Decisions(len(run.classes))
    if fitted:
        decided.assign(fitted)
    module.decisions = decided.variables
    module.network_variables = [variable.value for variable in network.variables]
    answers = _Answers(run, network, decided)
    signatures = _head_signatures(run, source, answers, module) if source else _spectrogram_signatures(run, answers)
    for name, signature in signatures.items():
        setattr(module, name, signature)
    return module, signatures


@dataclasses.dataclass(frozen=True)
class _Answers:
    """What a signature returns for a batch of features."""

    run: run_directory.Run
    network: keras.Model
    decided: serving.Decisions

    def __call__(self, features: Mapping[str, tf.Tensor], has_sound: tf.Tensor) -> dict[str, tf.Tensor]:
        """All outputs; `has_sound` is [batch] float32, 0 for a chunk without sound."""
        outputs = architectures.call(self.network, features, training=False)
        scores = losses.probabilities(outputs["logits"], self.run.loss) * has_sound[:, None]
        signature = {**self.decided.outputs(scores), "logits": outputs["logits"]}
        if "attention_logits" in outputs:
            num_time_steps = outputs["time_steps"].shape[1]
            signature["time_steps"] = self.network.get_layer("logits")(num_time_steps * outputs["time_steps"])
            signature["attention"] = outputs["attention_logits"]
        if self.run.known_sound is not None:
            found = self.run.known_sound.strangeness(known_sound.summaries(features))
            signature[strangeness.OUTPUT] = found * has_sound
        return {**signature, "embeddings": outputs["embeddings"]}


def _without_embeddings(outputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {name: output for name, output in outputs.items() if name != "embeddings"}


def _hearing(run: run_directory.Run) -> hearing.Hearing:
    """What the model hears of a recording."""
    if run.backbone:
        return windows.described_hearing(run.backbone, run.front_end.chunk_seconds)
    return hearing.of(run.front_end)


def _spectrogram_signatures(run: run_directory.Run, answers: _Answers) -> dict[str, Any]:
    """The signatures of a network of spectrograms, front-end included."""
    front_end = run.front_end
    samples = [tf.TensorSpec([None, front_end.chunk_samples], tf.float32, "samples")]
    spectrograms = [tf.TensorSpec([None, front_end.num_bands, front_end.num_frames], tf.float32, schema.SPECTROGRAM)]

    def heard(spectrogram: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        has_sound = tf.reduce_max(spectrogram, axis=[1, 2]) > tf.reduce_min(spectrogram, axis=[1, 2])
        return {schema.SPECTROGRAM: spectrogram}, tf.cast(has_sound, tf.float32)

    def spectrograms_of(samples: tf.Tensor) -> tf.Tensor:
        has_sound = activity.has_sound(samples, front_end.sample_rate_hz)
        return frontend.spectrograms(samples, front_end) * tf.cast(has_sound, tf.float32)[:, None, None]

    # functions of their own, so that the model holds each only once: it is smaller, and is read in half the time
    front, network = _function(spectrograms_of, samples), _function(lambda x: answers(*heard(x)), spectrograms)
    functions: dict[str, tuple[Callable[[tf.Tensor], dict[str, tf.Tensor]], Any]] = {
        "serving_default": (lambda x: _without_embeddings(network(front(x))), samples),
        "spectrogram": (lambda x: _without_embeddings(network(x)), spectrograms),
        "frontend": (lambda x: {schema.SPECTROGRAM: front(x)}, samples),
        "embed": (lambda x: {"embeddings": network(front(x))["embeddings"]}, samples),
        "predict_and_embed": (lambda x: network(front(x)), samples),
    }
    return {name: _signature(function, *spec) for name, (function, spec) in functions.items()}


def _head_signatures(
    run: run_directory.Run, source: sources.Source, answers: _Answers, module: tf.Module
) -> dict[str, Any]:
    """The signatures of a head; with those of samples if its backbone can be a part of the graph."""
    features = {f.name: tf.TensorSpec([None, *f.shape], tf.float32, f.name) for f in run.features}

    def from_features(embedding: tf.Tensor, backbone_answers: tf.Tensor) -> dict[str, tf.Tensor]:
        batch = {schema.EMBEDDING: embedding, schema.BACKBONE_ANSWERS: backbone_answers}
        return _without_embeddings(answers(batch, tf.ones(tf.shape(embedding)[:1])))

    found = {saved_model.HEAD: _signature(from_features, features[schema.EMBEDDING], features[schema.BACKBONE_ANSWERS])}
    if not source.is_saved_model:
        return found
    spans = _hearing(run)
    backbone_graph = graph.Graph(source, run.classes, spans)
    module.backbone = backbone_graph.model
    samples = [tf.TensorSpec([None, spans.span_samples], tf.float32, "samples")]

    def heard(samples: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        logits, embeddings = backbone_graph.answers(samples)
        has_sound = activity.has_sound(samples, spans.sample_rate_hz)
        return {schema.EMBEDDING: embeddings, schema.BACKBONE_ANSWERS: logits}, tf.cast(has_sound, tf.float32)

    functions = {
        "serving_default": lambda x: _without_embeddings(answers(*heard(x))),
        "embed": lambda x: {"embeddings": heard(x)[0][schema.EMBEDDING]},
        "predict_and_embed": lambda x: answers(*heard(x)),
    }
    return found | {name: _signature(function, *samples) for name, function in functions.items()}


def _signature(function: Callable[..., dict[str, tf.Tensor]], *specs: tf.TensorSpec) -> Any:
    """A function that refuses inputs of another shape: once it is loaded, TensorFlow no longer looks at the shapes."""

    def checked(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return function(*(tf.ensure_shape(x, spec.shape) for x, spec in zip(inputs, specs, strict=True)))

    return _function(checked, specs)


def _function(function: Callable[..., dict[str, tf.Tensor]], signature: Any) -> Any:
    return tf.function(function, input_signature=signature, autograph=False)


def export(run_dir: str) -> str:
    """Writes RUN_DIR/export from the best weights of a run, and checks that its outputs equal the network's.

    Thresholds and calibration that `bird_tf.evaluate --tune` stored in an earlier export of the run are kept, and are
    in the signatures.

    Returns:
        The path of the SavedModel.

    Raises:
        InputError: as `run_directory.load`; the backbone is gone, and no earlier export holds a copy of its files; or
            an asset of it has the name of one of the model's, or a copy of its files is not the same backbone.
        RuntimeError: the outputs of the SavedModel differ from the network's.
    """
    run, network = run_directory.load(run_dir)
    target = os.path.join(run_dir, EXPORT)
    tuned = os.path.join(target, decisions.ASSET)
    fitted = decisions.load(tuned, run.classes, 1).chunk if files.exists(tuned) else None
    source = _source(run.backbone, os.path.join(target, model_files.BACKBONE)) if run.backbone else None
    module, signatures = serving_module(run, network, fitted, source)
    with tempfile.TemporaryDirectory() as assets, files.replacing(target, durable=True) as temporary:
        if fitted:
            files.write_text(os.path.join(assets, os.path.basename(tuned)), files.read_text(tuned))
        prior.save(os.path.join(assets, run_directory.PRIOR), run.prior)
        if run.learnt is not None:
            learnt.save(assets, run.learnt)
        files.write_json(os.path.join(assets, os.path.basename(exported.FRONT_END)), frontend.describe(run.front_end))
        files.write_json(
            os.path.join(assets, os.path.basename(exported.DESCRIPTION)),
            {"format_version": exported.FORMAT_VERSION, **run_directory.description(run)},
        )
        taxonomy.save(os.path.join(assets, manifests.CLASSES), run.classes)
        module.assets = [tf.saved_model.Asset(os.path.join(assets, name)) for name in sorted(os.listdir(assets))]
        saved_model.write(module, temporary, signatures)
        for name in os.listdir(assets):
            if files.read_bytes(os.path.join(temporary, "assets", name)) != files.read_bytes(
                os.path.join(assets, name)
            ):
                raise config.InputError(
                    f"{run_dir}: the backbone has an asset {name}, and so has the model; it cannot hold this backbone"
                )
        if source and not source.is_saved_model:
            folder = os.path.join(temporary, model_files.BACKBONE)
            for path in (source.model, source.labels):
                files.write_bytes(os.path.join(folder, os.path.basename(path)), files.read_bytes(path))
            backbone.Backbone(sources.from_description(run.backbone or {}, run_dir, folder), run.classes)
        difference = _largest_difference(temporary, run, network, source)
        if not difference <= _TOLERANCE:
            raise RuntimeError(f"{target}: the outputs of the saved model differ from the network's by {difference:g}")
    logging.info("exported %s (largest difference after reloading: %.1e)", target, difference)
    sources.log_credits("it", run.backbones)
    return target


def _source(described: Mapping[str, Any], copies: str) -> sources.Source:
    """The backbone of a head where the records had it, or else the copy in an earlier export."""
    try:
        return sources.from_description(described, "the head")
    except config.InputError:
        if not files.exists(copies):
            raise
        return sources.from_description(described, "the head", copies)


def _largest_difference(
    path: str, run: run_directory.Run, network: keras.Model, source: sources.Source | None
) -> float:
    """Largest difference of scores between a SavedModel and the network, on noise, a tone and silence (0).

    Of a head it is that of random features if its backbone is no part of the graph.
    """
    signatures = tf.saved_model.load(path).signatures
    generator = np.random.default_rng(0)
    if "serving_default" not in signatures:
        features = {f.name: tf.constant(generator.normal(0, 1, (3, *f.shape)), tf.float32) for f in run.features}
        expected = losses.probabilities(architectures.call(network, features, training=False)["logits"], run.loss)
        return float(tf.reduce_max(tf.abs(signatures[saved_model.HEAD](**features)["scores"] - expected)))
    spans = _hearing(run)
    time = np.arange(spans.span_samples) / spans.sample_rate_hz
    tone = 0.5 * np.sin(2 * np.pi * 0.5 * (run.front_end.fmin_hz + run.front_end.fmax_hz) * time)
    samples = np.stack([generator.normal(0, 0.1, len(time)), tone, np.zeros_like(time)]).astype(np.float32)
    if source:
        logits, embeddings = windows.answers(backbone.load(source, run.classes), spans, samples)
        features = {schema.EMBEDDING: tf.constant(embeddings), schema.BACKBONE_ANSWERS: tf.constant(logits)}
    else:
        features = {schema.SPECTROGRAM: frontend.spectrograms(samples, run.front_end)}
    logits = architectures.call(network, features, training=False)["logits"]
    expected = losses.probabilities(logits, run.loss) * [[1.0], [1.0], [0.0]]
    reloaded = signatures["serving_default"](samples=tf.constant(samples))
    return float(tf.reduce_max(tf.abs(reloaded["scores"] - expected)))

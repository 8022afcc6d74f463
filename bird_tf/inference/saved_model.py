"""One exported model: its graph, and its outputs for chunks."""

from __future__ import annotations

import contextlib
import functools
import os
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from bird_tf import config, executor, files, tf
from bird_tf.audio import frontend, hearing
from bird_tf.backbones import backbone, exported, sources, windows
from bird_tf.inference import model_files, strangeness
from bird_tf.labels import taxonomy
from bird_tf.records import manifests, schema
from bird_tf.scores import prior

# The default number of chunks in each call of a model. The last call is filled up with zeros: one graph, equal scores.
BATCH_SIZE = 16
# what TensorFlow raises for graphs and variables that are damaged, beside its own `tf.errors.OpError`
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError, RuntimeError)
# one call gives the outputs of serving_default and the embeddings; models of version 0.1.0 do not have this signature
_PREDICT_AND_EMBED = "predict_and_embed"
# the signatures of samples: to scores, and to spectrograms
_SAMPLES, _FRONT_END = "serving_default", "frontend"
# the signature of a head, from the features that a backbone makes
HEAD = "features"


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Inside the block, only errors are logged."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def write(module: tf.Module, folder: str, signatures: Mapping[str, Any]) -> None:
    """Writes a SavedModel, without TensorFlow's warnings about the names of its own functions."""
    with without_warnings():
        tf.saved_model.save(module, folder, signatures=dict(signatures))


class Outputs(NamedTuple):
    """Outputs for chunks: of one model, or of several models along a first axis.

    Attributes:
        probabilities: [chunks, classes] float32.
        attention_logits: [chunks] float32, for pooling by attention; NaN if the model has no attention.
        embeddings: [chunks, features] float32, the input of the last layer; no features unless they were asked for.
        strangeness: [chunks] float32, see `strangeness`; 0 if it is unknown.
    """

    probabilities: np.ndarray
    attention_logits: np.ndarray
    embeddings: np.ndarray
    strangeness: np.ndarray

    def without_calls(self, silent: np.ndarray) -> Outputs:
        """Probability 0 for all classes, and strangeness 0, in chunks without sound, [chunks] bool."""
        if not silent.any():
            return self
        return self._replace(
            probabilities=np.where(silent[:, None], np.float32(0), self.probabilities),
            strangeness=np.where(silent, np.float32(0), self.strangeness),
        )


def without_embeddings(probabilities: np.ndarray, attention_logits: np.ndarray | None) -> Outputs:
    """Outputs of a model: NaN where there is no attention, no embeddings, and unknown strangeness.

    Args:
        probabilities: [..., classes] float32.
        attention_logits: [...] float32, or None.
    """
    leading = probabilities.shape[:-1]
    if attention_logits is None:
        attention_logits = np.full(leading, np.nan, np.float32)
    no_embeddings, unknown = np.zeros((*leading, 0), np.float32), np.zeros(leading, np.float32)
    return Outputs(probabilities, attention_logits, no_embeddings, unknown)


class Model:
    """One SavedModel.

    Attributes:
        path: its folder, as it was given.
        folder: that folder, also after a change of the working directory.
        batch_size: chunks in each call.
        front_end: chunk → spectrogram; of a head, that of its records, which says how long a chunk is.
        classes: in the order of the outputs.
        features: the features of a chunk that its network takes.
        description: of its training.
        prior: of the training recordings; in models of early versions, which lack it, one that changes nothing.
        fingerprint: models with equal fingerprints have equal raw outputs, whatever their calibration.
    """

    def __init__(self, path: str, batch_size: int = BATCH_SIZE) -> None:
        """Loads a SavedModel. Each call will have `batch_size` chunks.

        Raises:
            InputError: the folder is not a SavedModel of bird_tf, is damaged, or has another front-end version.
        """
        model_files.check(path)
        # A GPU would round the factors of products to 11 bits, and give other scores than a processor.
        tf.config.experimental.enable_tensor_float_32_execution(False)
        assets = os.path.join(path, "assets")
        self.path, self.batch_size = path, batch_size
        self.folder = path if files.is_remote(path) else os.path.abspath(path)
        self.front_end = frontend.load(os.path.join(path, exported.FRONT_END))
        self.description = model_files.read_description(path)
        listed = os.path.join(assets, manifests.CLASSES)
        self.classes = model_files.read_classes(listed, self.description)
        self.features = self.description.features or (schema.spectrogram_feature(self.front_end),)
        try:
            if files.exists(os.path.join(path, "fingerprint.pb")):  # if it is damaged, TensorFlow logs a traceback
                tf.saved_model.experimental.read_fingerprint(path)
            self._loaded = tf.saved_model.load(path)  # the signatures need this reference
        except (*_UNREADABLE, tf.errors.OpError) as error:
            raise config.InputError(
                f"{path} is damaged ({str(error)[:300]}); export the run again with bird_tf.export"
            ) from error
        network = self._loaded.signatures.get(self._network)
        if network is not None and network.structured_outputs["logits"].shape[-1] != len(self.classes):
            raise model_files.other_classes(listed)
        # now: until they are asked for, the folder may become that of another model
        asset = os.path.join(path, prior.ASSET)
        self.prior: prior.Prior = prior.load(asset) if files.exists(asset) else prior.fit([], self.classes)
        self.fingerprint = exported.fingerprint(path)

    @functools.cached_property
    def hearing(self) -> hearing.Hearing:
        """What it hears of a recording; `predict_samples` takes spans of it."""
        return self.description.hearing(self.front_end)

    @functools.cached_property
    def outside_backbone(self) -> backbone.Backbone | None:
        """The backbone of a head, if it is no SavedModel; otherwise all is in one graph."""
        described = self.description.backbone
        if not described or _SAMPLES in self._loaded.signatures:
            return None
        source = sources.from_description(described, self.path, os.path.join(self.folder, model_files.BACKBONE))
        threads = int(os.environ.get("TF_NUM_INTRAOP_THREADS", "0"))  # 1 in a worker process
        return backbone.load(source, self.classes, threads or executor.num_cores())

    @property
    def _network(self) -> str:
        """The signature of the network alone, from features."""
        return HEAD if model_files.is_head(self.features) else "spectrogram"

    @functools.cached_property
    def has_attention(self) -> bool:
        """Whether the model gives attention logits."""
        return "attention" in self._loaded.signatures[self._network].structured_outputs

    def _predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Outputs:
        """All outputs that the signature has."""
        available = self._loaded.signatures[signature].structured_outputs
        # the probabilities of a tuned model are calibrated; models of earlier versions have no other scores
        scores = "scores" if "scores" in available else "probabilities"
        wanted = (scores, "attention", "embeddings", strangeness.OUTPUT)
        names = [output for output in wanted if output in available]
        found = dict(zip(names, self._call(signature, inputs, *names), strict=True))
        outputs = without_embeddings(found[scores], found.get("attention"))
        return outputs._replace(
            embeddings=found.get("embeddings", outputs.embeddings),
            strangeness=found.get(strangeness.OUTPUT, outputs.strangeness),
        )

    def _function(self, signature: str) -> Callable[..., Mapping[str, tf.Tensor]]:
        """A signature; of those that begin with the front-end, one whose front-end is compiled here, if it can be."""
        loaded = self._loaded.signatures
        if signature not in (_SAMPLES, _FRONT_END) or self._compiled_front_end is None:
            return typing.cast(Callable[..., Mapping[str, tf.Tensor]], loaded[signature])
        compiled = self._compiled_front_end
        if signature == _FRONT_END:
            return compiled
        return lambda samples: loaded[self._network](**compiled(samples))

    @functools.cached_property
    def _compiled_front_end(self) -> Callable[[tf.Tensor], Mapping[str, tf.Tensor]] | None:
        """The front-end in the model, compiled by XLA, which takes a third less time; None on a GPU, and of a head.

        It is not stored so: TensorFlow Serving and TensorFlow Lite would compile it for each number of chunks, or not
        at all. The spectrograms are equal to 5e-5, as float32 is rounded in another order.
        """
        front_end = self._loaded.signatures.get(_FRONT_END)
        if front_end is None or tf.config.list_logical_devices("GPU"):
            return None
        samples = tf.TensorSpec([self.batch_size, self.front_end.chunk_samples], tf.float32)
        function = tf.function(lambda samples: front_end(samples=samples), [samples], jit_compile=True, autograph=False)
        return typing.cast(Callable[[tf.Tensor], Mapping[str, tf.Tensor]], function.get_concrete_function())

    def _call(self, signature: str, inputs: Mapping[str, np.ndarray], *output_names: str) -> list[np.ndarray]:
        """The outputs of these names for all inputs {name: [chunks, …]}, batch by batch."""
        function = self._function(signature)
        batches = []
        for first in range(0, len(next(iter(inputs.values()))), self.batch_size):
            parts = {name: values[first : first + self.batch_size] for name, values in inputs.items()}
            outputs = function(**{name: tf.constant(self._filled(part)) for name, part in parts.items()})
            count = len(next(iter(parts.values())))
            batches.append([outputs[output].numpy()[:count] for output in output_names])
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]

    def _filled(self, batch: np.ndarray) -> np.ndarray:
        """A batch of full size, with zeros at its end."""
        if len(batch) == self.batch_size:
            return batch
        padded = np.zeros((self.batch_size, *batch.shape[1:]), np.float32)
        padded[: len(batch)] = batch
        return padded

    def check_records(self, manifest: manifests.Manifest) -> None:
        """Refuses records whose chunks are not what the network takes.

        Raises:
            InputError: the records lack a feature; or another front-end or backbone has made it, of which the message
                names the difference; or their backbone was not asked for a class.
        """
        model_files.check_features(self.path, self.features, self.front_end, self.description.backbone, manifest)
        known = set((self.description.backbone or {}).get("classes", ()))
        asked = (manifest.backbone or {}).get("classes", manifest.classes.class_ids)
        if absent := sorted(known.difference(set(asked) & set(manifest.classes.class_ids))):
            raise config.InputError(
                f"{manifest.directory} has no answers of the backbone for {len(absent)} classes of {self.path}: "
                f"{', '.join(absent[:5])}; use the recordings instead"
            )

    def from_records(self, batch: Mapping[str, tf.Tensor], classes: taxonomy.Taxonomy) -> dict[str, tf.Tensor]:
        """The features of chunks from records that `check_records` accepts, as the network takes them.

        Args:
            batch: as from `schema.parse`, with spectrograms as uint8 or as float32 in [0, 1]; also in a graph.
            classes: of the records.

        Returns:
            {name: [batch, …] float32}; the backbone's answers in the order of the model's classes, NaN for those that
            it did not know when the model was trained.
        """
        found = {feature.name: batch[feature.name] for feature in self.features}
        if schema.SPECTROGRAM in found and found[schema.SPECTROGRAM].dtype == tf.uint8:
            found[schema.SPECTROGRAM] = frontend.dequantise(found[schema.SPECTROGRAM])
        if schema.BACKBONE_ANSWERS in found:
            known = (self.description.backbone or {}).get("classes", self.classes.class_ids)
            places = {class_id: index for index, class_id in enumerate(classes.class_ids) if class_id in known}
            columns = np.array([places.get(class_id, -1) for class_id in self.classes.class_ids])
            answers = tf.gather(found[schema.BACKBONE_ANSWERS], np.maximum(columns, 0), axis=1)
            found[schema.BACKBONE_ANSWERS] = tf.where(columns >= 0, answers, np.float32("nan"))
        return found

    def logits(self, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """{name: [batch, …]} as from `from_records` → [batch, classes] float32; any batch size, in a graph as well."""
        return self._loaded.signatures[self._network](**features)["logits"]

    def predict_samples(self, samples: np.ndarray, *, embeddings: bool = False) -> Outputs:
        """[chunks, span_samples] float32 in [-1, 1] → outputs, with embeddings if they are asked for."""
        if outside := self.outside_backbone:
            features = self._backbone_features(outside, samples)
            outputs = self.predict_features(features)
            return outputs._replace(embeddings=features[schema.EMBEDDING]) if embeddings else outputs
        if embeddings and _PREDICT_AND_EMBED in self._loaded.signatures:
            return self._predict(_PREDICT_AND_EMBED, {"samples": samples})
        outputs = self._predict(_SAMPLES, {"samples": samples})
        return outputs._replace(embeddings=self.embed(samples)) if embeddings else outputs

    def logits_of_samples(self, samples: np.ndarray) -> np.ndarray:
        """[chunks, span_samples] float32 in [-1, 1] → [chunks, classes] float32."""
        if outside := self.outside_backbone:
            features = self._backbone_features(outside, samples)
            return np.asarray(self.logits({name: tf.constant(values) for name, values in features.items()}))
        return self._call(_SAMPLES, {"samples": samples}, "logits")[0]

    def _backbone_features(self, outside: backbone.Backbone, spans: np.ndarray) -> dict[str, np.ndarray]:
        logits, embeddings = windows.answers(outside, self.hearing, spans)
        return {schema.EMBEDDING: embeddings, schema.BACKBONE_ANSWERS: logits}

    def predict_features(self, features: Mapping[str, np.ndarray]) -> Outputs:
        """{name: [chunks, …] float32} as from `from_records` → outputs, without embeddings."""
        return self._predict(self._network, features)

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """[chunks, span_samples] float32 in [-1, 1] → [chunks, features] float32, the input of the last layer."""
        if outside := self.outside_backbone:
            return self._backbone_features(outside, samples)[schema.EMBEDDING]
        return self._call("embed", {"samples": samples}, "embeddings")[0]

    def spectrograms(self, samples: np.ndarray) -> np.ndarray:
        """[chunks, front_end.chunk_samples] float32 in [-1, 1] → [chunks, bands, frames] float32 in [0, 1]."""
        if self._network == HEAD:
            return frontend.spectrograms(tf.constant(samples), self.front_end).numpy()
        return self._call(_FRONT_END, {"samples": samples}, "spectrogram")[0]

"""One exported model: its description and its outputs for chunks."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from bird_tf import config, files, tf
from bird_tf.audio import frontend, hearing
from bird_tf.labels import taxonomy
from bird_tf.scores import prior

# the description of the training
DESCRIPTION = "assets/train.json"
# in a run directory, beside the folder of the exported model
RUN_DESCRIPTION = "run.json"
# in the run directory of a training with --refit: the run that did not train on the validation recordings
VALIDATED = "validated"
# The default number of chunks in each call of a model. The last call is filled up with zeros: one graph, equal scores.
BATCH_SIZE = 16
# one call gives the outputs of serving_default and the embeddings; models of version 0.1.0 do not have this signature
_PREDICT_AND_EMBED = "predict_and_embed"


def folder_to_lock(path: str) -> str:
    """The folder that a command locks before it changes an exported model: its run, or, outside of a run, its own."""
    if files.is_remote(path):
        return path
    path = os.path.realpath(path)
    run = os.path.dirname(path)
    return run if os.path.exists(os.path.join(run, RUN_DESCRIPTION)) else path


class Outputs(NamedTuple):
    """Outputs for chunks: of one model, or of several models along a first axis.

    Attributes:
        probabilities: [chunks, classes] float32.
        attention_logits: [chunks] float32, for pooling by attention; NaN if the model has no attention.
        embeddings: [chunks, features] float32, the input of the last layer; no features unless they were asked for.
    """

    probabilities: np.ndarray
    attention_logits: np.ndarray
    embeddings: np.ndarray


def without_embeddings(probabilities: np.ndarray, attention_logits: np.ndarray | None) -> Outputs:
    """Outputs of a model: NaN where there is no attention, and no embeddings.

    Args:
        probabilities: [..., classes] float32.
        attention_logits: [...] float32, or None.
    """
    leading = probabilities.shape[:-1]
    if attention_logits is None:
        attention_logits = np.full(leading, np.nan, np.float32)
    return Outputs(probabilities, attention_logits, np.zeros((*leading, 0), np.float32))


class Model:
    """One SavedModel.

    Attributes:
        path: its folder.
        batch_size: chunks in each call.
        front_end: chunk → spectrogram.
        classes: in the order of the outputs.
        description: the content of train.json.
    """

    def __init__(self, path: str, batch_size: int = BATCH_SIZE) -> None:
        """Loads a SavedModel. Each call will have `batch_size` chunks.

        Raises:
            InputError: the folder is not a SavedModel of bird_tf, is damaged, or has another front-end version.
        """
        for place in (path, os.path.join(path, "variables")):
            if not files.exists(place):  # a killed command may have set it aside
                files.clean_up(os.path.dirname(place) or ".")
        assets = os.path.join(path, "assets")
        if not files.exists(os.path.join(path, "saved_model.pb")) or not files.exists(assets):
            inner = os.path.join(path, "export")
            hint = f"; did you mean {inner}?" if files.exists(inner) else "; train one with bird_tf.train"
            raise config.InputError(f"{path} is not an exported model{hint}")
        description_path = os.path.join(assets, "frontend.json")
        self.path, self.batch_size = path, batch_size
        self.front_end = frontend.from_description(files.read_json(description_path), description_path)
        self.classes = taxonomy.load(os.path.join(assets, "classes.csv"))
        self.description: Mapping[str, Any] = files.read_json(os.path.join(path, DESCRIPTION))
        try:
            self._loaded = tf.saved_model.load(path)  # the signatures need this reference
        except (OSError, ValueError, IndexError, tf.errors.OpError) as error:
            raise config.InputError(f"{path} is damaged ({error}); export the run again with bird_tf.export") from error

    @property
    def hearing(self) -> hearing.Hearing:
        """What it hears of a recording; `predict_samples` takes spans of it."""
        return hearing.of(self.front_end)

    @functools.cached_property
    def has_attention(self) -> bool:
        """Whether the model gives attention logits."""
        return "attention" in self._loaded.signatures["spectrogram"].structured_outputs

    def _predict(self, signature: str, name: str, inputs: np.ndarray) -> Outputs:
        """All outputs that the signature has."""
        available = self._loaded.signatures[signature].structured_outputs
        # the probabilities of a tuned model are calibrated; models of earlier versions have no other scores
        scores = "scores" if "scores" in available else "probabilities"
        names = [output for output in (scores, "attention", "embeddings") if output in available]
        found = dict(zip(names, self._call(signature, name, inputs, *names), strict=True))
        outputs = without_embeddings(found[scores], found.get("attention"))
        return outputs._replace(embeddings=found.get("embeddings", outputs.embeddings))

    def _call(self, signature: str, name: str, inputs: np.ndarray, *output_names: str) -> list[np.ndarray]:
        """The outputs of these names for all inputs [chunks, …], batch by batch."""
        function = self._loaded.signatures[signature]
        batches = []
        for first in range(0, len(inputs), self.batch_size):
            batch = inputs[first : first + self.batch_size]
            padded = np.zeros((self.batch_size, *inputs.shape[1:]), np.float32)
            padded[: len(batch)] = batch
            outputs = function(**{name: tf.constant(padded)})
            batches.append([outputs[output].numpy()[: len(batch)] for output in output_names])
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]

    def check_front_end(self, front_end: frontend.FrontendConfig, directory: str) -> None:
        """Refuses records whose spectrograms come from another front-end.

        Raises:
            InputError: the front-ends differ; the message names the fields.
        """
        if self.front_end != front_end:
            ours, theirs = config.to_mapping(self.front_end), config.to_mapping(front_end)
            names = ", ".join(f"{k} {ours[k]} / {theirs[k]}" for k in ours if ours[k] != theirs[k])
            raise config.InputError(f"{self.path} and {directory} have different front-ends: {names}")

    def logits(self, spectrograms: tf.Tensor) -> tf.Tensor:
        """[batch, bands, frames] float32 in [0, 1] → [batch, classes] float32; any batch size, in a graph as well."""
        return self._loaded.signatures["spectrogram"](spectrogram=spectrograms)["logits"]

    def predict_samples(self, samples: np.ndarray, *, embeddings: bool = False) -> Outputs:
        """[chunks, chunk_samples] float32 in [-1, 1] → outputs, with embeddings if they are asked for."""
        if embeddings and _PREDICT_AND_EMBED in self._loaded.signatures:
            return self._predict(_PREDICT_AND_EMBED, "samples", samples)
        outputs = self._predict("serving_default", "samples", samples)
        return outputs._replace(embeddings=self.embed(samples)) if embeddings else outputs

    def predict_spectrograms(self, spectrograms: np.ndarray) -> Outputs:
        """[chunks, bands, frames] float32 in [0, 1] → outputs, without embeddings."""
        return self._predict("spectrogram", "spectrogram", spectrograms)

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """[chunks, chunk_samples] float32 in [-1, 1] → [chunks, features] float32, the input of the last layer."""
        return self._call("embed", "samples", samples, "embeddings")[0]

    def spectrograms(self, samples: np.ndarray) -> np.ndarray:
        """[chunks, chunk_samples] float32 in [-1, 1] → [chunks, bands, frames] float32 in [0, 1]."""
        return self._call("frontend", "samples", samples, "spectrogram")[0]

    @functools.cached_property
    def prior(self) -> prior.Prior:
        """The prior of the training recordings; without that asset (in earlier versions), one that changes nothing."""
        path = os.path.join(self.path, prior.ASSET)
        return prior.load(path) if files.exists(path) else prior.fit([], self.classes)

    @property
    def fingerprint(self) -> str:
        """A digest of graph and weights: SavedModels with equal fingerprints have equal outputs."""
        names = ("saved_model.pb", os.path.join("variables", "variables.data-00000-of-00001"))
        return files.digest([files.checksum(os.path.join(self.path, name)) for name in names])

"""One exported model: what it says of itself, and its outputs for chunks."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from bird_tf import config, files, tf
from bird_tf.audio import frontend
from bird_tf.labels import taxonomy
from bird_tf.scores import prior

# what a model says of its training
DESCRIPTION = "assets/train.json"
# within the run directory of a training with --refit, the run that has not learnt from the validation recordings
VALIDATED = "validated"
# Every call of a model has so many chunks unless asked otherwise, the last one filled up: one graph, equal scores.
BATCH_SIZE = 16


class Outputs(NamedTuple):
    """What one model, or with a first axis several, say of chunks.

    Attributes:
        probabilities: [chunks, classes] float32.
        attention: [chunks] float32, how much each claims; not a number if the model does not say.
    """

    probabilities: np.ndarray
    attention: np.ndarray


class Model:
    """One SavedModel and what it says of itself.

    Attributes:
        path: where it lies.
        front_end: chunk → spectrogram.
        classes: in the order of its outputs.
        description: what its train.json holds.
    """

    def __init__(self, path: str, batch_size: int = BATCH_SIZE) -> None:
        """Loads a SavedModel that is always called with `batch_size` chunks.

        Raises:
            InputError: the folder is no SavedModel of bird_tf, damaged, or of another front-end version.
        """
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
            self._loaded = tf.saved_model.load(path)  # the signatures live as long as this does
        except (OSError, ValueError, IndexError, tf.errors.OpError) as error:
            raise config.InputError(f"{path} is damaged ({error}); export the run again with bird_tf.export") from error

    @functools.cached_property
    def has_attention(self) -> bool:
        """Whether it says how much attention chunks claim."""
        return "attention" in self._loaded.signatures["spectrogram"].structured_outputs

    def _answers(self, signature: str, name: str, inputs: np.ndarray) -> Outputs:
        if self.has_attention:
            return Outputs(*self._call(signature, name, inputs, "probabilities", "attention"))
        [probabilities] = self._call(signature, name, inputs, "probabilities")
        return Outputs(probabilities, np.full(len(inputs), np.nan, np.float32))

    def _call(self, signature: str, name: str, inputs: np.ndarray, *outputs: str) -> list[np.ndarray]:
        function = self._loaded.signatures[signature]
        answers = []
        for first in range(0, len(inputs), self.batch_size):
            batch = inputs[first : first + self.batch_size]
            filled = np.zeros((self.batch_size, *inputs.shape[1:]), np.float32)
            filled[: len(batch)] = batch
            said = function(**{name: tf.constant(filled)})
            answers.append([said[output].numpy()[: len(batch)] for output in outputs])
        return [np.concatenate(parts) for parts in zip(*answers, strict=True)]

    def check_front_end(self, front_end: frontend.FrontendConfig, directory: str) -> None:
        """Refuses spectrograms of other records than those the model knows how to read.

        Raises:
            InputError: the front-ends differ; the message names where.
        """
        if self.front_end != front_end:
            ours, theirs = config.to_mapping(self.front_end), config.to_mapping(front_end)
            names = ", ".join(f"{k} {ours[k]} / {theirs[k]}" for k in ours if ours[k] != theirs[k])
            raise config.InputError(f"{self.path} and {directory} have different front-ends: {names}")

    def logits(self, spectrograms: tf.Tensor) -> tf.Tensor:
        """[batch, bands, frames] float32 in [0, 1] → [batch, classes] float32; in a graph too, in any batch size."""
        return self._loaded.signatures["spectrogram"](spectrogram=spectrograms)["logits"]

    def predict_samples(self, samples: np.ndarray) -> Outputs:
        """[chunks, chunk_samples] float32 in [-1, 1] → what it says of them."""
        return self._answers("serving_default", "samples", samples)

    def predict_spectrograms(self, spectrograms: np.ndarray) -> Outputs:
        """[chunks, bands, frames] float32 in [0, 1] → what it says of them."""
        return self._answers("spectrogram", "spectrogram", spectrograms)

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """[chunks, chunk_samples] float32 in [-1, 1] → [chunks, features] float32, what the last layer sees."""
        return self._call("embed", "samples", samples, "embeddings")[0]

    def spectrograms(self, samples: np.ndarray) -> np.ndarray:
        """[chunks, chunk_samples] float32 in [-1, 1] → [chunks, bands, frames] float32 in [0, 1]."""
        return self._call("frontend", "samples", samples, "spectrogram")[0]

    @functools.cached_property
    def prior(self) -> prior.Prior:
        """What its training recordings tell; nothing in models exported by earlier versions."""
        path = os.path.join(self.path, prior.ASSET)
        return prior.load(path) if files.exists(path) else prior.fit([], self.classes)

    @property
    def fingerprint(self) -> str:
        """Equal for SavedModels that answer alike: a digest of graph and weights."""
        names = ("saved_model.pb", os.path.join("variables", "variables.data-00000-of-00001"))
        return files.digest([files.checksum(os.path.join(self.path, name)) for name in names])

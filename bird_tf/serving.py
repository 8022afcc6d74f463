"""SavedModels as they answer: what one says of itself, and several that vote.

Needs nothing of the training side: front-end, classes, pooling and decisions come out of the SavedModel. How audio
reaches the models belongs to `scoring`.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bird_tf import config, decisions, files, frontend, pooling, prior, taxonomy, tf

# what a model says of its training
DESCRIPTION = "assets/train.json"
# within the run directory of a training with --refit, the run that has not learnt from the validation recordings
VALIDATED = "validated"

# Every call of a model has so many chunks unless asked otherwise, the last one filled up: one graph, equal scores.
BATCH_SIZE = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scores:
    """What the models say of one recording.

    Attributes:
        path: the audio file.
        duration_seconds: its length.
        start_seconds, end_seconds: [chunks] float64, when each chunk begins and ends.
        members: [models, chunks, classes] float32 in [0, 1], what each model says.
        probabilities: [chunks, classes] float32 in [0, 1], their weighted mean.
        attentions: [models, chunks] float32, how much each model says that a chunk claims; not a number if it does not.
        attention: [chunks] float32, their weighted mean.
        embeddings: [chunks, features] float32 of the first model; no rows unless they were asked for.
    """

    path: str
    duration_seconds: float
    start_seconds: np.ndarray
    end_seconds: np.ndarray
    members: np.ndarray
    probabilities: np.ndarray
    attentions: np.ndarray
    attention: np.ndarray
    embeddings: np.ndarray


class Answers(NamedTuple):
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
    def attends(self) -> bool:
        """Whether it says how much attention chunks claim."""
        return "attention" in self._loaded.signatures["spectrogram"].structured_outputs

    def _answers(self, signature: str, name: str, inputs: np.ndarray) -> Answers:
        if self.attends:
            return Answers(*self._call(signature, name, inputs, "probabilities", "attention"))
        [probabilities] = self._call(signature, name, inputs, "probabilities")
        return Answers(probabilities, np.full(len(inputs), np.nan, np.float32))

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

    def hear(self, samples: np.ndarray) -> Answers:
        """[chunks, chunk_samples] float32 in [-1, 1] → what it says of them."""
        return self._answers("serving_default", "samples", samples)

    def see(self, spectrograms: np.ndarray) -> Answers:
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


class Ensemble:
    """One or more models of the same classes; the weighted mean of their probabilities counts.

    Attributes:
        models: the members; the first one's chunks are those of the result.
        classes: the first one's.
        decisions: pooling, weights, calibration and thresholds.
    """

    def __init__(self, paths: Sequence[str], decisions_path: str = "", batch_size: int = BATCH_SIZE) -> None:
        """Loads the members.

        Args:
            paths: SavedModels.
            decisions_path: a file of decisions; empty: a single model's own, where it has some; "none": none.
            batch_size: chunks in each call.

        Raises:
            InputError: as `Model`; no model; members that know different classes; or decisions of other models.
        """
        if not paths:
            raise config.InputError("--model is missing: name an exported model, as runs/NAME/export")
        if batch_size < 1:
            raise config.InputError(f"--batch_size={batch_size}: must be at least 1")
        self.models = [Model(path, batch_size) for path in paths]
        self.classes = self.models[0].classes
        for other in self.models[1:]:
            if set(other.classes.class_ids) != set(self.classes.class_ids):
                raise config.InputError(
                    f"{other.path} knows other classes than {self.models[0].path}: they cannot vote together"
                )
        self._orders = [[m.classes.index(class_id) for class_id in self.classes.class_ids] for m in self.models]
        self.decisions = self._decisions(decisions_path)

    def _decisions(self, path: str) -> decisions.Decisions:
        own = os.path.join(self.models[0].path, decisions.ASSET)
        if path == "none" or (not path and (len(self.models) > 1 or not files.exists(own))):
            return decisions.neutral(self.classes, len(self.models), str(self.models[0].description["pooling"]))
        return decisions.load(path or own, self.classes, len(self.models))

    @property
    def prior(self) -> prior.Prior:
        """The first model's."""
        return self.models[0].prior

    def check_pooling(self, method: str) -> str:
        """Returns the method, if the members can do it.

        Raises:
            InputError: there is no such method, or it is attention, and a member gives none.
        """
        pooling.check(method)
        silent = [model.path for model in self.models if not model.attends]
        if method == pooling.ATTENTION and silent:
            raise config.InputError(
                f"--pooling={method}: {silent[0]} gives none; name another --pooling, or export it again with "
                "bird_tf.export if it is an attention network of an earlier version"
            )
        return method

    def in_order(self, model: int, answers: Answers) -> Answers:
        """What a member says, in the order of the ensemble's classes."""
        return answers if model == 0 else answers._replace(probabilities=answers.probabilities[:, self._orders[model]])

    def see(self, spectrograms: np.ndarray) -> Answers:
        """[chunks, bands, frames] float32 → [models, chunks, …], of members with equal front-ends."""
        said = [self.in_order(i, model.see(spectrograms)) for i, model in enumerate(self.models)]
        return Answers(*map(np.stack, zip(*said, strict=True)))

    def mix(self, members: np.ndarray) -> np.ndarray:
        """[models, chunks, …] → [chunks, …] float32, the weighted mean over models, of probabilities or attention."""
        if len(members) == 1:
            return members[0]
        mixed = np.tensordot(np.asarray(self.decisions.weights, np.float32), members, axes=1)
        return np.minimum(mixed, members.max(axis=0))  # rounding may put it a hair above all of them


def align(
    scores: np.ndarray,
    own_start: np.ndarray,
    own_end: np.ndarray,
    start_seconds: np.ndarray,
    end_seconds: np.ndarray,
) -> np.ndarray:
    """Chunk scores on other chunks' times: the mean over the chunks that overlap, weighted by the time they share.

    Args:
        scores: [n, …] of n chunks.
        own_start, own_end: [n] their times, rising.
        start_seconds, end_seconds: [m] the times wanted.

    Returns:
        [m, …]; equal times, equal scores; where nothing overlaps, the nearest chunk's.
    """
    if np.array_equal(start_seconds, own_start) and np.array_equal(end_seconds, own_end):
        return scores
    aligned = np.empty((len(start_seconds), *scores.shape[1:]), scores.dtype)
    for i, (start, end) in enumerate(zip(start_seconds, end_seconds, strict=True)):
        first, last = np.searchsorted(own_end, start, side="right"), np.searchsorted(own_start, end, side="left")
        if first >= last:
            first = int(np.argmin(np.abs(own_start + own_end - start - end)))
            last = first + 1
        shared = np.minimum(end, own_end[first:last]) - np.maximum(start, own_start[first:last])
        weights = shared if last - first > 1 else np.ones(1)
        aligned[i] = weights @ scores[first:last] / weights.sum()
    return aligned

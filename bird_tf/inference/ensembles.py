"""Ensembles of exported models, and their scores for one recording."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence

import numpy as np
from absl import logging

from bird_tf import config, files, next_steps, tf
from bird_tf.audio import activity
from bird_tf.inference import saved_model, serving
from bird_tf.labels import taxonomy
from bird_tf.scores import decisions, pooling, prior


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordingScores:
    """The models' scores of one recording.

    Attributes:
        path: the audio file.
        duration_seconds: its length.
        start_seconds, end_seconds: [chunks] float64, the time of each chunk.
        member_probabilities: [models, chunks, classes] float32 in [0, 1], of each model; NaN for classes that it does
            not know.
        probabilities: [chunks, classes] float32 in [0, 1], the models' weighted mean.
        member_attention_logits: [models, chunks] float32; NaN for a model without attention.
        attention_logits: [chunks] float32, the models' weighted mean.
        embeddings: [chunks, features] float32 of the first model; no features unless they were asked for.
        strangeness: how unlike the training recordings of the first model it sounds, see `strangeness`; NaN if unknown.
        lost_seconds: how much of it could not be decoded.
        note: what was noticed of the file while it was read; empty if nothing was.
        source: tells which file was read, as `audio_files.source` before it was opened.
        sample_rate_hz: of the file, not of the models; 0 if it is not known.
    """

    path: str
    duration_seconds: float
    start_seconds: np.ndarray
    end_seconds: np.ndarray
    member_probabilities: np.ndarray
    probabilities: np.ndarray
    member_attention_logits: np.ndarray
    attention_logits: np.ndarray
    embeddings: np.ndarray
    strangeness: float = math.nan
    lost_seconds: float = 0.0
    note: str = ""
    source: str = ""
    sample_rate_hz: float = 0.0


class Ensemble:
    """One or more models. Its probabilities are, for each class, the weighted mean of the models that know the class.

    Attributes:
        models: the members. The result has the chunks of the first one.
        classes: those of the first model, then the further ones of the others.
        decisions: pooling, weights, calibration and thresholds.
    """

    def __init__(
        self, paths: Sequence[str], decisions_path: str = "", batch_size: int = saved_model.BATCH_SIZE
    ) -> None:
        """Loads the members.

        Args:
            paths: SavedModels.
            decisions_path: file of decisions; "": those inside a single model, if it has some; "none": neutral ones.
            batch_size: chunks in each call of a model.

        Raises:
            InputError: as `Model`; no model; or decisions for other models.
        """
        if not paths:
            raise config.InputError("--model is missing: name an exported model, as runs/NAME/export")
        if batch_size < 1:
            raise config.InputError(f"--batch_size={batch_size}: must be at least 1")
        self.models = [saved_model.Model(path, batch_size) for path in paths]
        self.classes = taxonomy.union([model.classes for model in self.models])
        self._places = [[self.classes.index(class_id) for class_id in m.classes.class_ids] for m in self.models]
        for model in self.models:
            if missing := [c for c in self.classes.class_ids if c not in model.classes.class_ids]:
                logging.info(
                    "%s does not vote on %d classes that it lacks: %s", model.path, len(missing), ", ".join(missing[:5])
                )
        self._warn_of_shorter_chunks()
        self.decisions = self._decisions(decisions_path)

    @property
    def paths(self) -> list[str]:
        """The folders of the members."""
        return [model.path for model in self.models]

    def _warn_of_shorter_chunks(self) -> None:
        """Tells if answers of a model are means over longer chunks, those of the first model."""
        seconds = [model.hearing.chunk_seconds for model in self.models]
        shortest = self.models[seconds.index(min(seconds))]
        if shortest.hearing.chunk_seconds < seconds[0]:
            logging.warning(
                "%s hears chunks of %g s, and answers are for chunks of %g s, those of the first model: in the mean "
                "over one of these, a short call gets lost; name the model with the shortest chunks first",
                shortest.path, shortest.hearing.chunk_seconds, seconds[0],
            )  # fmt: skip

    def _decisions(self, path: str) -> decisions.Decisions:
        own = os.path.join(self.models[0].path, decisions.ASSET)
        if path == "none" or (not path and (len(self.models) > 1 or not files.exists(own))):
            return decisions.neutral(self.classes, len(self.models), self.models[0].description.pooling)
        decided = decisions.load(path or own, self.classes, len(self.models))
        if path and decided.models:  # a model's own decisions are for it
            self._check_models(path, decided.models)
        return decided

    def _check_models(self, path: str, made_for: Sequence[Sequence[str]]) -> None:
        """Refuses decisions that were made for other models, or for these in another order; as `Decisions.models`."""
        digests = {model.path: serving.digest(model.path) for model in self.models}
        if all(digests[model.path] in known for model, known in zip(self.models, made_for, strict=True)):
            return
        for model in self.models:
            if not any(digests[model.path] in known for known in made_for):
                raise config.InputError(
                    f"--decisions={path} was made for other models than {model.path}; run "
                    f"{next_steps.command('evaluate', tune=True)}"
                )
        order = [next((name for name, own in digests.items() if own in known), "…") for known in made_for]
        flags = " ".join(f"--model={name}" for name in order)
        raise config.InputError(f"--decisions={path} was made for the models in another order: write {flags}")

    @property
    def prior(self) -> prior.Prior:
        """The first model's prior; for classes that it lacks, that of the first model that has them."""
        return prior.joined([model.prior for model in self.models])

    @property
    def scale(self) -> str:
        """A digest of what gives probabilities over time: models, weights, context, calibration; not the thresholds."""
        decided = self.decisions
        around = [decided.context.describe(), decided.answers.slope, decided.answers.intercept]
        return files.digest([*(serving.digest(model.folder) for model in self.models), *decided.weights, *around])

    @property
    def shortest_chunk_seconds(self) -> float:
        """The length of a chunk of the model with the shortest chunks."""
        return min(model.hearing.chunk_seconds for model in self.models)

    def channel(self, asked: str) -> str:
        """What is heard of several channels: as --channel asks, else as the first model has heard."""
        return asked or self.models[0].hearing.channel

    def check_pooling(self, method: str) -> str:
        """Returns the method if all members have what it needs.

        Raises:
            InputError: no such method, or pooling by attention with a model that has none.
        """
        pooling.check(method)
        without_attention = [model.path for model in self.models if not model.has_attention]
        if method == pooling.ATTENTION and without_attention:
            raise config.InputError(
                f"--pooling={method}: {without_attention[0]} gives no attention; name another --pooling, or, if it is "
                "an attention network of an earlier version, export it again with bird_tf.export"
            )
        return method

    def predict_samples(self, member: int, samples: np.ndarray, *, embeddings: bool = False) -> saved_model.Outputs:
        """[chunks, chunk_samples] → outputs of one member, in the order of the ensemble's classes."""
        model = self.models[member]
        outputs = model.predict_samples(samples, embeddings=embeddings)
        # new models do this themselves; it would be a call in every recorder's dead hours
        silent = ~activity.has_sound(samples, model.hearing.sample_rate_hz).numpy()
        return self._in_place(member, outputs.without_calls(silent))

    def predict_records(self, batch: Mapping[str, tf.Tensor], classes: taxonomy.Taxonomy) -> saved_model.Outputs:
        """Outputs of all members, [models, chunks, …], for chunks of records that each of them accepts.

        Args:
            batch: as from `schema.parse`, with the features that the members take.
            classes: of the records.
        """
        outputs = []
        for i, model in enumerate(self.models):
            features = {name: value.numpy() for name, value in model.from_records(batch, classes).items()}
            outputs.append(self._in_place(i, model.predict_features(features)))
        return saved_model.Outputs(*map(np.stack, zip(*outputs, strict=True)))

    def _in_place(self, member: int, outputs: saved_model.Outputs) -> saved_model.Outputs:
        """Outputs in the order of the ensemble's classes; NaN for those that the member lacks."""
        if self._places[member] == list(range(len(self.classes))):
            return outputs
        placed = np.full((len(outputs.probabilities), len(self.classes)), np.nan, np.float32)
        placed[:, self._places[member]] = outputs.probabilities
        return outputs._replace(probabilities=placed)

    def mix(self, members: np.ndarray) -> np.ndarray:
        """[models, chunks, …] probabilities or attention logits → [chunks, …] float32, as `decisions.mix`."""
        return decisions.mix(members, self.decisions.weights)


def align(
    scores: np.ndarray,
    own_start: np.ndarray,
    own_end: np.ndarray,
    start_seconds: np.ndarray,
    end_seconds: np.ndarray,
) -> np.ndarray:
    """Scores of chunks → scores at other times: the mean over overlapping chunks, weighted by the shared time.

    Args:
        scores: [n, …] of n chunks.
        own_start, own_end: [n] the times of these chunks, in rising order.
        start_seconds, end_seconds: [m] the new times.

    Returns:
        [m, …]. Equal times give equal scores. A time without an overlapping chunk gets the scores of the nearest one.
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

"""Several exported models that vote, and their scores for one recording."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from bird_tf import config, files
from bird_tf.inference import saved_model
from bird_tf.scores import decisions, pooling, prior


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordingScores:
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


class Ensemble:
    """One or more models of the same classes; the weighted mean of their probabilities counts.

    Attributes:
        models: the members; the first one's chunks are those of the result.
        classes: the first one's.
        decisions: pooling, weights, calibration and thresholds.
    """

    def __init__(
        self, paths: Sequence[str], decisions_path: str = "", batch_size: int = saved_model.BATCH_SIZE
    ) -> None:
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
        self.models = [saved_model.Model(path, batch_size) for path in paths]
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
        silent = [model.path for model in self.models if not model.has_attention]
        if method == pooling.ATTENTION and silent:
            raise config.InputError(
                f"--pooling={method}: {silent[0]} gives none; name another --pooling, or export it again with "
                "bird_tf.export if it is an attention network of an earlier version"
            )
        return method

    def in_order(self, model: int, answers: saved_model.Outputs) -> saved_model.Outputs:
        """What a member says, in the order of the ensemble's classes."""
        return answers if model == 0 else answers._replace(probabilities=answers.probabilities[:, self._orders[model]])

    def predict_spectrograms(self, spectrograms: np.ndarray) -> saved_model.Outputs:
        """[chunks, bands, frames] float32 → [models, chunks, …], of members with equal front-ends."""
        said = [self.in_order(i, model.predict_spectrograms(spectrograms)) for i, model in enumerate(self.models)]
        return saved_model.Outputs(*map(np.stack, zip(*said, strict=True)))

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

"""Answers in context: the score of a chunk, changed by the chunks around it and by the best one of its recording.

Only answers over time are changed: of chunks and of segments. The score of a whole recording stays that of its chunks.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from bird_tf import config


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """What changes the scores of a recording's chunks; all off: nothing.

    Attributes:
        smoothing: share of the two chunks before and after, which touch a chunk; in [0, 1).
        best_chunk: power p: each score is multiplied by (best score of the class in the recording) ** p; at least 0.
        shifted: whether the mean over chunks shifted by half a chunk is taken; it costs twice the time.
    """

    smoothing: float = 0.0
    best_chunk: float = 0.0
    shifted: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1 or not 0 <= self.best_chunk < np.inf:
            raise config.InputError(
                f"answers in context: smoothing is {self.smoothing} and must be in [0, 1); best_chunk is "
                f"{self.best_chunk} and must be 0 or more"
            )

    @property
    def active(self) -> bool:
        """Whether it changes anything."""
        return self != Context()

    def describe(self) -> str:
        """In words, for a report: "smoothing 0.2, best chunk 0.5, shifted chunks"; empty if it changes nothing."""
        parts = [f"smoothing {self.smoothing:g}"] * (self.smoothing > 0)
        parts += [f"best chunk {self.best_chunk:g}"] * (self.best_chunk > 0)
        return ", ".join(parts + ["shifted chunks"] * self.shifted)

    def answers(self, scores: np.ndarray, hops: float, kept: np.ndarray) -> np.ndarray:
        """The scores of a recording's chunks in context.

        No answer is above the best chunk of its class, and a score of 0 (silence) stays 0.

        Args:
            scores: [chunks, classes] in [0, 1], in the order of time.
            hops: length of a chunk, in steps from one chunk to the next one: 1 for chunks without overlap.
            kept: [answers] indices of the chunks whose answers are asked for.

        Returns:
            [answers, classes] of the dtype of the scores.
        """
        if not self.active or not len(scores):
            return scores[kept]
        changed = _overlap_mean(scores, hops) if self.shifted else scores
        if self.smoothing:
            touching = max(1, round(hops))
            indices = np.arange(len(scores))
            # at an end, the chunk itself stands for the one that is missing
            before = np.where(indices >= touching, indices - touching, indices)
            after = np.where(indices + touching < len(scores), indices + touching, indices)
            neighbours = (changed[before] + changed[after]) / 2
            changed = (1 - self.smoothing) * changed + self.smoothing * neighbours
        best = scores.max(axis=0)
        if self.best_chunk:
            changed = changed * best**self.best_chunk
        changed = np.where(scores > 0, np.minimum(changed, best), 0)  # rounding can make a mean larger
        return np.asarray(changed[kept], scores.dtype)


def _overlap_mean(scores: np.ndarray, hops: float) -> np.ndarray:
    """The mean over the chunks that overlap a chunk, weighted by the shared time, itself included."""
    total, weights = np.array(scores), np.ones(len(scores), scores.dtype)
    for distance in range(1, min(len(scores), int(np.ceil(hops)))):
        weight = scores.dtype.type(1 - distance / hops)
        total[distance:] += weight * scores[:-distance]
        total[:-distance] += weight * scores[distance:]
        weights[distance:] += weight
        weights[:-distance] += weight
    return np.asarray(total / weights[:, None])

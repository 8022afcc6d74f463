"""Chunk scores of a recording → calibrated probabilities of its chunks and of the whole, changed by place and time."""

from __future__ import annotations

import dataclasses

import numpy as np

from bird_tf import config
from bird_tf.audio import decode
from bird_tf.inference import ensembles, in_context, occurrence
from bird_tf.labels import clock, metadata
from bird_tf.scores import pooling

_BLOCK = 4096  # chunks that are calibrated together, to limit memory


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgementConfig:
    """How recordings are cut, and how scores become probabilities."""

    pooling: str = config.option(
        "",
        f"how to pool chunk scores: {', '.join(pooling.METHODS)} (only networks with attention); empty: the method of "
        "the model's decisions",
    )
    chunking: decode.ChunkingConfig = dataclasses.field(default_factory=decode.ChunkingConfig)
    occurrence_settings: occurrence.OccurrenceConfig = dataclasses.field(default_factory=occurrence.OccurrenceConfig)
    clock: clock.ClockConfig = dataclasses.field(default_factory=clock.ClockConfig)
    metadata: str = config.option(
        "", "folder with the recordings' XML files, or a CSV: place and time for the tables, --occurrence and --prior"
    )

    def __post_init__(self) -> None:
        if self.pooling:
            pooling.check(self.pooling)


class Judge:
    """Judges scores of an ensemble.

    Attributes:
        pooling: the method that pools chunk scores.
        odds_factors: what place and time change.
        chunking: how recordings must be cut for `judge`.
        channel: what is heard of several channels, as --channel.
    """

    def __init__(self, ensemble: ensembles.Ensemble, settings: JudgementConfig) -> None:
        """Loads what the settings name.

        Raises:
            InputError: as `Ensemble.check_pooling`, `OddsFactors` and `ChunkingConfig.hop_samples`.
        """
        self._decisions = ensemble.decisions
        self.pooling = ensemble.check_pooling(settings.pooling or ensemble.decisions.pooling)
        self.odds_factors = occurrence.OddsFactors(settings.occurrence_settings, ensemble)
        self._answers = in_context.Answers(ensemble, settings.chunking)
        self.chunking = self._answers.chunking
        self.channel = ensemble.channel(self.chunking.channel)

    def own(self, scores: ensembles.RecordingScores) -> ensembles.RecordingScores:
        """The scores of the chunks that are answered, as the models gave them."""
        return self._answers.own(scores)

    def judge(
        self, recording: metadata.Recording, scores: ensembles.RecordingScores
    ) -> tuple[ensembles.RecordingScores, np.ndarray]:
        """Calibrates the scores of the chunks, and pools them.

        Args:
            recording: place and time, as far as they are known.
            scores: of its chunks; their `probabilities` may be changed.

        Returns:
            The scores with the calibrated probabilities of the chunks in their context; and [classes] float32, the
            probabilities of the whole recording.
        """
        factors = self.odds_factors.factors(recording)
        own = self.own(scores)
        pooled = pooling.pool(own.probabilities, self.pooling, own.attention_logits)
        probable = self._decisions.of_recordings(pooled, own.probabilities.max(axis=0))
        # in float32, as the chunks: rounding keeps the order
        pooled = occurrence.multiply_odds(probable, factors).astype(np.float32)
        answered = self._answers.in_context(scores)
        for first in range(0, len(answered.probabilities), _BLOCK):
            block = answered.probabilities[first : first + _BLOCK]
            block[:] = occurrence.multiply_odds(self._decisions.answers.probabilities(block), factors)
        return answered, pooled

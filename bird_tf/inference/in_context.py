"""Scores of a recording's chunks → answers over time, in the context that the ensemble's decisions ask for."""

from __future__ import annotations

import dataclasses

import numpy as np

from bird_tf.audio import decode
from bird_tf.inference import ensembles
from bird_tf.scores import context


class Answers:
    """Answers of an ensemble.

    Attributes:
        asked: how the chunks lie that are answered.
        chunking: how recordings must be cut to be scored: with shifted chunks too, if they are needed.
        step: how many scored chunks there are for each that is answered: 2 with shifted chunks, else 1.
    """

    def __init__(
        self, ensemble: ensembles.Ensemble, chunking: decode.ChunkingConfig, *, shifted: bool | None = None
    ) -> None:
        """Decides how recordings are cut.

        Args:
            ensemble: its decisions name the context.
            chunking: how the chunks lie that are answered.
            shifted: whether shifted chunks are scored as well; None: if the context needs them.

        Raises:
            InputError: as `ChunkingConfig.hop_samples`.
        """
        heard = ensemble.models[0].hearing
        hop = chunking.hop_samples(heard)
        self._context = ensemble.decisions.context
        shifted = self._context.shifted if shifted is None else shifted
        # chunks that overlap by half or more hold the shifted ones already; the half of an odd number may be rounded up
        self.step = 2 if shifted and hop > (heard.chunk_samples + 1) // 2 else 1
        self._hops = self.step * heard.chunk_samples / hop
        self.asked = self.chunking = chunking
        if self.step > 1:
            self.chunking = decode.WithShiftedChunks(**vars(chunking))

    def own(self, scores: ensembles.RecordingScores) -> ensembles.RecordingScores:
        """The scores of the chunks that are answered, without the shifted ones and without a context."""
        return self._of(scores, context.Context())

    def in_context(self, scores: ensembles.RecordingScores) -> ensembles.RecordingScores:
        """The scores of the chunks that are answered, in context. Without a context these are the given ones."""
        return self._of(scores, self._context)

    def _of(self, scores: ensembles.RecordingScores, asked: context.Context) -> ensembles.RecordingScores:
        if self.step == 1 and not asked.active:
            return scores
        kept = np.arange(0, len(scores.probabilities), self.step)
        probabilities = asked.answers(scores.probabilities, self._hops, kept)
        return dataclasses.replace(
            scores,
            start_seconds=scores.start_seconds[kept],
            end_seconds=scores.end_seconds[kept],
            member_probabilities=scores.member_probabilities[:, kept],
            probabilities=probabilities,
            member_attention_logits=scores.member_attention_logits[:, kept],
            attention_logits=scores.attention_logits[kept],
            embeddings=scores.embeddings[kept] if len(scores.embeddings) else scores.embeddings,
        )

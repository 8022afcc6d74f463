"""Segments with known calls → the context of answers, and the calibration of answers in it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from bird_tf.audio import decode
from bird_tf.evaluation import noise
from bird_tf.inference import ensembles, in_context, segments
from bird_tf.scores import calibration, context, metrics, thresholds

_SMOOTHING = (0.0, 0.2, 0.4, 0.6)
_BEST_CHUNK = (0.0, 0.5, 1.0)
# a more costly or less plain context must gain this much c-mAP: smaller gains are chance
_LEAST_GAIN = 0.005


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heard:
    """Soundscapes with known calls, scored with shifted chunks.

    Attributes:
        scores: of each.
        truth: for each [segments, classes] bool.
        chunking: how the chunks lie that are answered.
    """

    scores: Sequence[ensembles.RecordingScores]
    truth: Sequence[np.ndarray]
    chunking: decode.ChunkingConfig

    def in_context(self, ensemble: ensembles.Ensemble) -> list[ensembles.RecordingScores]:
        """The scores of each in the context of the ensemble's decisions."""
        if not ensemble.decisions.context.active:
            return self.own(ensemble)
        answering = in_context.Answers(ensemble, self.chunking, shifted=True)
        return [answering.in_context(scores) for scores in self.scores]

    def own(self, ensemble: ensembles.Ensemble) -> list[ensembles.RecordingScores]:
        """The scores of each without a context."""
        answering = in_context.Answers(ensemble, self.chunking, shifted=True)
        return [answering.own(scores) for scores in self.scores]


def tune(
    ensemble: ensembles.Ensemble, heard: Heard, method: str, precision: float, num_noises: int, source: str,
    *, carry_thresholds: bool = False,
) -> dict[str, float]:  # fmt: skip
    """Chooses the context with the best c-mAP of segments, and fits the calibration in it. Sets both in the ensemble.

    Args:
        ensemble: the models.
        heard: the soundscapes; with at least one call.
        method: the pooling of segments.
        precision: the target of the rule "precision".
        num_noises: number of synthesised noise chunks that the thresholds are above.
        source: what the soundscapes are, for `Decisions.context_fitted_on`.
        carry_thresholds: whether the thresholds of chunks without a context are carried over, so that as much is called
            in the soundscapes as before. Otherwise they are fitted on the soundscapes.

    Returns:
        {context in words: c-mAP}, as "smoothing 0.2, best chunk 0.5"; "none": the chunks alone.
    """
    before, truth = ensemble.decisions, np.concatenate(heard.truth)
    found: dict[context.Context, float] = {}
    for shifted, best_chunk, smoothing in itertools.product((False, True), _BEST_CHUNK, _SMOOTHING):
        tried = context.Context(smoothing=smoothing, best_chunk=best_chunk, shifted=shifted)
        ensemble.decisions = dataclasses.replace(before, context=tried)
        pooled = [segments.pooled(scores, method) for scores in heard.in_context(ensemble)]
        found[tried] = metrics.class_mean_average_precision(np.concatenate(pooled), truth)
    ensemble.decisions = dataclasses.replace(before, context=choose(found))
    ensemble.decisions = dataclasses.replace(
        ensemble.decisions,
        in_context=_calibration(ensemble, heard, truth, precision, num_noises, carry_thresholds=carry_thresholds),
        precision=precision,
        context_fitted_on=f"{len(truth)} segments of {source}",
    )
    return {tried.describe() or "none": quality for tried, quality in found.items()}


def choose(found: dict[context.Context, float]) -> context.Context:
    """The first context, from plain to costly, that no later one surpasses by more than chance.

    Args:
        found: the c-mAP of each, in this order.
    """
    best = max(found.values())
    return next(tried for tried, quality in found.items() if quality >= best - _LEAST_GAIN)


def _calibration(
    ensemble: ensembles.Ensemble, heard: Heard, truth: np.ndarray, precision: float, num_noises: int,
    *, carry_thresholds: bool,
) -> calibration.Calibration:  # fmt: skip
    """Fits map and thresholds: each segment is to the fit what a recording is elsewhere."""
    in_context = heard.in_context(ensemble)
    silent, hours = np.zeros((0, truth.shape[1])), 0.0
    if num_noises:
        noises = noise.score_synthesised(ensemble, num_noises)
        silent, hours = np.concatenate(noises.loudest), float(noises.hours.sum())
    chunks = [own for scores in in_context for own in segments.chunks(scores)]
    fitted = calibration.fit(chunks, truth, precision, silent, hours)
    if not carry_thresholds:
        return fitted
    plain = ensemble.decisions.chunk
    before = plain.probabilities(np.concatenate([segments.loudest(scores) for scores in heard.own(ensemble)]))
    after = fitted.probabilities(np.concatenate([segments.loudest(scores) for scores in in_context]))
    carried = {rule: thresholds.carried(least, before, after) for rule, least in plain.thresholds.items()}
    floors = thresholds.noise_floors(fitted.probabilities(silent), hours)
    carried["precision"] = np.maximum(carried["precision"], floors)
    return dataclasses.replace(fitted, thresholds=carried)

"""What --tune fits to labelled recordings: pooling, weights of an ensemble, calibration and thresholds.

What it fits to mixtures belongs to `mixture_tuning`, to soundscapes to `soundscapes`.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from absl import logging

from bird_tf import config
from bird_tf.evaluation import noise
from bird_tf.inference import ensembles, labelled, segments
from bird_tf.scores import calibration, context, decisions, pooling, thresholds

_POOLING_HELP = (
    f"how chunk scores become recording scores: {', '.join(pooling.METHODS)} (attention: only with networks that have "
    "it), or auto: the method with the best MLRAP on these recordings; empty: the model's own, with --tune auto, with "
    f"--segments {segments.DEFAULT_POOLING}"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TuningConfig:
    """How the scores of models become predictions, and whether that is fitted."""

    pooling: str = config.option("", _POOLING_HELP)
    tune: bool = config.option(
        False,
        "choose pooling, weights, calibration and thresholds on these recordings, and store them in the model; with "
        "--segments, what the chunks around a chunk say of it, calibration and thresholds of segments",
    )
    synthetic_noise: int = config.option(
        400, "with --tune: number of synthesised noise chunks (rain, wind, engines, …) that the thresholds are above"
    )
    precision: float = config.option(0.9, "with --tune: the least precision of the thresholds of the rule 'precision'")

    def __post_init__(self) -> None:
        if self.pooling not in ("", "auto"):
            pooling.check(self.pooling)
        if not 0 < self.precision <= 1:
            raise config.InputError(f"--precision={self.precision}: must be in (0, 1]")
        if self.synthetic_noise < 0:
            raise config.InputError(f"--synthetic_noise={self.synthetic_noise}: must be 0 (none) or more")

    @property
    def chooses_pooling(self) -> bool:
        """Whether the pooling is chosen on these recordings."""
        return self.pooling == "auto" or (self.tune and not self.pooling)


def leave_context(ensemble: ensembles.Ensemble, *, fits_another: bool) -> None:
    """Drops what was fitted on segments: it was chosen with the weights and thresholds that --tune fits anew.

    Args:
        ensemble: its decisions are set.
        fits_another: whether a context is fitted afterwards, so that there is nothing to warn of.
    """
    before = ensemble.decisions
    if before.in_context and not fits_another:
        logging.warning(
            "the context, calibration and thresholds of answers over time, fitted on %s, are dropped, since --tune "
            "fits anew what they rest on: predict uses those of chunks. Add --tune_on_mixtures, or repeat --segments "
            "--tune, to have them again", before.context_fitted_on or "segments",
        )  # fmt: skip
    ensemble.decisions = dataclasses.replace(before, context=context.Context(), in_context=None, context_fitted_on="")


def decide(
    settings: TuningConfig,
    ensemble: ensembles.Ensemble,
    scored: labelled.LabelledScores,
    truth: np.ndarray,
    heard: noise.NoiseScores | None,
    evaluated: str,
) -> dict[str, float]:
    """Sets the ensemble's decisions by the flags.

    Args:
        settings: the flags.
        ensemble: the models.
        scored: what they say of the recordings.
        truth: [recordings, classes] bool, the species that are there.
        heard: what they say of recordings without birds; None if there are none.
        evaluated: the name of the recordings.

    Returns:
        {pooling: MLRAP} of all that were tried.
    """
    pooling_mlrap: dict[str, float] = {}
    decided = ensemble.decisions
    if settings.chooses_pooling:
        method, pooling_mlrap = decisions.choose_pooling(
            scored.probabilities(ensemble), truth, scored.attention_logits(ensemble)
        )
        decided = dataclasses.replace(decided, pooling=method)
    elif settings.pooling:
        decided = dataclasses.replace(decided, pooling=settings.pooling)
    if settings.tune and len(ensemble.models) > 1:
        weights = decisions.search_weights(
            scored.member_probabilities, truth, decided.pooling, scored.member_attention_logits
        )
        decided = dataclasses.replace(decided, weights=weights)
    ensemble.decisions = decided
    if settings.tune:
        recording, chunk = _calibrations(settings, ensemble, scored, truth, heard)
        ensemble.decisions = dataclasses.replace(
            decided,
            recording=recording,
            chunk=chunk,
            precision=settings.precision,
            fitted_on=f"{len(truth)} recordings of {evaluated}",
        )
    return pooling_mlrap


def _calibrations(
    settings: TuningConfig,
    ensemble: ensembles.Ensemble,
    scored: labelled.LabelledScores,
    truth: np.ndarray,
    heard: noise.NoiseScores | None,
) -> tuple[calibration.Calibration, calibration.Calibration]:
    """Fits calibration and thresholds of recordings and of chunks, with recorded and synthesised noise."""
    sources = [heard] if heard else []
    if settings.synthetic_noise:
        sources.append(noise.score_synthesised(ensemble, settings.synthetic_noise))
    chunks = [own for source in sources for own in source.chunks]
    logits = [own for source in sources for own in source.attention_logits]
    hours = float(sum(source.hours.sum() for source in sources))
    heard_chunks = np.concatenate(chunks) if chunks else None
    chunk = calibration.fit(scored.probabilities(ensemble), truth, settings.precision, heard_chunks, hours)
    pooled = scored.pooled(ensemble)
    recording = calibration.fit_map(pooled[:, None], truth)
    plain = dataclasses.replace(ensemble.decisions, recording=recording, chunk=chunk)
    silent = np.zeros((0, truth.shape[1]))
    if chunks:
        silent = plain.of_chunks(chunks, logits)
    found = plain.of_recordings(pooled, scored.best_chunks(ensemble))
    examples = thresholds.Examples(chunks=list(found[:, None]), truth=truth, noise=silent, noise_hours=hours)
    return dataclasses.replace(recording, thresholds=thresholds.fit(examples, settings.precision)), chunk

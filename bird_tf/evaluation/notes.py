"""What a reader of an evaluation must know beside its metrics, in sentences for its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from absl import logging

from bird_tf.inference import ensembles, occurrence, strangeness


def of_models(ensemble: ensembles.Ensemble, asked: Sequence[str], paths: Sequence[str], *, tuned: bool) -> list[str]:
    """What to know of the models and their decisions.

    Args:
        ensemble: the models.
        asked: paths of the models that were asked for.
        paths: of those that are judged in their place.
        tuned: whether the decisions were fitted to these recordings.
    """
    decided = ensemble.decisions
    found = [
        f"{path} has learnt from these recordings; {evaluated}, from before its refit, is judged in its place."
        for path, evaluated in zip(asked, paths, strict=True)
        if path != evaluated
    ]
    found.append(f"Pooling: {decided.pooling}.")
    if len(ensemble.models) > 1:
        found.append(f"Weights: {', '.join(f'{w:.2f}' for w in decided.weights)}.")
    if tuned:
        found.append(
            "Pooling, weights and thresholds were chosen on these same recordings: the metrics are slightly too high. "
            "The calibrated probabilities come from cross-validation: those of a recording were fitted without it."
        )
    elif decided.sources:
        found.append(f"Calibration and thresholds were fitted on {decided.sources}.")
    else:
        found.append("The scores are not calibrated: run with --tune on validation recordings to calibrate them.")
    return found


def of_ranking(num_ranked: int, among_named: Mapping[str, float] | None) -> list[str]:
    """Among how many species is ranked, where the records name fewer; `among_named` is from `results`."""
    if not among_named:
        return []
    sentence = (
        f"The models rank {num_ranked} species, of which the records name {among_named['num_ranked']}. Among these "
        f"alone, as in a training on the records, MLRAP is {among_named['mlrap']:.4f} (chance "
        f"{among_named['chance_mlrap']:.4f})."
    )
    logging.info(sentence)
    return [sentence]


def of_strangeness(recordings: Sequence[float]) -> list[str]:
    """How many recordings sound unlike the training data, with a warning if they are many; nothing if unknown."""
    sentence = strangeness.sentence(recordings)
    if strangeness.are_unlike(recordings):
        logging.warning("%s: the metrics say what the model does there", sentence)
    return [f"{sentence}."] if sentence else []


def of_prior(
    odds_factors: occurrence.OddsFactors, without_prior: Mapping[str, float], headline: Mapping[str, float]
) -> list[str]:
    """What place and time change in the metrics; nothing if they are not used."""
    if not without_prior:
        return []
    changes = ", ".join(
        f"{name} {without_prior[name]:.3f} → {headline[name]:.3f}" for name in ("mlrap", "cmap", "top1")
    )
    return [f"Scores are combined with {odds_factors.describe()}; without it → with it: {changes}."]

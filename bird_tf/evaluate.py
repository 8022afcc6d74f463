"""The command: SavedModel(s) + labelled recordings, as records or as audio → metrics, decisions and the report."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from bird_tf import config, files
from bird_tf.audio import decode
from bird_tf.evaluation import examples, report, soundscapes
from bird_tf.inference import ensembles, labelled, occurrence, saved_model
from bird_tf.labels.layouts import reader
from bird_tf.records import manifests
from bird_tf.scores import calibration, decisions, metrics, pooling


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Flags of an evaluation: either --records or --audio with --metadata, or --audio with --segments."""

    model: tuple[str, ...] = config.option(
        (), "exported model, as runs/NAME/export; repeated: an ensemble", required=True
    )
    records: str = config.option("", "records directory whose validation recordings are scored")
    source: reader.SourceConfig
    segments: str = config.option(
        "",
        "CSV of calls (media_id, class_id, start_seconds, end_seconds): --audio is scored by segment",
    )
    chunking: decode.ChunkingConfig
    pooling: str = config.option(
        "",
        f"chunk scores to recording scores: {', '.join(pooling.METHODS)} (of networks that have it), or auto: the best "
        "on these recordings; empty: as the model was chosen with, with --tune auto",
    )
    tune: bool = config.option(
        False, "choose pooling, weights, calibration and thresholds on these recordings and keep them in the model"
    )
    precision: float = config.option(0.9, "with --tune: what the thresholds of the rule 'precision' are to reach")
    decisions: str = config.option("", "decisions to evaluate; empty: a single model's own; none: none")
    expected: occurrence.OccurrenceConfig
    worst: int = config.option(12, "recordings shown in the report, those that fared worst")
    output: str = config.option("", "folder for the results; empty: evaluation/ beside the first model")

    def __post_init__(self) -> None:
        if self.pooling not in ("", "auto"):
            pooling.check(self.pooling)
        if not 0 < self.precision <= 1:
            raise config.InputError(f"--precision={self.precision}: must be in (0, 1]")
        if self.worst < 0:
            raise config.InputError(f"--worst={self.worst}: must be 0 (none) or more")
        if self.segments and not self.source.audio:
            raise config.InputError("--segments needs --audio=DIR, the folder with the soundscapes")
        config.refuse_without_effect(
            {
                "--tune with --segments": self.segments and self.tune,
                "--pooling=auto with --segments": self.segments and self.pooling == "auto",
                "--records with --segments": self.segments and self.records,
                "--metadata with --records": self.records and self.source.metadata,
                "--precision without --tune": self.precision != 0.9 and not self.tune,
            }
        )

    @property
    def chooses_pooling(self) -> bool:
        """Whether the pooling is whatever does best on these recordings."""
        return self.pooling == "auto" or (self.tune and not self.pooling)

    @property
    def output_folder(self) -> str:
        """Where the results go."""
        return self.output or os.path.join(os.path.dirname(self.model[0].rstrip("/")), "evaluation")


def evaluate(settings: EvaluateConfig) -> dict[str, Any]:
    """Scores the recordings and writes summary.json, recordings.csv, species.csv, skipped.csv and report.html.

    Returns:
        What summary.json holds: `metrics.headline`, chance_mlrap, intervals, and what was evaluated.

    Raises:
        InputError: both or neither of --records and --audio, or what the scoring raises.
    """
    if bool(settings.records) == bool(settings.source.audio):
        raise config.InputError("give either --records=DIR or --audio=DIR with --metadata=DIR")
    paths = [_without_refit(path, settings.records) for path in settings.model]
    ensemble = ensembles.Ensemble(paths, settings.decisions)
    if not settings.chooses_pooling:
        ensemble.check_pooling(settings.pooling or ensemble.decisions.pooling)
    odds = occurrence.OddsFactors(settings.expected, ensemble)
    files.make_folder(settings.output_folder)  # what cannot be had shows before anything is scored
    manifest = manifests.load(settings.records) if settings.records else None
    if manifest:
        scored = labelled.score_records(ensemble, manifest)
    else:
        recordings, unmatched = reader.read(settings.source)
        scored = labelled.score_audio(ensemble, recordings, settings.chunking)
        scored.skipped.extend(unmatched)
    truth = metrics.truth(scored.labels, scored.backgrounds, len(ensemble.classes))
    tried = _decide(settings, ensemble, scored, truth)
    scores = scored.pooled(ensemble)
    if settings.tune:
        probabilities = calibration.cross_fitted(scores, truth)
    else:
        probabilities = ensemble.decisions.recording.probabilities(scores)
    without: dict[str, float] = {}
    if settings.expected.active:
        without = metrics.headline(scores, truth, scored.labels)
        probabilities = scores = occurrence.multiply_odds(
            probabilities, np.stack([odds.ratios(recording) for recording in scored.recordings])
        )
    headline = metrics.headline(scores, truth, scored.labels)
    intervals = metrics.intervals(scores, truth, scored.labels)
    results = report.Results(
        title=f"{' + '.join(settings.model)} on {settings.records or settings.source.audio}",
        notes=[*_notes(settings, ensemble, paths), *_odds_notes(odds, without, headline)],
        headline=headline,
        intervals=intervals,
        classes=ensemble.classes,
        recording_ids=scored.recording_ids,
        labels=scored.labels,
        truth=truth,
        scores=scores,
        probabilities=probabilities,
        training_recordings=ensemble.prior.num_recordings.tolist() if ensemble.prior.num_recordings.any() else [],
        decisions=ensemble.decisions,
        examples=examples.worst(ensemble, scored, scores, truth, settings.worst, manifest),
    )
    output = settings.output_folder
    _write_tables(output, results, scored.skipped)
    report.write(os.path.join(output, "report.html"), results)
    summary = {
        **files.defined(headline), "chance_mlrap": metrics.chance_mlrap(truth),
        "intervals": {name: list(pair) for name, pair in intervals.items() if pair[0] == pair[0]},
        "calibration_error": metrics.expected_calibration_error(scores, truth),
        "calibration_error_calibrated": metrics.expected_calibration_error(probabilities, truth),
        "num_skipped": len(scored.skipped), "models": paths,
        "evaluated": settings.records or settings.source.audio, "tuned_on_these": settings.tune,
        "pooling": ensemble.decisions.pooling, "pooling_mlrap": tried,
        "weights": list(ensemble.decisions.weights), "expected": odds.describe(), "output": output,
    }  # fmt: skip
    if without:
        summary["without_prior"] = files.defined(without)
    files.write_json(os.path.join(output, "summary.json"), summary)
    return summary


def _without_refit(path: str, directory: str) -> str:
    """The model to judge on the validation recordings of a records directory: itself, unless it has learnt from them.

    Raises:
        InputError: it has, and the model of the same run that has not is gone.
    """
    description = os.path.join(path, saved_model.DESCRIPTION)
    flags = files.read_json(description)["training"] if directory and files.exists(description) else {}
    if not flags.get("refit") or os.path.abspath(flags["records"]) != os.path.abspath(directory):
        return path
    run_dir, name = os.path.split(path.rstrip("/"))
    other = os.path.join(run_dir, saved_model.VALIDATED, name)
    if not files.exists(other):
        raise config.InputError(f"{path} has learnt from all of {directory}, and {other}, which has not, is gone")
    logging.info("%s has learnt from all of %s; %s, which has not, is judged instead", path, directory, other)
    return other


def _decide(
    settings: EvaluateConfig, ensemble: ensembles.Ensemble, scored: labelled.LabelledScores, truth: np.ndarray
) -> dict[str, float]:
    """Sets the ensemble's decisions as the flags ask, and keeps them if tuned. Returns the MLRAP of poolings tried."""
    tried: dict[str, float] = {}
    decided = ensemble.decisions
    if settings.chooses_pooling:
        method, tried = decisions.choose_pooling(scored.mixed(ensemble), truth, scored.attention(ensemble))
        decided = dataclasses.replace(decided, pooling=method)
    elif settings.pooling:
        decided = dataclasses.replace(decided, pooling=settings.pooling)
    if settings.tune and len(ensemble.models) > 1:
        weights = decisions.search_weights(scored.chunks, truth, decided.pooling, scored.attentions)
        decided = dataclasses.replace(decided, weights=weights)
    ensemble.decisions = decided
    if settings.tune:
        ensemble.decisions = dataclasses.replace(
            decided,
            recording=calibration.fit(scored.pooled(ensemble)[:, None], truth, settings.precision),
            chunk=calibration.fit(scored.mixed(ensemble), truth, settings.precision),
            precision=settings.precision,
            fitted_on=f"{len(truth)} recordings of {settings.records or settings.source.audio}",
        )
        targets = [os.path.join(settings.output_folder, "decisions.json")]
        if len(ensemble.models) == 1:
            kept_in = dict.fromkeys((ensemble.models[0].path, settings.model[0]))
            targets += [os.path.join(path, decisions.ASSET) for path in kept_in]
        for target in targets:
            decisions.save(target, ensemble.decisions, ensemble.classes)
            logging.info("pooling, weights, calibration and thresholds: %s", target)
    return tried


def _notes(settings: EvaluateConfig, ensemble: ensembles.Ensemble, paths: Sequence[str]) -> list[str]:
    decided = ensemble.decisions
    notes = [
        f"{asked} has learnt from these recordings; {judged}, which has not, is judged in its place."
        for asked, judged in zip(settings.model, paths, strict=True)
        if asked != judged
    ]
    notes.append(f"Pooling: {decided.pooling}.")
    if len(ensemble.models) > 1:
        notes.append(f"Weights: {', '.join(f'{w:.2f}' for w in decided.weights)}.")
    if settings.tune:
        notes.append(
            "Pooling, weights and thresholds were chosen on these very recordings: the metrics are a little too good. "
            "The calibrated probabilities shown here are of maps fitted without the recording in question."
        )
    elif decided.fitted_on:
        notes.append(f"Calibration and thresholds were fitted on {decided.fitted_on}.")
    else:
        notes.append("The scores are not calibrated: run with --tune on validation recordings to calibrate them.")
    return notes


def _odds_notes(odds: occurrence.OddsFactors, without: Mapping[str, float], headline: Mapping[str, float]) -> list[str]:
    if not without:
        return []
    changes = ", ".join(f"{name} {without[name]:.3f} → {headline[name]:.3f}" for name in ("mlrap", "cmap", "top1"))
    return [f"Scores are combined with {odds.describe()}; without it → with it: {changes}."]


def _write_tables(output: str, results: report.Results, skipped: Sequence[tuple[str, str]]) -> None:
    ids, best = results.classes.class_ids, np.argmax(results.scores, axis=1)
    precisions = metrics.ranking_precisions(results.scores, results.truth)
    rows = [
        (recording, ids[label], ids[b], f"{s[b]:.6f}", f"{p:.6f}")
        for recording, label, b, s, p in zip(
            results.recording_ids, results.labels, best, results.scores, precisions, strict=True
        )
    ]
    columns = ("recording_id", "label", "best", "best_score", "average_precision")
    files.write_table(os.path.join(output, "recordings.csv"), columns, rows)
    species = [dataclasses.astuple(entry) for entry in report.per_species(results)]
    names = [field.name for field in dataclasses.fields(report.Species)]
    files.write_table(os.path.join(output, "species.csv"), names, species)
    files.write_table(os.path.join(output, "skipped.csv"), ("file", "reason"), skipped)


def _without(summary: Mapping[str, Any], name: str) -> str:
    """The metric that scores without the prior reach, for the summary line."""
    return f" (without the prior {summary['without_prior'][name]:.4f})" if "without_prior" in summary else ""


def main(settings: EvaluateConfig) -> None:
    """Evaluates, and says in one line what came of it."""
    if settings.segments:
        summary = soundscapes.evaluate(
            settings.model, settings.decisions, settings.source.audio, settings.segments, settings.chunking,
            settings.pooling, settings.expected, settings.source.metadata, settings.output_folder,
        )  # fmt: skip
        logging.info(
            "c-mAP %.4f, AUROC %.4f%s over %d segments of %d recordings, %d skipped; false alarms an hour: %s",
            summary["cmap"], summary["auroc"], _without(summary, "cmap"), summary["num_segments"],
            summary["num_recordings"], summary["num_skipped"],
            ", ".join(f"{rate:.1f} ({rule})" for rule, rate in summary["false_alarms_per_hour"].items()),
        )  # fmt: skip
        return
    summary = evaluate(settings)
    low, high = summary["intervals"]["mlrap"]
    logging.info(
        "MLRAP %.4f (95 %%: %.4f to %.4f; chance %.4f)%s, foreground %.4f, top-1 %.4f on %d recordings, %d skipped; %s",
        summary["mlrap"], low, high, summary["chance_mlrap"], _without(summary, "mlrap"),
        summary["mlrap_foreground"], summary["top1"], summary["num_recordings"], summary["num_skipped"],
        os.path.join(summary["output"], "report.html"),
    )  # fmt: skip


def run() -> None:
    """Entry point of `bird-tf-evaluate`."""
    config.run(main, EvaluateConfig)


if __name__ == "__main__":
    run()

"""Labelled recordings, from records or from audio → metrics, tables and the report."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from bird_tf import config, executor, files, skips
from bird_tf.audio import decode
from bird_tf.evaluation import calls, examples, noise, notes, recording_tuning, report, results, stored_decisions
from bird_tf.inference import ensembles, labelled, leaks, occurrence, provenance
from bird_tf.labels import metadata
from bird_tf.labels.layouts import reader
from bird_tf.records import manifests, recordings_table
from bird_tf.scores import calibration, metrics


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordingsConfig:
    """What is evaluated, and how.

    Attributes:
        models: those that were asked for; those that answer may be from `before_refit`.
        manifest: the records whose validation recordings are judged; None: those of `source` are.
        source: audio and labels.
        output: folder for the results.
        chunking: how recordings are cut into chunks.
        place: where audio is scored.
        tuning: how scores become predictions, and whether that is fitted on these recordings and stored in the model.
        tunes_context: in tuning, whether a context of answers is fitted afterwards.
        noise_audio: folder with recordings without birds; empty: there are none.
        occurrence_settings: which species are probable at a place and time.
        worst: number of recordings to show.
        made_by: what the summary tells of the command, as from `provenance`.
    """

    models: tuple[str, ...]
    manifest: manifests.Manifest | None
    source: reader.SourceConfig
    output: str
    chunking: decode.ChunkingConfig
    place: executor.PlaceConfig
    tuning: recording_tuning.TuningConfig
    tunes_context: bool
    noise_audio: str
    occurrence_settings: occurrence.OccurrenceConfig
    worst: int
    made_by: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def evaluated(self) -> str:
        """The directory with the recordings."""
        return self.manifest.directory if self.manifest else self.source.audio


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Heard:
    """What the models say of the recordings.

    Attributes:
        scored: their scores.
        truth: [recordings, classes] bool, background included.
        leak, learnt: what the models have learnt from, and which of the recordings are among that.
        noise: what they say of recordings without birds; None if there are none.
    """

    scored: labelled.LabelledScores
    truth: np.ndarray
    leak: leaks.Leaks
    learnt: leaks.Found
    noise: noise.NoiseScores | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Answers:
    """What is judged, by the decisions of the models.

    Attributes:
        pooled, scores, held_out: as in `results.Evaluation`, with place and time if they are used.
        plain: [recordings, classes] as `scores`, without place and time.
        without_prior: the headline of `plain`; empty if place and time are not used.
    """

    pooled: np.ndarray
    scores: np.ndarray
    held_out: np.ndarray
    plain: np.ndarray
    without_prior: dict[str, float]


def before_refit(path: str, manifest: manifests.Manifest | None) -> str:
    """The model to judge in place of `path`: for one that was refitted on the recordings, the one before.

    Raises:
        InputError: as `leaks.before_refit`.
    """
    if manifest is None:
        return path
    return leaks.before_refit(path, recordings_table.validation(manifest), manifest.front_end.sample_rate_hz)


def evaluate(settings: RecordingsConfig, ensemble: ensembles.Ensemble) -> dict[str, Any]:
    """Scores the recordings and writes summary.json, recordings.csv, species.csv, skipped.csv and report.html.

    Args:
        settings: what is evaluated, and how.
        ensemble: the models; in tuning, its decisions are set.

    Returns:
        The content of summary.json: `metrics.headline`, chance_mlrap, intervals, and what was evaluated.

    Raises:
        InputError: an error of the scoring.
    """
    tuning, output = settings.tuning, settings.output
    if not tuning.chooses_pooling:
        ensemble.check_pooling(tuning.pooling or ensemble.decisions.pooling)
    if tuning.tune:
        recording_tuning.leave_context(ensemble, fits_another=settings.tunes_context)
    odds_factors = occurrence.OddsFactors(settings.occurrence_settings, ensemble)
    heard = _hear(settings, ensemble)
    pooling_mlrap = recording_tuning.decide(
        tuning, ensemble, heard.scored, heard.truth, heard.noise, settings.evaluated
    )
    if tuning.tune:
        stored_decisions.store(ensemble, output, settings.models)
    answers = _answer(settings, ensemble, heard, odds_factors)
    evaluation = _judge(settings, ensemble, heard, answers, odds_factors)
    results.write_tables(output, evaluation, heard.scored.skipped)
    report.write(os.path.join(output, report.PAGE), evaluation)
    summary = {
        **evaluation.summary(), "num_skipped": len(heard.scored.skipped), "models": ensemble.paths,
        "num_learnt": len(heard.learnt.recordings),
        "evaluated": settings.evaluated, "tuned_on_these": tuning.tune,
        "pooling": ensemble.decisions.pooling, "pooling_mlrap": pooling_mlrap,
        "weights": list(ensemble.decisions.weights), "expected": odds_factors.describe(), "output": output,
        **settings.made_by, **provenance.of_models(ensemble),
    }  # fmt: skip
    if settings.manifest:
        summary["records_digest"] = settings.manifest.digest
    if heard.noise:
        silent = _summarise_noise(ensemble, heard, answers.plain, heard.noise)
        summary["noise"] = {"evaluated": settings.noise_audio, **silent}
    if answers.without_prior:
        summary["without_prior"] = files.defined(answers.without_prior)
    files.write_json(os.path.join(output, files.SUMMARY), summary)
    return summary


def _hear(settings: RecordingsConfig, ensemble: ensembles.Ensemble) -> _Heard:
    """Scores the recordings, and those without birds, and warns of those that the models have learnt from."""
    scored = _score(settings, ensemble)
    leak = leaks.of(ensemble)
    learnt = leak.among(scored.recordings) if settings.manifest else leak.among_heard(scored.recordings)
    learnt.log()
    truth = metrics.truth(scored.labels, scored.backgrounds, len(ensemble.classes))
    silent = None
    if settings.noise_audio:
        silent = noise.score_folder(ensemble, settings.noise_audio, settings.chunking, settings.place)
    return _Heard(scored=scored, truth=truth, leak=leak, learnt=learnt, noise=silent)


def _score(settings: RecordingsConfig, ensemble: ensembles.Ensemble) -> labelled.LabelledScores:
    """Scores the validation recordings of the records, or the recordings of the source."""
    if settings.manifest:
        return labelled.score_records(ensemble, settings.manifest)
    channel = ensemble.channel(settings.chunking.channel)
    classes = ensemble.classes.class_ids + ensemble.classes.names
    reading = reader.survey(settings.source, channel=channel, judges=True, classes=classes)
    reading.refuse_unusable(settings.source)
    origin = settings.source.metadata or settings.source.audio
    whole, in_part = calls.known_as_whole(reading.recordings, origin)
    for skip in in_part:
        skips.log(skip)
    with_label = [recording for recording in whole if recording.labels]
    if in_part and not with_label:
        refusal = calls.none_as_whole(in_part, has_judged_spans=reading.has_judged_spans)
        raise config.InputError(f"{origin}: {refusal}")
    scored = labelled.score_audio(ensemble, with_label, settings.chunking, settings.place)
    scored.skipped.extend((r.path, "it is negative: no species to judge by") for r in whole if not r.labels)
    scored.skipped.extend([*in_part, *reading.unmatched, *reading.left_out])
    return scored


def _answer(
    settings: RecordingsConfig, ensemble: ensembles.Ensemble, heard: _Heard, odds_factors: occurrence.OddsFactors
) -> _Answers:
    """Applies the decisions."""
    scored, truth, without_prior = heard.scored, heard.truth, dict[str, float]()
    pooled, best_chunks = scored.pooled(ensemble), scored.best_chunks(ensemble)
    plain = held_out = ensemble.decisions.of_recordings(pooled, best_chunks)
    if settings.tuning.tune:
        held_out = np.minimum(*(calibration.cross_fitted(told, truth) for told in (pooled, best_chunks)))
    scores = plain
    if settings.occurrence_settings.active:
        without_prior = metrics.headline(plain, truth, scored.labels)
        factors = np.stack([odds_factors.factors(recording) for recording in scored.recordings])
        pooled, scores, held_out = (occurrence.multiply_odds(chances, factors) for chances in (pooled, plain, held_out))
    return _Answers(pooled=pooled, scores=scores, held_out=held_out, plain=plain, without_prior=without_prior)


def _judge(
    settings: RecordingsConfig, ensemble: ensembles.Ensemble, heard: _Heard, answers: _Answers,
    odds_factors: occurrence.OddsFactors,
) -> results.Evaluation:  # fmt: skip
    scored, truth, scores, tuned = heard.scored, heard.truth, answers.scores, settings.tuning.tune
    headline, among_named = metrics.headline(scores, truth, scored.labels), None
    if settings.manifest:
        among_named = results.among_named(scores, truth, ensemble.classes, settings.manifest)
    return results.Evaluation(
        title=f"{' + '.join(settings.models)} on {settings.evaluated}",
        notes=[
            *heard.learnt.notes,
            *notes.of_ranking(len(ensemble.classes), among_named),
            *notes.of_models(ensemble, settings.models, ensemble.paths, tuned=tuned),
            *notes.of_strangeness(scored.strangeness),
            *notes.of_prior(odds_factors, answers.without_prior, headline),
        ],
        headline=headline,
        intervals=metrics.intervals(scores, truth, scored.labels),
        classes=ensemble.classes,
        recording_ids=scored.recording_ids,
        labels=scored.labels,
        truth=truth,
        pooled=answers.pooled,
        scores=scores,
        held_out=answers.held_out,
        training_recordings=ensemble.prior.num_recordings.tolist() if ensemble.prior.num_recordings.any() else [],
        decisions=ensemble.decisions,
        examples=examples.worst(
            ensemble, scored, scores, truth, settings.worst, settings.manifest, settings.chunking.channel
        ),
        tuned=tuned,
        among_named=among_named,
    )


def _summarise_noise(
    ensemble: ensembles.Ensemble, heard: _Heard, scores: np.ndarray, silent: noise.NoiseScores
) -> dict[str, Any]:
    """As `noise.summarise`, and how many of the recordings without birds the models have learnt from."""
    learnt = heard.leak.among_heard([metadata.Recording(recording_id=path, path=path) for path in silent.paths])
    learnt.log()
    told = noise.summarise(ensemble, silent, scores, heard.truth)
    return {**told, "num_learnt": len(learnt.recordings)}

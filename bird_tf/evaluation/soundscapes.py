"""Soundscapes with time-stamped calls → metrics over their segments."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bird_tf import config, executor, files, skips
from bird_tf.audio import decode
from bird_tf.evaluation import calls, context_search, recording_tuning, stored_decisions
from bird_tf.inference import audio_files, ensembles, in_context, leaks, occurrence, provenance, scoring, segments
from bird_tf.labels import metadata
from bird_tf.labels.layouts import reader
from bird_tf.scores import metrics, pooling, thresholds

SUMMARY = "segments.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoundscapeConfig:
    """What is evaluated, and how.

    Attributes:
        source: folder of the soundscapes (`audio`); folder or CSV with their place and time (`metadata`; empty:
            unknown); and what the words in `calls` mean.
        calls: the calls in them, as `calls.read` reads them.
        output: folder for the results.
        chunking: how recordings are cut into chunks.
        place: where they are scored.
        occurrence_settings: which species are probable at a place and time.
        tuning: chunk scores → segment scores, by `segments.DEFAULT_POOLING` if it names no pooling; and whether to
            choose the context of answers and to fit their calibration on these soundscapes, and to store both in the
            model.
        carry_thresholds: in tuning, whether the thresholds of chunks without a context are carried over; otherwise
            they are fitted on these soundscapes.
        kept_in: in tuning, the folder for the decisions; empty: `output`.
        kept_by: in tuning, the models that were asked for, if those that answer are the ones before their refit.
        made_by: what the summary tells of the command, as from `provenance`.
    """

    source: reader.SourceConfig
    calls: str
    output: str
    chunking: decode.SegmentChunkingConfig
    occurrence_settings: occurrence.OccurrenceConfig
    tuning: recording_tuning.TuningConfig = dataclasses.field(default_factory=recording_tuning.TuningConfig)
    carry_thresholds: bool = False
    place: executor.PlaceConfig = dataclasses.field(default_factory=executor.PlaceConfig)
    kept_in: str = ""
    kept_by: tuple[str, ...] = ()
    made_by: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _refuse_late(settings: SoundscapeConfig, own: Sequence[calls.Call], scores: ensembles.RecordingScores) -> None:
    """Refuses calls past the end of their recording.

    Raises:
        InputError: there are such calls; the message names the first.
    """
    starts = [start for start, _, _ in own if start >= scores.duration_seconds]
    if starts and not scores.lost_seconds:  # the end of the recording may be what is lost
        raise config.InputError(
            f"--segments={settings.calls}: {len(starts)} of {len(own)} calls are past the end of {scores.path} "
            f"({scores.duration_seconds:.1f} s), the first at {starts[0]:.1f} s; do their times count from another "
            "start, or are they no seconds?"
        )


def _num_learnt(ensemble: ensembles.Ensemble, recordings: Sequence[tuple[str, str]], table: str) -> int:
    """Number of soundscapes, (id, path), and of recordings of mixed calls that the models have learnt from, with a
    warning.
    """
    leak = leaks.of(ensemble)
    judged = [metadata.Recording(recording_id=name, path=path) for name, path in recordings]
    mixed = [metadata.unknown(path) for path in calls.cut_from(table)]
    found = [leak.among_heard(judged), leak.among_heard(mixed, "recordings that the calls were cut from")]
    for learnt in found:
        learnt.log()
    return sum(len(learnt.recordings) for learnt in found)


def headline(scores: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """cmap and auroc over segments [segments, classes], mlrap over the segments with at least one species."""
    return {
        "cmap": metrics.class_mean_average_precision(scores, truth),
        "auroc": metrics.auroc(scores, truth),
        "mlrap": metrics.mlrap(scores, truth),
    }


def _in_time(
    settings: SoundscapeConfig, found: Iterable[tuple[str, ensembles.RecordingScores]],
    calls_in: Mapping[str, list[calls.Call]],
) -> Iterator[tuple[str, ensembles.RecordingScores]]:  # fmt: skip
    """Yields what is found, if no call is past the end of its recording; raises InputError otherwise."""
    for recording_id, scores in found:
        _refuse_late(settings, calls_in.get(recording_id, ()), scores)
        yield recording_id, scores


def _truth(own: Sequence[calls.Call], scores: ensembles.RecordingScores, num_classes: int) -> np.ndarray:
    """[segments, classes] bool of one recording."""
    count = pooling.num_segments(scores.duration_seconds, segments.SECONDS)
    return metrics.segment_truth(own, count, segments.SECONDS, num_classes)


def _tune(
    settings: SoundscapeConfig, ensemble: ensembles.Ensemble,
    scored: Sequence[tuple[str, ensembles.RecordingScores]], calls_in: Mapping[str, list[calls.Call]],
    chunking: decode.ChunkingConfig, method: str,
) -> dict[str, float]:  # fmt: skip
    """Sets context and calibration of the ensemble by the soundscapes; as `context_search.tune`."""
    truth = [_truth(calls_in.get(recording_id, ()), scores, len(ensemble.classes)) for recording_id, scores in scored]
    if not any(present.any() for present in truth):
        raise config.InputError(f"--tune --segments={settings.calls}: no call is in a recording that can be read")
    heard = context_search.Heard(scores=[scores for _, scores in scored], truth=truth, chunking=chunking)
    return context_search.tune(
        ensemble, heard, method, settings.tuning.precision, settings.tuning.synthetic_noise, settings.source.audio,
        carry_thresholds=settings.carry_thresholds,
    )  # fmt: skip


def _share(some: np.ndarray, of: np.ndarray) -> float:
    return float(some.sum() / of.sum()) if of.any() else math.nan


def evaluate(settings: SoundscapeConfig, ensemble: ensembles.Ensemble) -> dict[str, Any]:
    """Scores soundscapes and writes OUTPUT/segments.json and skipped.csv.

    Args:
        settings: what is evaluated, and how.
        ensemble: the models; in tuning, its decisions are set.

    Returns:
        The content of segments.json: `headline`; false_alarms_per_hour, precision and recall of the species called in
        segments, by the rule of the thresholds, NaN where nothing is called or present; num_segments, num_recordings,
        num_skipped, overlap_seconds of the chunks, context in words; with `tune` context_cmap, as from
        `context_search.tune`; with --occurrence, --species_list or --prior also `without_prior`, the headline without
        them.

    Raises:
        InputError: unusable recordings or calls, calls past the end, or no recording can be read.
    """
    method, paths = ensemble.check_pooling(settings.tuning.pooling or segments.DEFAULT_POOLING), ensemble.paths
    recordings = audio_files.find_below(settings.source.audio)
    channel = ensemble.channel(settings.chunking.channel)
    truth_of = calls.read(settings.calls, settings.source, recordings, ensemble.classes, channel)
    calls_in, skipped = truth_of.calls, list(truth_of.unknown.items())
    for skip in skipped:
        skips.log(skip)
    judged = [(name, path) for name, path in recordings if path not in truth_of.unknown]
    odds_factors = occurrence.OddsFactors(settings.occurrence_settings, ensemble)
    factors_by_id = occurrence.factors_by_id(
        odds_factors, recordings, settings.source.audio, settings.source.metadata, settings.source.clock
    )
    files.make_folder(settings.output)  # an unusable folder stops the command before the scoring

    chunking = settings.chunking.for_segments(ensemble.shortest_chunk_seconds)
    answering = in_context.Answers(ensemble, chunking, shifted=settings.tuning.tune or None)
    scoring_each = scoring.score_recordings(ensemble, judged, answering.chunking, place=settings.place)
    scored = _in_time(settings, scoring.readable(scoring_each, skipped), calls_in)
    context_cmap: dict[str, float] = {}
    if settings.tuning.tune:
        kept = list(scored)  # they are judged twice
        context_cmap = _tune(settings, ensemble, kept, calls_in, chunking, method)
        scored = iter(kept)
        answering = in_context.Answers(ensemble, chunking, shifted=True)
    # [segments, classes] of each recording: scores without and with the factors, and detection probabilities
    plain, scores, detections, truth = [], [], [], []
    hours = 0.0
    for recording_id, raw in scored:
        factors, answered = factors_by_id(recording_id), answering.in_context(raw)
        plain.append(ensemble.decisions.answers.probabilities(segments.pooled(answered, method)))
        scores.append(occurrence.multiply_odds(plain[-1], factors))
        loudest = ensemble.decisions.answers.probabilities(segments.loudest(answered))
        detections.append(occurrence.multiply_odds(loudest, factors))
        hours += raw.duration_seconds / 3600
        truth.append(_truth(calls_in.get(recording_id, ()), raw, len(ensemble.classes)))
    if not scores:
        raise config.InputError(f"none of {len(recordings)} recordings can be read; the first: {skipped[0][1]}")

    present, detected = np.concatenate(truth), np.concatenate(detections)
    called = {
        rule: thresholds.reached(detected, least) for rule, least in ensemble.decisions.answers.thresholds.items()
    }
    summary = {
        **headline(np.concatenate(scores), present),
        "false_alarms_per_hour": {rule: float(np.sum(found & ~present) / hours) for rule, found in called.items()},
        "precision": {rule: _share(found & present, found) for rule, found in called.items()},
        "recall": {rule: _share(found & present, present) for rule, found in called.items()},
        "num_segments": len(present), "num_recordings": len(scores), "num_skipped": len(skipped),
        "models": paths, "pooling": method, "evaluated": settings.source.audio,
        "overlap_seconds": chunking.overlap_seconds,
        "context": ensemble.decisions.context.describe(), "context_cmap": context_cmap,
        "tuned_on_these": settings.tuning.tune,
        "expected": odds_factors.describe(), "num_learnt": _num_learnt(ensemble, judged, settings.calls),
        **settings.made_by, **provenance.of_models(ensemble),
    }  # fmt: skip
    if settings.occurrence_settings.active:
        summary["without_prior"] = headline(np.concatenate(plain), present)
    skips.write(settings.output, skipped)
    if settings.tuning.tune:
        fitted_to = stored_decisions.RECORDINGS if settings.carry_thresholds else "soundscapes"
        stored_decisions.store(ensemble, settings.kept_in or settings.output, settings.kept_by or paths, fitted_to)
    files.write_json(os.path.join(settings.output, SUMMARY), files.defined(summary))
    return summary

"""Soundscapes with time-stamped calls → metrics over their segments."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bird_tf import config, executor, files, skips
from bird_tf.audio import decode
from bird_tf.inference import audio_files, ensembles, leaks, occurrence, scoring, segments
from bird_tf.labels import clock, given_table, metadata, taxonomy
from bird_tf.labels.layouts import matching
from bird_tf.scores import metrics

# start and end in seconds, and the index of the class
Call = tuple[float, float, int]


SUMMARY = "segments.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoundscapeConfig:
    """What is evaluated, and how.

    Attributes:
        models: exported models; several are an ensemble.
        audio: folder with the soundscapes.
        calls: CSV of the calls in them, as `read_calls` reads it.
        output: folder for the results.
        chunking: how recordings are cut into chunks.
        place: where they are scored.
        occurrence_settings: which species are probable at a place and time.
        clock: the time zones of recorders.
        metadata: folder or CSV with place and time of the recordings; empty: unknown.
        decisions: as in `ensembles.Ensemble`.
        pooling: one of `pooling.METHODS`, chunk scores → segment scores; empty: `segments.DEFAULT_POOLING`.
    """

    models: tuple[str, ...]
    audio: str
    calls: str
    output: str
    chunking: decode.ChunkingConfig
    occurrence_settings: occurrence.OccurrenceConfig
    clock: clock.ClockConfig = dataclasses.field(default_factory=clock.ClockConfig)
    metadata: str = ""
    decisions: str = ""
    pooling: str = ""
    place: executor.PlaceConfig = dataclasses.field(default_factory=executor.PlaceConfig)


def read_calls(path: str, classes: taxonomy.Taxonomy) -> dict[str, list[Call]]:
    """Reads a CSV with the columns media_id, class_id, start_seconds, end_seconds.

    Returns:
        {media_id: (start, end, class index) of each call}. A media_id is a MediaId, a file name with or without suffix,
        or the path of the recording below the folder of all.

    Raises:
        InputError: no such file, a missing column, a time that is not a number, or a class that the models do not know.
    """
    calls: dict[str, list[Call]] = collections.defaultdict(list)
    for row in given_table.read(path, "segments", ("media_id", "class_id", "start_seconds", "end_seconds")):
        start, end, class_id = row.number("start_seconds", 0), row.number("end_seconds", 0), row.text("class_id")
        if class_id not in classes.class_ids:
            raise row.error(f"{class_id} is no class_id of the model")
        if not start <= end:
            raise row.error("need start_seconds, and an end_seconds that is not before it")
        calls[row.text("media_id")].append((start, end, classes.index(class_id)))
    return calls


def _by_recording(
    settings: SoundscapeConfig, calls: Mapping[str, list[Call]], recordings: Sequence[tuple[str, str]]
) -> dict[str, list[Call]]:
    """{path below the folder: calls}, for recordings of which both paths are given.

    Raises:
        InputError: a name is unknown, or that of several recordings.
    """
    names = matching.Recordings([path for _, path in recordings], settings.audio)
    below = {path: file for file, path in recordings}
    ids = collections.Counter(metadata.media_id(path) for path in below)
    by_id = {media_id: path for path in below if ids[media_id := metadata.media_id(path)] == 1}
    found = collections.defaultdict[str, list[Call]](list)
    for name, in_recording in calls.items():
        try:
            path = by_id.get(name) or names.find(name)
        except config.InputError as error:
            raise config.InputError(f"--segments={settings.calls}: {error}") from error
        if path is None:
            several = f"; {ids[name]} recordings have this MediaId: write their paths" if ids[name] > 1 else ""
            raise config.InputError(f"--segments={settings.calls}: {settings.audio} has no recording {name}{several}")
        found[below[path]] += in_recording
    return found


def _num_learnt(ensemble: ensembles.Ensemble, recordings: Sequence[tuple[str, str]]) -> int:
    """Number of soundscapes, (id, path), that the models have learnt from; a warning tells of them."""
    heard_by = ensemble.models[0].hearing
    leak = leaks.Leaks([model.path for model in ensemble.models], heard_by.sample_rate_hz, heard_by.channel)
    judged = leak.with_digests([metadata.Recording(recording_id=i, path=path) for i, path in recordings])
    leak.notes(judged)
    return leak.num_learnt(judged)


def headline(scores: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """cmap and auroc over segments [segments, classes], mlrap over the segments with at least one species."""
    return {
        "cmap": metrics.class_mean_average_precision(scores, truth),
        "auroc": metrics.auroc(scores, truth),
        "mlrap": metrics.mlrap(scores, truth),
    }


def evaluate(settings: SoundscapeConfig) -> dict[str, Any]:
    """Scores soundscapes and writes OUTPUT/segments.json and skipped.csv.

    Returns:
        The content of segments.json: `headline`, false_alarms_per_hour by the rule of the thresholds, num_segments,
        num_recordings, num_skipped; with --occurrence, --species_list or --prior also `without_prior`, the headline
        without them.

    Raises:
        InputError: unusable models, recordings or calls, or no recording can be read.
    """
    settings.place.prepare()
    ensemble = ensembles.Ensemble(settings.models, settings.decisions)
    method = ensemble.check_pooling(settings.pooling or segments.DEFAULT_POOLING)
    calls = read_calls(settings.calls, ensemble.classes)
    recordings = audio_files.find_below(settings.audio)
    calls_in = _by_recording(settings, calls, recordings)
    odds_factors = occurrence.OddsFactors(settings.occurrence_settings, ensemble)
    factors_by_id = occurrence.factors_by_id(
        odds_factors, recordings, settings.audio, settings.metadata, settings.clock
    )
    files.make_folder(settings.output)  # an unusable folder stops the command before the scoring

    # [segments, classes] of each recording: scores without and with the factors, and detection probabilities
    plain, scores, detections, truth = [], [], [], []
    skipped, hours = [], 0.0
    for recording in scoring.score_recordings(ensemble, recordings, settings.chunking, place=settings.place):
        if recording.scores is None:
            skipped.append((recording.path, recording.reason))
            skips.log(skipped[-1])
            continue
        factors = factors_by_id(recording.recording_id)
        plain.append(ensemble.decisions.chunk.probabilities(segments.pooled(recording.scores, method)))
        scores.append(occurrence.multiply_odds(plain[-1], factors))
        loudest = ensemble.decisions.chunk.probabilities(segments.pooled(recording.scores, "max"))
        detections.append(occurrence.multiply_odds(loudest, factors))
        hours += recording.scores.duration_seconds / 3600
        in_recording = calls_in[recording.recording_id]
        truth.append(metrics.segment_truth(in_recording, len(plain[-1]), segments.SECONDS, len(ensemble.classes)))
    if not scores:
        raise config.InputError(f"none of {len(recordings)} recordings can be read; the first: {skipped[0][1]}")

    present, detected = np.concatenate(truth), np.concatenate(detections)
    summary = {
        **headline(np.concatenate(scores), present),
        "false_alarms_per_hour": {
            rule: float(np.sum((detected >= thresholds) & (detected > 0) & ~present) / hours)
            for rule, thresholds in ensemble.decisions.chunk.thresholds.items()
        },
        "num_segments": len(present), "num_recordings": len(scores), "num_skipped": len(skipped),
        "models": list(settings.models), "pooling": method, "evaluated": settings.audio,
        "expected": odds_factors.describe(), "num_learnt": _num_learnt(ensemble, recordings),
    }  # fmt: skip
    if settings.occurrence_settings.active:
        summary["without_prior"] = headline(np.concatenate(plain), present)
    skips.write(settings.output, skipped)
    files.write_json(os.path.join(settings.output, SUMMARY), files.defined(summary))
    return summary

"""Soundscapes with a time-stamped truth → metrics over their segments."""

from __future__ import annotations

import collections
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging

from bird_tf import config, files
from bird_tf.audio import decode
from bird_tf.inference import audio_files, ensembles, occurrence, scoring, segments
from bird_tf.labels import taxonomy
from bird_tf.scores import metrics


def read_truth(path: str, classes: taxonomy.Taxonomy) -> dict[str, list[tuple[float, float, int]]]:
    """(start, end, class index) of every call, by recording.

    Raises:
        InputError: no such table, a time that is no number, or a class that the models do not know.
    """
    calls: dict[str, list[tuple[float, float, int]]] = collections.defaultdict(list)
    for number, row in enumerate(files.read_table(path), 2):
        try:
            index = classes.index(row["class_id"])
            calls[row["media_id"]].append((float(row["start_seconds"]), float(row["end_seconds"]), index))
        except (KeyError, ValueError, TypeError) as error:
            raise config.InputError(
                f"--segments={path}, line {number}: need media_id, class_id (one that the model knows), start_seconds "
                f"and end_seconds; {error!r}"
            ) from error
    return calls


def headline(scores: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """cmap and auroc over segments [segments, classes], mlrap over the segments that hold a species."""
    return {
        "cmap": metrics.class_mean_average_precision(scores, truth),
        "auroc": metrics.auroc(scores, truth),
        "mlrap": metrics.mlrap(scores, truth),
    }


def evaluate(
    models: Sequence[str], decisions_path: str, audio_path: str, truth_path: str, chunking: decode.ChunkingConfig,
    method: str, expected: occurrence.OccurrenceConfig, described: str, output: str,
) -> dict[str, Any]:  # fmt: skip
    """Scores soundscapes and writes OUTPUT/segments.json and skipped.csv.

    Returns:
        What it holds: `headline`, false_alarms_per_hour by the rule of the thresholds, num_segments, num_recordings,
        num_skipped; with --occurrence, --species_list or --prior also `without_prior`, the headline without them.

    Raises:
        InputError: models, recordings or truth that cannot be used, or not one recording that can be read.
    """
    ensemble = ensembles.Ensemble(models, decisions_path)
    method = ensemble.check_pooling(method or segments.DEFAULT_POOLING)
    calls = read_truth(truth_path, ensemble.classes)
    recordings = audio_files.find_recordings(audio_path)
    strange = sorted(set(calls) - {recording_id for recording_id, _ in recordings})
    if strange:
        raise config.InputError(f"--segments={truth_path}: {audio_path} has no recording {strange[0]}")
    odds = occurrence.OddsFactors(expected, ensemble)
    ratios = occurrence.factors_of(odds, recordings, audio_path, described)
    files.make_folder(output)  # what cannot be had shows before anything is scored
    plain, scores, loudest, truth, skipped, hours = [], [], [], [], [], 0.0
    for outcome in scoring.score_recordings(ensemble, recordings, chunking):
        if outcome.scores is None:
            skipped.append((outcome.path, outcome.reason))
            logging.warning("skipped: %s", outcome.reason)
            continue
        expects = ratios(outcome.recording_id)
        plain.append(segments.pooled(outcome.scores, method))
        scores.append(occurrence.multiply_odds(plain[-1], expects))
        told = ensemble.decisions.chunk.probabilities(segments.pooled(outcome.scores, "max"))
        loudest.append(occurrence.multiply_odds(told, expects))
        hours += outcome.scores.duration_seconds / 3600
        present = calls.get(outcome.recording_id, [])
        truth.append(metrics.segment_truth(present, len(scores[-1]), segments.SECONDS, len(ensemble.classes)))
    if not scores:
        raise config.InputError(f"none of {len(recordings)} recordings can be read; the first: {skipped[0][1]}")
    present_at, heard_at = np.concatenate(truth), np.concatenate(loudest)
    summary = {
        **headline(np.concatenate(scores), present_at),
        "false_alarms_per_hour": {
            rule: float(np.sum((heard_at >= thresholds) & ~present_at) / hours)
            for rule, thresholds in ensemble.decisions.chunk.thresholds.items()
        },
        "num_segments": sum(map(len, scores)), "num_recordings": len(scores), "num_skipped": len(skipped),
        "models": list(models), "pooling": method, "evaluated": audio_path,
        "expected": odds.describe(),
    }  # fmt: skip
    if expected.active:
        summary["without_prior"] = headline(np.concatenate(plain), present_at)
    files.write_table(os.path.join(output, "skipped.csv"), ("file", "reason"), skipped)
    files.write_json(os.path.join(output, "segments.json"), files.defined(summary))
    return summary

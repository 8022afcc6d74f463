"""Sound without birds, from a folder or synthesised → scores, and false alarms an hour with an interval."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import os
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import soundfile

from bird_tf import config, executor, files, skips
from bird_tf.audio import decode, frontend, noises
from bird_tf.inference import audio_files, ensembles, in_context, scoring, segments
from bird_tf.scores import metrics, thresholds

# even seeds are for training
_SEED = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoiseScores:
    """Scores of recordings without birds.

    Attributes:
        paths: of the recordings.
        chunks: for each recording [chunks, classes] float32, the models' weighted mean.
        attention_logits: for each recording [chunks] float32.
        loudest: for each recording [segments, classes], as `segments.loudest`, in their context.
        hours: [recordings] length of each.
        skipped: (file, reason) of those that cannot be read.
    """

    paths: list[str]
    chunks: list[np.ndarray]
    attention_logits: list[np.ndarray]
    loudest: list[np.ndarray]
    hours: np.ndarray
    skipped: list[tuple[str, str]]


def score_folder(
    ensemble: ensembles.Ensemble, folder: str, chunking: decode.ChunkingConfig,
    place: executor.PlaceConfig | None = None,
) -> NoiseScores:  # fmt: skip
    """Scores the recordings in a folder, in which no bird is heard, at a place as in `scoring.score_recordings`.

    Raises:
        InputError: there is no recording, or none can be read.
    """
    if not os.path.isdir(folder):
        raise config.InputError(f"--noise_audio={folder}: no such folder")
    recordings = audio_files.find_below(folder)
    skipped: list[skips.Skip] = []
    answering = in_context.Answers(ensemble, chunking)
    scored = scoring.score_recordings(ensemble, recordings, answering.chunking, place=place)
    found = [scores for _, scores in scoring.readable(scored, skipped)]
    if not found:
        raise config.InputError(f"none of {len(recordings)} recordings in {folder} can be read: {skipped[0][1]}")
    return NoiseScores(
        paths=[scores.path for scores in found],
        chunks=[answering.own(scores).probabilities for scores in found],
        attention_logits=[answering.own(scores).attention_logits for scores in found],
        loudest=[segments.loudest(answering.in_context(scores)) for scores in found],
        hours=np.array([scores.duration_seconds / 3600 for scores in found]),
        skipped=skipped,
    )


def score_synthesised(ensemble: ensembles.Ensemble, count: int) -> NoiseScores:
    """Scores `count` synthesised recordings, each as long as a chunk of the first model."""
    with tempfile.TemporaryDirectory() as folder:
        write_synthesised(folder, count, ensemble.models[0].front_end)
        return score_folder(ensemble, folder, decode.ChunkingConfig())


@functools.lru_cache(maxsize=2)  # `--tune_on_mixtures` asks twice, with others between
def _synthesised(rate_hz: int, num_samples: int, first: int, count: int) -> np.ndarray:
    """[count, num_samples] float32."""

    def one(number: int) -> np.ndarray:
        return noises.synthesise(1, rate_hz, num_samples, _SEED, number)

    with concurrent.futures.ThreadPoolExecutor(executor.num_cores()) as threads:
        return np.concatenate(list(threads.map(one, range(first, first + count))))


def write_synthesised(folder: str, count: int, front_end: frontend.FrontendConfig, first: int = 0) -> list[str]:
    """Writes synthesised recordings, each as long as a chunk. Returns their paths.

    Args:
        folder: for the recordings.
        count: number of them.
        front_end: sample rate and length of a chunk.
        first: number of the first one; other numbers give other noise.
    """
    files.make_folder(folder)
    paths = [os.path.join(folder, f"noise{number:05d}.wav") for number in range(first, first + count)]
    found = _synthesised(front_end.sample_rate_hz, front_end.chunk_samples, first, count)
    for path, samples in zip(paths, found, strict=True):
        soundfile.write(path, samples, front_end.sample_rate_hz, subtype="FLOAT")
    return paths


def false_alarms(
    ensemble: ensembles.Ensemble, loudest: Sequence[np.ndarray], hours: np.ndarray
) -> dict[str, dict[str, float]]:
    """False alarms an hour by each rule of the thresholds: a species in a segment of 5 s is one.

    Args:
        ensemble: with the decisions.
        loudest: for each recording [segments, classes] scores, as from `segments.loudest`.
        hours: [recordings] length of each.

    Returns:
        {rule: {"rate", "low", "high": the 95 % interval}}.
    """
    fitted = ensemble.decisions.answers
    probabilities = [fitted.probabilities(scores) for scores in loudest]
    return {
        rule: dict(zip(("rate", "low", "high"), rate_and_interval(_counts(probabilities, least), hours), strict=True))
        for rule, least in fitted.thresholds.items()
    }


def summarise(
    ensemble: ensembles.Ensemble, heard: NoiseScores, scores: np.ndarray, truth: np.ndarray
) -> dict[str, Any]:
    """What is reported of recordings without birds, beside labelled ones.

    Args:
        ensemble: with the decisions.
        heard: the recordings without birds.
        scores: [recordings, classes] probabilities of the labelled recordings.
        truth: [recordings, classes] bool.

    Returns:
        hours, num_recordings, num_skipped, false_alarms_per_hour as by `false_alarms`, and cmap over the recordings of
        both: of one class, the average precision of a detector.
    """
    silent = ensemble.decisions.of_chunks(heard.chunks, heard.attention_logits)
    both = np.concatenate([scores, silent]), np.concatenate([truth, np.zeros(silent.shape, bool)])
    return {
        "hours": float(heard.hours.sum()),
        "num_recordings": len(heard.chunks),
        "num_skipped": len(heard.skipped),
        "false_alarms_per_hour": false_alarms(ensemble, heard.loudest, heard.hours),
        "cmap": metrics.class_mean_average_precision(*both),
    }


def _counts(probabilities: Sequence[np.ndarray], least: np.ndarray) -> np.ndarray:
    """[recordings] how many species reach their threshold, summed over the segments."""
    return np.array([np.sum(thresholds.reached(scores, least)) for scores in probabilities])


def rate_and_interval(counts: np.ndarray, hours: np.ndarray) -> tuple[float, float, float]:
    """Events an hour, with a 95 % interval.

    The interval is the exact one of a Poisson count (Garwood 1936). Alarms come in bursts, so count and hours are first
    divided by the dispersion between recordings (Pearson's chi-square by its degrees of freedom) where it exceeds 1.

    Args:
        counts: [recordings] events in each.
        hours: [recordings] length of each, above 0.

    Returns:
        (rate, low, high), events an hour.
    """
    import scipy.stats

    total, length = float(counts.sum()), float(hours.sum())
    expected = total / length * hours
    dispersion = 1.0
    if total and len(counts) > 1:
        dispersion = max(1.0, float(np.sum((counts - expected) ** 2 / expected)) / (len(counts) - 1))
    events, exposure = total / dispersion, length / dispersion
    low = scipy.stats.chi2.ppf(0.025, 2 * events) / 2 if total else 0.0
    high = scipy.stats.chi2.ppf(0.975, 2 * (events + 1)) / 2
    return total / length, float(low / exposure), float(high / exposure)


def describe(alarms: dict[str, dict[str, float]]) -> str:
    """False alarms in words: "0.0 (f1; 95 %: 0.0 to 3.7), …"."""
    return ", ".join(f"{a['rate']:.1f} ({rule}; 95 %: {a['low']:.1f} to {a['high']:.1f})" for rule, a in alarms.items())

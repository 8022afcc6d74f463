"""Recordings for the report: their scores over time, and an excerpt as spectrogram and sound."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from bird_tf.audio import frontend
from bird_tf.evaluation import excerpts
from bird_tf.inference import ensembles, labelled, saved_model
from bird_tf.records import manifests, schema, shard_files, verify
from bird_tf.scores import metrics

_EXCERPT_SECONDS = 8.0
_NUM_SPECIES = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """One recording.

    Attributes:
        index: its row in the scores.
        seconds: its length.
        species: class indices to show: first those present, then the others with the highest scores.
        chunks: [chunks, species] float32 probabilities.
        excerpt: (start, end) of the excerpt, seconds.
        spectrograms: [n, bands, frames] float32 in [0, 1], the excerpt's chunks by the first model's front-end.
        mp3: the excerpt's sound; empty if the recording was scored from records.
    """

    index: int
    seconds: float
    species: list[int]
    chunks: np.ndarray
    excerpt: tuple[float, float]
    spectrograms: np.ndarray
    mp3: bytes


def worst(
    ensemble: ensembles.Ensemble,
    scored: labelled.LabelledScores,
    pooled: np.ndarray,
    truth: np.ndarray,
    count: int,
    manifest: manifests.Manifest | None,
    channel: str = "",
) -> list[Example]:
    """The recordings with the lowest average precision, the lowest first.

    Args:
        ensemble: the models that scored them.
        scored: all recordings.
        pooled: [recordings, classes] scores.
        truth: [recordings, classes] bool.
        count: number of recordings to return at most.
        manifest: the records that were scored; None if audio was scored.
        channel: what was heard of several channels, as --channel; empty: what the first model hears.

    Returns:
        The examples; none of records without spectrograms.
    """
    if manifest and schema.SPECTROGRAM not in manifest.features:
        return []
    precisions = metrics.ranking_precisions(pooled, truth)
    chosen = [int(i) for i in np.argsort(precisions, kind="stable")[:count]]
    chunks = {i: ensemble.mix(scored.member_probabilities[i]) for i in chosen}
    front_end = ensemble.models[0].front_end
    excerpts = {
        i: _excerpt(chunks[i], scored.start_seconds[i], truth[i], scored.duration_seconds[i], front_end) for i in chosen
    }
    stored = _stored_spectrograms(manifest, scored, excerpts) if manifest else {}
    worst_examples = []
    for i in chosen:
        present = np.flatnonzero(truth[i]).tolist()
        others = [int(c) for c in np.argsort(-pooled[i], kind="stable") if not truth[i, c]]
        species = present[:_NUM_SPECIES] + others[: max(1, _NUM_SPECIES - len(present))]
        spectrograms, mp3 = (
            (stored[i], b"") if manifest else _decoded_excerpt(ensemble, scored.paths[i], excerpts[i], channel)
        )
        worst_examples.append(Example(
            index=i, seconds=scored.duration_seconds[i], species=species, chunks=chunks[i][:, species],
            excerpt=excerpts[i], spectrograms=spectrograms, mp3=mp3,
        ))  # fmt: skip
    return worst_examples


def _excerpt(
    chunks: np.ndarray, start: np.ndarray, present: np.ndarray, end: float, front_end: frontend.FrontendConfig
) -> tuple[float, float]:
    """(start, end) around the chunk with the highest score of an absent class, seconds."""
    wrong = np.where(present, 0.0, chunks).max(axis=1)
    length = max(_EXCERPT_SECONDS, front_end.chunk_seconds)
    begin = float(start[int(np.argmax(wrong))]) - (length - front_end.chunk_seconds) / 2
    begin = max(0.0, min(begin, end - length))
    return begin, min(end, begin + length)


def _stored_spectrograms(
    manifest: manifests.Manifest, scored: labelled.LabelledScores, excerpts: dict[int, tuple[float, float]]
) -> dict[int, np.ndarray]:
    """{index: [n, bands, frames]} the excerpts' spectrograms, read from records."""
    features = manifest.select([schema.SPECTROGRAM], "the report")
    wanted = {scored.recording_ids[i]: i for i in excerpts}
    found: dict[int, list[np.ndarray]] = {i: [] for i in excerpts}
    batches = shard_files.read(manifest, "val", saved_model.BATCH_SIZE, features)
    for batch in verify.naming_damage(batches, manifest):
        columns = (batch[name].numpy() for name in ("recording_id", "start_seconds", schema.SPECTROGRAM))
        for recording_id, start, spectrogram in zip(*columns, strict=True):
            i = wanted.get(recording_id.decode())
            if i is not None and excerpts[i][0] - 1e-3 <= start < excerpts[i][1] - 1e-3:
                found[i].append(frontend.dequantise(spectrogram).numpy())
    return {i: np.stack(spectrograms) for i, spectrograms in found.items()}


def _decoded_excerpt(
    ensemble: ensembles.Ensemble, path: str, excerpt: tuple[float, float], channel: str
) -> tuple[np.ndarray, bytes]:
    """Spectrograms and MP3 of an excerpt of a recording."""
    model = ensemble.models[0]
    channel = ensemble.channel(channel)
    rate, size = model.front_end.sample_rate_hz, model.front_end.chunk_samples
    samples = excerpts.samples(path, rate, *excerpt, channel)
    count = max(1, math.ceil(len(samples) / size - 0.01))  # a few samples more, by rounding, make no further chunk
    padded = np.pad(samples, (0, max(0, count * size - len(samples))))[: count * size]
    spectrograms = model.spectrograms(padded.reshape(count, size))
    return spectrograms, excerpts.mp3(excerpts.samples(path, excerpts.RATE_HZ, *excerpt, channel))

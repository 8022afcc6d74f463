"""Labelled recordings, as records or as audio → the models' scores beside the truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from bird_tf import config
from bird_tf.audio import decode, frontend
from bird_tf.inference import ensembles, saved_model, scoring
from bird_tf.labels import metadata
from bird_tf.records import manifests, recordings_table, shard_files, verify
from bird_tf.scores import pooling


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelledScores:
    """Scores of labelled recordings, sorted by id.

    Attributes:
        recording_ids: [recordings].
        recordings: what is known of each.
        labels: [recordings] index of the foreground species.
        backgrounds: for each recording, indices of its background species.
        chunks: for each recording [models, chunks, classes] float32 in [0, 1].
        attentions: for each recording [models, chunks] float32, as in serving.Scores.
        start_seconds: for each recording [chunks] when its chunks begin.
        seconds: [recordings] length of each; of records, to the end of the last chunk.
        paths: for each recording its audio file; empty if scored from records.
        skipped: (recording, reason) of those left out.
    """

    recording_ids: list[str]
    recordings: list[metadata.Recording]
    labels: np.ndarray
    backgrounds: list[list[int]]
    chunks: list[np.ndarray]
    attentions: list[np.ndarray]
    start_seconds: list[np.ndarray]
    seconds: list[float]
    paths: list[str]
    skipped: list[tuple[str, str]]

    def mixed(self, ensemble: ensembles.Ensemble) -> list[np.ndarray]:
        """For each recording [chunks, classes], the models' weighted mean."""
        return [ensemble.mix(members) for members in self.chunks]

    def attention(self, ensemble: ensembles.Ensemble) -> list[np.ndarray] | None:
        """For each recording [chunks], the models' weighted mean; None if one of them gives none."""
        able = all(model.has_attention for model in ensemble.models)
        return [ensemble.mix(members) for members in self.attentions] if able else None

    def pooled(self, ensemble: ensembles.Ensemble) -> np.ndarray:
        """[recordings, classes] float64, mixed and pooled as the ensemble's decisions say."""
        return pooling.pool_each(self.mixed(ensemble), ensemble.decisions.pooling, self.attention(ensemble))


def _check_fit(ensemble: ensembles.Ensemble, manifest: manifests.Manifest) -> None:
    """Refuses records that the models cannot see or whose classes they do not know."""
    directory = manifest.directory
    if not manifest.num_chunks("val"):
        raise config.InputError(f"{directory} has no validation chunk; evaluate with --audio and --metadata instead")
    for model in ensemble.models:
        model.check_front_end(manifest.front_end, f"{directory} (evaluate with --audio instead)")
    known = set(ensemble.classes.class_ids)
    unknown = [class_id for class_id in manifest.classes.class_ids if class_id not in known]
    if unknown:
        raise config.InputError(f"{directory} has classes that the model does not know: {', '.join(unknown[:5])}")


def score_records(ensemble: ensembles.Ensemble, manifest: manifests.Manifest) -> LabelledScores:
    """Scores the validation recordings of a records directory.

    Raises:
        InputError: no validation chunk, another front-end than a model's, or classes that the models do not know.
    """
    _check_fit(ensemble, manifest)
    to_model = np.array([ensemble.classes.index(class_id) for class_id in manifest.classes.class_ids])
    answers: dict[str, list[saved_model.Outputs]] = {}
    starts: dict[str, list[float]] = {}
    about: dict[str, tuple[int, list[int]]] = {}
    with config.progress(manifest.num_chunks("val"), "chunk", "evaluating") as progress:
        for batch in verify.naming_damage(shard_files.read(manifest, "val", ensemble.models[0].batch_size), manifest):
            said = ensemble.predict_spectrograms(frontend.dequantise(batch["spectrogram"]).numpy())
            columns = (batch[name].numpy() for name in ("recording_id", "start_seconds", "label", "background"))
            for i, (raw_id, start, label, background) in enumerate(zip(*columns, strict=True)):
                recording_id = raw_id.decode()
                answers.setdefault(recording_id, []).append(saved_model.Outputs(*(part[:, i] for part in said)))
                starts.setdefault(recording_id, []).append(float(start))
                about[recording_id] = (int(to_model[label]), [int(to_model[b]) for b in background if b >= 0])
            progress.update(said.attention.shape[1])
    recording_ids = sorted(answers)
    known = {r.recording_id: r for r in recordings_table.read(manifest.directory)}
    return LabelledScores(
        recording_ids=recording_ids,
        recordings=[known.get(i, metadata.Recording(recording_id=i, path="")) for i in recording_ids],
        labels=np.array([about[i][0] for i in recording_ids]),
        backgrounds=[about[i][1] for i in recording_ids],
        chunks=[np.stack([a.probabilities for a in answers[i]], axis=1) for i in recording_ids],
        attentions=[np.stack([a.attention for a in answers[i]], axis=1) for i in recording_ids],
        start_seconds=[np.array(starts[i]) for i in recording_ids],
        seconds=[max(starts[i]) + manifest.front_end.chunk_seconds for i in recording_ids],
        paths=[""] * len(recording_ids),
        skipped=[],
    )


def score_audio(
    ensemble: ensembles.Ensemble, recordings: Sequence[metadata.Recording], chunking: decode.ChunkingConfig
) -> LabelledScores:
    """Scores labelled recordings.

    Raises:
        InputError: not one that can be read and has a label that the models know.
    """
    known = set(ensemble.classes.class_ids)
    skipped = [(r.path, f"{r.label} is no class of the model") for r in recordings if r.label not in known]
    by_id = {r.recording_id: r for r in recordings if r.label in known}
    found: dict[str, ensembles.RecordingScores] = {}
    wanted = [(i, r.path) for i, r in sorted(by_id.items())]
    for outcome in scoring.score_recordings(ensemble, wanted, chunking):
        if outcome.scores is None:
            skipped.append((outcome.path, outcome.reason))
        else:
            found[outcome.recording_id] = outcome.scores
    if not found:
        raise config.InputError(f"none of {len(recordings)} recordings can be scored; the first: {skipped[0][1]}")
    return LabelledScores(
        recording_ids=list(found),
        recordings=[by_id[i] for i in found],
        labels=np.array([ensemble.classes.index(by_id[i].label) for i in found]),
        backgrounds=[ensemble.classes.resolve(by_id[i].background) for i in found],
        chunks=[scores.members for scores in found.values()],
        attentions=[scores.attentions for scores in found.values()],
        start_seconds=[scores.start_seconds for scores in found.values()],
        seconds=[scores.duration_seconds for scores in found.values()],
        paths=[scores.path for scores in found.values()],
        skipped=skipped,
    )

"""Labelled recordings, from records or from audio → the models' scores and the truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from absl import logging

from bird_tf import config, executor, progress_bars, tf
from bird_tf.audio import decode
from bird_tf.inference import ensembles, saved_model, scoring
from bird_tf.labels import metadata
from bird_tf.records import manifests, recordings_table, schema, shard_files, verify
from bird_tf.scores import pooling


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelledScores:
    """Scores of labelled recordings, sorted by id.

    Attributes:
        recording_ids: [recordings].
        recordings: the metadata of each.
        labels: [recordings] index of the foreground species.
        backgrounds: for each recording, the indices of its background species.
        member_probabilities: for each recording [models, chunks, classes] float32 in [0, 1].
        member_attention_logits: for each recording [models, chunks] float32, as in `RecordingScores`.
        start_seconds: for each recording [chunks], the start of each chunk.
        duration_seconds: [recordings] length of each; from records, the end of its last chunk.
        paths: for each recording its audio file; empty if the scores are from records.
        skipped: (recording, reason) of those without scores.
        strangeness: [recordings], as in `RecordingScores`; empty if the scores are from records.
    """

    recording_ids: list[str]
    recordings: list[metadata.Recording]
    labels: np.ndarray
    backgrounds: list[list[int]]
    member_probabilities: list[np.ndarray]
    member_attention_logits: list[np.ndarray]
    start_seconds: list[np.ndarray]
    duration_seconds: list[float]
    paths: list[str]
    skipped: list[tuple[str, str]]
    strangeness: Sequence[float] = ()

    def probabilities(self, ensemble: ensembles.Ensemble) -> list[np.ndarray]:
        """For each recording [chunks, classes], the models' weighted mean."""
        return [ensemble.mix(members) for members in self.member_probabilities]

    def best_chunks(self, ensemble: ensembles.Ensemble) -> np.ndarray:
        """[recordings, classes] the scores of the best chunk of each."""
        return np.stack([own.max(axis=0) for own in self.probabilities(ensemble)])

    def attention_logits(self, ensemble: ensembles.Ensemble) -> list[np.ndarray] | None:
        """For each recording [chunks], the models' weighted mean; None if one of them has no attention."""
        has_attention = all(model.has_attention for model in ensemble.models)
        return [ensemble.mix(members) for members in self.member_attention_logits] if has_attention else None

    def pooled(self, ensemble: ensembles.Ensemble) -> np.ndarray:
        """[recordings, classes] float64, mixed and pooled by the ensemble's decisions."""
        return pooling.pool_each(
            self.probabilities(ensemble), ensemble.decisions.pooling, self.attention_logits(ensemble)
        )


Batch = Mapping[str, "tf.Tensor"]


def score_batches(
    batches: Iterable[Batch], manifest: manifests.Manifest, predict: Callable[[Batch], saved_model.Outputs]
) -> LabelledScores:
    """Scores the chunks of records, and groups them by recording. In chunks without sound nothing is heard.

    Args:
        batches: what `schema.parse` gives, at least one batch, in any order. Without spectrograms it is not known which
            chunks have no sound.
        manifest: the records that the batches are from.
        predict: batch → outputs [models, chunks, …].

    Returns:
        The scores; labels and backgrounds are indices of the manifest's classes, and the metadata holds only the ids.
        Where labels have times, all species that a chunk or recordings.csv names are present, as in `score_audio`.

    Raises:
        InputError: a shard is damaged.
    """
    outputs: list[saved_model.Outputs] = []
    ids: list[str] = []
    backgrounds: list[np.ndarray] = []  # [chunks][n], filled up with -1; n differs between batches
    columns: dict[str, list[np.ndarray]] = {"start_seconds": [], "label": []}
    for batch in verify.naming_damage(batches, manifest):
        found = predict(batch)
        if schema.SPECTROGRAM in batch:
            found = found.without_calls(_silent(batch[schema.SPECTROGRAM].numpy()))
        outputs.append(found)
        ids += [recording_id.decode() for recording_id in batch["recording_id"].numpy()]
        backgrounds += list(batch["background"].numpy())
        for name, column in columns.items():
            column.append(batch[name].numpy())
    starts = np.concatenate(columns["start_seconds"]).astype(np.float64)
    recording_ids, chunks_of = pooling.by_recording(ids, np.arange(len(ids)))
    chunks_of = [chunks[np.argsort(starts[chunks], kind="stable")] for chunks in chunks_of]
    probabilities = np.concatenate([batch.probabilities for batch in outputs], axis=1)
    attention_logits = np.concatenate([batch.attention_logits for batch in outputs], axis=1)
    labels, backgrounds_of = _truth(manifest, recording_ids, chunks_of, np.concatenate(columns["label"]), backgrounds)
    return LabelledScores(
        recording_ids=recording_ids,
        recordings=[metadata.Recording(recording_id=i, path="") for i in recording_ids],
        labels=labels,
        backgrounds=backgrounds_of,
        member_probabilities=[probabilities[:, chunks] for chunks in chunks_of],
        member_attention_logits=[attention_logits[:, chunks] for chunks in chunks_of],
        start_seconds=[starts[chunks] for chunks in chunks_of],
        duration_seconds=[float(starts[chunks].max()) + manifest.front_end.chunk_seconds for chunks in chunks_of],
        paths=[""] * len(recording_ids),
        skipped=[],
    )


def _silent(spectrograms: np.ndarray) -> np.ndarray:
    """[chunks] bool: those of whose spectrogram all pixels are equal, as of a chunk without sound."""
    return np.asarray(spectrograms.max(axis=(1, 2)) == spectrograms.min(axis=(1, 2)))


def with_spectrogram(features: Iterable[str], manifest: manifests.Manifest) -> tuple[str, ...]:
    """The features, and the spectrogram if the records have it, which tells `score_batches` where no sound is."""
    return tuple(dict.fromkeys([*features, *({schema.SPECTROGRAM} & manifest.features.keys())]))


def _truth(
    manifest: manifests.Manifest, recording_ids: Sequence[str], chunks_of: Sequence[np.ndarray], labels: np.ndarray,
    backgrounds: Sequence[np.ndarray],
) -> tuple[np.ndarray, list[list[int]]]:  # fmt: skip
    """The label and the other species of each recording, as indices of classes.

    Args:
        manifest: the records.
        recording_ids: [recordings].
        chunks_of: for each recording the indices of its chunks.
        labels: [chunks] index of the label.
        backgrounds: for each chunk the indices of its background species; negative ones are padding.
    """
    classes, told = manifest.labelled_classes, recordings_table.annotated(manifest.directory)
    chosen, others = [], []
    for recording_id, chunks in zip(recording_ids, chunks_of, strict=True):
        label, background = told.get(recording_id, ("", ()))
        own = labels[chunks]
        chosen += classes.resolve([label])[:1] or [int(np.bincount(own).argmax())]
        named = [*own, *(i for chunk in chunks for i in backgrounds[chunk] if i >= 0), *classes.resolve(background)]
        others.append([index for index in dict.fromkeys(map(int, named)) if index != chosen[-1]])
    return np.array(chosen, labels.dtype), others


def _check_records(ensemble: ensembles.Ensemble, manifest: manifests.Manifest) -> None:
    """Refuses records with another front-end than a model's, or with classes that the models do not know."""
    directory = manifest.directory
    if not manifest.num_chunks("val"):
        raise config.InputError(f"{directory} has no validation chunk; evaluate with --audio and --metadata instead")
    for model in ensemble.models:
        model.check_records(manifest)
        if model.hearing.channel != manifest.channel:
            logging.warning(
                "%s was trained with --channel=%s, and %s converted with --channel=%s: the metrics are of the latter",
                model.path, model.hearing.channel, directory, manifest.channel,
            )  # fmt: skip
    known = set(ensemble.classes.class_ids)
    unknown = [class_id for class_id in manifest.classes.class_ids if class_id not in known]
    if unknown:
        raise config.InputError(f"{directory} has classes that the model does not know: {', '.join(unknown[:5])}")


def score_records(ensemble: ensembles.Ensemble, manifest: manifests.Manifest) -> LabelledScores:
    """Scores the validation recordings of a records directory.

    Raises:
        InputError: no validation chunk, another front-end than a model's, or classes that the models do not know.
    """
    _check_records(ensemble, manifest)
    names = with_spectrogram((feature.name for model in ensemble.models for feature in model.features), manifest)
    wanted = manifest.select(names, ensemble.models[0].path)
    batches = shard_files.read(manifest, "val", ensemble.models[0].batch_size, wanted)
    with progress_bars.start(manifest.num_chunks("val"), "chunk", "evaluating") as progress:

        def predict(batch: Batch) -> saved_model.Outputs:
            outputs = ensemble.predict_records(batch, manifest.classes)
            progress.update(outputs.probabilities.shape[1])
            return outputs

        scored = score_batches(batches, manifest, predict)
    to_model = np.array([ensemble.classes.index(class_id) for class_id in manifest.classes.class_ids])
    described = {r.recording_id: r for r in recordings_table.read(manifest.directory)}
    return dataclasses.replace(
        scored,
        recordings=[described.get(r.recording_id, r) for r in scored.recordings],
        labels=to_model[scored.labels],
        backgrounds=[to_model[background].tolist() if background else [] for background in scored.backgrounds],
    )


def score_audio(
    ensemble: ensembles.Ensemble, recordings: Sequence[metadata.Recording], chunking: decode.ChunkingConfig,
    place: executor.PlaceConfig | None = None,
) -> LabelledScores:  # fmt: skip
    """Scores labelled recordings, at a place as in `scoring.score_recordings`.

    Labels and background species are class ids or Latin names, or ids of others with Latin names that recordings tell.
    Of several labels, the first one that the models know is the foreground: of annotated ones the longest.

    Raises:
        InputError: no recording is readable and has a label that the models know.
    """
    name_of = {label: name for r in recordings for label, name in r.names if name != label}

    def known(species: str, names: Mapping[str, str]) -> list[int]:
        return ensemble.classes.resolve([species]) or ensemble.classes.resolve([names.get(species, species)])

    def labels(recording: metadata.Recording) -> list[int]:
        names = name_of | {label: name for label, name in recording.names if name != label}
        return [index for label in recording.labels for index in known(label, names)]

    def background(species: Iterable[str]) -> list[int]:
        return sorted({index for each in species for index in known(each, name_of)})

    label_of = {r.recording_id: labels(r)[:1] for r in recordings}
    skipped = [(r.path, f"{r.label} is no class of the model") for r in recordings if not label_of[r.recording_id]]
    by_id = {r.recording_id: r for r in recordings if label_of[r.recording_id]}
    paths = [(recording_id, recording.path) for recording_id, recording in sorted(by_id.items())]
    found = dict(scoring.readable(scoring.score_recordings(ensemble, paths, chunking, place=place), skipped))
    if not found:
        raise config.InputError(f"none of {len(recordings)} recordings can be scored; the first: {skipped[0][1]}")
    return LabelledScores(
        recording_ids=list(found),
        recordings=[by_id[i] for i in found],
        labels=np.array([label_of[i][0] for i in found]),
        backgrounds=[background(by_id[i].background) for i in found],
        member_probabilities=[scores.member_probabilities for scores in found.values()],
        member_attention_logits=[scores.member_attention_logits for scores in found.values()],
        start_seconds=[scores.start_seconds for scores in found.values()],
        duration_seconds=[scores.duration_seconds for scores in found.values()],
        paths=[scores.path for scores in found.values()],
        skipped=skipped,
        strangeness=[scores.strangeness for scores in found.values()],
    )

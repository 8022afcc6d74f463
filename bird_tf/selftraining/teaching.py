"""What teachers say of unlabelled recordings: their answers, the chunks that can carry a label, the pseudo-labels."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from bird_tf import config, executor
from bird_tf.audio import decode
from bird_tf.inference import audio_files, ensembles, in_context, leaks, model_files, score_store
from bird_tf.input import pseudo_labels
from bird_tf.labels import metadata
from bird_tf.records import learnt, manifests, recordings_table, shard_files, verify
from bird_tf.scores import context
from bird_tf.training import distillation

# The quietest chunks become noise of mixtures: so many of a recording, so many of all, and only those in which no class
# is more probable than not.
_QUIET_OF_RECORDING, _MOST_QUIET, _QUIET_BELOW = 3, 100, 0.5
# The recordings that are for mixtures alone: a share of all, and the number of quiet chunks that judges well enough.
_SHARE_FOR_MIXTURES, _FEW_QUIET = 0.2, 20


def find(folder: str) -> list[metadata.Recording]:
    """The unlabelled recordings below a folder; their ids are their paths below it.

    Raises:
        InputError: no such folder, or no recording in it.
    """
    if not os.path.isdir(folder):
        raise config.InputError(f"--unlabelled={folder} is not a folder; it must hold the unlabelled recordings")
    found = audio_files.find_below(folder)
    return [metadata.Recording(recording_id=name, path=path, negative=True, split="train") for name, path in found]


def judging(recordings: Sequence[metadata.Recording], manifest: manifests.Manifest, soundscapes: str) -> set[str]:
    """Ids of the unlabelled recordings that are judged by: a student that has heard them cannot be judged by them.

    Args:
        recordings: the unlabelled ones, from `find`.
        manifest: the labelled records, whose validation recordings judge.
        soundscapes: folder of those that judge; empty: there are none.
    """
    rate, channel = manifest.front_end.sample_rate_hz, manifest.channel
    rows = {(r.recording_id, r.digest, rate) for r in recordings_table.validation(manifest)}
    if soundscapes:
        heads = learnt.with_digests(recordings, learnt.Learnt(), rate, channel)
        unlabelled = learnt.Learnt(frozenset((r.recording_id, r.digest, rate) for r in heads))
        others = learnt.with_digests(find(soundscapes), unlabelled, rate, channel)
        rows |= {(r.recording_id, r.digest, rate) for r in others if r.digest}
    judged = learnt.Learnt(frozenset(rows))
    return judged.known(learnt.with_digests(recordings, judged, rate, channel), rate)


def chunking_of(manifest: manifests.Manifest) -> decode.ChunkingConfig:
    """How the labelled recordings were cut into chunks."""
    names = {field.name for field in dataclasses.fields(decode.ChunkingConfig)}
    known = {name: value for name, value in manifest.converter.items() if name in names}
    return config.from_mapping(decode.ChunkingConfig, known, manifest.directory)


def heads(paths: Sequence[str], manifest: manifests.Manifest) -> list[str]:
    """Those of the models that are heads and can answer for the labelled chunks, from the features in the records.

    A head that cannot, since the records lack its features, answers for recordings all the same; this is logged.
    """
    found = []
    for path in paths:
        if not model_files.read_description(path).backbone:
            continue
        try:
            distillation.load(distillation.DistillationConfig(teacher=(path,)), manifest)
        except config.InputError as error:
            logging.info("%s answers for unlabelled recordings only: %s", path, error)
            continue
        found.append(path)
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chunks:
    """The chunks of unlabelled recordings that are used.

    Attributes:
        kept: {recording id: numbers of its chunks that can carry a label}; recordings without one are left out.
        quiet: (path, start in seconds) of chunks with sound in which no class is probable, the quietest first.
        num_chunks: number of all chunks.
    """

    kept: Mapping[str, frozenset[int]]
    quiet: Sequence[tuple[str, float]]
    num_chunks: int


class Teachers:
    """Exported models that answer together, with the mean of their raw scores."""

    def __init__(self, paths: Sequence[str], manifest: manifests.Manifest) -> None:
        """Loads the models.

        Raises:
            InputError: one of them is no model; they do not know a class of the records; or the first one has chunks of
                another length.
        """
        self.paths = tuple(paths)
        self.ensemble = ensembles.Ensemble(paths, "none")
        classes = manifest.labelled_classes.class_ids
        if missing := sorted(set(classes) - set(self.ensemble.classes.class_ids)):
            raise config.InputError(
                f"--teacher={' '.join(paths)} does not know {len(missing)} of {len(classes)} classes of "
                f"{manifest.directory}: {', '.join(missing[:5])}"
            )
        heard, seconds = self.ensemble.models[0].hearing.chunk_seconds, manifest.front_end.chunk_seconds
        if heard != seconds:
            raise config.InputError(
                f"--teacher={paths[0]} hears chunks of {heard:g} s, and {manifest.directory} has chunks of {seconds:g} "
                "s; the first teacher must hear chunks of the same length"
            )
        self._columns = [self.ensemble.classes.index(class_id) for class_id in classes]
        # overlapping windows, averaged over time
        self.ensemble.decisions = dataclasses.replace(self.ensemble.decisions, context=context.Context(shifted=True))
        self._answers = in_context.Answers(self.ensemble, chunking_of(manifest))
        self.learnt, self.backbones = learnt.Learnt(), list[Mapping[str, Any]]()
        for model in self.ensemble.models:
            self.learnt |= leaks.learnt_by(model.path) or learnt.Learnt()
            self.backbones += model.description.backbones

    def score(
        self, recordings: Sequence[metadata.Recording], folder: str, place: executor.PlaceConfig
    ) -> list[tuple[str, str]]:
        """Scores the recordings that have no scores in the folder yet.

        Returns:
            (path, reason) of those that cannot be read.

        Raises:
            InputError: none can be read, or the folder holds other scores.
        """
        store = self._store(folder)
        store.open()
        todo = [(r.recording_id, r.path) for r in recordings if not store.has(r.recording_id, r.path)]
        skipped = store.fill(todo, place)
        if len(skipped) == len(recordings):
            raise config.InputError(
                f"--unlabelled: none of {len(recordings)} recordings can be read; the first: {skipped[0][1]}"
            )
        return skipped

    @property
    def scores_per_chunk(self) -> int:
        """How many windows are scored for each chunk of the records."""
        return self._answers.step

    def _store(self, folder: str) -> score_store.ScoreStore:
        return score_store.ScoreStore(folder, self.ensemble, self._answers.asked, self._answers.chunking)

    def answers(
        self, recordings: Sequence[metadata.Recording], folder: str
    ) -> Iterator[tuple[metadata.Recording, ensembles.RecordingScores]]:
        """Yields each recording with the scores in the folder, averaged over time, in the classes of the records."""
        store = self._store(folder)
        for recording in recordings:
            found = self._answers.in_context(store.load(recording.recording_id, recording.path))
            yield recording, dataclasses.replace(found, probabilities=found.probabilities[:, self._columns])


def choose_chunks(
    answered: Iterator[tuple[metadata.Recording, ensembles.RecordingScores]], power: float, least_total: float
) -> Chunks:
    """Chooses the chunks that can carry a label: those whose total label is at least `least_total`.

    Args:
        answered: from `Teachers.answers`.
        power: a label is a probability to this power.
        least_total: the least sum of a chunk's labels.

    Raises:
        InputError: there is none.
    """
    kept: dict[str, frozenset[int]] = {}
    quiet: list[tuple[float, str, float]] = []
    greatest, num_chunks = 0.0, 0
    for recording, scores in answered:
        totals = np.sum(np.asarray(scores.probabilities, np.float64) ** power, axis=1)
        num_chunks, greatest = num_chunks + len(totals), max(greatest, float(totals.max()))
        if numbers := np.flatnonzero(totals >= least_total).tolist():
            kept[recording.recording_id] = frozenset(numbers)
        loudest = scores.probabilities.max(axis=1)
        # in chunks without any sound nothing is heard: they are no noise
        lowest = [i for i in np.argsort(loudest, kind="stable") if 0.0 < loudest[i] < _QUIET_BELOW]
        quiet += [
            (float(loudest[i]), recording.path, float(scores.start_seconds[i])) for i in lowest[:_QUIET_OF_RECORDING]
        ]
    if not kept:
        raise config.InputError(
            f"--least_total_label={least_total:g}: no unlabelled chunk can carry a label; the greatest total is "
            f"{greatest:.3f}"
        )
    stretches = [(path, start) for _, path, start in sorted(quiet)[:_MOST_QUIET]]
    return Chunks(kept=kept, quiet=stretches, num_chunks=num_chunks)


def most_apart(num_recordings: int) -> int:
    """The most of the unlabelled recordings that `with_noise_apart` keeps for mixtures alone."""
    return min(_MOST_QUIET, math.ceil(_SHARE_FOR_MIXTURES * num_recordings))


def with_noise_apart(chunks: Chunks, recordings: Sequence[metadata.Recording]) -> Chunks:
    """Keeps a fifth of the recordings, those with the quietest chunks, for mixtures alone; of many, fewer will do.

    A student that has heard the noise of the mixtures, with labels, would be better there than its teacher, which has
    not. Where no recording would be left to learn from, all stay, and a warning says so.
    """
    quietest = list(dict.fromkeys(path for path, _ in chunks.quiet))
    apart = {*quietest[: most_apart(len(recordings))]}
    ids = {r.recording_id for r in recordings if r.path in apart}
    kept = {recording_id: numbers for recording_id, numbers in chunks.kept.items() if recording_id not in ids}
    if chunks.quiet and not kept:
        logging.warning(
            "there are too few unlabelled recordings to keep some for the mixtures: students train on the noise that "
            "they are judged in, which favours them; --segments judges them better"
        )
        return chunks
    quiet = [(path, start) for path, start in chunks.quiet if path in apart]
    if 0 < len(quiet) < _FEW_QUIET:
        logging.warning(
            "mixtures that rounds are judged by have only %d quiet chunks of %d recordings as noise; --segments judges "
            "better", len(quiet), len(apart),
        )  # fmt: skip
    return dataclasses.replace(chunks, kept=kept, quiet=quiet)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Totals:
    """What is told of pseudo-labels: the number of chunks, and how many labels one that is drawn has on average."""

    num_chunks: int
    mean_total: float


def totals(pseudo: pseudo_labels.PseudoLabels) -> Totals:
    """Counts pseudo-labels."""
    sums = np.sum(pseudo.labels, axis=1, dtype=np.float64)
    return Totals(num_chunks=len(sums), mean_total=float(np.mean(pseudo.rates * sums)))


def label(
    teachers: Teachers, answered: Iterator[tuple[metadata.Recording, ensembles.RecordingScores]],
    unlabelled: manifests.Manifest, power: float, folder: str,
) -> None:  # fmt: skip
    """Writes the pseudo-labels of the unlabelled records: the teachers' probabilities to a power.

    A drawn chunk has at most one label on average, as labelled chunks have at least one: a factor limits the labels, so
    that what is known stays more than what is guessed.

    Args:
        teachers: who answered.
        answered: from `Teachers.answers`.
        unlabelled: the records.
        power: above 1 weakens doubtful answers; of probabilities, not of logits, and without a threshold.
        folder: for `pseudo_labels.load`.
    """
    ids, numbers = _keys(unlabelled)
    rows: dict[str, list[int]] = {}
    for row, recording_id in enumerate(ids):
        rows.setdefault(recording_id, []).append(row)
    labels = np.zeros((len(ids), len(unlabelled.classes)), np.float16)
    for recording, scores in answered:
        own = rows.get(recording.recording_id, [])
        # at another sample rate the converter may cut one chunk more at the end
        places = np.minimum(numbers[own], len(scores.probabilities) - 1)
        labels[own] = np.asarray(scores.probabilities[places], np.float64) ** power
    pseudo = pseudo_labels.PseudoLabels(
        directory=unlabelled.directory, class_ids=unlabelled.classes.class_ids, labels=labels,
        rates=pseudo_labels.rates(ids, labels), backbones=tuple(teachers.backbones),
        learnt=teachers.learnt | learnt.of_records(unlabelled),
    )  # fmt: skip
    mean_total = totals(pseudo).mean_total
    factor = 1.0 / max(1.0, mean_total)
    pseudo_labels.save(folder, dataclasses.replace(pseudo, labels=(labels * factor).astype(np.float16)))
    logging.info(
        "%s: %d unlabelled chunks, %.2f labels in a drawn one%s",
        folder, len(ids), mean_total, f", limited to 1 by the factor {factor:.2f}" * (factor < 1),
    )  # fmt: skip


def _keys(unlabelled: manifests.Manifest) -> tuple[list[str], np.ndarray]:
    """Recording id and number of each unlabelled chunk, in the order of the records."""
    ids: list[str] = []
    numbers: list[np.ndarray] = []
    for batch in verify.naming_damage(shard_files.read(unlabelled, "noise", 256, ()), unlabelled):
        ids += [recording_id.decode() for recording_id in batch["recording_id"].numpy()]
        numbers.append(batch["chunk_index"].numpy())
    return ids, np.concatenate(numbers)

"""Exported models in Python: recordings → tables of probabilities, detections and embeddings.

It is the code of bird_tf.predict beneath; no result is written to disk.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from bird_tf import config, executor, python_calls
from bird_tf.api import frames, sounds
from bird_tf.audio import decode
from bird_tf.inference import ensembles, judgement, saved_model, scoring, strangeness
from bird_tf.inference.writers import detections, predictions, rows
from bird_tf.labels import metadata
from bird_tf.labels.layouts import reader

if TYPE_CHECKING:
    import pandas as pd

# the columns of detections.csv but for recording_id, which says the same as `file`
DETECTIONS = rows.DETECTIONS[1:]
_NUMBERS = ("start_seconds", "end_seconds", "probability", "latitude", "longitude")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _PredictFlags:
    judgement: judgement.JudgementConfig
    place: executor.PlaceConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class _DetectFlags:
    judgement: judgement.JudgementConfig
    detections: detections.DetectionConfig
    place: executor.PlaceConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class _EmbedFlags:
    chunking: decode.ChunkingConfig
    place: executor.PlaceConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Notes:
    """{file: what is wrong with it} of recordings that cannot be read, and of those with something to tell."""

    skipped: dict[str, str] = dataclasses.field(default_factory=dict)
    damaged: dict[str, str] = dataclasses.field(default_factory=dict)


class Model:
    """One exported model, or several as an ensemble. `bird_tf.load` makes it.

    `recordings` are, in each method: the path of a recording; a folder, which is searched; samples [n] or
    [n, channels], with `sample_rate_hz`; a file open for reading bytes; or several of these. What cannot be read is
    skipped with a warning, and stands in the table's `attrs["skipped"]`, {file: reason}; recordings of which parts are
    lost stand in `attrs["damaged"]`. If nothing can be read, it is an error.

    Attributes:
        class_ids: the classes, in the order of the columns of `predict`.
        names: {class id: Latin name}.
        chunk_seconds: length of a chunk.
        sample_rate_hz: to which recordings are resampled, by the first model.
    """

    def __init__(self, paths: Sequence[str], decisions: str = "", batch_size: int = saved_model.BATCH_SIZE) -> None:
        """Loads the models; see `load`."""
        self._ensemble = ensembles.Ensemble(paths, decisions, batch_size)
        classes, heard = self._ensemble.classes, self._ensemble.models[0].hearing
        self.class_ids: tuple[str, ...] = classes.class_ids
        self.names: dict[str, str] = dict(zip(classes.class_ids, classes.names, strict=True))
        self.chunk_seconds: float = heard.chunk_seconds
        self.sample_rate_hz: int = heard.sample_rate_hz

    def __repr__(self) -> str:
        paths = ", ".join(model.path for model in self._ensemble.models)
        return f"<bird_tf.Model {paths}: {len(self.class_ids)} classes, chunks of {self.chunk_seconds:g} s>"

    def predict(self, recordings: Any, *, sample_rate_hz: float | None = None, **flags: Any) -> pd.DataFrame:
        """Probabilities of each chunk.

        Args:
            recordings: see the class.
            sample_rate_hz: of samples.
            **flags: of bird_tf.predict that change probabilities: `overlap_seconds`, `species_list`, `occurrence`,
                `prior`, `latitude`, `metadata`, …; and those that say where the work runs: `threads`, `workers`, ….

        Returns:
            A row for each chunk, index (file, start_seconds, end_seconds); a column for each class id, float32 in
            [0, 1]. `table.rename(columns=model.names)` has Latin names.

        Raises:
            Error: no recording can be read, or the flags cannot be used.
        """
        settings = python_calls.configure(_PredictFlags, flags)
        notes = _Notes()
        with python_calls.one_family(), sounds.as_files(recordings, sample_rate_hz) as found:
            judged = self._judged(found, settings, notes)
            parts = [(sound.file, s.start_seconds, s.end_seconds, s.probabilities) for sound, _, s, _ in judged]
        return _noted(frames.of_chunks(parts, self.class_ids), notes)

    def detect(self, recordings: Any, *, sample_rate_hz: float | None = None, **flags: Any) -> pd.DataFrame:
        """Detections: a species from a start to an end.

        Args:
            recordings: see the class.
            sample_rate_hz: of samples.
            **flags: of bird_tf.predict: `threshold` ("f1", or "precision" for fewer false alarms), `min_probability`,
                `top`, `merge_seconds`, and those of `predict`.

        Returns:
            The columns of detections.csv, a row for each detection: file, start_seconds, end_seconds, class_id, name
            (Latin), probability, clock_time (time stamp), site, latitude and longitude; the last four as far as they
            are known.

        Raises:
            Error: no recording can be read, or the flags cannot be used.
        """
        settings, classes = python_calls.configure(_DetectFlags, flags), self._ensemble.classes
        criteria = settings.detections.criteria(self._ensemble.decisions, classes)
        notes = _Notes()
        table = []
        with python_calls.one_family(), sounds.as_files(recordings, sample_rate_hz) as found:
            for sound, recording, scores, pooled in self._judged(found, settings, notes):
                prediction = predictions.Prediction(
                    file=sound.file, scores=scores, pooled=pooled, recording=recording, criteria=criteria
                )
                table += [row[1:] for row in rows.detections(classes, prediction)]
        return _noted(frames.of_rows(table, DETECTIONS, ["clock_time"], _NUMBERS), notes)

    def embed(self, recordings: Any, *, sample_rate_hz: float | None = None, **flags: Any) -> pd.DataFrame:
        """Embeddings of each chunk: what the (first) model says before its last layer.

        Args:
            recordings: see the class.
            sample_rate_hz: of samples.
            **flags: of bird_tf.predict, how recordings are cut: `overlap_seconds`, `minimum_seconds`; and `threads`, ….

        Returns:
            A row for each chunk, index (file, start_seconds, end_seconds); columns 0, 1, 2 …, float32.

        Raises:
            Error: no recording can be read, or the flags cannot be used.
        """
        settings = python_calls.configure(_EmbedFlags, flags)
        notes = _Notes()
        with python_calls.one_family(), sounds.as_files(recordings, sample_rate_hz) as found:
            scored = self._scored(found, settings.chunking, settings.place, notes, embeddings=True)
            parts = [(sound.file, s.start_seconds, s.end_seconds, s.embeddings) for sound, s in scored]
        return _noted(frames.of_chunks(parts), notes)

    def _judged(
        self, found: Sequence[sounds.Sound], settings: _PredictFlags | _DetectFlags, notes: _Notes
    ) -> Iterator[tuple[sounds.Sound, metadata.Recording, ensembles.RecordingScores, np.ndarray]]:
        """Yields what is known of each recording, the scores of its chunks, and its probabilities [classes].

        Notes what is wrong with others.
        """
        asked = settings.judgement
        judge = judgement.Judge(self._ensemble, asked)
        described: dict[str, metadata.Recording] = {}
        for root in dict.fromkeys(sound.root for sound in found):
            paths = [sound.path for sound in found if sound.root == root]
            described |= reader.describe(paths, root, asked.metadata, asked.clock)
        for sound, scores in self._scored(found, judge.chunking, settings.place, notes):
            recording = described[sound.path]
            yield sound, recording, *judge.judge(recording, scores)

    def _scored(
        self, found: Sequence[sounds.Sound], chunking: decode.ChunkingConfig, place: executor.PlaceConfig,
        notes: _Notes, *, embeddings: bool = False,
    ) -> Iterator[tuple[sounds.Sound, ensembles.RecordingScores]]:  # fmt: skip
        """Yields the scores of each recording; notes those that cannot be read, wholly or in parts."""
        frames.pandas()  # if it is missing, this is known before hours of work
        recordings = [(sound.file, sound.path) for sound in found]
        scored = scoring.score_recordings(self._ensemble, recordings, chunking, embeddings=embeddings, place=place)
        strange = []
        for sound, one in zip(found, scored, strict=True):
            if one.scores is None:
                notes.skipped[sound.file] = one.reason.replace(sound.path, sound.file)
                logging.warning("skipped: %s", notes.skipped[sound.file])
            else:
                if one.scores.note:
                    notes.damaged[sound.file] = one.scores.note
                    scoring.log_note(sound.file, one.scores)
                strange.append(one.scores.strangeness)
                yield sound, one.scores
        if strangeness.are_unlike(strange):
            logging.warning("%s: listen before you trust what the model says of them", strangeness.sentence(strange))
        if len(notes.skipped) == len(found):
            first = notes.skipped[found[0].file]
            raise config.InputError(f"none of {len(found)} recordings can be read; the first: {first}")


def _noted(table: pd.DataFrame, notes: _Notes) -> pd.DataFrame:
    """The table with the notes in its attributes."""
    table.attrs.update(dataclasses.asdict(notes))
    return table


def load(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    decisions: str | os.PathLike[str] = "",
    batch_size: int = saved_model.BATCH_SIZE,
) -> Model:
    """Loads an exported model, or several as an ensemble.

    Args:
        path: an exported model, as runs/NAME/export; or a list of them.
        decisions: calibration, thresholds and weights by bird_tf.evaluate with `tune`; "": the model's own; "none": raw
            scores.
        batch_size: chunks in each call of a model; it does not change scores.

    Raises:
        Error: a folder is no exported model, or is damaged; or the decisions are for other models.
    """
    paths = [path] if isinstance(path, str | os.PathLike) else path
    with python_calls.one_family():
        return Model([os.fspath(each) for each in paths], os.fspath(decisions), batch_size)

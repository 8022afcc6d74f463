"""Predictions → files that people and their programs open: CSV, Raven, Audacity, Kaleidoscope, NumPy."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator

import numpy as np

from bird_tf import config, files
from bird_tf.audio import frontend
from bird_tf.inference import ensembles
from bird_tf.inference.writers import detections
from bird_tf.labels import taxonomy
from bird_tf.scores import calibration, decisions


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableConfig:
    """What is written, and when a species counts as heard."""

    format: str = config.option("csv", "comma-separated list of csv, csv_each, raven, audacity, kaleidoscope")
    min_probability: float | None = config.option(
        None, "what a detection needs; empty: the model's own thresholds, 0.5 where it has none"
    )
    threshold: str = config.option("f1", "which of the model's own thresholds", choices=calibration.RULES)
    top: int = config.option(0, "at most so many species a chunk among the detections; 0: all that reach the threshold")
    merge_seconds: float = config.option(
        0.0, "detections of one species with at most this gap become one; negative: one for each chunk"
    )

    def __post_init__(self) -> None:
        unknown = [name for name in self.format.split(",") if name not in _WRITERS]
        if unknown:
            raise config.InputError(f"--format={self.format}: {unknown[0]!r} is none of {', '.join(_WRITERS)}")
        if len(set(self.format.split(","))) < len(self.format.split(",")):
            raise config.InputError(f"--format={self.format}: names a format twice")
        if self.min_probability is not None and not 0 <= self.min_probability <= 1:
            raise config.InputError(f"--min_probability={self.min_probability}: must be in [0, 1]")
        if self.top < 0:
            raise config.InputError(f"--top={self.top}: must be 0 (all) or more")

    def least(self, calibration: calibration.Calibration) -> np.ndarray:
        """[classes] the probability from which on each class counts as present."""
        own = calibration.thresholds[self.threshold]
        return own if self.min_probability is None else np.full(len(own), self.min_probability)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """One recording, ready to be written.

    Attributes:
        recording_id: unique, and safe as a file name.
        scores: its chunks, calibrated.
        pooled: [classes] calibrated probabilities of the recording.
    """

    recording_id: str
    scores: ensembles.RecordingScores
    pooled: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """What the writers need besides the recordings.

    Attributes:
        settings: the flags.
        output: folder of the results.
        root: folder that the recordings were looked for in.
        classes, front_end: of the (first) model.
        decisions: its thresholds.
    """

    settings: TableConfig
    output: str
    root: str
    classes: taxonomy.Taxonomy
    front_end: frontend.FrontendConfig
    decisions: decisions.Decisions

    def detections(self, scores: ensembles.RecordingScores) -> list[detections.Detection]:
        """The detections of a recording by the rules of the flags."""
        settings = self.settings
        return detections.detections(scores, settings.least(self.decisions.chunk), settings.top, settings.merge_seconds)


Append = Callable[[Prediction], None]
_DETECTION_COLUMNS = ("recording_id", "file", "start_seconds", "end_seconds", "class_id", "name", "probability")


def _detection_rows(context: Context, answer: Prediction) -> Iterator[list[str]]:
    for d in context.detections(answer.scores):
        yield [answer.recording_id, answer.scores.path, f"{d.start:.3f}", f"{d.end:.3f}",
               context.classes.class_ids[d.index], context.classes.names[d.index], f"{d.probability:.6f}"]  # fmt: skip


@contextlib.contextmanager
def _write_csv(context: Context) -> Iterator[Append]:
    """detections.csv; chunks.csv and recordings.csv with all probabilities, one column a class."""
    ids, least = context.classes.class_ids, context.settings.least(context.decisions.recording)
    chunk_columns = ("recording_id", "start_seconds", "end_seconds", *ids)
    recording_columns = ("recording_id", "file", "seconds", "best", "present", *ids)

    def table(name: str, columns: tuple[str, ...]) -> contextlib.AbstractContextManager[Callable[[list[str]], None]]:
        return files.writing_table(os.path.join(context.output, name), columns)

    with (
        table("chunks.csv", chunk_columns) as append_chunk,
        table("recordings.csv", recording_columns) as append_recording,
        table("detections.csv", _DETECTION_COLUMNS) as append_detection,
    ):

        def append(answer: Prediction) -> None:
            scores, pooled = answer.scores, answer.pooled
            for start, end, row in zip(scores.start_seconds, scores.end_seconds, scores.probabilities, strict=True):
                append_chunk([answer.recording_id, f"{start:.3f}", f"{end:.3f}", *(f"{p:.6f}" for p in row)])
            kept = (pooled >= least) & (pooled > 0)
            present = " ".join(ids[i] for i in np.argsort(-pooled, kind="stable") if kept[i])
            append_recording([answer.recording_id, scores.path, f"{scores.duration_seconds:.3f}",
                              ids[int(np.argmax(pooled))], present, *(f"{p:.6f}" for p in pooled)])  # fmt: skip
            for row in _detection_rows(context, answer):
                append_detection(row)

        yield append


@contextlib.contextmanager
def _write_csv_each(context: Context) -> Iterator[Append]:
    """ID.detections.csv for each recording."""

    def append(answer: Prediction) -> None:
        path = os.path.join(context.output, f"{answer.recording_id}.detections.csv")
        files.write_table(path, _DETECTION_COLUMNS, _detection_rows(context, answer))

    yield append


@contextlib.contextmanager
def _write_raven(context: Context) -> Iterator[Append]:
    """ID.Table.1.selections.txt for each recording: a Raven selection table."""
    columns = ("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)",
               "Species", "Class", "Confidence")  # fmt: skip
    classes, front_end = context.classes, context.front_end

    def append(answer: Prediction) -> None:
        path = os.path.join(context.output, f"{answer.recording_id}.Table.1.selections.txt")
        with files.writing_table(path, columns, delimiter="\t") as append_row:
            for i, d in enumerate(context.detections(answer.scores), 1):
                append_row([i, "Spectrogram 1", 1, f"{d.start:.3f}", f"{d.end:.3f}", front_end.fmin_hz,
                            front_end.fmax_hz, classes.names[d.index], classes.class_ids[d.index],
                            f"{d.probability:.4f}"])  # fmt: skip

    yield append


@contextlib.contextmanager
def _write_audacity(context: Context) -> Iterator[Append]:
    """ID.labels.txt for each recording: an Audacity label track (start, end, label; tabs, no header)."""

    def append(answer: Prediction) -> None:
        lines = [
            f"{d.start:.6f}\t{d.end:.6f}\t{context.classes.names[d.index]} {d.probability:.2f}\n"
            for d in context.detections(answer.scores)
        ]
        files.write_text(os.path.join(context.output, f"{answer.recording_id}.labels.txt"), "".join(lines))

    yield append


@contextlib.contextmanager
def _write_kaleidoscope(context: Context) -> Iterator[Append]:
    """kaleidoscope.csv: one table of detections that Kaleidoscope opens."""
    columns = ("INDIR", "FOLDER", "IN FILE", "OFFSET", "DURATION", "TOP1MATCH", "class_id", "confidence")
    classes, root = context.classes, os.path.abspath(context.root)
    with files.writing_table(os.path.join(context.output, "kaleidoscope.csv"), columns) as append_row:

        def append(answer: Prediction) -> None:
            folder, name = os.path.split(os.path.relpath(os.path.abspath(answer.scores.path), root))
            for d in context.detections(answer.scores):
                append_row([root, folder, name, f"{d.start:.3f}", f"{d.end - d.start:.3f}", classes.names[d.index],
                            classes.class_ids[d.index], f"{d.probability:.4f}"])  # fmt: skip

        yield append


_WRITERS: dict[str, Callable[[Context], contextlib.AbstractContextManager[Append]]] = {
    "csv": _write_csv,
    "csv_each": _write_csv_each,
    "raven": _write_raven,
    "audacity": _write_audacity,
    "kaleidoscope": _write_kaleidoscope,
}


@contextlib.contextmanager
def writing(context: Context) -> Iterator[Append]:
    """Yields a function that adds a recording to every table asked for; the tables appear when the block ends."""
    with contextlib.ExitStack() as stack:
        appends = [stack.enter_context(_WRITERS[name](context)) for name in context.settings.format.split(",")]

        def append(answer: Prediction) -> None:
            for one in appends:
                one(answer)

        yield append


def write_embeddings(output: str, answer: Prediction) -> None:
    """ID.embeddings.npz: start_seconds, end_seconds [chunks], embeddings [chunks, features] float32."""
    path = os.path.join(output, f"{answer.recording_id}.embeddings.npz")
    with files.replacing(path) as temporary, open(temporary, "wb") as file:
        scores = answer.scores
        np.savez(file, start_seconds=scores.start_seconds, end_seconds=scores.end_seconds,
                 embeddings=scores.embeddings)  # fmt: skip

"""SavedModel(s) + audio → scores of chunks and recordings, written as tables.

Needs nothing of the training side: front-end, classes and pooling come out of the SavedModel.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

import bird_tf.audio
from bird_tf import audio, config, files, frontend, metadata, pooling, taxonomy, tf

# Every call of a model has this many chunks, the last one filled up: equal audio, equal scores, and one graph.
BATCH_SIZE = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scores:
    """What the models say of one recording.

    Attributes:
        path: the audio file.
        duration_seconds: its length.
        start_seconds, end_seconds: [chunks] float64, when each chunk begins and ends.
        probabilities: [chunks, classes] float32 in [0, 1].
    """

    path: str
    duration_seconds: float
    start_seconds: np.ndarray
    end_seconds: np.ndarray
    probabilities: np.ndarray


class Model:
    """One SavedModel and what it says of itself.

    Attributes:
        path: where it lies.
        front_end: chunk → spectrogram.
        classes: in the order of its outputs.
        description: what its train.json holds.
    """

    def __init__(self, path: str) -> None:
        """Loads a SavedModel.

        Raises:
            InputError: the folder is no SavedModel of bird_tf, or of another front-end version.
        """
        assets = os.path.join(path, "assets")
        if not files.exists(os.path.join(path, "saved_model.pb")) or not files.exists(assets):
            inner = os.path.join(path, "export")
            hint = f"; did you mean {inner}?" if files.exists(inner) else "; train one with bird_tf.train"
            raise config.InputError(f"--model={path} is not an exported model{hint}")
        description_path = os.path.join(assets, "frontend.json")
        self.path = path
        self.front_end = frontend.from_description(files.read_json(description_path), description_path)
        self.classes = taxonomy.load(os.path.join(assets, "classes.csv"))
        self.description: Mapping[str, Any] = files.read_json(os.path.join(assets, "train.json"))
        self._loaded = tf.saved_model.load(path)  # the signatures live as long as this does

    def _probabilities(self, signature: str, name: str, inputs: np.ndarray) -> np.ndarray:
        function = self._loaded.signatures[signature]
        answers = []
        for first in range(0, len(inputs), BATCH_SIZE):
            batch = inputs[first : first + BATCH_SIZE]
            filled = np.zeros((BATCH_SIZE, *inputs.shape[1:]), np.float32)
            filled[: len(batch)] = batch
            answers.append(function(**{name: tf.constant(filled)})["probabilities"].numpy()[: len(batch)])
        return np.concatenate(answers)

    def hear(self, samples: np.ndarray) -> np.ndarray:
        """[chunks, chunk_samples] float32 in [-1, 1] → [chunks, classes] probabilities."""
        return self._probabilities("serving_default", "samples", samples)

    def see(self, spectrograms: np.ndarray) -> np.ndarray:
        """[chunks, bands, frames] float32 in [0, 1] → [chunks, classes] probabilities."""
        return self._probabilities("spectrogram", "spectrogram", spectrograms)

    def score(self, path: str, chunking: audio.ChunkingConfig) -> Scores:
        """Scores every chunk of a recording.

        Raises:
            UnreadableError: as `audio.chunks`.
        """
        rate, seconds = self.front_end.sample_rate_hz, self.front_end.chunk_seconds
        stream = audio.Stream(path, self.front_end, chunking, BATCH_SIZE)
        answers = np.concatenate([self.hear(chunks) for chunks in stream])
        start = np.arange(len(answers)) * chunking.hop_samples(self.front_end) / rate
        return Scores(
            path=path,
            duration_seconds=stream.num_samples / rate,
            start_seconds=start,
            end_seconds=np.minimum(start + seconds, stream.num_samples / rate),
            probabilities=answers,
        )


class Ensemble:
    """One or more models of the same classes; their probabilities are averaged.

    Attributes:
        models: the members; the first one's chunks are those of the result.
        classes: the first one's.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        """Loads the members.

        Raises:
            InputError: as `Model`; no model; or members that know different classes.
        """
        if not paths:
            raise config.InputError("--model is missing: name an exported model, as runs/NAME/export")
        self.models = [Model(path) for path in paths]
        self.classes = self.models[0].classes
        for other in self.models[1:]:
            if set(other.classes.class_ids) != set(self.classes.class_ids):
                raise config.InputError(
                    f"{other.path} knows other classes than {self.models[0].path}: they cannot vote together"
                )

    @property
    def pooling(self) -> str:
        """The pooling that the first model was chosen with."""
        return str(self.models[0].description["pooling"])

    def _in_order(self, model: Model, probabilities: np.ndarray) -> np.ndarray:
        return probabilities[:, [model.classes.index(class_id) for class_id in self.classes.class_ids]]

    def score(self, path: str, chunking: audio.ChunkingConfig) -> Scores:
        """Scores a recording; members with other chunks are averaged over the time that chunks share.

        Raises:
            UnreadableError: as `audio.chunks`.
        """
        first, *others = [(model, model.score(path, chunking)) for model in self.models]
        total = self._in_order(*_pair(first))
        for model, scores in others:
            aligned = align(scores, first[1].start_seconds, first[1].end_seconds)
            total = total + self._in_order(model, aligned)
        return dataclasses.replace(first[1], probabilities=(total / len(self.models)).astype(np.float32))

    def see(self, spectrograms: np.ndarray) -> np.ndarray:
        """[chunks, bands, frames] float32 → [chunks, classes] probabilities, of members with equal front-ends."""
        return np.mean([self._in_order(model, model.see(spectrograms)) for model in self.models], axis=0)


def _pair(scored: tuple[Model, Scores]) -> tuple[Model, np.ndarray]:
    return scored[0], scored[1].probabilities


def align(scores: Scores, start_seconds: np.ndarray, end_seconds: np.ndarray) -> np.ndarray:
    """Chunk scores on other chunks' times: the mean over the chunks that overlap, weighted by the time they share.

    Args:
        scores: n chunks.
        start_seconds, end_seconds: [m] the times wanted.

    Returns:
        [m, classes]; equal times, equal scores; where nothing overlaps, the nearest chunk's.
    """
    if np.array_equal(start_seconds, scores.start_seconds) and np.array_equal(end_seconds, scores.end_seconds):
        return scores.probabilities
    begins = np.maximum(start_seconds[:, None], scores.start_seconds)
    ends = np.minimum(end_seconds[:, None], scores.end_seconds)
    shared = np.maximum(0.0, ends - begins)  # [m, n]
    distance = np.abs((start_seconds + end_seconds)[:, None] - (scores.start_seconds + scores.end_seconds))
    alone = shared.sum(axis=1) == 0
    shared[alone, np.argmin(distance[alone], axis=1)] = 1.0
    return np.asarray(shared @ scores.probabilities / shared.sum(axis=1, keepdims=True))


# --- writers: each takes the recordings one by one and has its file complete when the block ends ---------------------

Append = Callable[[str, Scores, np.ndarray], None]


@contextlib.contextmanager
def _write_csv(settings: PredictConfig, ensemble: Ensemble) -> Iterator[Append]:
    """chunks.csv and recordings.csv: all probabilities, one column a class."""
    classes = ensemble.classes
    chunk_columns = ("recording_id", "start_seconds", "end_seconds", *classes.class_ids)
    recording_columns = ("recording_id", "file", "seconds", "best", *classes.class_ids)
    with (
        files.writing_table(os.path.join(settings.output, "chunks.csv"), chunk_columns) as append_chunk,
        files.writing_table(os.path.join(settings.output, "recordings.csv"), recording_columns) as append_recording,
    ):

        def append(recording_id: str, scores: Scores, pooled: np.ndarray) -> None:
            for start, end, row in zip(scores.start_seconds, scores.end_seconds, scores.probabilities, strict=True):
                append_chunk([recording_id, f"{start:.3f}", f"{end:.3f}", *(f"{p:.6f}" for p in row)])
            best = classes.class_ids[int(np.argmax(pooled))]
            append_recording(
                [recording_id, scores.path, f"{scores.duration_seconds:.3f}", best, *(f"{p:.6f}" for p in pooled)]
            )

        yield append


def detections(scores: Scores, min_probability: float) -> Iterator[tuple[float, float, int, float]]:
    """(start, end, class index, probability) of each chunk and class that reaches `min_probability`, in order."""
    for chunk, index in zip(*np.nonzero(scores.probabilities >= min_probability), strict=True):
        start, end = scores.start_seconds[chunk], scores.end_seconds[chunk]
        yield float(start), float(end), int(index), float(scores.probabilities[chunk, index])


@contextlib.contextmanager
def _write_raven(settings: PredictConfig, ensemble: Ensemble) -> Iterator[Append]:
    """ID.Table.1.selections.txt for each recording: a Raven selection table."""
    columns = ("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)",
               "Species", "Class", "Confidence")  # fmt: skip
    classes, front_end = ensemble.classes, ensemble.models[0].front_end

    def append(recording_id: str, scores: Scores, pooled: np.ndarray) -> None:
        path = os.path.join(settings.output, f"{recording_id}.Table.1.selections.txt")
        with files.writing_table(path, columns, delimiter="\t") as append_row:
            for i, (start, end, index, p) in enumerate(detections(scores, settings.min_probability), 1):
                append_row([i, "Spectrogram 1", 1, f"{start:.3f}", f"{end:.3f}", front_end.fmin_hz, front_end.fmax_hz,
                            classes.names[index], classes.class_ids[index], f"{p:.4f}"])  # fmt: skip

    yield append


@contextlib.contextmanager
def _write_audacity(settings: PredictConfig, ensemble: Ensemble) -> Iterator[Append]:
    """ID.labels.txt for each recording: an Audacity label track (start, end, label; tabs, no header)."""
    classes = ensemble.classes

    def append(recording_id: str, scores: Scores, pooled: np.ndarray) -> None:
        lines = [
            f"{start:.6f}\t{end:.6f}\t{classes.names[index]} {p:.2f}\n"
            for start, end, index, p in detections(scores, settings.min_probability)
        ]
        files.write_text(os.path.join(settings.output, f"{recording_id}.labels.txt"), "".join(lines))

    yield append


@contextlib.contextmanager
def _write_kaleidoscope(settings: PredictConfig, ensemble: Ensemble) -> Iterator[Append]:
    """kaleidoscope.csv: one table of detections that Kaleidoscope opens."""
    columns = ("INDIR", "FOLDER", "IN FILE", "OFFSET", "DURATION", "TOP1MATCH", "class_id", "confidence")
    classes = ensemble.classes
    root = os.path.abspath(settings.audio if os.path.isdir(settings.audio) else os.path.dirname(settings.audio))
    with files.writing_table(os.path.join(settings.output, "kaleidoscope.csv"), columns) as append_row:

        def append(recording_id: str, scores: Scores, pooled: np.ndarray) -> None:
            folder, name = os.path.split(os.path.relpath(os.path.abspath(scores.path), root))
            for start, end, index, p in detections(scores, settings.min_probability):
                append_row([root, folder, name, f"{start:.3f}", f"{end - start:.3f}",
                            classes.names[index], classes.class_ids[index], f"{p:.4f}"])  # fmt: skip

        yield append


_WRITERS = {
    "csv": _write_csv,
    "raven": _write_raven,
    "audacity": _write_audacity,
    "kaleidoscope": _write_kaleidoscope,
}


# --- the command ------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """Flags of a prediction."""

    model: tuple[str, ...] = config.option(
        (), "exported model, as runs/NAME/export; repeated: an ensemble", required=True
    )
    audio: str = config.option("", "folder (searched recursively) or single recording", required=True)
    output: str = config.option("", "folder for the results", required=True)
    format: str = config.option("csv", f"comma-separated list of {', '.join(_WRITERS)}")
    pooling: str = config.option("", "chunk scores to recording scores; empty: as the model was chosen with")
    min_probability: float = config.option(0.5, "what a chunk needs to be listed by raven, audacity, kaleidoscope")
    chunking: bird_tf.audio.ChunkingConfig

    def __post_init__(self) -> None:
        unknown = [name for name in self.format.split(",") if name not in _WRITERS]
        if unknown:
            raise config.InputError(f"--format={self.format}: {unknown[0]!r} is none of {', '.join(_WRITERS)}")


def find_recordings(path: str) -> list[tuple[str, str]]:
    """(id, path) of every recording of a folder, or of the one that is named; ids are unique and safe as file names."""
    if not os.path.exists(path):
        raise config.InputError(f"--audio={path}: no such file or folder")
    paths = audio.find(path) if os.path.isdir(path) else [path]
    recordings = [metadata.Recording(recording_id=metadata.media_id(p), path=p) for p in paths]
    return [(r.recording_id, r.path) for r in metadata.unique(recordings)]


def score_all(
    ensemble: Ensemble, recordings: Sequence[tuple[str, str]], chunking: audio.ChunkingConfig
) -> Iterator[tuple[str, str, Scores | None, str]]:
    """Scores recordings one after the other, with a progress bar.

    Yields:
        (id, path, scores, "") or, where one cannot be read, (id, path, None, reason).
    """
    with config.progress(len(recordings), "recording", "predicting") as progress:
        for recording_id, path in recordings:
            try:
                yield recording_id, path, ensemble.score(path, chunking), ""
            except audio.UnreadableError as error:
                yield recording_id, path, None, str(error)
            progress.update()


def predict(settings: PredictConfig) -> dict[str, Any]:
    """Scores recordings and writes the tables asked for, skipped.csv and summary.json.

    Returns:
        What summary.json holds.

    Raises:
        InputError: models or recordings that cannot be used, or not one recording that can be read.
    """
    recordings = find_recordings(settings.audio)
    ensemble = Ensemble(settings.model)
    method = settings.pooling or ensemble.pooling
    skipped, seconds = [], 0.0
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(_WRITERS[name](settings, ensemble)) for name in settings.format.split(",")]
        for recording_id, path, scores, reason in score_all(ensemble, recordings, settings.chunking):
            if scores is None:
                skipped.append((path, reason))
                continue
            seconds += scores.duration_seconds
            pooled = pooling.pool(scores.probabilities, method)
            for append in writers:
                append(recording_id, scores, pooled)
        if len(skipped) == len(recordings):
            raise config.InputError(f"none of {len(recordings)} recordings can be read; the first: {skipped[0][1]}")
    files.write_table(os.path.join(settings.output, "skipped.csv"), ("file", "reason"), skipped)
    for _, reason in skipped:
        logging.warning("skipped: %s", reason)
    summary = {
        "models": list(settings.model), "pooling": method, "num_recordings": len(recordings) - len(skipped),
        "num_skipped": len(skipped), "audio_seconds": round(seconds, 3), "output": settings.output,
    }  # fmt: skip
    files.write_json(os.path.join(settings.output, "summary.json"), summary)
    return summary


def main(settings: PredictConfig) -> None:
    """Predicts, and says in one line what came of it."""
    summary = predict(settings)
    logging.info(
        "%s: %d recordings (%.2f h of sound) scored, %d skipped",
        settings.output, summary["num_recordings"], summary["audio_seconds"] / 3600, summary["num_skipped"],
    )  # fmt: skip


def run() -> None:
    """Entry point of `bird-tf-predict`."""
    config.run(main, PredictConfig)


if __name__ == "__main__":
    run()

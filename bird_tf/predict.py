"""The command: SavedModel(s) + audio → tables. Scores are kept recording by recording until the tables are written,
so that a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import logging

import bird_tf.audio
import bird_tf.writers
from bird_tf import audio, config, files, metadata, occurrence, pooling, scoring, serving, writers

# folder in the output that holds the scores so far; gone when the tables are there
UNFINISHED = "unfinished"
_FORMAT_VERSION = 3  # of what is kept in it
_ROWS_AT_ONCE = 4096  # chunks whose probabilities are worked out together


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """Flags of a prediction."""

    model: tuple[str, ...] = config.option(
        (), "exported model, as runs/NAME/export; repeated: an ensemble", required=True
    )
    decisions: str = config.option(
        "", "calibration, thresholds, weights by bird_tf.evaluate --tune; empty: the model's own; none: raw scores"
    )
    audio: str = config.option("", "folder (searched recursively) or single recording", required=True)
    output: str = config.option("", "folder for the results", required=True)
    tables: bird_tf.writers.TableConfig
    embeddings: bool = config.option(False, "write ID.embeddings.npz for each recording as well")
    pooling: str = config.option(
        "",
        f"chunk scores to recording scores: {', '.join(pooling.METHODS)} (of networks that have it); empty: as the "
        "model was chosen with",
    )
    batch_size: int = config.option(serving.BATCH_SIZE, "chunks in each call of a model; no score depends on it")
    chunking: bird_tf.audio.ChunkingConfig
    expected: occurrence.OccurrenceConfig
    metadata: str = config.option(
        "", "folder with the recordings' XML files, or one CSV: place and time for --occurrence and --prior"
    )

    def __post_init__(self) -> None:
        if self.pooling:
            pooling.check(self.pooling)
        if self.metadata and not self.expected.needs_place:
            raise config.InputError(f"--metadata={self.metadata} has no use without --occurrence or --prior")

    @property
    def root(self) -> str:
        """The folder that the recordings are looked for in."""
        return self.audio if os.path.isdir(self.audio) else os.path.dirname(self.audio)


def find_recordings(path: str) -> list[tuple[str, str]]:
    """(id, path) of every recording of a folder, or of the one that is named; ids are unique and safe as file names."""
    if not os.path.exists(path):
        raise config.InputError(f"--audio={path}: no such file or folder")
    paths = audio.find(path) if os.path.isdir(path) else [path]
    recordings = [metadata.Recording(recording_id=metadata.media_id(p), path=p) for p in paths]
    return [(r.recording_id, r.path) for r in metadata.unique(recordings)]


class Unfinished:
    """The scores of a run that is under way, one file a recording, in OUTPUT/unfinished/.

    They are of use to a later run with the same models and the same way of cutting only; others are refused.
    """

    def __init__(self, settings: PredictConfig, ensemble: serving.Ensemble) -> None:
        """Opens the folder.

        Raises:
            InputError: it holds the scores of another run, or something that is not ours.
        """
        self._folder = os.path.join(settings.output, UNFINISHED)
        state = {
            "format_version": _FORMAT_VERSION,
            "models": [model.fingerprint for model in ensemble.models],
            "weights": list(ensemble.decisions.weights),
            "chunking": config.to_mapping(settings.chunking),
            "embeddings": settings.embeddings,
        }
        path = os.path.join(self._folder, "run.json")
        kept = files.read_json(path) if os.path.exists(path) else {}
        differing = [name for name, value in state.items() if kept.get(name) != value]
        if differing and files.names(self._folder):
            raise config.InputError(
                f"{self._folder} holds what another run had scored when it stopped ({', '.join(differing)} differ): "
                "repeat that run's command, remove the folder, or name another --output"
            )
        files.write_json(path, state)

    def _path(self, recording_id: str) -> str:
        return os.path.join(self._folder, f"{metadata.md5(recording_id)}.npz")  # ids may be as long as names can be

    @staticmethod
    def _source(path: str) -> str:
        status = os.stat(path)
        return f"{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns}"

    def has(self, recording_id: str, path: str) -> bool:
        """Whether this recording was scored before, and has not changed since."""
        if not os.path.exists(self._path(recording_id)):
            return False
        try:
            with open(self._path(recording_id), "rb") as file, np.load(file) as stored:
                return bool(stored["source"] == self._source(path))
        except (EOFError, ValueError, KeyError, zipfile.BadZipFile):  # the power went while it was written
            return False

    def keep(self, recording_id: str, scores: serving.Scores) -> None:
        """Keeps the scores of a recording, whole or not at all."""
        with files.replacing(self._path(recording_id)) as temporary, open(temporary, "wb") as file:
            np.savez(
                file, source=self._source(scores.path), duration_seconds=scores.duration_seconds,
                start_seconds=scores.start_seconds, end_seconds=scores.end_seconds,
                probabilities=scores.probabilities, attention=scores.attention, embeddings=scores.embeddings,
            )  # fmt: skip

    def scores(self, recording_id: str, path: str) -> serving.Scores:
        """What was kept; of an ensemble the mixture only."""
        with np.load(self._path(recording_id)) as stored:
            probabilities, attention = stored["probabilities"], stored["attention"]
            return serving.Scores(
                path=path, duration_seconds=float(stored["duration_seconds"]), start_seconds=stored["start_seconds"],
                end_seconds=stored["end_seconds"], members=probabilities[None], probabilities=probabilities,
                attentions=attention[None], attention=attention, embeddings=stored["embeddings"],
            )  # fmt: skip

    def remove(self) -> None:
        """Removes everything that was kept."""
        shutil.rmtree(self._folder)


def predict(settings: PredictConfig) -> dict[str, Any]:
    """Scores recordings and writes the tables asked for, skipped.csv and summary.json.

    Returns:
        What summary.json holds.

    Raises:
        InputError: models or recordings that cannot be used, or not one recording that can be read.
    """
    recordings = find_recordings(settings.audio)
    ensemble = serving.Ensemble(settings.model, settings.decisions, settings.batch_size)
    method = ensemble.check_pooling(settings.pooling or ensemble.decisions.pooling)
    expectation = occurrence.Expectation(settings.expected, ensemble)
    ratios = occurrence.ratios_of(expectation, recordings, settings.root, settings.metadata)
    settings.chunking.hop_samples(ensemble.models[0].front_end)  # a bad overlap shows before anything is written
    unfinished = Unfinished(settings, ensemble)
    todo = [(i, path) for i, path in recordings if not unfinished.has(i, path)]
    if len(todo) < len(recordings):
        logging.info("%d of %d recordings were scored before", len(recordings) - len(todo), len(recordings))
    skipped = []
    for outcome in scoring.score_all(ensemble, todo, settings.chunking, embeddings=settings.embeddings):
        if outcome.scores is None:
            skipped.append((outcome.path, outcome.reason))
            logging.warning("skipped: %s", outcome.reason)
        else:
            unfinished.keep(outcome.recording_id, outcome.scores)
    if len(skipped) == len(recordings):
        unfinished.remove()
        raise config.InputError(f"none of {len(recordings)} recordings can be read; the first: {skipped[0][1]}")

    broken = {path for path, _ in skipped}
    readable = [(i, path) for i, path in recordings if path not in broken]
    seconds = _write(settings, ensemble, method, ratios, unfinished, readable)
    files.write_table(os.path.join(settings.output, "skipped.csv"), ("file", "reason"), skipped)
    summary = {
        "models": list(settings.model), "pooling": method, "calibrated_on": ensemble.decisions.fitted_on,
        "expected": expectation.describe(),
        "num_recordings": len(readable), "num_skipped": len(skipped), "audio_seconds": round(seconds, 3),
        "output": settings.output,
    }  # fmt: skip
    files.write_json(os.path.join(settings.output, "summary.json"), summary)
    unfinished.remove()
    return summary


def _write(
    settings: PredictConfig, ensemble: serving.Ensemble, method: str, ratios: Callable[[str], np.ndarray],
    unfinished: Unfinished, recordings: list[tuple[str, str]],
) -> float:  # fmt: skip
    """Writes the tables from what was kept. Returns the seconds of sound in them."""
    context = writers.Context(
        settings=settings.tables,
        output=settings.output,
        root=settings.root,
        classes=ensemble.classes,
        front_end=ensemble.models[0].front_end,
        decisions=ensemble.decisions,
    )
    seconds = 0.0
    with writers.writing(context) as append:
        for recording_id, path in recordings:
            raw = unfinished.scores(recording_id, path)
            pooled = ensemble.decisions.recording.probabilities(pooling.pool(raw.probabilities, method, raw.attention))
            expected = ratios(recording_id)
            for first in range(0, len(raw.probabilities), _ROWS_AT_ONCE):  # in place: a day's scores are large
                rows = raw.probabilities[first : first + _ROWS_AT_ONCE]
                rows[:] = occurrence.update(ensemble.decisions.chunk.probabilities(rows), expected)
            answer = writers.Answer(
                recording_id=recording_id,
                scores=raw,
                pooled=occurrence.update(pooled, expected),
            )
            append(answer)
            if settings.embeddings:
                writers.write_embeddings(settings.output, answer)
            seconds += raw.duration_seconds
    return seconds


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

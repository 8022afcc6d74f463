"""The command: SavedModels + recordings → tables.

Scores are kept recording by recording until the tables are written, so that an interrupted run goes on.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import logging

from bird_tf import config, files
from bird_tf.audio import decode
from bird_tf.inference import audio_files, ensembles, occurrence, saved_model, score_store, scoring
from bird_tf.inference.writers import tables
from bird_tf.scores import pooling

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
    tables: tables.TableConfig
    embeddings: bool = config.option(False, "write ID.embeddings.npz for each recording as well")
    pooling: str = config.option(
        "",
        f"chunk scores to recording scores: {', '.join(pooling.METHODS)} (of networks that have it); empty: as the "
        "model was chosen with",
    )
    batch_size: int = config.option(saved_model.BATCH_SIZE, "chunks in each call of a model; no score depends on it")
    chunking: decode.ChunkingConfig
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


def predict(settings: PredictConfig) -> dict[str, Any]:
    """Scores recordings and writes the tables asked for, skipped.csv and summary.json.

    Returns:
        What summary.json holds.

    Raises:
        InputError: models or recordings that cannot be used, or not one recording that can be read.
    """
    recordings = audio_files.find_recordings(settings.audio)
    ensemble = ensembles.Ensemble(settings.model, settings.decisions, settings.batch_size)
    method = ensemble.check_pooling(settings.pooling or ensemble.decisions.pooling)
    odds = occurrence.OddsFactors(settings.expected, ensemble)
    ratios = occurrence.factors_of(odds, recordings, settings.root, settings.metadata)
    settings.chunking.hop_samples(ensemble.models[0].front_end)  # a bad overlap shows before anything is written
    store = score_store.ScoreStore(settings.output, ensemble, settings.chunking, embeddings=settings.embeddings)
    todo = [(i, path) for i, path in recordings if not store.has(i, path)]
    if len(todo) < len(recordings):
        logging.info("%d of %d recordings were scored before", len(recordings) - len(todo), len(recordings))
    skipped = []
    for outcome in scoring.score_recordings(ensemble, todo, settings.chunking, embeddings=settings.embeddings):
        if outcome.scores is None:
            skipped.append((outcome.path, outcome.reason))
            logging.warning("skipped: %s", outcome.reason)
        else:
            store.keep(outcome.recording_id, outcome.scores)
    if len(skipped) == len(recordings):
        store.remove()
        raise config.InputError(f"none of {len(recordings)} recordings can be read; the first: {skipped[0][1]}")

    broken = {path for path, _ in skipped}
    readable = [(i, path) for i, path in recordings if path not in broken]
    seconds = _write(settings, ensemble, method, ratios, store, readable)
    files.write_table(os.path.join(settings.output, "skipped.csv"), ("file", "reason"), skipped)
    summary = {
        "models": list(settings.model), "pooling": method, "calibrated_on": ensemble.decisions.fitted_on,
        "expected": odds.describe(),
        "num_recordings": len(readable), "num_skipped": len(skipped), "audio_seconds": round(seconds, 3),
        "output": settings.output,
    }  # fmt: skip
    files.write_json(os.path.join(settings.output, "summary.json"), summary)
    store.remove()
    return summary


def _write(
    settings: PredictConfig, ensemble: ensembles.Ensemble, method: str, ratios: Callable[[str], np.ndarray],
    store: score_store.ScoreStore, recordings: list[tuple[str, str]],
) -> float:  # fmt: skip
    """Writes the tables from what was kept. Returns the seconds of sound in them."""
    context = tables.Context(
        settings=settings.tables,
        output=settings.output,
        root=settings.root,
        classes=ensemble.classes,
        front_end=ensemble.models[0].front_end,
        decisions=ensemble.decisions,
    )
    seconds = 0.0
    with tables.writing(context) as append:
        for recording_id, path in recordings:
            raw = store.scores(recording_id, path)
            pooled = ensemble.decisions.recording.probabilities(pooling.pool(raw.probabilities, method, raw.attention))
            expected = ratios(recording_id)
            for first in range(0, len(raw.probabilities), _ROWS_AT_ONCE):  # in place: a day's scores are large
                rows = raw.probabilities[first : first + _ROWS_AT_ONCE]
                rows[:] = occurrence.multiply_odds(ensemble.decisions.chunk.probabilities(rows), expected)
            answer = tables.Prediction(
                recording_id=recording_id,
                scores=raw,
                pooled=occurrence.multiply_odds(pooled, expected),
            )
            append(answer)
            if settings.embeddings:
                tables.write_embeddings(settings.output, answer)
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

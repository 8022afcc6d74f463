"""Names the birds in recordings with exported models, and writes tables.

The scores of each recording are kept, and all tables are made from them. So a further run scores only what is new.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from bird_tf import (
    command_line,
    config,
    csv_files,
    executor,
    files,
    locks,
    next_steps,
    progress_bars,
    python_calls,
    skips,
)
from bird_tf.inference import (
    audio_files,
    embedding_store,
    ensembles,
    judgement,
    provenance,
    result_files,
    saved_model,
    score_store,
)
from bird_tf.inference.writers import about, predictions, rows, tables, totals
from bird_tf.labels import metadata, verdicts
from bird_tf.labels.layouts import reader
from bird_tf.scores import thresholds
from bird_tf.surveys import densities, survey_files


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """Flags of a prediction."""

    model: tuple[str, ...] = config.option(
        (), "exported model, as runs/NAME/export; repeated: an ensemble", required=True
    )
    decisions: str = config.option(
        "",
        "calibration, thresholds and weights by bird_tf.evaluate --tune; empty: the model's own; none: raw scores",
    )
    audio: str = config.option("", "folder (searched recursively) or single recording", required=True)
    output: str = config.option("", "folder for the results", required=True)
    tables: tables.TableConfig
    batch_size: int = config.option(saved_model.BATCH_SIZE, "chunks in each call of a model; it does not change scores")
    place: executor.PlaceConfig
    judgement: judgement.JudgementConfig
    summary: bool = config.option(
        False, "also write OUTPUT/summary/: what was recorded and found by site, day and hour, as tables and as a page"
    )
    verdicts: str = config.option(
        "", "verdicts.csv, for the call density of its species in the summary: the share of chunks that hold them"
    )
    overwrite: bool = config.option(
        False, "score all recordings again, where the output holds the scores of other models or chunks"
    )

    def __post_init__(self) -> None:
        config.refuse_without_effect({"--verdicts without --summary": self.verdicts and not self.summary})

    @property
    def root(self) -> str:
        """The folder in which recordings are searched."""
        return self.audio if os.path.isdir(self.audio) else os.path.dirname(self.audio)


def predict(settings: PredictConfig) -> dict[str, Any]:
    """Scores recordings and writes the tables, skipped.csv and summary.json.

    Returns:
        The content of summary.json.

    Raises:
        InputError: unusable models, or no readable recording; or another command is at work in the output.
    """
    with locks.held(settings.output, work="prediction", flag="--output"):
        return _predict(settings)


def _predict(settings: PredictConfig) -> dict[str, Any]:
    recordings = audio_files.find_below(settings.audio)
    settings.place.prepare()
    ensemble = ensembles.Ensemble(settings.model, settings.decisions, settings.batch_size)
    # refuses a bad overlap before anything is written
    asked, judge = settings.judgement, judgement.Judge(ensemble, settings.judgement)
    described = reader.describe([path for _, path in recordings], settings.root, asked.metadata, asked.clock)
    given = verdicts.read(settings.verdicts) if settings.verdicts else []
    densities.check_scale(given, ensemble.scale)
    results = result_files.ResultFiles(settings.output)
    context = _context(settings, ensemble, judge, results, {file: described[path] for file, path in recordings})
    formats = settings.tables.formats
    results.check(
        [files.SUMMARY, skips.TABLE, about.FILE, *(name for each in formats.values() for name in each.names(context))]
    )
    criteria = settings.tables.detections.criteria(ensemble.decisions, ensemble.classes)
    _warn_of_missing_thresholds(settings, criteria.num_never, len(ensemble.classes))
    output, overwrite = settings.output, settings.overwrite
    store = score_store.ScoreStore(output, ensemble, asked.chunking, judge.chunking, overwrite=overwrite)
    store.open()
    vectors = None
    if settings.tables.embeddings:
        vectors = embedding_store.Writer(output, settings.root, ensemble, asked.chunking, overwrite=overwrite)
        vectors.open()
    skipped = _score(settings.place, judge, store, vectors, recordings)
    unreadable = dict(skipped)
    readable = [(file, described[path]) for file, path in recordings if path not in unreadable]
    if not readable:
        store.remove_if_empty()
        earlier = f"; {output} still holds the tables of an earlier prediction" if results.are_there else ""
        raise config.InputError(
            f"none of {len(recordings)} recordings can be read{earlier}; the first: {skipped[0][1]}"
        )
    told, progress = totals.Totals(), progress_bars.start(len(readable), "recording", "writing")
    with results.writing():
        with _writing(settings, context, given) as append, progress:
            for file, recording in readable:
                scores, pooled = judge.judge(recording, store.load(file, recording.path))
                found = predictions.Prediction(
                    file=file, scores=scores, pooled=pooled, recording=recording, criteria=criteria
                )
                append(found)
                told.add(found)
                progress.update()
        _write_notes(settings, context, ensemble, told, skipped)
        summary = _summary(settings, ensemble, judge, told, len(skipped), criteria.num_never)
        files.write_json(context.output(files.SUMMARY), summary)
    told.warn_of_unlike(output)
    return summary


def _write_notes(
    settings: PredictConfig, context: predictions.Context, ensemble: ensembles.Ensemble, told: totals.Totals,
    skipped: Sequence[skips.Skip],
) -> None:  # fmt: skip
    """Writes what is to know beside the tables: damaged, strange and skipped recordings, and what is in the folder."""
    told.write_tables(context)
    formats, calibrated_on = settings.tables.formats.values(), ensemble.decisions.sources
    text = about.write(context, formats, settings.model, calibrated_on, told.unlike)
    files.write_text(context.output(about.FILE), text)
    table = [(os.path.relpath(path, settings.root or "."), reason) for path, reason in skipped]
    skipped_path = context.output(skips.TABLE)
    csv_files.write(skipped_path, skips.COLUMNS, table, byte_order_mark=context.byte_order_mark)
    skips.log_summary(skipped, skipped_path)


def _summary(
    settings: PredictConfig, ensemble: ensembles.Ensemble, judge: judgement.Judge, told: totals.Totals,
    num_skipped: int, num_without: int,
) -> dict[str, Any]:  # fmt: skip
    return {
        "models": list(settings.model), "pooling": judge.pooling, "calibrated_on": ensemble.decisions.sources,
        "context": ensemble.decisions.context.describe(), "expected": judge.odds_factors.describe(),
        "scale": " ".join(filter(None, [ensemble.scale, judge.odds_factors.describe()])),
        "num_recordings": told.num_recordings, "num_skipped": num_skipped, "num_unlike": told.num_unlike,
        "num_detections": told.of_species.total(), "num_species_detected": len(told.of_species),
        "num_species_without_threshold": num_without,
        "num_recordings_with_detections": told.num_with_detections,
        "audio_seconds": round(told.seconds, 3),
        "audio": os.path.abspath(settings.root),
        "channel": judge.channel, "output": settings.output,
        **provenance.of_command(settings), **provenance.of_models(ensemble),
    }  # fmt: skip


def _warn_of_missing_thresholds(settings: PredictConfig, num_without: int, num_species: int) -> None:
    if num_without:
        logging.warning(
            "%d of %d species cannot have detections: the model has no threshold for them by the rule %s, as it "
            "was tuned on too little, or errs too often there; repeat the command with %s", num_without, num_species,
            settings.tables.detections.threshold, _lower_thresholds(settings),
        )  # fmt: skip


def _lower_thresholds(settings: PredictConfig) -> str:
    """The flags with which species that have no detections may have some."""
    other = "--threshold=f1, or " if settings.tables.detections.threshold == thresholds.PRECISION else ""
    return f"{other}--min_probability=0.1 to see doubtful ones"


def _writing(
    settings: PredictConfig, context: predictions.Context, given: Sequence[verdicts.Verdict]
) -> contextlib.AbstractContextManager[predictions.Append]:
    """Yields a function that adds a recording to the tables, and to the summary if there is one."""
    summary = [survey_files.writing(context, given)] if settings.summary else []
    return predictions.together([tables.writing(settings.tables, context), *summary])


def _context(
    settings: PredictConfig, ensemble: ensembles.Ensemble, judge: judgement.Judge, results: result_files.ResultFiles,
    recordings: Mapping[str, metadata.Recording],
) -> predictions.Context:  # fmt: skip
    """What the writers need to know, for the recordings {file: what is known of it}."""
    return predictions.Context(
        root=settings.root,
        output=results.path,
        stems=audio_files.stems(recordings),
        classes=ensemble.classes,
        front_end=ensemble.models[0].front_end,
        found_by=settings.tables.detections,
        expected=judge.odds_factors.describe(),
        channel=judge.channel,
        origins_known=any(map(rows.origin_is_known, recordings.values())),
        byte_order_mark=settings.tables.csv_bom,
    )


def _score(
    place: executor.PlaceConfig, judge: judgement.Judge, store: score_store.ScoreStore,
    vectors: embedding_store.Writer | None, recordings: Sequence[tuple[str, str]],
) -> list[skips.Skip]:  # fmt: skip
    """Scores and stores the recordings that have no scores yet. Returns (path, reason) of those that cannot be read."""
    todo = [
        (file, path)
        for file, path in recordings
        if not (store.has(file, path) and (vectors is None or vectors.has(file, path)))
    ]
    if len(todo) < len(recordings):
        logging.info("%d of %d recordings already have scores", len(recordings) - len(todo), len(recordings))
    if vectors is None:
        return store.fill(todo, place)
    return store.fill(todo, place, lambda file, scores: vectors.append(file, judge.own(scores)))


def main(settings: PredictConfig) -> None:
    """Predicts, and logs one line of summary and what to do next."""
    summary = predict(settings)
    logging.info(
        "%s: %d recordings (%.2f h of sound) scored, %d skipped; %d detections of %d species, in %d recordings",
        settings.output, summary["num_recordings"], summary["audio_seconds"] / 3600, summary["num_skipped"],
        summary["num_detections"], summary["num_species_detected"], summary["num_recordings_with_detections"],
    )  # fmt: skip
    formats = settings.tables.formats
    [first, *_] = [name for each in formats.values() for name in each.files]
    steps = [f"open {os.path.join(settings.output, first)}; about.txt beside it explains it"]
    if settings.summary:
        steps.append(f"open {os.path.join(settings.output, survey_files.PAGE)} in a browser")
    if not summary["num_detections"]:
        without = summary["num_species_without_threshold"]
        cause = f"{without} species have no threshold, and no other" if without else "no species"
        steps.append(f"{cause} reaches its threshold; repeat the command with {_lower_thresholds(settings)}")
    elif "csv" in formats:
        judged, review = settings.output, f"{settings.output}-review"
        if settings.tables.detections.merge_seconds >= 0:
            judged += "-doubtful"
            steps.append(
                f"to judge doubtful detections, repeat the command with --min_probability=0.1 --merge_seconds=-1 "
                f"{shlex.join([f'--output={judged}'])}, then"
            )
        steps.append(next_steps.command("review", predictions=judged, output=review))
    next_steps.log(*steps)


def run() -> None:
    """Entry point of `bird-tf-predict`."""
    command_line.run(main, PredictConfig)


python_calls.make_callable(__name__, predict, PredictConfig)


if __name__ == "__main__":
    run()

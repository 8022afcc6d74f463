"""Writes what exported models say of test recordings as a BirdCLEF run file, and checks it.

The formats and their rules belong to `run_files` (2018) and `kaggle_files`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from absl import logging

from bird_tf import command_line, config, executor, files, locks, next_steps, python_calls, skips
from bird_tf.audio import decode
from bird_tf.inference import (
    ensembles,
    in_context,
    occurrence,
    provenance,
    result_files,
    scoring,
    segments,
)
from bird_tf.labels import clock, taxonomy
from bird_tf.scores import pooling
from bird_tf.submissions import budget, kaggle_files, media_ids, run_files

_LARGEST_RUN = 128 << 20  # bytes
_CHECKING = {"validate", "task", "model", "class_ids", "sample_submission"}  # flags that --validate uses
TASKS = (run_files.MONOPHONE, run_files.SOUNDSCAPE, kaggle_files.TASK)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubmissionConfig:
    """Flags of a submission: --model, --audio and --output write a run file; --validate checks one."""

    task: str = config.option(run_files.MONOPHONE, "task of the run file", choices=TASKS)
    model: tuple[str, ...] = config.option((), "exported model, as runs/NAME/export; repeated: an ensemble")
    audio: str = config.option("", "folder with the test recordings (searched recursively)")
    metadata: str = config.option(
        "",
        "folder with the recordings' XML files, or a CSV: place and time for --occurrence and --prior; XML also gives "
        "the MediaId of files whose names do not end in _RN<id>",
    )
    output: str = config.option("", "run file to write")
    pooling: str = config.option(
        "",
        "how to pool chunk scores; empty: monophone: the method of the model's decisions, others: "
        f"{segments.DEFAULT_POOLING}",
    )
    decisions: str = config.option(
        "", "file of pooling and weights, by bird_tf.evaluate --tune; empty: the model's own; none: neutral ones"
    )
    chunking: decode.SegmentChunkingConfig
    place: executor.PlaceConfig
    occurrence_settings: occurrence.OccurrenceConfig
    clock: clock.ClockConfig
    class_ids: str = config.option(
        "", "CSV with the columns class_id,run_id: the ids that classes have in the run, where they differ"
    )
    sample_submission: str = config.option(
        "", "kaggle: CSV whose columns, rows and order the submission gets; empty: the classes of the model, all rows"
    )
    max_minutes: float | None = config.option(
        None, "wall-clock budget, minutes: recordings that do not fit into it get the training prior; empty: no limit"
    )
    validate: str = config.option(
        "", "run file to check, instead of writing one; with --model, its class ids are checked as well"
    )

    def __post_init__(self) -> None:
        budget.check(self.max_minutes)
        if self.validate:
            idle = {*config.given(self)} - _CHECKING
            config.refuse_without_effect({f"--{name} with --validate": True for name in sorted(idle)})
        other_task = f"--sample_submission with --task={self.task}"
        config.refuse_without_effect({other_task: self.sample_submission and self.task != kaggle_files.TASK})


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Scores:
    """The scores of the test recordings.

    Attributes:
        pooled: {id of a recording: [segments, classes]}; of a whole recording [1, classes].
        broken: paths of the recordings that cannot be read.
        unscored: ids of those that did not fit into the budget.
    """

    pooled: dict[str, np.ndarray]
    broken: list[str]
    unscored: list[str]


def write_run(settings: SubmissionConfig) -> dict[str, Any]:
    """Scores each test recording and writes the run file, then OUTPUT.json with a summary.

    Each recording must have lines. An unreadable recording, and one that did not fit into --max_minutes, gets the
    training prior, that is the share of each class in the training recordings; with segments, as many as the length in
    its header says, at least one. So do the segments that a damaged recording lacks at its end.

    Returns:
        The content of the summary.

    Raises:
        InputError: unusable models or recordings, or ids that a run cannot hold; or another command writes this file.
        RuntimeError: the run breaks a rule; nothing is written.
    """
    started = time.monotonic()
    with (
        locks.held_file(settings.output, work="submission"),
        # an unusable folder stops the command before the scoring
        result_files.writing_beside("submission", settings.output, settings.output + ".json"),
    ):
        text, summary = _run_file(settings, started)
        files.write_text(settings.output, text)
        files.write_json(settings.output + ".json", summary)
    return summary


def _run_file(settings: SubmissionConfig, started: float) -> tuple[str, dict[str, Any]]:
    """The run file's text, and the summary."""
    settings.place.prepare()
    ensemble = ensembles.Ensemble(settings.model, settings.decisions)
    method = ensemble.check_pooling(
        settings.pooling
        or (ensemble.decisions.pooling if settings.task == run_files.MONOPHONE else segments.DEFAULT_POOLING)
    )
    task = _kaggle if settings.task == kaggle_files.TASK else _birdclef
    recordings, as_text = task(settings, ensemble)
    odds_factors = occurrence.OddsFactors(settings.occurrence_settings, ensemble)
    factors_of = occurrence.factors_by_id(odds_factors, recordings, settings.audio, settings.metadata, settings.clock)
    scores = _score(settings, ensemble, method, recordings, started)
    changed = {name: occurrence.multiply_odds(scores.pooled[name], factors_of(name)) for name, _ in recordings}
    text, error = as_text(changed)
    if error:
        raise RuntimeError(f"{settings.output} would break a rule and was not written: {error}")
    return text, {
        "task": settings.task, "models": list(settings.model), "pooling": method, "num_recordings": len(recordings),
        "num_items": sum(map(len, changed.values())), "num_lines": text.count("\n"), "broken": scores.broken,
        "unscored": scores.unscored, "expected": odds_factors.describe(), "output": settings.output,
        **provenance.of_command(settings), **provenance.of_models(ensemble),
    }  # fmt: skip


# (id, path) of the test recordings; and the function {id: scores} → text of the file, and the first rule that it breaks
_Task = tuple[list[tuple[str, str]], Callable[[dict[str, np.ndarray]], tuple[str, str | None]]]


def _birdclef(settings: SubmissionConfig, ensemble: ensembles.Ensemble) -> _Task:
    """A task of 2018."""
    classes = _run_classes(settings, ensemble)
    run_files.check_class_ids(classes)

    def as_text(scores: dict[str, np.ndarray]) -> tuple[str, str | None]:
        lines, ids = [], []
        for media_id, rows in scores.items():
            ids += [media_id] * len(rows)
            if settings.task == run_files.SOUNDSCAPE:
                lines += run_files.soundscape_lines(media_id, rows, classes)
            else:
                lines += run_files.monophone_lines(media_id, rows[0], classes)
        error = next(run_files.errors(lines, settings.task, classes.class_ids, ids), None)
        return "".join(f"{line}\n" for line in lines), error

    return media_ids.find_media_ids(settings.audio, settings.metadata), as_text


def _kaggle(settings: SubmissionConfig, ensemble: ensembles.Ensemble) -> _Task:
    """A task of 2021 to 2026."""
    classes = _run_classes(settings, ensemble)
    sample = settings.sample_submission
    form = kaggle_files.read_sample(sample) if sample else kaggle_files.form_of(classes)
    recordings = media_ids.find_soundscapes(settings.audio)
    form, begins = kaggle_files.for_recordings(form, [name for name, _ in recordings])
    lacking = [class_id for class_id in form.class_ids if class_id not in classes.class_ids]
    if len(lacking) == len(form.class_ids):
        raise config.InputError(
            f"--sample_submission={sample}: none of its {len(lacking)} columns is a class of the model; map the ids "
            "with --class_ids=FILE.csv"
        )
    if lacking:
        logging.warning(
            "the model lacks %d of %d classes, for example %s; they get the prior of its rarest class",
            len(lacking), len(form.class_ids), lacking[0],
        )  # fmt: skip

    def as_text(scores: dict[str, np.ndarray]) -> tuple[str, str | None]:
        by_beginning = {begins[name]: rows for name, rows in scores.items()}
        text = kaggle_files.write(form, by_beginning, classes, ensemble.prior.frequencies)
        return text, next(kaggle_files.errors(text, form), None)

    return recordings, as_text


def _run_classes(settings: SubmissionConfig, ensemble: ensembles.Ensemble) -> taxonomy.Taxonomy:
    """The model's classes, with the ids of the task."""
    return media_ids.map_class_ids(settings.class_ids, ensemble.classes) if settings.class_ids else ensemble.classes


def _score(
    settings: SubmissionConfig, ensemble: ensembles.Ensemble, method: str, recordings: list[tuple[str, str]],
    started: float,
) -> _Scores:  # fmt: skip
    """Scores the recordings, within --max_minutes since `started`."""
    in_segments = settings.task != run_files.MONOPHONE
    progress = scoring.Progress()
    answering = in_context.Answers(ensemble, settings.chunking.for_segments(ensemble.shortest_chunk_seconds))
    # the context changes only segments
    chunking = answering.chunking if in_segments else settings.chunking.for_recordings()
    all_scored = scoring.score_recordings(ensemble, recordings, chunking, place=settings.place, progress=progress)
    scored: Iterator[scoring.ScoredRecording] = all_scored
    if settings.max_minutes is not None:
        lengths = decode.durations([path for _, path in recordings])
        scored = budget.within(all_scored, lengths, settings.max_minutes, started, lambda: progress.seconds)
    found = _Scores(pooled={}, broken=[], unscored=[])
    seconds: dict[str, float] = {}
    for recording in scored:
        seconds[recording.path] = recording.seconds
        if recording.scores:
            scoring.log_note(recording.path, recording.scores)
        if recording.scores is None:
            found.broken.append(recording.path)
            logging.warning(
                "gets the training prior instead of scores: %s", skips.named((recording.path, recording.reason))
            )
        elif in_segments:
            pooled = segments.pooled(answering.in_context(recording.scores), method)
            rows = ensemble.decisions.answers.probabilities(pooled)
            if recording.scores.lost_seconds:  # the end of the recording may be what is lost
                rows = np.concatenate([rows, _prior_rows(ensemble, recording.path, recording.seconds)[len(rows) :]])
            found.pooled[recording.recording_id] = rows
        else:
            pooled = pooling.pool(recording.scores.probabilities, method, recording.scores.attention_logits)[None]
            best_chunk = recording.scores.probabilities.max(axis=0)
            found.pooled[recording.recording_id] = ensemble.decisions.of_recordings(pooled, best_chunk)
    for name, path in recordings:
        if name not in found.pooled:
            if path not in found.broken:
                found.unscored.append(name)
            prior_rows = _prior_rows(ensemble, path, seconds.get(path, 0.0))
            found.pooled[name] = prior_rows if in_segments else prior_rows[:1]
    return found


def _prior_rows(ensemble: ensembles.Ensemble, path: str, seconds: float) -> np.ndarray:
    """[segments, classes] the training prior, for each segment of a recording by its header.

    That of a file that ends early counts as it was read, with what is lost, `seconds`: libsndfile tells what is there.
    """
    count = pooling.num_segments(max(decode.searched_seconds(path), seconds), segments.SECONDS)
    return np.tile(ensemble.prior.frequencies, (count, 1))


def check_run(settings: SubmissionConfig) -> int:
    """Checks a run file. Returns its number of lines.

    Raises:
        InputError: it breaks a rule; the message names the first error, and the number of the others.
    """
    text = files.read_text(settings.validate, _LARGEST_RUN)
    classes = _run_classes(settings, ensembles.Ensemble(settings.model)) if settings.model else None
    if settings.task == kaggle_files.TASK:
        form = kaggle_files.read_sample(settings.sample_submission) if settings.sample_submission else None
        errors = kaggle_files.errors(text, form, classes)
    else:
        errors = run_files.errors(run_files.each_line(text), settings.task, classes.class_ids if classes else ())
    if first := next(errors, ""):
        others = sum(1 for _ in errors)
        more = f" (and {others} more)" if others else ""
        raise config.InputError(f"{settings.validate}, {first}{more}")
    return text.removesuffix("\n").count("\n") + 1


def submission(settings: SubmissionConfig) -> dict[str, Any]:
    """Writes a run file, or checks one.

    Returns:
        As `write_run`; of a file that is checked, {"num_lines": number of its lines}.

    Raises:
        InputError: as `write_run` and `check_run`, or a flag is missing.
    """
    if settings.validate:
        return {"num_lines": check_run(settings)}
    for name in ("model", "audio", "output"):
        if not getattr(settings, name):
            raise config.InputError(f"--{name} is missing; to check a run file use --validate=FILE")
    return write_run(settings)


def main(settings: SubmissionConfig) -> None:
    """Writes or checks a run file, and logs one line of summary."""
    summary = submission(settings)
    if settings.validate:
        logging.info("%s: %d lines, a valid %s run", settings.validate, summary["num_lines"], settings.task)
        return
    unscored = f"; {len(summary['unscored'])} did not fit into --max_minutes" if summary["unscored"] else ""
    logging.info(
        "%s: valid %s run of %d recordings, %d lines; %d recordings cannot be read%s",
        summary["output"], settings.task, summary["num_recordings"], summary["num_lines"], len(summary["broken"]),
        unscored,
    )  # fmt: skip
    next_steps.log(f"hand in {summary['output']}; {summary['output']}.json says how it was made")


def run() -> None:
    """Entry point of `bird-tf-submission`."""
    command_line.run(main, SubmissionConfig)


python_calls.make_callable(__name__, submission, SubmissionConfig)


if __name__ == "__main__":
    run()

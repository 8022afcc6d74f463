"""Scores → BirdCLEF run file, checked line by line before it gets its final name.

Formats of 2018, both without header, `;` between the fields, no blanks, fixed-point numbers:
monophone `MediaId;ClassId;Probability;Rank`, soundscape `MediaId;hh:mm:ss-hh:mm:ss;ClassId;Probability`.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from absl import logging

from bird_tf import config, files
from bird_tf.audio import decode
from bird_tf.inference import ensembles, occurrence, scoring, segments
from bird_tf.labels import metadata, taxonomy
from bird_tf.labels.layouts import birdclef
from bird_tf.scores import pooling

SEGMENT_SECONDS = segments.SECONDS
MAX_LINES = 100
TASKS = ("monophone", "soundscape")

_NUMBER = re.compile(r"[01]\.\d+")
_SEGMENT = re.compile(r"(\d\d+):([0-5]\d):([0-5]\d)-(\d\d+):([0-5]\d):([0-5]\d)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubmissionConfig:
    """Flags of a submission: --model, --audio and --output write a run; --validate checks one."""

    task: str = config.option("monophone", "which run file", choices=TASKS)
    model: tuple[str, ...] = config.option((), "exported model, as runs/NAME/export; repeated: an ensemble")
    audio: str = config.option("", "folder with the test recordings (searched recursively)")
    metadata: str = config.option(
        "",
        "folder with their XML files: the MediaId of names that do not end in _RN<id>; or one CSV; place and time for "
        "priors",
    )
    output: str = config.option("", "run file to write")
    pooling: str = config.option("", "chunk scores to answers; empty: monophone as the model, soundscape mean")
    decisions: str = config.option(
        "", "pooling and an ensemble's weights by bird_tf.evaluate --tune; empty: a single model's own; none: none"
    )
    chunking: decode.ChunkingConfig
    expected: occurrence.OccurrenceConfig
    validate: str = config.option("", "run file to check instead of writing one; with --model its class ids as well")


def monophone_lines(media_id: str, scores: np.ndarray, classes: taxonomy.Taxonomy) -> list[str]:
    """The lines of one recording, by falling probability; equal ones in the order of the classes.

    Args:
        media_id: the recording.
        scores: [classes] in [0, 1].
        classes: their ids.
    """
    order = np.argsort(-scores, kind="stable")[:MAX_LINES]
    return [f"{media_id};{classes.class_ids[c]};{scores[c]:.10f};{rank}" for rank, c in enumerate(order, 1)]


def soundscape_lines(media_id: str, scores: np.ndarray, classes: taxonomy.Taxonomy) -> list[str]:
    """The lines of one recording, segment after segment.

    Args:
        media_id: the recording.
        scores: [segments, classes] in [0, 1], from 00:00:00 on.
        classes: their ids.
    """
    lines = []
    for i, row in enumerate(scores):
        span = f"{_time(i * SEGMENT_SECONDS)}-{_time((i + 1) * SEGMENT_SECONDS)}"
        order = np.argsort(-row, kind="stable")[:MAX_LINES]
        lines += [f"{media_id};{span};{classes.class_ids[c]};{row[c]:.10f}" for c in order]
    return lines


def _time(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


# --- the validator ----------------------------------------------------------------------------------------------------


def errors(
    lines: Sequence[str], task: str, class_ids: Sequence[str] = (), expected: Sequence[str] | None = None
) -> Iterator[str]:
    """Checks a run file against the rules of its task.

    Args:
        lines: of the file, without line ends.
        task: one of TASKS.
        class_ids: the ids allowed; empty for any of six letters.
        expected: MediaIds that must all appear and no others; for soundscape one entry for each segment, repeated.
            None to leave that unchecked.

    Yields:
        "line N: rule broken", or "run: …" for what concerns no single line.
    """
    allowed = set(class_ids)
    if lines and lines[0].startswith("\ufeff"):
        yield "line 1: begins with a byte order mark"
    items: dict[tuple[str, ...], list[tuple[int, str, float, str]]] = collections.defaultdict(list)
    for number, line in enumerate(lines, 1):
        fields = line.split(";")
        if len(fields) != 4:
            yield f"line {number}: {len(fields)} fields between semicolons, expected 4"
            continue
        if line != "".join(line.split()):
            yield f"line {number}: holds blanks"
            continue
        key: tuple[str, ...]
        if task == "monophone":
            media_id, class_id, probability, rank = fields
            key = (media_id,)
        else:
            media_id, span, class_id, probability = fields
            key, rank = (media_id, span), ""
        if not media_id:
            yield f"line {number}: MediaId is empty"
        if allowed and class_id not in allowed:
            yield f"line {number}: ClassId {class_id!r} is no class of the model"
        elif not allowed and not re.fullmatch(r"[a-z]{6}", class_id):
            yield f"line {number}: ClassId {class_id!r} is not six lower-case letters"
        if not _NUMBER.fullmatch(probability) or float(probability) > 1:
            yield f"line {number}: probability {probability!r} is not a fixed-point number in [0, 1]"
            continue
        if task == "soundscape" and not _is_segment(fields[1]):
            yield f"line {number}: {fields[1]!r} is not hh:mm:ss-hh:mm:ss of 5 seconds that begin at a multiple of 5"
            continue
        items[key].append((number, class_id, float(probability), rank))
    for key, entries in items.items():
        yield from _item_errors(" ".join(key), entries, ranked=task == "monophone")
    if task == "soundscape":
        yield from _segment_gaps(list(items))
    if expected is not None:
        found = collections.Counter(key[0] for key in items)
        for media_id, count in sorted((collections.Counter(expected) - found).items()):
            yield f"run: {media_id} lacks {count} of its recordings or segments"
        for media_id, count in sorted((found - collections.Counter(expected)).items()):
            yield f"run: {media_id} has {count} recordings or segments too many"


def _item_errors(name: str, entries: list[tuple[int, str, float, str]], *, ranked: bool) -> Iterator[str]:
    """Rules on the lines of one recording or segment together."""
    if len(entries) > MAX_LINES:
        yield f"line {entries[MAX_LINES][0]}: {name} has more than {MAX_LINES} lines"
    seen: set[str] = set()
    last = 2.0
    for position, (number, class_id, probability, rank) in enumerate(entries, 1):
        if class_id in seen:
            yield f"line {number}: {name} lists {class_id} twice"
        seen.add(class_id)
        if ranked and rank != str(position):
            yield f"line {number}: rank {rank!r}, expected {position}: ranks count from 1 without gaps"
        if ranked and probability > last:
            yield f"line {number}: probability rises within {name}"
        last = probability


def _is_segment(text: str) -> bool:
    match = _SEGMENT.fullmatch(text)
    if not match:
        return False
    h1, m1, s1, h2, m2, s2 = map(int, match.groups())
    begin, end = 3600 * h1 + 60 * m1 + s1, 3600 * h2 + 60 * m2 + s2
    return end - begin == SEGMENT_SECONDS and begin % SEGMENT_SECONDS == 0


def _segment_gaps(keys: list[tuple[str, ...]]) -> Iterator[str]:
    """Every recording's segments must count up from 00:00:00."""
    counts = collections.Counter(media_id for media_id, _ in keys)
    spans = {(media_id, span) for media_id, span in keys}
    for media_id, count in counts.items():
        for i in range(count):
            span = f"{_time(i * SEGMENT_SECONDS)}-{_time((i + 1) * SEGMENT_SECONDS)}"
            if (media_id, span) not in spans:
                yield f"run: {media_id} has {count} segments, but {span} is missing"
                break


# --- the command ------------------------------------------------------------------------------------------------------


def media_ids(folder: str, metadata_folder: str) -> list[tuple[str, str]]:
    """(MediaId, path) of every test recording: the number after _RN in its name, else the XML's MediaId, else the stem.

    Raises:
        InputError: no recordings, or two of one MediaId.
    """
    paths = decode.find(folder)
    # a CSV names the files themselves, and has no MediaIds beside them
    described = birdclef.read_folder(metadata_folder) if metadata_folder and not os.path.isfile(metadata_folder) else {}
    found = []
    for path in paths:
        stem = os.path.splitext(os.path.basename(path))[0]
        own = metadata.media_id(path)
        if own == stem and stem in described:
            own = described[stem].recording_id or stem
        found.append((own, path))
    counts = collections.Counter(media_id for media_id, _ in found)
    doubles = [media_id for media_id, count in counts.items() if count > 1]
    if doubles:
        raise config.InputError(f"{folder}: {counts[doubles[0]]} recordings have the MediaId {doubles[0]}")
    unfit = [media_id for media_id, _ in found if ";" in media_id or media_id != "".join(media_id.split())]
    if unfit:
        raise config.InputError(f"{folder}: {unfit[0]!r} cannot stand in a run file: a MediaId has no blank and no ;")
    return found


def write_run(settings: SubmissionConfig) -> dict[str, Any]:
    """Scores every test recording and writes the run file, then OUTPUT.json with a summary.

    A recording that cannot be read gets the training prior, the share of each class in the training recordings: it
    must have its lines. Of a soundscape that cannot be read the length is unknown unless its header tells it; it gets
    at least one segment.

    Returns:
        What the summary holds.

    Raises:
        InputError: models or recordings that cannot be used.
        RuntimeError: the run breaks a rule; it is not given its name.
    """
    if os.path.isdir(settings.output):
        raise config.InputError(f"--output={settings.output} is a folder; name a file")
    files.make_folder(os.path.dirname(settings.output) or ".")
    ensemble = ensembles.Ensemble(settings.model, settings.decisions)
    soundscape = settings.task == "soundscape"
    usual = segments.DEFAULT_POOLING if soundscape else ensemble.decisions.pooling
    method = ensemble.check_pooling(settings.pooling or usual)
    recordings = media_ids(settings.audio, settings.metadata)
    odds = occurrence.OddsFactors(settings.expected, ensemble)
    described = settings.metadata if settings.expected.needs_place else ""  # read once for the MediaIds already
    ratios = occurrence.factors_of(odds, recordings, settings.audio, described)
    answers: dict[str, np.ndarray] = {}
    broken: list[tuple[str, str, str]] = []
    for outcome in scoring.score_recordings(ensemble, recordings, settings.chunking):
        if outcome.scores is None:
            broken.append((outcome.recording_id, outcome.path, outcome.reason))
        elif soundscape:
            answers[outcome.recording_id] = segments.pooled(outcome.scores, method)
        else:
            answer = pooling.pool(outcome.scores.probabilities, method, outcome.scores.attention)[None]
            if settings.expected.active:  # as in predict, odds are those of calibrated probabilities
                answer = ensemble.decisions.recording.probabilities(answer)
            answers[outcome.recording_id] = answer
    for media_id, path, reason in broken:
        logging.warning("gets the training prior: %s", reason)
        count = pooling.num_segments(decode.duration_seconds(path), SEGMENT_SECONDS) if soundscape else 1
        answers[media_id] = np.tile(ensemble.prior.frequencies, (count, 1))

    lines, expected = [], []
    for media_id, _ in recordings:
        rows = occurrence.multiply_odds(answers[media_id], ratios(media_id))
        expected += [media_id] * len(rows)
        if soundscape:
            lines += soundscape_lines(media_id, rows, ensemble.classes)
        else:
            lines += monophone_lines(media_id, rows[0], ensemble.classes)
    wrong = next(errors(lines, settings.task, ensemble.classes.class_ids, expected), None)
    if wrong:
        raise RuntimeError(f"{settings.output} would break a rule and was not written: {wrong}")
    files.write_text(settings.output, "".join(f"{line}\n" for line in lines))
    summary = {
        "task": settings.task, "models": list(settings.model), "pooling": method, "num_recordings": len(recordings),
        "num_items": len(expected), "num_lines": len(lines), "broken": [path for _, path, _ in broken],
        "expected": odds.describe(), "output": settings.output,
    }  # fmt: skip
    files.write_json(settings.output + ".json", summary)
    return summary


def check_run(settings: SubmissionConfig) -> int:
    """Checks a run file on disk. Returns its number of lines.

    Raises:
        InputError: it breaks a rule; the message names the first line and how many more there are.
    """
    lines = files.read_text(settings.validate).removesuffix("\n").split("\n")
    class_ids = ensembles.Ensemble(settings.model).classes.class_ids if settings.model else ()
    found = list(errors(lines, settings.task, class_ids))
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise config.InputError(f"{settings.validate}, {found[0]}{more}")
    return len(lines)


def main(settings: SubmissionConfig) -> None:
    """Writes or checks a run, and says in one line what came of it."""
    if settings.validate:
        logging.info("%s: %d lines, a valid %s run", settings.validate, check_run(settings), settings.task)
        return
    for name in ("model", "audio", "output"):
        if not getattr(settings, name):
            raise config.InputError(f"--{name} is missing; to check a run file use --validate=FILE")
    summary = write_run(settings)
    logging.info(
        "%s: valid %s run of %d recordings, %d lines, %d of them broken",
        summary["output"], settings.task, summary["num_recordings"], summary["num_lines"], len(summary["broken"]),
    )  # fmt: skip


def run() -> None:
    """Entry point of `bird-tf-submission`."""
    config.run(main, SubmissionConfig)


if __name__ == "__main__":
    run()

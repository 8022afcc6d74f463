"""The command: SavedModels and test recordings → BirdCLEF run file, checked before it gets its final name.

Formats of 2018: no header, `;` between the fields, no blanks, fixed-point numbers;
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
from bird_tf.labels import clock, metadata, taxonomy
from bird_tf.labels.layouts import birdclef
from bird_tf.scores import pooling

SEGMENT_SECONDS = segments.SECONDS
MAX_LINES = 100
TASKS = ("monophone", "soundscape")

_NUMBER = re.compile(r"[01]\.\d+")
_SEGMENT = re.compile(r"(\d\d+):([0-5]\d):([0-5]\d)-(\d\d+):([0-5]\d):([0-5]\d)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubmissionConfig:
    """Flags of a submission: --model, --audio and --output write a run file; --validate checks one."""

    task: str = config.option("monophone", "task of the run file", choices=TASKS)
    model: tuple[str, ...] = config.option((), "exported model, as runs/NAME/export; repeated: an ensemble")
    audio: str = config.option("", "folder with the test recordings (searched recursively)")
    metadata: str = config.option(
        "",
        "folder with the recordings' XML files, or a CSV: place and time for --occurrence and --prior; XML also gives "
        "the MediaId of files whose names do not end in _RN<id>",
    )
    output: str = config.option("", "run file to write")
    pooling: str = config.option(
        "", "how to pool chunk scores; empty: monophone: the method of the model's decisions, soundscape: mean"
    )
    decisions: str = config.option(
        "", "file of pooling and weights, by bird_tf.evaluate --tune; empty: the model's own; none: neutral ones"
    )
    chunking: decode.ChunkingConfig
    occurrence_settings: occurrence.OccurrenceConfig
    clock: clock.ClockConfig
    validate: str = config.option(
        "", "run file to check, instead of writing one; with --model, its class ids are checked as well"
    )


def monophone_lines(media_id: str, scores: np.ndarray, classes: taxonomy.Taxonomy) -> list[str]:
    """The lines of one recording, the most probable class first; equal probabilities in the order of the classes.

    Args:
        media_id: id of the recording.
        scores: [classes] in [0, 1].
        classes: the classes.
    """
    order = np.argsort(-scores, kind="stable")[:MAX_LINES]
    return [f"{media_id};{classes.class_ids[c]};{scores[c]:.10f};{rank}" for rank, c in enumerate(order, 1)]


def soundscape_lines(media_id: str, scores: np.ndarray, classes: taxonomy.Taxonomy) -> list[str]:
    """The lines of one recording, segment by segment.

    Args:
        media_id: id of the recording.
        scores: [segments, classes] in [0, 1]; the first segment starts at 00:00:00.
        classes: the classes.
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
    lines: Sequence[str], task: str, class_ids: Sequence[str] = (), media_ids: Sequence[str] | None = None
) -> Iterator[str]:
    """Checks a run file against the rules of its task.

    Args:
        lines: of the file, without line ends.
        task: one of TASKS.
        class_ids: the allowed ids; empty: any six letters.
        media_ids: the ids that the run must hold, and no others; for soundscape, each id once for each of its segments.
            None: not checked.

    Yields:
        "line N: broken rule", or "run: …" for a rule about several lines.
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
    if media_ids is not None:
        found = collections.Counter(key[0] for key in items)
        for media_id, count in sorted((collections.Counter(media_ids) - found).items()):
            yield f"run: {media_id} lacks {count} of its recordings or segments"
        for media_id, count in sorted((found - collections.Counter(media_ids)).items()):
            yield f"run: {media_id} has {count} recordings or segments too many"


def _item_errors(name: str, entries: list[tuple[int, str, float, str]], *, ranked: bool) -> Iterator[str]:
    """Checks the lines of one recording or segment."""
    if len(entries) > MAX_LINES:
        yield f"line {entries[MAX_LINES][0]}: {name} has more than {MAX_LINES} lines"
    seen: set[str] = set()
    last = 2.0
    for position, (number, class_id, probability, rank) in enumerate(entries, 1):
        if class_id in seen:
            yield f"line {number}: {name} lists {class_id} twice"
        seen.add(class_id)
        if ranked and rank != str(position):
            yield f"line {number}: rank {rank!r}, expected {position}: ranks count up from 1 without gaps"
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
    """Checks that the segments of each recording count up from 00:00:00."""
    counts = collections.Counter(media_id for media_id, _ in keys)
    spans = {(media_id, span) for media_id, span in keys}
    for media_id, count in counts.items():
        for i in range(count):
            span = f"{_time(i * SEGMENT_SECONDS)}-{_time((i + 1) * SEGMENT_SECONDS)}"
            if (media_id, span) not in spans:
                yield f"run: {media_id} has {count} segments, but {span} is missing"
                break


# --- the command ------------------------------------------------------------------------------------------------------


def find_media_ids(folder: str, metadata_folder: str) -> list[tuple[str, str]]:
    """(MediaId, path) of each test recording.

    The MediaId is the number after _RN in the file's name, else the MediaId in the XML file, else the name's stem.

    Raises:
        InputError: no recordings, two recordings with the same MediaId, or a MediaId with a blank or semicolon.
    """
    paths = decode.find(folder)
    # a CSV has no MediaIds
    described = birdclef.describe(metadata_folder) if metadata_folder and not os.path.isfile(metadata_folder) else {}
    found = []
    for path in paths:
        stem = os.path.splitext(os.path.basename(path))[0]
        own = metadata.media_id(path)
        if own == stem and stem in described:
            own = described[stem].recording_id or stem
        found.append((own, path))
    counts = collections.Counter(media_id for media_id, _ in found)
    repeated = [media_id for media_id, count in counts.items() if count > 1]
    if repeated:
        raise config.InputError(
            f"{folder}: {counts[repeated[0]]} recordings have the MediaId {repeated[0]}; rename them"
        )
    invalid = [media_id for media_id, _ in found if ";" in media_id or media_id != "".join(media_id.split())]
    if invalid:
        raise config.InputError(f"{folder}: a MediaId must have no blank and no semicolon: rename {invalid[0]!r}")
    return found


def write_run(settings: SubmissionConfig) -> dict[str, Any]:
    """Scores each test recording and writes the run file, then OUTPUT.json with a summary.

    Each recording must have lines. An unreadable recording gets the training prior, that is the share of each class in
    the training recordings. An unreadable soundscape gets the segments for the length in its header, at least one.

    Returns:
        The content of the summary.

    Raises:
        InputError: unusable models or recordings.
        RuntimeError: the run breaks a rule; nothing is written.
    """
    if os.path.isdir(settings.output):
        raise config.InputError(f"--output={settings.output} is a folder; name a file")
    files.make_folder(os.path.dirname(settings.output) or ".")
    ensemble = ensembles.Ensemble(settings.model, settings.decisions)
    soundscape = settings.task == "soundscape"
    default = segments.DEFAULT_POOLING if soundscape else ensemble.decisions.pooling
    method = ensemble.check_pooling(settings.pooling or default)
    recordings = find_media_ids(settings.audio, settings.metadata)
    odds_factors = occurrence.OddsFactors(settings.occurrence_settings, ensemble)
    factors_of = occurrence.factors_by_id(odds_factors, recordings, settings.audio, settings.metadata, settings.clock)
    pooled: dict[str, np.ndarray] = {}  # [segments, classes]; of a recording in the monophone task [1, classes]
    broken: list[tuple[str, str, str]] = []
    for scored in scoring.score_recordings(ensemble, recordings, settings.chunking):
        if scored.scores is None:
            broken.append((scored.recording_id, scored.path, scored.reason))
        elif soundscape:
            pooled[scored.recording_id] = segments.pooled(scored.scores, method)
        else:
            scores = pooling.pool(scored.scores.probabilities, method, scored.scores.attention_logits)[None]
            if settings.occurrence_settings.active:  # as in predict: the odds of calibrated probabilities
                scores = ensemble.decisions.recording.probabilities(scores)
            pooled[scored.recording_id] = scores
    for media_id, path, reason in broken:
        logging.warning("gets the training prior instead of scores: %s", reason)
        count = pooling.num_segments(decode.duration_seconds(path), SEGMENT_SECONDS) if soundscape else 1
        pooled[media_id] = np.tile(ensemble.prior.frequencies, (count, 1))

    lines, media_ids = [], []
    for media_id, _ in recordings:
        rows = occurrence.multiply_odds(pooled[media_id], factors_of(media_id))
        media_ids += [media_id] * len(rows)
        if soundscape:
            lines += soundscape_lines(media_id, rows, ensemble.classes)
        else:
            lines += monophone_lines(media_id, rows[0], ensemble.classes)
    error = next(errors(lines, settings.task, ensemble.classes.class_ids, media_ids), None)
    if error:
        raise RuntimeError(f"{settings.output} would break a rule and was not written: {error}")
    files.write_text(settings.output, "".join(f"{line}\n" for line in lines))
    summary = {
        "task": settings.task, "models": list(settings.model), "pooling": method, "num_recordings": len(recordings),
        "num_items": len(media_ids), "num_lines": len(lines), "broken": [path for _, path, _ in broken],
        "expected": odds_factors.describe(), "output": settings.output,
    }  # fmt: skip
    files.write_json(settings.output + ".json", summary)
    return summary


def check_run(settings: SubmissionConfig) -> int:
    """Checks a run file. Returns its number of lines.

    Raises:
        InputError: it breaks a rule; the message names the first error, and the number of the others.
    """
    lines = files.read_text(settings.validate).removesuffix("\n").split("\n")
    class_ids = ensembles.Ensemble(settings.model).classes.class_ids if settings.model else ()
    found = list(errors(lines, settings.task, class_ids))
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise config.InputError(f"{settings.validate}, {found[0]}{more}")
    return len(lines)


def main(settings: SubmissionConfig) -> None:
    """Writes or checks a run file, and logs one line of summary."""
    if settings.validate:
        logging.info("%s: %d lines, a valid %s run", settings.validate, check_run(settings), settings.task)
        return
    for name in ("model", "audio", "output"):
        if not getattr(settings, name):
            raise config.InputError(f"--{name} is missing; to check a run file use --validate=FILE")
    summary = write_run(settings)
    logging.info(
        "%s: valid %s run of %d recordings, %d lines; %d recordings cannot be read",
        summary["output"], settings.task, summary["num_recordings"], summary["num_lines"], len(summary["broken"]),
    )  # fmt: skip


def run() -> None:
    """Entry point of `bird-tf-submission`."""
    config.run(main, SubmissionConfig)


if __name__ == "__main__":
    run()

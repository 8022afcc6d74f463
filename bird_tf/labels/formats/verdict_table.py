"""verdicts.csv: what a person said of predictions, as labels of the spans that were judged."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Sequence

from bird_tf.labels import class_names, texts, verdicts
from bird_tf.labels.tables import columns, file_format, rows

# times in tables are rounded to a millisecond
_ROUNDED_SECONDS = 2e-3
_PARTLY = dataclasses.replace(rows.NOTHING, partly_annotated=True)


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether it has the columns of such a table."""
    return {columns.normal(name) for name in verdicts.COLUMNS} <= columns.positions(document).keys()


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the verdicts that say what is to be heard: a species, or none; and those that deny one without a name.

    The rest of the recording was not judged, and what a person could not name tells nothing. Some may deny others:
    that is settled when the recording of each is known, by `settled`.

    Raises:
        InputError: a row cannot be read.
    """
    return [_row(document, one, options) for one in verdicts.read(document.path) if one.is_present is not None]


def settled(found: Sequence[rows.Row]) -> list[rows.Row]:
    """The rows of verdicts on one recording, perhaps of several tables, as far as no other verdict denies them.

    Where a verdict denies a species in a part of a clip with it, it is in the other part. If no part is left, none of
    these verdicts is used, nor are those that say different things of one clip.
    """
    said: dict[tuple[float, float, str], set[tuple[str, str]]] = collections.defaultdict(set)
    given: list[tuple[verdicts.Verdict, rows.Row]] = [(row.verdict, row) for row in found if row.verdict]
    for verdict, _ in given:
        said[_clip(verdict)].add((verdict.answer, verdict.label))
    contradictory = {verdict for verdict, _ in given if len(said[_clip(verdict)]) > 1}
    denials = dict.fromkeys(verdict for verdict, _ in given if verdict.is_present is False)
    parts_of: list[tuple[verdicts.Verdict, rows.Row]] = []
    for verdict, row in given:
        denied_by = [one for one in denials if one != verdict and _denies(one, row)]
        parts = _without(row, denied_by)
        if not parts:
            contradictory |= {verdict, *denied_by}
        parts_of += [(verdict, part) for part in parts or [row]]
    problem = "verdicts on this time contradict each other: a species is there, and is not"
    return [dataclasses.replace(row, problem=problem) if verdict in contradictory else row for verdict, row in parts_of]


def undenied(row: rows.Row, judged: Sequence[rows.Row]) -> list[rows.Row]:
    """A row of another table, as far as no verdict denies what a machine says in it: one species with a score.

    Args:
        row: any row of the recording.
        judged: its rows of verdicts, as from `settled`.
    """
    if math.isnan(row.score) or not row.has_span or len(row.labels.species) != 1:
        return [row]
    names = set(map(class_names.key, filter(None, (*row.labels.species, row.about.name, row.second_name, row.common))))
    given = (one.verdict for one in judged if one.verdict and not one.problem)
    denied_by = [
        one for one in given
        if one.is_present is False and (one.answer == verdicts.NO or class_names.key(one.class_id) in names)
    ]  # fmt: skip
    parts = _without(row, denied_by) if denied_by else [row]
    return parts or [dataclasses.replace(row, problem=row.problem or "a verdict says that this species is not there")]


def _clip(verdict: verdicts.Verdict) -> tuple[float, float, str]:
    return round(verdict.start_seconds, 3), round(verdict.end_seconds, 3), verdict.class_id


def _row(document: texts.Document, verdict: verdicts.Verdict, options: rows.Options) -> rows.Row:
    row = rows.Row(
        where=f"{document.path}, {verdict.file} at {verdict.start_seconds:g} s",
        files=(verdict.file,),
        start_seconds=verdict.start_seconds,
        end_seconds=verdict.end_seconds,
        about=_PARTLY,
        verdict=verdict,
    )
    if not verdict.label and verdict.answer != verdicts.NO:
        return row
    return rows.named(row, [verdict.label or "none"], options)


def _denies(verdict: verdicts.Verdict, row: rows.Row) -> bool:
    """Whether a verdict says that a species of a row is not to be heard, in a time that they share."""
    shared = min(verdict.end_seconds, row.end_seconds) - max(verdict.start_seconds, row.start_seconds)
    if shared <= _ROUNDED_SECONDS or not row.labels.species:
        return False
    return verdict.answer == verdicts.NO or verdict.class_id in row.labels.species


def _without(row: rows.Row, denied_by: Sequence[verdicts.Verdict]) -> list[rows.Row]:
    """The row for the parts of its span that no verdict denies."""
    parts = [(row.start_seconds, row.end_seconds)]
    for one in denied_by:
        halves = [((a, min(b, one.start_seconds)), (max(a, one.end_seconds), b)) for a, b in parts]
        parts = [(a, b) for pair in halves for a, b in pair if b - a > _ROUNDED_SECONDS]
    return [dataclasses.replace(row, start_seconds=start, end_seconds=end) for start, end in parts]


FORMAT = file_format.Format(
    name="table of verdicts",
    suffixes=(".csv",),
    recognise=recognise,
    read=read,
    has_header=True,
    taken={},
)

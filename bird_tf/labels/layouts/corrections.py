"""Corrected tables of ours, which name each species twice: a person may correct one name, and leave the other."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable

from absl import logging

from bird_tf.labels import class_names
from bird_tf.labels.layouts import columns, formats, raven, rows

_NAMES = frozenset(columns.COLUMNS["label"])


def settled(sources: Iterable[formats.Source]) -> list[formats.Source]:
    """The files, without labels whose second name a person has changed into one of no other label.

    If the second name is that of another label, the row may also have got a new label, and the old name was left: the
    label counts, with a warning. Names of which no other row tells the usual one contradict nothing.
    """
    sources = list(sources)
    _warn_of_raven(sources)
    pairs = collections.Counter(_pair(row) for source in sources for row in source.rows if row.second_name)
    usual = _usual(pairs)
    owned = set(usual.values())
    doubtful: list[str] = []

    def one(row: rows.Row) -> rows.Row:
        label, second = _pair(row)
        if not (row.second_name and label in usual and not _are_alike(usual[label], second)):
            return row
        told = f"{row.labels.species[0]!r} beside {row.second_name[:100]!r}"
        if second in owned:
            doubtful.append(f"{row.where} ({told})")
            return row
        problem = f"it names two species, {told}; which one is right? write it as class_id, or into Species in Raven"
        return dataclasses.replace(row, problem=row.problem or problem)

    if not usual:
        return sources
    found = [dataclasses.replace(source, rows=tuple(map(one, source.rows))) for source in sources]
    if doubtful:
        logging.warning(
            "%d rows name two species, the first: %s; class_id counts, and Species in Raven tables",
            len(doubtful), doubtful[0],
        )  # fmt: skip
    return found


def _warn_of_raven(sources: Iterable[formats.Source]) -> None:
    """Warns of Raven tables with names in a further column, as in Annotation beside Species."""
    of_column: dict[str, list[str]] = {}
    for source in sources:
        for name in source.unused_columns if source.format == raven.NAME else ():
            if columns.normal(name) in _NAMES:
                of_column.setdefault(name, []).append(source.path)
    for name, paths in of_column.items():
        logging.warning(
            "the column %s of %d Raven tables is not used, the first: %s; if it holds the species, say "
            "--columns=label=%s", name, len(paths), paths[0], name,
        )  # fmt: skip


def _pair(row: rows.Row) -> tuple[str, str]:
    """The keys of the label and the second name; "" of a row with another number of labels."""
    if len(row.labels.species) != 1:
        return "", ""
    return class_names.key(row.labels.species[0]), class_names.key(row.second_name)


def _usual(pairs: collections.Counter[tuple[str, str]]) -> dict[str, str]:
    """{label: the second name that most of its rows have}; without those that have two names equally often."""
    of_label: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for (label, second), count in pairs.items():
        if label:
            of_label[label][second] = count
    most = {label: counts.most_common(2) for label, counts in of_label.items()}
    return {label: first[0] for label, (first, *others) in most.items() if not others or others[0][1] < first[1]}


def _are_alike(name: str, other: str) -> bool:
    """Whether two names are equal, or Latin ones of a species and a subspecies."""
    return name.split()[:2] == other.split()[:2]

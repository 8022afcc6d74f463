"""The column of a table that says of each label whether it holds: yes, no or a count. One rule for all formats."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence

from absl import logging

from bird_tf import config
from bird_tf.labels import class_names, texts
from bird_tf.labels.tables import columns, rows, unused_columns, yes_or_no


def apply(
    document: texts.Document, options: rows.Options, found: Sequence[rows.Row], unused: Sequence[str]
) -> tuple[list[rows.Row], tuple[str, ...]]:
    """Takes their labels from the rows of which the column says no, or anything else but yes.

    An empty cell denies nothing, except in a column in which a person reviews: it was not reviewed where others were.
    Words that are no answer let a label count only where the column has no other yes. A column without any answer in it
    is not used, unless --columns gives it. Nor is one such as `verified` that is false everywhere: nobody has begun.

    Args:
        document: the table.
        options: what the user says about tables.
        found: its rows.
        unused: the names of its columns that have no other use.

    Returns:
        The rows, and the names of the columns that are of no use.

    Raises:
        InputError: --columns gives a column that the table lacks, or one whose yes is not known.
    """
    given = tuple(entry for entry in options.columns if entry[1] == "present")
    is_given = bool(columns.given_for(document, given))
    positions = columns.find(document, given).get("present", ())
    if not is_given and _is_untouched(document, positions):
        unused = [name for i, name in enumerate(document.header) if name in unused or i in positions]
        positions = ()
    names = [document.header[i] for i in positions]
    others = [name for name in unused if name not in names]
    cells = columns.by_row(document, positions)
    kinds = columns.words_in(names)
    told = {where: yes_or_no.of(cell, kinds) for where, cell in cells.items()}
    species_of = {row.where: {*map(class_names.key, row.labels.species)} for row in found}
    background_of = {row.where: {*map(class_names.key, row.about.background)} for row in found}
    has_labels = any(row.labels.species for row in found)
    has_yes = yes_or_no.Said.HOLDS in told.values()
    strange = next((cell for where, cell in cells.items() if told[where] is yes_or_no.Said.NONE), "")
    is_no_answer = set(told.values()) <= {yes_or_no.Said.NOT_TOLD, yes_or_no.Said.NOT_YET, yes_or_no.Said.NONE}
    if is_no_answer:
        strange = strange or next((cell for where, cell in cells.items() if told[where] is yes_or_no.Said.NOT_YET), "")
    if strange and not has_yes:
        problem = (
            f"{document.path}: the column {' or '.join(names)} holds neither yes, no nor counts, as {strange[:40]!r}"
        )
        if is_given:
            raise config.InputError(f"{problem}; it must hold yes, no or counts, or be empty")
        if has_labels:
            logging.warning("%s: all its labels %scount", problem, "" if is_no_answer else "with such words ")
    if is_no_answer and strange:
        others = [name for name in document.header if name in (*others, *names)]
    else:
        unclear = {
            yes_or_no.Said.NONE: yes_or_no.Said.UNSURE if has_yes else yes_or_no.Said.HOLDS,
            yes_or_no.Said.NOT_YET: yes_or_no.Said.UNSURE,
        }
        if not (is_given or is_no_answer or yes_or_no.OF_REVIEWS.isdisjoint(kinds)):
            unclear[yes_or_no.Said.NOT_TOLD] = unclear[yes_or_no.Said.NOT_YET] = yes_or_no.Said.NOT_YET
        unclear[yes_or_no.Said.CROSS] = (
            unclear[yes_or_no.Said.NONE] if yes_or_no.OF_CROSSES.isdisjoint(kinds) else yes_or_no.Said.HOLDS
        )
        told = {where: unclear.get(answer, answer) for where, answer in told.items()}
        found = _without_denied(document, found, cells, told, " or ".join(names))
    if has_labels:
        unused_columns.warn(document, species_of, background_of, names, others)
    return list(found), tuple(others)


def _is_untouched(document: texts.Document, positions: Sequence[int]) -> bool:
    """Whether a column of answers, as `verified`, is false wherever it is filled."""
    kinds = columns.words_in([document.header[i] for i in positions])
    return not yes_or_no.OF_STATES.isdisjoint(kinds) and yes_or_no.are_false(
        {*map(yes_or_no.word_of, {*columns.down(document, positions)})}
    )


def _without_denied(
    document: texts.Document,
    found: Sequence[rows.Row],
    cells: Mapping[str, str],
    told: Mapping[str, yes_or_no.Said],
    name: str,
) -> list[rows.Row]:
    kept: list[rows.Row] = []
    wheres: dict[yes_or_no.Said, list[str]] = collections.defaultdict(list)
    for row in found:
        answer = told.get(row.where, yes_or_no.Said.NOT_TOLD)
        if answer not in (yes_or_no.Said.NOT_TOLD, yes_or_no.Said.HOLDS) and row.labels.species:
            wheres[answer].append(row.where)
            row = rows.unsure(row)
        kept.append(row)
    if denied := wheres[yes_or_no.Said.DENIED]:
        logging.warning("%s: %d labels are not used: the column %s says no", document.path, len(denied), name)
    if not_yet := wheres[yes_or_no.Said.NOT_YET]:
        logging.warning(
            "%d labels are not used: the column %s has no answer for them, and has some for others, the first: %s; if "
            "all labels with an empty cell there count, say '--columns=present=%s'",
            len(not_yet), name, not_yet[0], name,
        )  # fmt: skip
    if unsure := wheres[yes_or_no.Said.UNSURE] + wheres[yes_or_no.Said.NONE] + wheres[yes_or_no.Said.CROSS]:
        logging.warning(
            "%d labels are not used: the column %s says neither yes nor no, the first: %s (%r)",
            len(unsure), name, unsure[0], cells[unsure[0]][:40],
        )  # fmt: skip
    return kept

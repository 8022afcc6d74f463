"""The column of a table that says of each label whether it holds: yes, no or a count. One rule for all formats."""

from __future__ import annotations

import re
from collections.abc import Sequence

from absl import logging

from bird_tf import config
from bird_tf.labels import texts
from bird_tf.labels.layouts import columns, csv_table, rows

_YES = frozenset((
    "1", "1.0", "true", "t", "yes", "y", "present", "detected", "correct", "right", "valid", "confirmed", "ok", "tp",
    "true positive", "ja", "j", "richtig", "oui", "si", "sí",
))  # fmt: skip
_NO = frozenset((
    "0", "0.0", "false", "f", "no", "n", "absent", "not present", "not detected", "incorrect", "not correct",
    "wrong", "invalid", "not valid", "rejected", "fp", "false positive", "nein", "falsch", "non",
))  # fmt: skip
_UNSURE = frozenset((
    "maybe", "unsure", "not sure", "uncertain", "unclear", "unknown", "possible", "possibly", "probable", "probably",
    "doubtful", "perhaps", "?", "??", "-",
))  # fmt: skip
# eBird's X among counts: there, but not counted
_TICKS, _OF_COUNTS = ("X", "x"), {"count", "individualcount", "abundance", "present", "presence", "detected"}
_COUNT = re.compile(r"(?:[<>~≈]|ca?\.?)?\s*[-+]?(\d+(?:[.,]\d+)?)(.*)", re.ASCII | re.DOTALL)
# what a cell says; a word that is no answer at all may show that the column holds something else
_NOT_TOLD, _HOLDS, _DENIED, _UNSURE_OF, _NO_ANSWER = "", "yes", "no", "unsure", "no answer"


def apply(
    document: texts.Document, options: rows.Options, found: Sequence[rows.Row], unused: Sequence[str]
) -> tuple[list[rows.Row], tuple[str, ...]]:
    """Takes their labels from the rows of which the column says no, or anything else but yes.

    An empty cell denies nothing. A column without any answer in it is not used, unless --columns gives it.

    Args:
        document: the table.
        options: what the user says about tables.
        found: its rows.
        unused: the names of its columns that have no other use.

    Returns:
        The rows, and the names of the columns that are of no use.

    Raises:
        InputError: --columns gives a column that the table lacks, or one that holds no answer.
    """
    given = tuple(entry for entry in options.columns if entry[1] == "present")
    positions = columns.find(document, given).get("present", ())
    names = [document.header[i] for i in positions]
    others = [name for name in unused if name not in names]
    cells = _cells(document, positions)
    in_counts = any(_OF_COUNTS & set(columns.normal(name).split()) for name in names)
    answers = {where: _HOLDS if in_counts and cell in _TICKS else _answer(cell) for where, cell in cells.items()}
    if set(answers.values()) & {_HOLDS, _DENIED, _UNSURE_OF}:
        return _without_denied(document, found, cells, answers, " or ".join(names)), tuple(others)
    has_labels = any(row.labels.species for row in found)
    if strange := next((cell for where, cell in cells.items() if answers[where] == _NO_ANSWER), ""):
        told = f"{document.path}: the column {' or '.join(names)} holds neither yes, no nor counts, as {strange[:40]!r}"
        if columns.given_for(document, given):
            raise config.InputError(f"{told}; it must hold yes, no or counts, or be empty")
        if has_labels:
            logging.warning("%s: all its labels count", told)
        others = [name for name in document.header if name in (*others, *names)]
    if has_labels:
        _warn_of_denying(document, [name for name in others if name not in names])
    return list(found), tuple(others)


def _cells(document: texts.Document, positions: Sequence[int]) -> dict[str, str]:
    """{where: what stands in the first of the columns that is filled} of each line below the header."""
    if not positions:
        return {}
    return {
        rows.where(document, number): csv_table.cells_of(line, {"present": positions})["present"]
        for number, line in document.lines[1:]
    }


def _answer(cell: str) -> str:
    word = cell.casefold().rstrip(".!")
    if rows.read_label(word, rows.Options())[0].missing:
        return _NOT_TOLD
    if word in _YES or word in _NO:
        return _HOLDS if word in _YES else _DENIED
    count = _COUNT.fullmatch(word)
    if count and "?" not in word and (count[1].strip("0.,") or not count[2].strip()):
        return _HOLDS if count[1].strip("0.,") else _DENIED
    return _UNSURE_OF if word in _UNSURE else _NO_ANSWER


def _without_denied(
    document: texts.Document, found: Sequence[rows.Row], cells: dict[str, str], answers: dict[str, str], name: str
) -> list[rows.Row]:
    kept: list[rows.Row] = []
    denied: list[str] = []
    unsure: list[str] = []
    for row in found:
        answer = answers.get(row.where, _NOT_TOLD)
        if answer not in (_NOT_TOLD, _HOLDS) and row.labels.species:
            (denied if answer == _DENIED else unsure).append(row.where)
            row = rows.unsure(row)
        kept.append(row)
    if denied:
        logging.warning("%s: %d labels are not used: the column %s says no", document.path, len(denied), name)
    if unsure:
        logging.warning(
            "%d labels are not used: the column %s says neither yes nor no, the first: %s (%r)",
            len(unsure), name, unsure[0], cells[unsure[0]][:40],
        )  # fmt: skip
    return kept


def _warn_of_denying(document: texts.Document, unused: Sequence[str]) -> None:
    """Warns of columns that hold nothing but yes and no, and at least one no."""
    denying = []
    for name in unused:
        told = {cell.casefold() for cell in _cells(document, [document.header.index(name)]).values()}
        if not told.isdisjoint(_NO) and told <= _YES | _NO | {""}:
            denying.append(name)
    if denying:
        logging.warning(
            "%s: all its labels count; if a no in %s means that a species is not there, say --columns=present=NAME",
            document.path, " or ".join(denying),
        )  # fmt: skip

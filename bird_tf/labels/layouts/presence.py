"""The column of a table that says of each label whether it holds: yes, no or a count. One rule for all formats."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from absl import logging

from bird_tf import config
from bird_tf.labels import label_cells, texts
from bird_tf.labels.layouts import columns, csv_table, rows

_YES = frozenset((
    "1", "1.0", "true", "t", "yes", "y", "present", "detected", "correct", "right", "valid", "confirmed", "accepted",
    "approved", "verified", "certain", "sure", "ok", "tp", "true positive", "+", "✓", "✔", "☑", "ja", "j", "richtig",
    "wahr", "oui", "vrai", "si", "sí", "verdadero", "sim", "verdadeiro", "sì", "vero", "waar",
))  # fmt: skip
_NO = frozenset((
    "0", "0.0", "false", "f", "no", "n", "absent", "not present", "not detected", "incorrect", "not correct",
    "wrong", "invalid", "not valid", "rejected", "fp", "false positive", "✗", "✘", "☒", "nein", "falsch", "non", "faux",
    "falso", "não", "nee", "onwaar",
))  # fmt: skip
_UNSURE = frozenset((
    "maybe", "unsure", "not sure", "uncertain", "unclear", "unknown", "possible", "possibly", "probable", "probably",
    "doubtful", "perhaps", "?", "??", "-", "–", "−", "☐",
))  # fmt: skip
# in columns of such names any words say that the species is there, as `a few`, unless they begin with one of these
_OF_COUNTS, _NO_COUNTS = {"count", "individualcount", "abundance"}, {"", "0", "no", "not", "none", "nil", "zero"}
# in columns of such names P is present and A absent
_OF_LETTERS, _LETTERS = {"present", "presence"}, ("p", "a")
# a cross; in columns of such names it is there, as eBird's X among counts: there, but not counted
_OF_CROSSES, _CROSSES = _OF_COUNTS | _OF_LETTERS | {"detected"}, ("x", "×")
_COUNT = re.compile(r"(?:[<>~≈]|ca?\.?)?\s*[-+]?(\d+(?:[.,]\d+)?)(.*)", re.ASCII | re.DOTALL)
# what a cell says; a cross and words that are no answer may be the yes of a column, or mean something else
_NOT_TOLD, _HOLDS, _DENIED, _UNSURE_OF, _CROSS, _NO_ANSWER = "", "yes", "no", "unsure", "cross", "no answer"


def apply(
    document: texts.Document, options: rows.Options, found: Sequence[rows.Row], unused: Sequence[str]
) -> tuple[list[rows.Row], tuple[str, ...]]:
    """Takes their labels from the rows of which the column says no, or anything else but yes.

    An empty cell denies nothing. Words that are no answer let a label count only where the column has no other yes. A
    column without any answer in it is not used, unless --columns gives it.

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
    positions = columns.find(document, given).get("present", ())
    names = [document.header[i] for i in positions]
    others = [name for name in unused if name not in names]
    cells = _cells(document, positions)
    kinds = {word for name in names for word in columns.normal(name).split()}
    answers = {where: _answer(cell, kinds) for where, cell in cells.items()}
    has_labels = any(row.labels.species for row in found)
    has_yes = _HOLDS in answers.values()
    strange = next((cell for where, cell in cells.items() if answers[where] == _NO_ANSWER), "")
    is_no_answer = bool(strange) and set(answers.values()) <= {_NOT_TOLD, _NO_ANSWER}
    if strange and not has_yes:
        told = f"{document.path}: the column {' or '.join(names)} holds neither yes, no nor counts, as {strange[:40]!r}"
        if columns.given_for(document, given):
            raise config.InputError(f"{told}; it must hold yes, no or counts, or be empty")
        if has_labels:
            logging.warning("%s: all its labels %scount", told, "" if is_no_answer else "with such words ")
    if is_no_answer:
        others = [name for name in document.header if name in (*others, *names)]
    else:
        unclear = {_NO_ANSWER: _UNSURE_OF if has_yes else _HOLDS}
        unclear[_CROSS] = unclear[_NO_ANSWER] if _OF_CROSSES.isdisjoint(kinds) else _HOLDS
        answers = {where: unclear.get(answer, answer) for where, answer in answers.items()}
        found = _without_denied(document, found, cells, answers, " or ".join(names))
    if has_labels:
        _warn_of_denying(document, [name for name in others if name not in names])
    return list(found), tuple(others)


def _cells(document: texts.Document, positions: Sequence[int]) -> dict[str, str]:
    """{where: what stands in the first of the columns that is filled} of each line below the header."""
    if not positions:
        return {}
    wheres = (rows.where(document, number) for number, _ in document.lines[1:])
    return dict(zip(wheres, _column(document, positions), strict=True))


def _column(document: texts.Document, positions: Sequence[int]) -> Iterator[str]:
    """What stands in the first of the columns that is filled, for each line below the header."""
    return (csv_table.cells_of(line, {"present": positions})["present"] for _, line in document.lines[1:])


def _answer(cell: str, kinds: Collection[str]) -> str:
    """What a cell says in a column whose name has the words `kinds`."""
    word = cell.casefold().rstrip(".!")
    if label_cells.is_missing(texts.clean(word)):
        return _NOT_TOLD
    if word in _YES or word in _NO:
        return _HOLDS if word in _YES else _DENIED
    if word in _LETTERS and not _OF_LETTERS.isdisjoint(kinds):
        return _HOLDS if word == _LETTERS[0] else _DENIED
    if word in _CROSSES:
        return _CROSS
    count = _COUNT.fullmatch(word)
    if count and "?" not in word and (count[1].strip("0.,") or not count[2].strip()):
        return _HOLDS if count[1].strip("0.,") else _DENIED
    is_how_many = not _OF_COUNTS.isdisjoint(kinds) and "?" not in word
    if is_how_many and re.split(r"\W", word)[0] not in _NO_COUNTS | _UNSURE:
        return _HOLDS
    return _UNSURE_OF if word in _UNSURE or is_how_many else _NO_ANSWER


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
    """Warns of columns that hold nothing but yes and no, and at least one no; numbers that are all 0 are no answer."""
    denying = []
    for name in unused:
        if columns.may_hold_spans(name):
            continue
        told = {cell.casefold() for cell in _column(document, [document.header.index(name)])}
        if not told.isdisjoint(_NO) and told <= _YES | _NO | {""} and not told <= {"0", "0.0", ""}:
            denying.append(name)
    if denying:
        logging.warning(
            "%s: all its labels count; if a no in %s means that a species is not there, say --columns=present=NAME",
            document.path, " or ".join(denying),
        )  # fmt: skip

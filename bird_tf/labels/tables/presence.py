"""The column of a table that says of each label whether it holds: yes, no or a count. One rule for all formats.

It warns of columns without use that may say so, too, that tell other labels, or a split.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Collection, Iterator, Mapping, Sequence, Set

from absl import logging

from bird_tf import config
from bird_tf.labels import class_names, label_cells, split, texts
from bird_tf.labels.tables import columns, rows, times

_YES = frozenset((
    "1", "1.0", "true", "t", "yes", "y", "present", "detected", "correct", "right", "valid", "confirmed", "accepted",
    "approved", "verified", "certain", "sure", "ok", "tp", "true positive", "+", "✓", "✔", "☑", "ja", "j", "richtig",
    "wahr", "oui", "vrai", "si", "sí", "verdadero", "sim", "verdadeiro", "sì", "vero", "waar",
))  # fmt: skip
_ZERO = {"0", "0.0"}
_FALSE = frozenset((*_ZERO, "false", "f", "no", "n", "nein", "falsch", "non", "faux", "falso", "não", "nee", "onwaar"))
_NO = _FALSE | frozenset((
    "absent", "not present", "not detected", "incorrect", "not correct", "wrong", "invalid", "not valid", "rejected",
    "fp", "false positive", "✗", "✘", "☒",
))  # fmt: skip
_UNSURE = frozenset((
    "maybe", "unsure", "not sure", "uncertain", "unclear", "unknown", "possible", "possibly", "probable", "probably",
    "doubtful", "perhaps", "?", "??", "-", "–", "−", "☐",
))  # fmt: skip
# nobody has answered yet
_PENDING = frozenset((
    "pending", "todo", "to do", "unreviewed", "not reviewed", "unchecked", "not checked", "unvalidated",
    "not validated", "unverified", "not verified", "unconfirmed", "not confirmed",
))  # fmt: skip
# in columns of such names a person reviews labels: what has no answer there was not reviewed; those of the second kind
# hold no counts, and may be false everywhere because nobody has begun
_OF_STATES = {"validated", "verified", "verification", "confirmed"}
_OF_REVIEWS = {"correct", "valid"} | _OF_STATES
# words in the names of columns that tell a split, and in them
_OF_SPLITS, _OF_FOLDS = {"split", "subset", "set", "partition"}, {"fold", "folds", "kfold"}
_OF_PARTS = {"train", "training", "test", "testing", "val", "holdout"}
# words in the names of columns of yes and no that say nothing of labels
_OF_NO_LABEL = {"seen", "playback", "sex"} | _OF_SPLITS | _OF_FOLDS | _OF_PARTS
# the names of columns with corrected labels, or with further species, consist of words of the first and the others
_OF_SPECIES = frozenset(("species", "label", "labels", "id", "class", "taxon", "annotation", "tag"))
_OF_CORRECTIONS = frozenset((
    "corrected", "correct", "correction", "verified", "validated", "confirmed", "reviewed", "checked", "revised",
    "expert", "final", "true", "truth", "manual", "human", "second", "secondary", "other",
))  # fmt: skip
# words in the names of columns that a machine filled, or with what the labels are no longer
_OF_PROPOSALS = frozenset((
    "auto", "automatic", "predicted", "prediction", "top1match", "birdnet", "model", "machine", "original", "old",
    "guess", "suggested", "suggestion", "alternate", "alternative", "candidate", "similar", "confused", "parent",
    "group", "host", "playback", "folder",
))  # fmt: skip
_LONGEST_GRADE = 2  # letters: A to E, m and f
# in columns of such names any words say that the species is there, as `a few`, unless they begin with one of these
_OF_COUNTS, _NO_COUNTS = {"count", "individualcount", "abundance"}, {"", "0", "no", "not", "none", "nil", "zero"}
# words of which the names of columns consist that may count what is there
_OF_NUMBERS = frozenset((
    "n", "no", "number", "numbers", "num", "nr", "count", "counts", "of", "calls", "birds", "individuals", "abundance",
    "anzahl", "nombre", "número",
))  # fmt: skip
# in columns of such names P is present and A absent
_OF_LETTERS, _LETTERS = {"present", "presence", "p"}, ("p", "a")
# a cross; in columns of such names it is there, as eBird's X among counts: there, but not counted
_OF_CROSSES, _CROSSES = _OF_COUNTS | _OF_LETTERS | {"detected"}, ("x", "×")
_COUNT = re.compile(r"(?:[<>~≈]|ca?\.?)?\s*[-+]?(\d+(?:[.,]\d+)?)(.*)", re.ASCII | re.DOTALL)
# what a cell says; a cross and words that are no answer may be the yes of a column, or mean something else
_NOT_TOLD, _HOLDS, _DENIED, _UNSURE_OF, _CROSS, _NO_ANSWER = "", "yes", "no", "unsure", "cross", "no answer"
_NOT_YET = "not yet"


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
    cells = _cells(document, positions)
    kinds = _words_in(names)
    answers = {where: _answer(cell, kinds) for where, cell in cells.items()}
    labels_of = {row.where: set(map(class_names.key, row.labels.species)) for row in found}
    has_labels = any(labels_of.values())
    has_yes = _HOLDS in answers.values()
    strange = next((cell for where, cell in cells.items() if answers[where] == _NO_ANSWER), "")
    is_no_answer = set(answers.values()) <= {_NOT_TOLD, _NOT_YET, _NO_ANSWER}
    if is_no_answer:
        strange = strange or next((cell for where, cell in cells.items() if answers[where] == _NOT_YET), "")
    if strange and not has_yes:
        told = f"{document.path}: the column {' or '.join(names)} holds neither yes, no nor counts, as {strange[:40]!r}"
        if is_given:
            raise config.InputError(f"{told}; it must hold yes, no or counts, or be empty")
        if has_labels:
            logging.warning("%s: all its labels %scount", told, "" if is_no_answer else "with such words ")
    if is_no_answer and strange:
        others = [name for name in document.header if name in (*others, *names)]
    else:
        unclear = {_NO_ANSWER: _UNSURE_OF if has_yes else _HOLDS, _NOT_YET: _UNSURE_OF}
        if not (is_given or is_no_answer or _OF_REVIEWS.isdisjoint(kinds)):
            unclear[_NOT_TOLD] = unclear[_NOT_YET] = _NOT_YET
        unclear[_CROSS] = unclear[_NO_ANSWER] if _OF_CROSSES.isdisjoint(kinds) else _HOLDS
        answers = {where: unclear.get(answer, answer) for where, answer in answers.items()}
        found = _without_denied(document, found, cells, answers, " or ".join(names))
    if has_labels:
        _warn_of_denying(document, [name for name in others if name not in names])
        _warn_of_split(document, others)
        _warn_of_other_labels(document, labels_of, [name for name in others if name not in names])
    return list(found), tuple(others)


def _words_in(names: Sequence[str]) -> set[str]:
    return {word for name in names for word in columns.normal(name).split()}


def _is_untouched(document: texts.Document, positions: Sequence[int]) -> bool:
    """Whether a column of answers, as `verified`, is false wherever it is filled."""
    if _OF_STATES.isdisjoint(_words_in([document.header[i] for i in positions])):
        return False
    told = set(map(_word, set(_column(document, positions))))
    return not told.isdisjoint(_FALSE) and all(w in _FALSE | _PENDING or label_cells.is_missing(w) for w in told)


def _cells(document: texts.Document, positions: Sequence[int]) -> dict[str, str]:
    """{where: what stands in the first of the columns that is filled} of each line below the header."""
    if not positions:
        return {}
    wheres = (rows.where(document, number) for number, _ in document.lines[1:])
    return dict(zip(wheres, _column(document, positions), strict=True))


def _column(document: texts.Document, positions: Sequence[int]) -> Iterator[str]:
    """What stands in the first of the columns that is filled, for each line below the header."""
    return (columns.filled(line, positions) for _, line in document.lines[1:])


def _word(cell: str) -> str:
    """A cell without signs that change nothing."""
    word = cell.casefold().rstrip(".!")
    return (word[1:-1] if word[:1] == "(" and word[-1:] == ")" else word).strip()


def _answer(cell: str, kinds: Collection[str]) -> str:
    """What a cell says in a column whose name has the words `kinds`."""
    word = _word(cell)
    if label_cells.is_missing(word):
        return _NOT_TOLD
    if word in _PENDING:
        return _NOT_YET
    if word in _YES or word in _NO:
        return _HOLDS if word in _YES else _DENIED
    if word in _LETTERS and not _OF_LETTERS.isdisjoint(kinds):
        return _HOLDS if word == _LETTERS[0] else _DENIED
    if word in _CROSSES:
        return _CROSS
    count = _COUNT.fullmatch(word)
    if count and not _OF_STATES.isdisjoint(kinds) and count[1].isdecimal() and int(count[1]) > 1:
        return _NO_ANSWER
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
    wheres: dict[str, list[str]] = collections.defaultdict(list)
    for row in found:
        answer = answers.get(row.where, _NOT_TOLD)
        if answer not in (_NOT_TOLD, _HOLDS) and row.labels.species:
            wheres[answer].append(row.where)
            row = rows.unsure(row)
        kept.append(row)
    if denied := wheres[_DENIED]:
        logging.warning("%s: %d labels are not used: the column %s says no", document.path, len(denied), name)
    if not_yet := wheres[_NOT_YET]:
        logging.warning(
            "%d labels are not used: the column %s has no answer for them, and has some for others, the first: %s; if "
            "all labels with an empty cell there count, say '--columns=present=%s'",
            len(not_yet), name, not_yet[0], name,
        )  # fmt: skip
    if unsure := wheres[_UNSURE_OF] + wheres[_NO_ANSWER] + wheres[_CROSS]:
        logging.warning(
            "%d labels are not used: the column %s says neither yes nor no, the first: %s (%r)",
            len(unsure), name, unsure[0], cells[unsure[0]][:40],
        )  # fmt: skip
    return kept


def _warn_of_denying(document: texts.Document, unused: Sequence[str]) -> None:
    """Warns of columns that may hold answers, and at least one no."""
    denying = []
    for name in unused:
        words = set(columns.normal(name).split())
        cells = [*map(_word, _column(document, [document.header.index(name)]))]
        if words.isdisjoint(_OF_NO_LABEL) and not times.may_hold_spans(name):
            if not words.isdisjoint(_OF_NUMBERS) and _are_counts(cells):
                may_deny = words <= _OF_NUMBERS and cells != [*map(str, range(len(cells)))]  # no numbers of the rows
            else:
                may_deny = _may_deny(cells)
            denying += [name] * may_deny
    if denying:
        logging.warning(
            "%s: all its labels count; if a no in %s means that a species is not there, say --columns=present=NAME",
            document.path, " or ".join(denying),
        )  # fmt: skip


def _warn_of_split(document: texts.Document, unused: Sequence[str]) -> None:
    """Warns of a column that tells a split: its parts or folds, or whether a row is of one."""
    if "background known" in columns.positions(document):  # our own recordings.csv
        return
    for name in unused:
        words = set(columns.normal(name).split())
        told = {cell for cell in _column(document, [document.header.index(name)]) if cell}
        parts = [cell for cell in told if not split.PARTS.keys().isdisjoint(texts.without_signs(cell).split())]
        are_numbers = all(label_cells.clean(cell).isdecimal() for cell in told)
        if len(told) > 1 and (
            (not words.isdisjoint(_OF_SPLITS | _OF_PARTS) and 2 * len(parts) > len(told))
            or split.are_parts(told)
            or (
                len(words) > 1
                and words <= _OF_PARTS | {"is", "in", "set", "split"}
                and {*map(_word, told)} <= _YES | _FALSE
            )
            or (not words.isdisjoint(_OF_FOLDS) and are_numbers)
        ):
            split.warn_of_unused(document.path, f"the column {name}", min(parts or told))


def _warn_of_other_labels(document: texts.Document, labels_of: Mapping[str, Set[str]], unused: Sequence[str]) -> None:
    """Warns of columns that tell other species than the labels beside them: corrections, or further species.

    They hold a label of another row. Besides, their names say so, or most of what they hold are labels.

    Args:
        document: the table.
        labels_of: {where: keys of the labels} of its rows.
        unused: the names of its columns that have no use.
    """
    known = set[str]().union(*labels_of.values())
    telling, example = list[str](), ("", "")
    for name in unused:
        words = set(re.sub(r"(?<=[^\W\d])(?=\d+$)", " ", columns.normal(name)).split())
        numbers = {word for word in words if word.isdecimal()}
        is_called_so = (
            not words.isdisjoint(_OF_SPECIES)
            and not words <= _OF_SPECIES
            and words <= _OF_SPECIES | _OF_CORRECTIONS | numbers
        )
        position = [document.header.index(name)]
        told = {cell for cell in set(_column(document, position))
                if len(cell) > _LONGEST_GRADE and _answer(cell, ()) == _NO_ANSWER}  # fmt: skip
        are_labels = 2 * sum(class_names.key(cell) in known for cell in told) > len(told)
        if not is_called_so and not (are_labels and words.isdisjoint(_OF_PROPOSALS)):
            continue
        others = (
            (where, cell)
            for where, cell in _cells(document, position).items()
            if cell in told and class_names.key(cell) in known.difference(labels_of.get(where, known))
        )
        if first := next(others, None):
            telling, example = [*telling, name], example if telling else first
    if telling:
        logging.warning(
            "%s: the column %s is not used, although it tells others than the labels, as %r: say "
            "'--columns=label=%s,NAME' if it corrects those in NAME, or '--columns=background=%s' if it tells "
            "further species", example[0], " or ".join(telling)[:300], example[1][:40], telling[0], telling[0],
        )  # fmt: skip


def _are_counts(told: Collection[str]) -> bool:
    """Whether the words of a column are whole numbers, and 0 is one of several."""
    told = {word.removesuffix(".0") for word in told if not label_cells.is_missing(word)}
    return len(told) > 1 and "0" in told and all(map(str.isdecimal, told))


def _may_deny(told: Collection[str]) -> bool:
    """Whether the words of a column have a no that is written out, or are yes, no and doubt alone.

    Letters may be else, as F in a column of sexes, and numbers too, as those that are all 0.
    """
    told = {word for word in told if not label_cells.is_missing(word)}
    denied = told & (_NO | _PENDING)
    if any(len(word) > 1 and not word[0].isdecimal() for word in denied):
        return True
    are_answers = told <= _YES | _NO | _UNSURE | _PENDING | set(_CROSSES)
    return bool(denied) and are_answers and (not denied <= _ZERO or not told.isdisjoint(_YES))

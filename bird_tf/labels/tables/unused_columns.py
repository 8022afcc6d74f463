"""Columns of a table that are not used, although they may say which labels hold, tell other labels, or a split."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set

from absl import logging

from bird_tf.labels import class_names, label_cells, odd_names, split, texts
from bird_tf.labels.tables import columns, times, yes_or_no

# words in the names of columns that tell a split, and in them
_OF_SPLITS, _OF_FOLDS = {"split", "subset", "set", "partition"}, {"fold", "folds", "kfold"}
_OF_PARTS = {"train", "training", "test", "testing", "val", "holdout"}
# words in the names of columns of yes and no that say nothing of labels
_OF_NO_LABEL = {"seen", "playback", "sex"} | _OF_SPLITS | _OF_FOLDS | _OF_PARTS
# those of which the names of columns consist that number rows
_OF_ROWS = frozenset((
    "unnamed", "index", "idx", "id", "row", "line", "segment", "clip", "chunk", "window", "selection",
))  # fmt: skip
# the names of columns with corrected labels, or with further species, consist of words of the first and the others
_OF_SPECIES = frozenset(("species", "label", "labels", "id", "class", "taxon", "annotation", "tag"))
_OF_CORRECTIONS = frozenset((
    "corrected", "correct", "correction", "verified", "validated", "confirmed", "reviewed", "checked", "revised",
    "expert", "final", "true", "truth", "manual", "human", "second", "secondary", "other",
))  # fmt: skip
# the names of columns with further species have one word of the first and others of the second, as `also heard`; or
# they are `species` and a number
_FIRST_OF_FURTHER = frozenset(("other", "second", "secondary", "additional", "further", "also"))
_OF_FURTHER = frozenset(("species", "heard", "present"))
# words in the names of columns that a machine filled, or with what the labels are no longer
_OF_PROPOSALS = frozenset((
    "auto", "automatic", "predicted", "prediction", "top1match", "birdnet", "model", "machine", "original", "old",
    "guess", "suggested", "suggestion", "alternate", "alternative", "candidate", "similar", "confused", "parent",
    "group", "host", "playback", "folder",
))  # fmt: skip
_LONGEST_GRADE = 2  # letters: A to E, m and f
_DIVIDING = re.compile(r"[\[{(,，、،;|&+]")  # signs of lists, and between names
# words of which the names of columns consist that may count what is there
_OF_NUMBERS = frozenset((
    "n", "no", "number", "numbers", "num", "nr", "count", "counts", "of", "calls", "birds", "individuals", "abundance",
    "anzahl", "nombre", "número",
))  # fmt: skip


def warn(
    document: texts.Document,
    labels_of: Mapping[str, Set[str]],
    background_of: Mapping[str, Set[str]],
    used: Sequence[str],
    unused: Sequence[str],
) -> None:
    """Warns of columns that may change what the labels mean.

    Args:
        document: the table.
        labels_of: {where: keys of the labels} of its rows.
        background_of: {where: keys of the species in the background} of them.
        used: the names of its columns that say whether a label holds.
        unused: the names of those that have no use; `used` may be among them if nothing was told there.
    """
    others = [name for name in unused if name not in used]
    _warn_of_denying(document, others)
    _warn_of_split(document, unused)
    _warn_of_other_labels(document, labels_of, background_of, others)


def _warn_of_denying(document: texts.Document, unused: Sequence[str]) -> None:
    """Warns of columns that may hold answers, and at least one no."""
    denying = []
    for name in unused:
        words = set(columns.normal(name).split())
        cells = [*map(yes_or_no.word_of, columns.down(document, [document.header.index(name)]))]
        numbers_rows = not words.isdisjoint(_OF_ROWS) and words <= _OF_ROWS | {"0"}  # `Unnamed: 0`
        if words.isdisjoint(_OF_NO_LABEL) and not numbers_rows and not times.may_hold_spans(name):
            if not words.isdisjoint(_OF_NUMBERS) and yes_or_no.are_counts(cells):
                may_deny = words <= _OF_NUMBERS and cells != [*map(str, range(len(cells)))]  # no numbers of the rows
            else:
                may_deny = yes_or_no.may_deny(cells)
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
        told = {cell for cell in columns.down(document, [document.header.index(name)]) if cell}
        parts = [cell for cell in told if not split.PARTS.keys().isdisjoint(texts.without_signs(cell).split())]
        are_numbers = all(label_cells.clean(cell).isdecimal() for cell in told)
        if len(told) > 1 and (
            (not words.isdisjoint(_OF_SPLITS | _OF_PARTS) and 2 * len(parts) > len(told))
            or split.are_parts(told)
            or (
                len(words) > 1
                and words <= _OF_PARTS | {"is", "in", "set", "split"}
                and yes_or_no.are_yes_or_no({*map(yes_or_no.word_of, told)})
            )
            or (not words.isdisjoint(_OF_FOLDS) and are_numbers)
        ):
            split.warn_of_unused(document.path, f"the column {name}", min(parts or told))


def _warn_of_other_labels(
    document: texts.Document,
    labels_of: Mapping[str, Set[str]],
    background_of: Mapping[str, Set[str]],
    unused: Sequence[str],
) -> None:
    """Warns of columns that tell other species than the labels beside them: corrections, or further species.

    They hold a label of another row, alone or among others. Besides, their names say so, or most of their cells hold
    labels. Columns whose names say that they hold further species may hold any others. What only backgrounds name may
    be in another language, as a column of Latin names beside codes.

    Args:
        document: the table.
        labels_of: {where: keys of the labels} of its rows.
        background_of: {where: keys of the species in the background} of them.
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
        is_further, position = _is_of_further(words), [document.header.index(name)]
        told = {cell: _further_in(cell, known) if is_further else _names_in(cell, known)
                for cell in set(columns.down(document, position))
                if len(cell) > _LONGEST_GRADE and yes_or_no.of(cell, ()) is yes_or_no.Said.NONE}  # fmt: skip
        possible = set[str]().union(*told.values()) if is_further else known
        are_labels = 2 * sum(not names.isdisjoint(known) for names in told.values()) > len(told)
        if not is_further and not is_called_so and not (are_labels and words.isdisjoint(_OF_PROPOSALS)):
            continue
        others = (
            (where, cell)
            for where, cell in columns.by_row(document, position).items()
            if told.get(cell, set()) & possible.difference(labels_of.get(where, possible), background_of.get(where, ()))
        )
        if first := next(others, None):
            telling, example = [*telling, name], example if telling else first
    if telling:
        logging.warning(
            "%s: the column %s is not used, although it tells others than the labels, as %r: say "
            "'--columns=label=%s,NAME' if it corrects those in NAME, or '--columns=background=%s' if it tells "
            "further species", example[0], " or ".join(telling)[:300], example[1][:40], telling[0], telling[0],
        )  # fmt: skip


def _names_in(cell: str, known: Set[str]) -> set[str]:
    """Keys of the names in a cell, which may be one of those that are known, or several."""
    key = class_names.key(cell)
    names = () if key in known or not _DIVIDING.search(cell) else label_cells.background(cell)[0]
    return set(map(class_names.key, names)) or {key}


def _is_of_further(words: Set[str]) -> bool:
    """Whether the words of the name of a column say that it holds further species: `Species 2`, `also heard`."""
    is_listed = words <= _FIRST_OF_FURTHER | _OF_FURTHER and len(words & _FIRST_OF_FURTHER) == 1 and len(words) > 1
    return is_listed or (len(words) == 2 and "species" in words and words <= {"species", *"23456789"})


def _further_in(cell: str, known: Set[str]) -> set[str]:
    """Keys of the species in a cell: known ones, and others in capitals. Words in small letters may be anything."""
    names = label_cells.background(cell)[0]
    doubtful = odd_names.doubtful(names)
    return {
        key
        for name in names
        if (key := class_names.key(name)) in known or (name[:1].isupper() and name not in doubtful)
    }

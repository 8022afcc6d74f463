"""Files that tell labels and cannot be used: beside them, folders may not be the species."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from absl import logging

from bird_tf import config, free_text
from bird_tf.labels import class_names, odd_names, texts
from bird_tf.labels.formats import csv_table, formats, one_hot
from bird_tf.labels.layouts import containers, crossed_folders, evidence, folders, matching
from bird_tf.labels.tables import columns, rows

_LAST_WORD = re.compile(r"(.+?)[\W_]+([^\W_]+)")
_QUOTES = " \"'"
# the last word in the names of columns that tell species, in several languages
_OF_SPECIES = frozenset((
    "label", "labels", "species", "class", "category", "taxon", "bird", "art", "vogel", "vogelart", "klasse", "espèce",
    "oiseau", "especie", "espécie", "ave", "clase", "specie", "uccello", "soort",
))  # fmt: skip
_OF_CATALOGUES = {"sp", "epithet"}  # and of xeno-canto, beside the genus
# words in the names of columns that tell something else
_OF_OTHERS = one_hot.CONDITIONS | frozenset((
    "quality", "type", "sex", "age", "stage", "device", "recorder", "microphone", "weather", "habitat", "method",
    "license", "licence", "country", "region", "comment", "comments", "remark", "remarks", "note", "notes", "rating",
    "season", "period", "behaviour", "behavior", "activity", "status", "channel", "format", "mode", "gain", "source",
    "project", "split", "subset", "other", "number", "group", "filtered", "speaker", "qualität", "typ", "gerät",
    "geschlecht", "alter", "wetter", "bemerkung", "lebensraum",
    "rec", "cnt", "loc", "lic", "rmk", "dvc",  # xeno-canto's
))  # fmt: skip
_LONGEST_GRADE = 2  # letters: A to E, m and f
_YES_OR_NO = frozenset(("", "0", "1", "0.0", "1.0", "true", "false"))
_OF_WORDS = {"call", "song", "label", "labels"}  # columns of 0 and 1 that tell no species; those of words may do so
_OF_BIRDS = re.compile(  # whole names of columns
    "(has ?|is ?)?(birds?|vogel|vögel|oiseaux?|p[aá]jaros?|aves?|uccell[io]|f[aå]gel|f[aå]glar)( present| presence)?"
)
_MOST_OF_BIRDS = 3  # folders beside a column that tells of birds by 0 and 1
_OF_JSON = _OF_SPECIES | {"categories", "annotations", "tags", "events"}
# {name of a column: what it is known to mean}; those of species are labels
_MEANT = {name: what for what, names in columns.COLUMNS.items() for name in names} | dict.fromkeys(
    (name for what in ("label", "common", "name") for name in columns.COLUMNS[what]), "label"
)
_OF_FOLDERS = {"file", "site", "folder"}
_MOST_ABOVE = 5  # lines above a header
_SAVE = "save it as a table with the columns file and label"


@dataclasses.dataclass(frozen=True)
class _Table:
    """Columns that a file may hold, what to do so that they are read, and what else in the file may tell labels."""

    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    hint: str
    beside: Sequence[str] = ()


def refuse_folders(
    sources: Iterable[formats.Source], known: matching.Recordings, names: Collection[str], options: rows.Options
) -> None:
    """Refuses to take folders for species if a file of labels, which cannot be used, may tell others.

    Latin names are those of species, and so are the ones that the file has as species. Lists of anything else are of no
    harm. Files that are no tables of a kind that is read count beside folders alone that are called as places, or as
    `train` and `wav` are.

    Args:
        sources: files that tell no labels of the recordings.
        known: the recordings.
        names: the names of the folders of recordings.
        options: what the user says about tables.

    Raises:
        InputError: a file has labels in time and no recording; or it names recordings, and holds something else that
            repeats as labels do.
    """
    if not names or all(map(folders.is_latin, names)):
        return
    are_places = _are_places(names)
    of_folders = f"if the species are the folders, such as {min(names)}, say --layout=folders"
    for source in sources:
        if not source.names_recordings and _tells_others(source, names):
            raise config.InputError(
                f"{source.path} holds labels in time, but {evidence.NAMELESS}; rename it after its recording, or say "
                f"--columns=file=NAME for a column that names it; {of_folders}"
            )
        if not source.format and source.path.lower().endswith(csv_table.FORMAT.suffixes):
            document = texts.Document(source.path)
            file, labels = _of_unknown_columns(document, known, names, options)
            if labels:
                of_file = "" if columns.normal(file) in columns.COLUMNS["file"] else f"--columns=file={file} "
                with_file = dataclasses.replace(options, columns=(*options.columns, ("", "file", file)))
                is_one_hot = one_hot.recognise(document, with_file)
                say = f"say --columns=file={file}" if is_one_hot else f"say {of_file}--columns=label=NAME"
                raise config.InputError(
                    f"{source.path} names recordings in its column {file}, and may tell species "
                    f"({', '.join(labels)[:300]}): {say}; {of_folders}"
                )
            if column := _of_folders(document, names, are_places=are_places):
                raise config.InputError(
                    f"{source.path} names the folders, and may tell their species ({column}): put those of a species "
                    f"into a folder of its name, or make a table with the columns file and label; {of_folders}"
                )
    if not all(map(odd_names.is_kind, names)):  # classes of kinds of sounds are told as such later
        crossed_folders.refuse(sources, known, _OF_SPECIES, of_folders, are_places=are_places)
    below = [part for path in known.paths for part in known.below(path).split("/")[1:-1]]
    if not are_places or any(map(folders.is_latin, below)):  # species that lie deeper are told later
        return
    unread = [s.path for s in sources if not s.names_recordings and (not s.format or s.path.lower().endswith(".json"))]
    for path in unread:
        for table in _tables(texts.Document(path), known, names):
            meant = {name: _MEANT[columns.normal(name)] for name in table.header if columns.normal(name) in _MEANT}
            file, labels = _labels_in(table.header, table.lines, meant, known, names)
            if told := labels or (table.beside if file else ()):
                raise config.InputError(
                    f"{path} names recordings, and may tell species ({', '.join(told)[:300]}): {table.hint}; "
                    f"{of_folders}"
                )


def _are_places(names: Collection[str]) -> bool:
    return folders.are_places(names) or all(map(containers.is_one, names))


def _of_folders(document: texts.Document, names: Collection[str], *, are_places: bool) -> str:
    """The column of a table that tells the species of folders; empty without one.

    Unless the folders are called as places, another column must be called as one of folders, and several folders that
    are there have one species, as AMRO_song and AMRO_call do not: else they may be its codes.
    """
    try:
        lines = [[class_names.key(texts.clean(cell)) for cell in line] for _, line in document.lines[1:]]
    except config.InputError:
        return ""
    meant = [_MEANT.get(columns.normal(name), "") for name in document.header]
    of_each = [[line[i] if i < len(line) else "" for line in lines] for i in range(len(meant))]
    keys = set(map(class_names.key, names))
    for i, folder in enumerate(of_each):
        if (are_places or meant[i] in _OF_FOLDERS) and meant[i] != "label" and _are_among(names, set(folder)):
            for j, label in enumerate(of_each):
                told = {
                    (_without_kind(name), species) for name, species in zip(folder, label, strict=True)
                    if name in keys and species and not odd_names.is_kind(species)
                }  # fmt: skip
                has_several = len({species for _, species in told}) < len(told)
                if meant[j] == "label" and told and (are_places or has_several):
                    return document.header[j]
    return ""


def _without_kind(folder: str) -> str:
    """The name of a folder without a kind of sound at its end: AMRO for AMRO_song."""
    while (found := _LAST_WORD.fullmatch(folder)) and odd_names.is_kind(found[2]):
        folder = found[1]
    return folder


def _tables(document: texts.Document, known: matching.Recordings, names: Collection[str]) -> Iterator[_Table]:
    """What a file may hold that is no table of a kind that is read: a list, a table below a title, or JSON."""
    try:
        if document.path.lower().endswith(".json"):
            yield from _of_json(document, names)
        elif document.path.lower().endswith((".csv", ".tsv", ".txt")):
            yield from _of_text(document, known)
    except (config.InputError, ValueError):  # it cannot be read
        return


def _of_text(document: texts.Document, known: matching.Recordings) -> Iterator[_Table]:
    lines = [[texts.clean(cell.strip(_QUOTES)) for cell in re.split("[\\t;,|]", line)]
             for line in document.text.splitlines() if line.strip()]  # fmt: skip
    if any(map(known.has_name, lines[0] if lines else ())):
        yield _numbered(lines, "say --columns=file=NUMBER --columns=label=NUMBER, the first column is 1")
    for above in range(1, min(_MOST_ABOVE, len(lines))):
        if len(lines[above]) > 1 and not any(map(known.has_name, lines[above])):
            yield _Table(lines[above], lines[above + 1 :], "delete the lines above the names of its columns")


def _of_json(document: texts.Document, names: Collection[str]) -> Iterator[_Table]:
    """The lists of objects, and the pairs, in JSON."""
    found = list(_within(document.json))
    beside = {
        name: told
        for each in found
        if isinstance(each, dict)
        for name, told in each.items()
        if told and isinstance(told, list | dict) and columns.normal(name) in _OF_JSON
    }
    texts_beside = {class_names.key(_text(told)) for each in _within([*beside.values()]) for told in
                    (each if isinstance(each, list) else each.values())}  # fmt: skip
    if _are_among(names, texts_beside):  # the folders are the species
        beside = {}
    for value in found:
        if isinstance(value, list):
            yield _objects(value, tuple(beside))
        else:
            yield _numbered([[str(name), _text(told)] for name, told in value.items()], _SAVE)


def _within(value: Any) -> Iterator[list[Any] | dict[str, Any]]:
    """The lists and objects in JSON, those outside first."""
    waiting = [value]
    while waiting:
        value = waiting.pop(0)
        if isinstance(value, list | dict):
            yield value
            waiting += value if isinstance(value, list) else value.values()


def _objects(found: Sequence[Any], beside: Sequence[str] = ()) -> _Table:
    """A table of objects with their texts and numbers."""
    objects = [each for each in found if isinstance(each, dict)]
    names = list(dict.fromkeys(name for each in objects for name in each))
    return _Table(names, [[_text(each.get(name, "")) for name in names] for each in objects], _SAVE, beside)


def _text(value: object) -> str:
    if isinstance(value, list):
        return ";".join(map(_text, value))
    return "" if isinstance(value, dict) or value is None else str(value)


def _numbered(lines: Sequence[Sequence[str]], hint: str) -> _Table:
    return _Table([f"column {i + 1}" for i in range(max(map(len, lines), default=0))], lines, hint)


def _tells_others(source: formats.Source, names: Collection[str]) -> bool:
    """Whether most rows are labels in time, and most folders are none of them."""
    labels = [row for row in source.rows if row.has_span and any(map(_has_letters, row.labels.species))]
    told = {class_names.key(name) for row in labels for name in (*row.labels.species, row.common)}
    return 2 * len(labels) > len(source.rows) and not _are_among(names, told)


def _has_letters(text: str) -> bool:
    return any(map(str.isalpha, text))


def _are_among(names: Collection[str], keys: Collection[str]) -> bool:
    return 2 * sum(class_names.key(name) in keys for name in names) > len(names)


def _of_unknown_columns(
    document: texts.Document, known: matching.Recordings, names: Collection[str], options: rows.Options
) -> tuple[str, list[str]]:
    """The columns of a table, as of `_labels_in`; none if it cannot be read, or has no line with names of columns."""
    try:
        lines, found = [cells for _, cells in document.lines[1:]], columns.find(document, options.columns)
    except config.InputError:  # such as a text with quotation marks
        return "", []
    if any(map(known.has_name, document.header)):
        return "", []
    meant = {document.header[i]: what for what, positions in found.items() for i in positions}
    return _labels_in(document.header, lines, meant, known, names)


def _labels_in(
    header: Sequence[str],
    lines: Sequence[Sequence[str]],
    meant: Mapping[str, str],
    known: matching.Recordings,
    names: Collection[str],
) -> tuple[str, list[str]]:
    """The column of a table that names most recordings, and those that may hold labels; none if they are the folders.

    Labels are words that repeat, or 0 and 1. Columns of another known meaning are none, nor are those that repeat the
    folders, be they species or sites, nor quality, weather and the like. Beside folders that are called as species are,
    a column counts only if it is called so, too, or if several hold 0 and 1. Whole numbers of a column such as
    class_id, or class beside places, and one of birds by 0 and 1, count beside few folders that they cross, and that
    are called by no codes. If catalogue numbers name the recordings, a warning tells of columns of species that cross
    several folders, which are called by no kinds of sounds.

    Args:
        header: the names of its columns.
        lines: its cells.
        meant: {name: what it is known to mean}.
        known: the recordings.
        names: the names of the folders.
    """
    cells_of = {
        name: [texts.clean(line[i]) for line in lines if i < len(line) and line[i].strip()]
        for i, name in enumerate(header)
        if name
    }
    file = next((name for name, cells in cells_of.items() if _are_recordings(cells, known)), "")
    are_numbers = not file
    if are_numbers:
        file = next((name for name, cells in cells_of.items() if _are_numbers(cells, known)), "")
    if not file:
        return "", []
    keys = {name: set(map(class_names.key, cells)) for name, cells in cells_of.items()}
    of_folders = {name for name, told in keys.items() if _are_among(names, told)}
    if _are_among(names, set(map(class_names.key, keys))) or any(
        meant.get(name) in ("label", "common", "name") for name in of_folders
    ):
        return "", []
    others = [name for name in cells_of if name != file and name not in of_folders]
    words = {name: columns.normal(name).split() for name in others}
    found_labels = [
        name for name in others
        if meant.get(name, "label") == "label" and _may_tell(words[name], cells_of[name])
    ]  # fmt: skip
    are_places = _are_places(names)
    if not are_places:
        of_species = _OF_SPECIES | _OF_CATALOGUES if are_numbers else _OF_SPECIES
        of_answers = [name for name in found_labels if keys[name] <= _YES_OR_NO]
        called = [name for name in found_labels if name not in of_answers and of_species.intersection(words[name][-1:])]
        found_labels = called + (of_answers if len(of_answers) > 1 else [])
    position = {name: i for i, name in enumerate(header)}
    whole = [line for line in lines if len(line) == len(header)]
    if not are_places and are_numbers:
        crossing = (
            name for name in found_labels
            if len(names) > 1 and not all(map(odd_names.is_kind, names))
            and containers.are_crossed(((line[position[file]], line[position[name]]) for line in whole), known)
        )  # fmt: skip
        if column := next(crossing, ""):
            logging.warning(
                "the column %s of a table names recordings by catalogue numbers, and may tell species (%s), which lie "
                "in several folders; the folders count: if the table is right, say --columns=file=%s",
                file, column, file,
            )  # fmt: skip
        return "", []
    if containers.are_codes(names):
        return file, found_labels
    numbers = [
        name for name in others
        if _may_be_numbers(columns.normal(name), keys[name], len(cells_of[name]), 0 if are_places else len(names))
        and containers.are_crossed(((line[position[file]], line[position[name]]) for line in whole), known)
    ]  # fmt: skip
    return file, list(dict.fromkeys(numbers + found_labels))


def _may_be_numbers(name: str, values: Collection[str], num_cells: int, num_folders: int) -> bool:
    """Whether a column holds numbers of classes, more than the folders that may be, or tells of birds by 0 and 1.

    Beside such folders, numbers in columns called `class` or `category` may be those of quality.
    """
    words = name.removesuffix("id").split()
    is_who = all(map(_OF_BIRDS.fullmatch, words))  # bird_id
    is_of_species = (name.endswith("id") or not num_folders) and _OF_SPECIES.issuperset(words) and not is_who
    return 1 < len(values) < num_cells and (
        (is_of_species and len(values) > num_folders and all(map(str.isdecimal, values)))
        or (_YES_OR_NO.issuperset(values) and num_folders <= _MOST_OF_BIRDS and bool(_OF_BIRDS.fullmatch(name)))
    )


def _may_tell(words: Sequence[str], cells: Sequence[str]) -> bool:
    """Whether a column, by the words of its name and its cells, may hold labels. Kinds of sounds are none."""
    others = _OF_OTHERS.intersection(words)
    if others <= _OF_WORDS and not {cell.casefold() for cell in cells} <= _YES_OR_NO:
        others = frozenset() if not all(map(odd_names.is_sound, cells)) else others
    return not others and _may_be_labels(cells)


def _are_recordings(cells: Sequence[str], known: matching.Recordings) -> bool:
    """Whether most cells name recordings, or most recordings are named by cells."""
    named = [cell for cell in cells if known.has_name(cell)]
    return 2 * len(named) > len(cells) or 2 * len(set(named)) > len(known.paths)


def _are_numbers(cells: Sequence[str], known: matching.Recordings) -> bool:
    """Whether cells are the catalogue numbers of most recordings."""
    return 2 * len({path for cell in cells for path in known.numbered(cell)}) > len(known.paths)


def _may_be_labels(cells: Sequence[str]) -> bool:
    values = {cell.casefold() for cell in cells}
    are_words = any(
        len(value) > _LONGEST_GRADE and math.isnan(free_text.number(value, limit=math.inf)) for value in values
    )
    return 1 < len(values) < len(cells) and (are_words or values <= _YES_OR_NO)

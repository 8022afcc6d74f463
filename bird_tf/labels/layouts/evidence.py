"""The files that tell something of a set of recordings: which of them are used, which are not, and why, in words."""

from __future__ import annotations

import collections
import math
import os
import re
from collections.abc import Collection, Iterable, Sequence

from absl import logging

from bird_tf import config, files, free_text, skips
from bird_tf.audio import decode
from bird_tf.labels import class_names, label_cells, texts
from bird_tf.labels.formats import birdclef, csv_table, formats, one_hot
from bird_tf.labels.layouts import matching
from bird_tf.labels.tables import columns, rows

_MOST_TOLD = 5  # kinds of tables whose unused columns are told
# the last word in the names of columns that tell species, in several languages
_OF_SPECIES = frozenset((
    "label", "labels", "species", "class", "category", "taxon", "bird", "art", "vogel", "vogelart", "klasse", "espèce",
    "oiseau", "especie", "espécie", "ave", "clase", "specie", "uccello", "soort",
))  # fmt: skip
# words in the names of columns that tell something else
_OF_OTHERS = one_hot.CONDITIONS | frozenset((
    "quality", "type", "sex", "age", "stage", "device", "recorder", "microphone", "weather", "habitat", "method",
    "license", "licence", "country", "region", "comment", "comments", "remark", "remarks", "note", "notes", "rating",
    "season", "period", "behaviour", "behavior", "activity", "status", "channel", "format", "mode", "gain", "source",
    "project", "other", "number", "group", "filtered", "qualität", "typ", "gerät", "geschlecht", "alter", "wetter",
    "bemerkung", "lebensraum",
))  # fmt: skip
_LONGEST_GRADE = 2  # letters: A to E, m and f
EBIRD_CODE = re.compile("[a-z]{4,6}[0-9]{1,2}")  # as gretit1
_OF_SITES = frozenset(columns.COLUMNS["site"])
_YES_OR_NO = frozenset(("", "0", "1", "0.0", "1.0", "true", "false"))
_NAMELESS = "names no recording, and no recording has its name"


def read(path: str, layout: str, options: rows.Options, without_json_in: str = "") -> list[formats.Source]:
    """Reads the files of a folder that may be of any format, or one file.

    Args:
        path: the folder, or the file.
        layout: as of `reader.SourceConfig`; with "birdclef" only XML files are read.
        options: what the user says about tables.
        without_json_in: a folder whose JSON files are left to the layout.

    Raises:
        InputError: the one file cannot be read.
    """
    if os.path.isfile(path):
        found = formats.read(path, options)
        if found.problem:
            raise config.InputError(f"{path}: {found.problem}")
        return [found]
    suffixes = birdclef.FORMAT.suffixes if layout == "birdclef" else (*formats.SUFFIXES, *formats.SPREADSHEETS)
    return [
        formats.read(file, options)
        for file in files.find(path, suffixes)
        if not (without_json_in and file.lower().endswith(".json") and file.startswith(f"{without_json_in}{os.sep}"))
    ]


def choose(
    sources: Iterable[formats.Source], known: matching.Recordings, layout: str, named: str
) -> tuple[list[formats.Source], list[skips.Skip], list[skips.Skip]]:
    """Chooses the files whose rows are used. Those that are not used are logged.

    Args:
        sources: all files.
        known: the recordings.
        layout: as of `reader.SourceConfig`; with "csv" a file has to name its recordings.
        named: the file that the user names, if there is one.

    Returns:
        The files; those that should be used and cannot be read; and those that are of no use.

    Raises:
        InputError: the named file names no recording.
    """
    used: list[formats.Source] = []
    problems: list[skips.Skip] = []
    unused: list[skips.Skip] = []
    for source in sources:
        if source.rows and (source.names_recordings or (layout != "csv" and known.has_namesake(source.path))):
            used.append(source)
        elif source.path == named:
            hint = "say --columns=file=NAME" if source.is_in_time else "it holds no annotation"
            raise config.InputError(f"{source.path} {_NAMELESS}; {hint}")
        elif _is_expected(source, known):
            problems.append((source.path, source.problem or "not used with --layout=csv"))
        else:
            unused.append((source.path, source.problem or _NAMELESS))
    if sheets := _spreadsheets([path for path, _ in unused]):
        logging.warning(
            "%d spreadsheets are not read, the first: %s; if it tells of recordings, save it as CSV",
            len(sheets),
            sheets[0],
        )
    if unused:
        logging.info("%d files are not used, the first: %s (%s)", len(unused), *unused[0])
    return used, problems, unused


def _spreadsheets(paths: Iterable[str]) -> list[str]:
    """The spreadsheets of which no text of the same name is there."""
    return [
        path
        for path in paths
        if path.lower().endswith(formats.SPREADSHEETS)
        and not any(os.path.exists(os.path.splitext(path)[0] + suffix) for suffix in csv_table.FORMAT.suffixes)
    ]


def _is_expected(source: formats.Source, known: matching.Recordings) -> bool:
    """Whether a file should tell of a recording: it is of a known format and is refused, or has the name of one.

    Many programs write JSON beside recordings that is of no use here. Spreadsheets are told by themselves.
    """
    if source.format == birdclef.FORMAT.name or (source.format and source.problem not in ("", rows.EMPTY)):
        return True
    may_be_else = source.path.lower().endswith((".json", *formats.SPREADSHEETS))
    return not may_be_else and known.has_namesake(source.path)


def of_unknown_kinds(known: matching.Recordings) -> list[str]:
    """Files below the folder of recordings that are named after one, and have a suffix of no format."""
    return [
        path
        for path in files.find(known.root, ("",))
        if not path.lower().endswith((*decode.SUFFIXES, *formats.SUFFIXES, *formats.SPREADSHEETS))
        and known.has_namesake(path)
    ]


def refuse_folders(
    sources: Iterable[formats.Source], known: matching.Recordings, folders: Collection[str], options: rows.Options
) -> None:
    """Refuses to take folders for species if a file of labels, which cannot be used, may tell others.

    Latin names are those of species, and so are the ones that the file has as species. Lists of anything else are of no
    harm.

    Args:
        sources: files that tell no labels of the recordings.
        known: the recordings.
        folders: the names of the folders of recordings.
        options: what the user says about tables.

    Raises:
        InputError: a file has labels in time and no recording; or it names recordings, and holds something else that
            repeats as labels do.
    """
    if not folders or all(is_latin(name) for name in folders):
        return
    of_folders = f"if the species are the folders, such as {min(folders)}, say --layout=folders"
    for source in sources:
        if not source.names_recordings and _tells_others(source, folders):
            raise config.InputError(
                f"{source.path} holds labels in time, but {_NAMELESS}; rename it after its recording, or say "
                f"--columns=file=NAME for a column that names it; {of_folders}"
            )
        if not source.format and source.path.lower().endswith(csv_table.FORMAT.suffixes):
            file, labels = _of_unknown_columns(texts.Document(source.path), known, folders, options)
            if labels:
                of_file = "" if columns.normal(file) in columns.COLUMNS["file"] else f"--columns=file={file} "
                raise config.InputError(
                    f"{source.path} names recordings in its column {file}, and may tell species "
                    f"({', '.join(labels)[:300]}): say {of_file}--columns=label=NAME; {of_folders}"
                )


def is_latin(folder: str) -> bool:
    """Whether a folder is `Parus major`, `Parus_major`, or `Parus major_Great Tit`."""
    return label_cells.is_latin(folder.replace("_", " ")) or label_cells.is_latin(folder.partition("_")[0])


def _tells_others(source: formats.Source, folders: Collection[str]) -> bool:
    """Whether most rows are labels in time, and most folders are none of them."""
    labels = [row for row in source.rows if row.has_span and any(map(_has_letters, row.labels.species))]
    told = {class_names.key(name) for row in labels for name in (*row.labels.species, row.common)}
    return 2 * len(labels) > len(source.rows) and not _are_among(folders, told)


def _has_letters(text: str) -> bool:
    return any(map(str.isalpha, text))


def _are_among(folders: Collection[str], keys: Collection[str]) -> bool:
    return 2 * sum(class_names.key(name) in keys for name in folders) > len(folders)


def _of_unknown_columns(
    document: texts.Document, known: matching.Recordings, folders: Collection[str], options: rows.Options
) -> tuple[str, list[str]]:
    """The column of a table that names most recordings, and those that may hold labels; none if they are the folders.

    Labels are words that repeat, or 0 and 1. Columns of another known meaning are none, nor are those that repeat the
    folders, be they species or sites, nor quality, weather and the like. Beside folders that are called as species are,
    a column counts only if it is called so, too, or if several hold 0 and 1.
    """
    try:
        lines, found = [cells for _, cells in document.lines[1:]], columns.find(document, options.columns)
    except config.InputError:  # such as a text with quotation marks
        return "", []
    cells_of = {
        name: [texts.clean(line[i]) for line in lines if i < len(line) and line[i].strip()]
        for i, name in enumerate(document.header)
        if name
    }
    file = next((name for name, cells in cells_of.items() if _are_recordings(cells, known)), "")
    if not file:
        return "", []
    meant = {document.header[i]: what for what, positions in found.items() for i in positions}
    keys = {name: set(map(class_names.key, cells)) for name, cells in cells_of.items()}
    of_folders = {name for name, told in keys.items() if _are_among(folders, told)}
    if _are_among(folders, set(map(class_names.key, keys))) or any(
        meant.get(name) in ("label", "common", "name") for name in of_folders
    ):
        return "", []
    others = [name for name in cells_of if name != file and name not in of_folders]
    words = {name: columns.normal(name).split() for name in others}
    found_labels = [
        name for name in others
        if meant.get(name, "label") == "label" and _OF_OTHERS.isdisjoint(words[name]) and _may_be_labels(cells_of[name])
    ]  # fmt: skip
    if not are_places(folders):
        of_answers = [name for name in found_labels if keys[name] <= _YES_OR_NO]
        called = [name for name in found_labels if name not in of_answers and words[name][-1] in _OF_SPECIES]
        found_labels = called + (of_answers if len(of_answers) > 1 else [])
    return file, found_labels


def are_places(folders: Collection[str]) -> bool:
    """Whether most folders are called as sites, days and folds are: `S1`, `2023-05-01`, `fold3`, `Site A`.

    Codes of eBird are none, and numbers alone may be those of species.
    """
    are = [
        (any(map(str.isdigit, name)) and not name.isdigit() and not EBIRD_CODE.fullmatch(name))
        or texts.without_signs(name).partition(" ")[0] in _OF_SITES
        for name in folders
    ]
    return 2 * sum(are) > len(are)


def _are_recordings(cells: Sequence[str], known: matching.Recordings) -> bool:
    """Whether most cells name recordings, or most recordings are named by cells."""
    named = [cell for cell in cells if known.has_name(cell)]
    return 2 * len(named) > len(cells) or 2 * len(set(named)) > len(known.paths)


def _may_be_labels(cells: Sequence[str]) -> bool:
    values = {cell.casefold() for cell in cells}
    are_words = any(
        len(value) > _LONGEST_GRADE and math.isnan(free_text.number(value, limit=math.inf)) for value in values
    )
    return 1 < len(values) < len(cells) and (are_words or values <= _YES_OR_NO)


def log(layout: str, used: Sequence[formats.Source]) -> str:
    """Says what comes from where, and returns the first line of it. `layout` is as of `reader.SourceConfig`."""
    labelling = [source for source in used if source.is_labelling]
    if not labelling:
        return ""  # none can be read, which ends the command
    if layout == "auto":
        has_names = any(source.names_recordings for source in labelling)
        is_birdclef = {source.format for source in labelling} == {birdclef.FORMAT.name}
        layout = "birdclef" if is_birdclef else "csv" if has_names else "annotations"
    line = f"--layout={layout}: labels from {by_format(labelling)}"
    logging.info("%s", line)
    in_time = [s for s in labelling if s.is_in_time]
    whole = [s for s in labelling if not s.is_in_time and any(row.labels.species for row in s.rows)]
    if in_time and whole:
        logging.warning(
            "labels in time from %s; where a recording has them, %s tell only author, place and time",
            by_format(in_time), by_format(whole),
        )  # fmt: skip
    if about := [source for source in used if not source.is_labelling]:
        logging.info("author, place and time from %s", by_format(about))
    unused = {source.unused_columns: source.path for source in reversed(used) if source.unused_columns}
    for names, path in list(unused.items())[:_MOST_TOLD]:
        logging.info("columns that are not used: %s (%s)", ", ".join(names)[:500], path)
    return line


def by_format(sources: Iterable[formats.Source]) -> str:
    """The files in words: how many of each format, and the first of them."""
    of_format: dict[str, list[str]] = collections.defaultdict(list)
    for source in sources:
        of_format[source.format].append(source.path)
    return "; ".join(
        f"{len(paths)} x {name} ({paths[0]}{', …' * (len(paths) > 1)})" for name, paths in of_format.items()
    )


def not_recognised(folder: str, sources: Iterable[formats.Source], known: matching.Recordings) -> str:
    """The message if nothing tells the species."""
    hints = [f"{s.path}: {s.problem}" if s.problem else without_species(s) for s in sources if not s.is_labelling]
    hints += [f"{path}: none of the known formats" for path in of_unknown_kinds(known)[:1]]
    hint = f"; for example {hints[0].rstrip('.')}" if hints else ""
    return (
        f"{folder}: layout not recognised: it holds no tables that name recordings or are named after them{hint}. Give "
        "--metadata=FILE or DIR with tables, annotation files or BirdCLEF XML files, or put the recordings of each "
        "species into a folder of its own"
    )


def without_species(source: formats.Source) -> str:
    """Says that a file tells no species, and what to do if it does."""
    return f"{source.path} tells no species; if it does, say --columns=label=NAME."

"""The columns of tables: the names that other programs and people give them, and those that --columns tells."""

from __future__ import annotations

import fnmatch
import math
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from absl import logging

from bird_tf import config, csv_files, free_text
from bird_tf.labels import label_cells, texts
from bird_tf.labels.tables import rows

# The names of columns that are known without --columns, without signs and in lower case. The first one that a table has
# is used; of labels, the first one that is filled, and of times, the first one with a fine unit behind it, if there is
# one. Sources: Kaggle's BirdCLEF 2019-2026, BirdNET-Analyzer, Raven, Kaleidoscope, OpenSoundscape, Crowsetta, DCASE,
# the soundscape collections of Zenodo.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "file": (
        "file", "filename", "file name", "path", "filepath", "file path", "audio file", "audio path", "audio filename",
        "audiofilename", "audiofile", "begin path", "begin file", "in file", "recording", "recording file",
        "sound file", "soundfile", "wav file", "wavfile", "notated path", "media file", "sound files",
    ),
    "label": (
        "label", "primary label", "ebird code", "class id", "species ebird code", "species code", "manual id",
        "species", "annotation", "top1match", "auto id", "scientific name", "latin name", "sci name", "species name",
        "common name", "english name", "labels", "tags", "sound type",
    ),
    "common": ("common name", "english name"),
    "name": ("scientific name", "latin name", "sci name", "name"),
    "start": (
        "start", "start time", "begin", "begin time", "starttime", "onset", "onset time", "tmin", "t start",
        "time start",
    ),
    "end": (
        "end", "end time", "stop", "stop time", "endtime", "offset s", "offset time", "tmax", "t end", "time end",
    ),
    "duration": ("duration", "length s", "delta time s", "dur"),
    "score": ("confidence", "score", "probability", "conf", "match ratio"),
    "background": ("secondary labels", "background species", "background", "ebird code secondary"),
    "author": ("author", "recordist", "session", "recorded by", "recordedby", "observer", "user login"),
    "site": ("site", "location", "locality", "station", "plot"),
    # the one of the recording, where its column does not name it
    "folder": ("folder", "directory", "subfolder", "dir"),
    "latitude": ("latitude", "lat", "decimallatitude"),
    "longitude": ("longitude", "lon", "lng", "long", "decimallongitude"),
    "elevation": ("elevation", "elevation m", "altitude", "alt"),
    "date": ("date", "recording date", "observed on", "eventdate"),
    "time": ("time", "time of day", "recording time"),
    # the genus of a species of which the column of labels has the second word alone
    "genus": ("genus",),
    # whether the species is there, or how many of it
    "present": (
        "present", "presence", "presence absence", "p a",
        "is present", "detected", "correct", "is correct", "valid", "is valid", "count",
        "individual count", "individualcount", "abundance", "validated", "is validated", "verified", "is verified",
        "verification", "confirmed", "is confirmed",
    ),
}  # fmt: skip
# who wrote the label
ANNOTATOR = (
    "annotator", "annotator id", "annotator name", "annotated by", "labeler", "labeller", "labelled by", "labeled by",
    "analyst", "rater", "reviewer", "reviewed by", "identified by", "listener", "user",
)  # fmt: skip
_OF_ANYTHING = frozenset(("tags", "sound type"))  # columns of labels that seldom hold species beside others
TIMES = ("start", "end", "duration")
# the columns of Sonic Visualiser, whose `time` is that in the recording
_OF_SONIC_VISUALISER = frozenset(("time", "duration", "label", "value", "level", "extent"))
# the form of times at the end of a name: `Begin Time - ss.msec`, `Start (hh:mm:ss)`
_FORM = re.compile(r" ((?:hh? )?mm )?ss(?: (?:ms|msec|mmm|s+))?$")
_CLOCK = "clock"  # the unit of a form with minutes
_PERCENT = re.compile(r"\b(?:per ?cent|percentage|pct|prozent)\b")
_BETWEEN_LINES = {"label": ";", "background": ";"}  # what the lines of a cell are divided by
_OF_NAMES = frozenset(("file", "path", "filename", "in file"))  # of recordings


def parse(flags: Sequence[str]) -> tuple[tuple[str, str, str], ...]:
    """Parses flags of the form WHAT=COLUMN, or TABLE:WHAT=COLUMN for tables of that name (with * and ?).

    Returns:
        (pattern of the table's name or "", what, column) of each; without a column, none tells it.

    Raises:
        InputError: another form, or an unknown WHAT.
    """
    found = []
    for entry in flags:
        left, sign, column = entry.partition("=")
        table, _, what = left.rpartition(":")
        if what not in COLUMNS or not sign:
            raise config.InputError(f"--columns={entry}: write WHAT=COLUMN, WHAT one of {', '.join(COLUMNS)}")
        found.append((table, what, column))
    return tuple(found)


def find(document: texts.Document, given: Sequence[tuple[str, str, str]]) -> dict[str, tuple[int, ...]]:
    """Finds the columns of a table.

    Args:
        document: the table.
        given: as of `parse`. The columns of a flag may be several, divided by commas: the first that is filled counts.

    Returns:
        {what: positions of its columns}.

    Raises:
        InputError: the table does not have a column that is given.
    """
    position = positions(document)
    mine, others = given_for(document, given), not_meant(document, given)
    found = {what: _given(document, what, column, position) for what, column in mine.items()}
    of_times = (
        _with_units(position, free_text.FINE_UNITS),
        _with_units(position, {*free_text.UNITS, _CLOCK}) | position,
    )
    for what, names in COLUMNS.items():
        several = of_times if what in TIMES else (position,)
        known = next((places[name] for places in several for name in names if name in places), None)
        is_of_label = what == "time" and any(known in found[each] for each in TIMES if each in mine)
        if what not in found and what not in others and known is not None and not is_of_label:
            found[what] = (known,)
    if "label" in found and "label" not in mine:
        found["label"] = (filled_of(document, COLUMNS["label"]),)
    if "end" in mine and not {normal(mine["end"]), without_unit(normal(mine["end"]))}.isdisjoint(COLUMNS["duration"]):
        found["duration"] = found.pop("end")
        logging.info("%s: the column %s holds lengths, so it is read as duration", document.path, mine["end"])
    if "time" in found and not mine and not others and position.keys() <= _OF_SONIC_VISUALISER:
        found["start"] = found.pop("time")
    if "start" not in found:
        found.pop("duration", None)  # the length of the whole recording
    fine = {what for what in TIMES if what in found and unit_of(document, found[what][0]) in free_text.FINE_UNITS}
    if {"start", "duration"} <= fine and not {"end"} & (fine | mine.keys()) and not _are_numbers(document, found):
        found.pop("end", None)  # it may be of the clock
    return found


def filled_of(document: texts.Document, names: Sequence[str]) -> int:
    """The position of the first column of labels that is filled, of those that a table has; of the first if none is.

    Args:
        document: the table, which has one of them.
        names: of the columns, as of `normal`, the first one that counts before others.
    """
    position = positions(document)
    own = [name for name in names if name in position]
    filled_ones = (name for name in own if any(down(document, (position[name],))) and name not in _OF_ANYTHING)
    return position[next(filled_ones, own[0])]


def _are_numbers(document: texts.Document, found: Mapping[str, Sequence[int]]) -> bool:
    """Whether the column with the end holds numbers and no clock times."""
    ends = [*down(document, found.get("end", ()))]
    return any(ends) and not any(":" in cell for cell in ends)


def _with_units(position: Mapping[str, int], units_of_names: Collection[str]) -> dict[str, int]:
    """{name: position} of the columns whose names end in a unit: the names without it, and as they are."""
    ended = {name: i for name, i in position.items() if _divided(name)[1] in units_of_names}
    return {without_unit(name): i for name, i in ended.items()} | ended


def without_unit(name: str) -> str:
    """The name of a column, as of `normal`, without a unit of times at its end."""
    bare, unit = _divided(name)
    return bare if unit in free_text.UNITS or unit == _CLOCK else name


def unit_of(document: texts.Document, position: int) -> str:
    """The last word of the name of a column, or the unit of the form of times at its end."""
    return _divided(normal(document.header[position]))[1]


def _divided(name: str) -> tuple[str, str]:
    """The name of a column without its last word, and this; `ss.msec` at its end are seconds, `hh:mm:ss.ms` no unit."""
    if form := _FORM.search(name):
        return name[: form.start()], _CLOCK if form[1] else "s"
    bare, _, word = name.rpartition(" ")
    return bare, word


def is_in_percent(document: texts.Document, positions: Sequence[int]) -> bool:
    """Whether columns hold percentages, by their names: `Confidence (%)`, `score_percent`.

    Numbers of which none is above 1 are shares in any case.

    Args:
        document: the table.
        positions: of the columns, of which the first one that is filled counts.

    Raises:
        InputError: only some of the columns are called so.
    """
    are_called_so = {is_called_percent(document.header[i]) for i in positions}
    if len(are_called_so) > 1:
        names = ", ".join(document.header[i] for i in positions)
        raise config.InputError(f"{document.path}: of the columns {names} only some are in %; name one of them")
    if True not in are_called_so:
        return False
    if not any(free_text.number(cell, limit=math.inf) > 1 for cell in down(document, positions) if cell):
        return False
    logging.info("%s: the numbers in %s are read as per cent", document.path, document.header[positions[0]])
    return True


def is_called_percent(name: str) -> bool:
    """Whether the name of a column says that it holds percentages."""
    return "%" in name or bool(_PERCENT.search(normal(name)))


def cells_of(line: Sequence[str], found: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """{what: text} of a line, as of `filled`, but names of files are as they are written.

    A recording that is named without its folder gets it from its column.
    """
    cells = {
        what: written(line, positions) if what in _OF_NAMES else filled(line, positions, _BETWEEN_LINES.get(what, " "))
        for what, positions in found.items()
    }
    if cells.get("file") and not re.search(r"[/\\]", cells["file"]):
        if texts.comparable(re.split(r"[/\\]", cells.get("path", ""))[-1]) == texts.comparable(cells["file"]):
            cells["file"] = cells["path"]
        elif cells.get("folder"):
            cells["file"] = f"{cells['folder']}/{cells['file']}"
    return cells


def filled(line: Sequence[str], positions: Sequence[int], between_lines: str = " ") -> str:
    """The first cell at these positions of a line that is filled; empty if none is. R writes NA into empty cells.

    Formulas are as they were before our own tables defused them. `between_lines` divides the lines of the cell.
    """
    for i in positions:
        if i < len(line):
            lines = csv_files.restored(line[i]).splitlines()
            text = between_lines.join(filter(None, map(texts.clean, lines)))
            if not label_cells.is_missing(text):
                return text
    return ""


def down(document: texts.Document, positions: Sequence[int]) -> Iterator[str]:
    """The first cell as of `filled`, for each line below the header."""
    return (filled(line, positions) for _, line in document.lines[1:])


def by_row(document: texts.Document, positions: Sequence[int]) -> dict[str, str]:
    """{where: the first cell as of `filled`} of each line below the header; none without positions."""
    wheres = (rows.where(document, number) for number, _ in document.lines[1:])
    return dict(zip(wheres, down(document, positions), strict=True)) if positions else {}


def written(line: Sequence[str], positions: Sequence[int]) -> str:
    """The first cell as of `filled`, with all its blanks, for names of files."""
    return next((csv_files.restored(line[i]).strip("\r\n") for i in positions if filled(line, (i,))), "")


def unused(document: texts.Document, found: Mapping[str, Sequence[int]]) -> list[str]:
    """The names of the other columns, but for those that a column that is used has as well; see `twins`."""
    used = {i for positions in found.values() for i in positions}
    others = {name for i, name in enumerate(document.header) if i not in used}
    others -= {document.header[i] for i in used if i < len(document.header)}
    return [name for name in document.header if name and name in others]


def twins(document: texts.Document) -> dict[str, tuple[int, str]]:
    """{name of several columns: (number of a line, its cell) where not the first of them tells something else}."""
    found: dict[str, tuple[int, str]] = {}
    for name in {name for name in document.header if name and document.header.count(name) > 1}:
        first, *others = (i for i, other in enumerate(document.header) if other == name)
        for number, line in document.lines[1:]:
            if (told := filled(line, others)) and told != filled(line, (first,)):
                found[name] = number, told
                break
    return found


def nameless(document: texts.Document) -> tuple[str, ...]:
    """`column 3` and the like for the filled columns without a name, but for one that counts the rows."""
    others = [i for i, name in enumerate(document.header) if not name and any(down(document, (i,)))]
    return tuple(f"column {i + 1}" for i in others if not is_counting(document, i))


def is_counting(document: texts.Document, position: int) -> bool:
    """Whether a column counts the rows."""
    cells = [*down(document, (position,))]
    return any(cells == [str(i) for i in range(first, first + len(cells))] for first in (0, 1))


def given_for(document: texts.Document, given: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    """{what: column} of the flags for one table; those that name it count more than those for all."""
    return {what: column for what, column in _flags_for(document, given).items() if column}


def not_meant(document: texts.Document, given: Sequence[tuple[str, str, str]]) -> set[str]:
    """What no column of a table tells, as the flags say; without a start, its other times are not meant either."""
    flags = _flags_for(document, given)
    found = {what for what, column in flags.items() if not column}
    return found.union(TIMES if "start" in found else ()).difference(flags.keys() - found)


def _flags_for(document: texts.Document, given: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    name = texts.comparable(os.path.basename(document.path))
    ours = sorted(given, key=lambda entry: bool(entry[0]))
    return {w: column for table, w, column in ours if not table or fnmatch.fnmatchcase(name, texts.comparable(table))}


def positions(document: texts.Document) -> dict[str, int]:
    """{name of a column as of `normal`: its position}; the first one of several of a name."""
    return {normal(name): i for i, name in reversed(list(enumerate(document.header))) if name}


def lacks(document: texts.Document, what: str, in_words: str) -> config.InputError:
    """The error that no column is known to hold something of labels, with those that the table has."""
    return config.InputError(
        f"{document.path}: which column holds {in_words}? it has {', '.join(document.header)[:500]}; "
        f"say --columns={what}=NAME"
    )


def normal(name: str) -> str:
    """The name of a column without signs, in lower case: `Start (s)` and `start_s` are the same."""
    return texts.without_signs(name)


def words_in(names: Iterable[str]) -> set[str]:
    """The words of names of columns, as of `normal`."""
    return {word for name in names for word in normal(name).split()}


def _given(document: texts.Document, what: str, column: str, position: Mapping[str, int]) -> tuple[int, ...]:
    exact = {name: i for i, name in reversed(list(enumerate(document.header)))}
    parts = [column] if column in exact or normal(column) in position else column.split(",")
    found = [exact.get(part.strip(), position.get(normal(part))) for part in parts]
    if None in found:
        raise config.InputError(
            f"{document.path} has no column {parts[found.index(None)]} (--columns={what}={column}): "
            f"{', '.join(document.header)[:500]}"
        )
    return tuple(i for i in found if i is not None)

"""The columns of tables: the names that other programs and people give them, and those that --columns tells."""

from __future__ import annotations

import fnmatch
import itertools
import math
import os
import re
from collections.abc import Collection, Mapping, Sequence

from absl import logging

from bird_tf import config, free_text
from bird_tf.labels import clock, texts

# The names of columns that are known without --columns, without signs and in lower case. The first one that a table has
# is used; of times, the first one with a fine unit behind it, if there is one. Sources: Kaggle's BirdCLEF 2019-2026,
# BirdNET-Analyzer, Raven, Kaleidoscope, OpenSoundscape, Crowsetta, DCASE, the soundscape collections of Zenodo.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "file": (
        "file", "filename", "file name", "path", "filepath", "file path", "audio file", "audio path", "audio filename",
        "audiofilename", "audiofile", "begin path", "begin file", "in file", "recording", "recording file",
        "sound file", "soundfile", "wav file", "wavfile", "notated path", "media file",
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
    "background": ("secondary labels", "background species", "background"),
    "author": ("author", "recordist", "session", "recorded by", "observer", "user login"),
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
        "present", "presence", "is present", "detected", "correct", "is correct", "valid", "is valid", "count",
        "individual count", "individualcount", "abundance", "validated", "is validated", "verified", "is verified",
        "verification", "confirmed", "is confirmed",
    ),
}  # fmt: skip
# The last word of a name may tell the unit of times; without one they are in seconds. Times in a fine unit are of the
# recording, others may be of the clock.
_FINE_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millis", "millisecond", "milliseconds"), 0.001),
}
_UNITS = {
    **_FINE_UNITS,
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
}
_TIMES = ("start", "end", "duration")
_DAY_SECONDS = 86400
_FEW = 3  # starts, of which one may be like the clock by chance
# words in the names of columns that may hold times of labels, also in German, French and Spanish
_OF_SPANS = frozenset((
    "start", "begin", "onset", "end", "stop", "offset", "from", "to", "tmin", "tmax", "t0", "t1", "x1", "x2",
    "duration", "beginn", "anfang", "ende", "dauer", "début", "debut", "fin", "durée", "inicio", "duración",
))  # fmt: skip
_OF_TIME, _OF_EXTREMES = frozenset(("t", "time")), frozenset(("min", "max"))
_SIDES = {"left", "right"}


def parse(flags: Sequence[str]) -> tuple[tuple[str, str, str], ...]:
    """Parses flags of the form WHAT=COLUMN, or TABLE:WHAT=COLUMN for tables of that name (with * and ?).

    Returns:
        (pattern of the table's name or "", what, column) of each.

    Raises:
        InputError: another form, or an unknown WHAT.
    """
    found = []
    for entry in flags:
        left, _, column = entry.partition("=")
        table, _, what = left.rpartition(":")
        if what not in COLUMNS or not column:
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
    mine = given_for(document, given)
    found = {what: _given(document, what, column, position) for what, column in mine.items()}
    of_times = (_with_units(position, _FINE_UNITS), _with_units(position, _UNITS) | position)
    for what, names in COLUMNS.items():
        several = of_times if what in _TIMES else (position,)
        known = next((places[name] for places in several for name in names if name in places), None)
        if what not in found and known is not None:
            found[what] = (known,)
    if "end" in mine and not {normal(mine["end"]), _without_unit(normal(mine["end"]))}.isdisjoint(COLUMNS["duration"]):
        found["duration"] = found.pop("end")
        logging.info("%s: the column %s holds lengths, so it is read as duration", document.path, mine["end"])
    if "start" not in found:
        found.pop("duration", None)  # the length of the whole recording
    fine = {what for what in _TIMES if what in found and _unit_of(document, found[what][0]) in _FINE_UNITS}
    if {"start", "duration"} <= fine and not {"end"} & (fine | mine.keys()) and not _are_numbers(document, found):
        found.pop("end", None)  # it may be of the clock
    return found


def _are_numbers(document: texts.Document, found: Mapping[str, Sequence[int]]) -> bool:
    """Whether the column with the end holds numbers and no clock times."""
    ends = [_filled(line, found.get("end", ())) for _, line in document.lines[1:]]
    return any(ends) and not any(":" in cell for cell in ends)


def _with_units(position: Mapping[str, int], units_of_names: Collection[str]) -> dict[str, int]:
    """{name: position} of the columns whose names end in a unit: the names without it, and as they are."""
    ended = {name: i for name, i in position.items() if name.rpartition(" ")[2] in units_of_names}
    return {_without_unit(name): i for name, i in ended.items()} | ended


def _without_unit(name: str) -> str:
    return name.rpartition(" ")[0] if name.rpartition(" ")[2] in _UNITS else name


def _unit_of(document: texts.Document, position: int) -> str:
    """The last word of the name of a column."""
    return normal(document.header[position]).rpartition(" ")[2]


def refuse_other_times(
    document: texts.Document, found: Mapping[str, Sequence[int]], given: Sequence[tuple[str, str, str]]
) -> None:
    """Refuses times that are not those from the beginning of the recording, unless --columns names their column.

    Args:
        document: the table.
        found: as of `find`.
        given: as of `parse`.

    Raises:
        InputError: the times are of the clock by which the recordings are named, or shares of a day; or minutes and
            seconds of a time stand in columns of their own.
    """
    mine = given_for(document, given)
    for what in (what for what in _TIMES if what in found and what not in mine):
        _refuse_parts(document, what, found[what][0])
    if "start" not in found or "start" in mine:
        return
    column = document.header[found["start"][0]]
    anyway = f"say '--columns=start={column}' if they are right"
    if _are_of_the_clock(document, found):
        raise config.InputError(
            f"{document.path}: the times in {column} are like those of the clock in the names of the recordings; write "
            f"them from the beginning of the recording, in seconds, or {anyway}"
        )
    if _are_shares_of_a_day(document, found):
        raise config.InputError(
            f"{document.path}: the times in {column} are like shares of a day, as a spreadsheet saves 0:00:10; format "
            f"them as text or in seconds, and save it again, or {anyway}"
        )


def _refuse_parts(document: texts.Document, what: str, position: int) -> None:
    """Refuses a column of times beside one of another unit that does not hold the same times.

    Raises:
        InputError: as start_min and start_s of 1 min 2 s, or for other reasons.
    """
    name = document.header[position]
    for other, i in positions(document).items():
        pair = [(_UNITS.get(_unit_of(document, each), 0.0), each) for each in (position, i)]
        if _without_unit(other) != _without_unit(normal(name)) or 0 in dict(pair) or len(dict(pair)) < 2:
            continue
        (fine_unit, fine), (coarse_unit, coarse) = sorted(pair)
        for number, line in document.lines[1:]:
            short, long = _filled(line, (fine,)), _filled(line, (coarse,))
            if not _are_same_time(short, long, fine_unit, coarse_unit):
                raise config.InputError(
                    f"{document.path}, line {number}: {document.header[coarse]} {long} and {document.header[fine]} "
                    f"{short} are not the same time; if they are parts of one, write it into one column, as 1:02 or "
                    f"62, else say '--columns={what}={name}'"
                )


def _are_same_time(fine_cell: str, coarse_cell: str, fine_unit: float, coarse_unit: float) -> bool:
    """Whether a time in a coarse unit is that in a fine one, rounded to its digits, or to whole ones below."""
    fine, coarse = (free_text.number(cell, limit=math.inf) for cell in (fine_cell, coarse_cell))
    if math.isnan(fine) or math.isnan(coarse) or not coarse:
        return True
    steps = [unit * 10.0 ** -len(re.split("[.,]", f"{cell}.")[1])
             for unit, cell in ((fine_unit, fine_cell), (coarse_unit, coarse_cell))]  # fmt: skip
    less = 0.0 if steps[1] == coarse_unit else steps[1]
    more = coarse_unit if coarse == round(coarse, 0) else steps[1]
    return -less - steps[0] < fine * fine_unit - coarse * coarse_unit < more + steps[0]


def _are_of_the_clock(document: texts.Document, found: Mapping[str, Sequence[int]]) -> bool:
    """Whether all spans begin in the hour after the clock in the name of their recording; a few must equal it."""
    num, are_equal = 0, True
    for _, line in document.lines[1:]:
        start, name = (_filled(line, found.get(what, ())) for what in ("start", "file"))
        if not start:
            continue
        noted = clock.from_name(os.path.splitext(os.path.basename((name or document.path).replace("\\", "/")))[0]).time
        if ":" not in start or noted is None or not noted.hour:  # after midnight, both are the same or alike
            return False
        step = 60 if start.count(":") == 1 else 1
        passed = step * free_text.seconds(start) - (3600 * noted.hour + 60 * noted.minute + noted.second // step)
        if not 0 <= passed < 3600:
            return False
        num, are_equal = num + 1, are_equal and passed < step
    return num >= _FEW or (num > 0 and are_equal)


def _are_shares_of_a_day(document: texts.Document, found: Mapping[str, Sequence[int]]) -> bool:
    """Whether all times lie in the first 42 ms, and are whole seconds of the first hour as shares of a day."""
    has_long = False
    for _, line in document.lines[1:]:
        for cell in (_filled(line, found[what]) for what in _TIMES if what in found):
            if cell:
                share = free_text.number(cell, limit=1 / 24)
                if not abs(_DAY_SECONDS * share - round(_DAY_SECONDS * share, 0)) < 0.01 or share < 0:
                    return False
                has_long = has_long or share != round(share, 4)
    return has_long


def _filled(line: Sequence[str], positions: Sequence[int]) -> str:
    return next((text for i in positions if i < len(line) and (text := line[i].strip())), "")


def units(document: texts.Document, found: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """{what: unit in seconds} of the columns with times, by their names: start_ms has milliseconds.

    The `min` of t_min beside t_max is the least one, and no minutes.

    Raises:
        InputError: columns of different units for the same; or only one of start and end names minutes or hours.
    """
    of_times, names = {}, positions(document)
    words = {what: [_unit_of(document, i) for i in found[what]] for what in _TIMES if what in found}
    is_range = "max" in words.get("end", ())
    for what, of_columns in words.items():
        are_least = [
            word == "min" and (is_range or f"{_without_unit(normal(document.header[i]))} max" in names)
            for word, i in zip(of_columns, found[what], strict=True)
        ]
        several = {1.0 if least else _UNITS.get(word, 1.0) for word, least in zip(of_columns, are_least, strict=True)}
        if len(several) > 1:
            raise config.InputError(f"{document.path}: the columns for {what} have different units; name one of them")
        of_times[what] = several.pop()
    unstated = [what for what in ("start", "end") if what in words and _UNITS.keys().isdisjoint(words[what])]
    if len(unstated) == 1 and max(of_times.get(what, 0.0) for what in ("start", "end")) > 1 and "end" in found:
        start, end = (document.header[found[what][0]] for what in ("start", "end"))
        raise config.InputError(f"{document.path}: only one of {start} and {end} names its unit; name that of both")
    return of_times


def unused(document: texts.Document, found: Mapping[str, Sequence[int]]) -> list[str]:
    """The names of the other columns."""
    used = {i for positions in found.values() for i in positions}
    return [name for i, name in enumerate(document.header) if name and i not in used]


def may_hold_spans(name: str) -> bool:
    """Whether the name of a column is like that of times of labels."""
    words = normal(re.sub("(?<=[a-z])(?=[A-Z])", " ", name)).split()
    return not _OF_SPANS.isdisjoint(words) or (
        len(words) == 2 and not _OF_TIME.isdisjoint(words) and not _OF_EXTREMES.isdisjoint(words)
    )


def of_spans(document: texts.Document, names: Sequence[str]) -> list[str]:
    """Those of some columns that may hold times of labels, by their names, or as pairs of a time and a later one."""
    position = positions(document)
    pairs = set[str]()
    for pair in itertools.combinations(names, 2):
        ends = {name.rpartition(" ")[2] for name in map(normal, pair)}
        if ({*map(normal, pair)} == _SIDES or ends <= _FINE_UNITS.keys()) and _are_ordered(
            document, *(position[normal(name)] for name in pair)
        ):
            pairs.update(pair)
    return [name for name in names if name in pairs or may_hold_spans(name)]


def _are_ordered(document: texts.Document, one: int, other: int) -> bool:
    """Whether two columns hold numbers, and those of one are less in each row."""
    rows = [
        [free_text.number(_filled(line, (i,)), limit=math.inf) for i in (one, other)] for _, line in document.lines[1:]
    ]
    return all(a < b for a, b in rows) or all(a > b for a, b in rows)


def given_for(document: texts.Document, given: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    """{what: column} of the flags for one table; those that name it count more than those for all."""
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
    return " ".join(re.split(r"[\W_]+", texts.comparable(name))).strip()


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

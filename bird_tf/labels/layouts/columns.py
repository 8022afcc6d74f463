"""The columns of tables: the names that other programs and people give them, and those that --columns tells."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Mapping, Sequence

from absl import logging

from bird_tf import config
from bird_tf.labels import texts

# The names of columns that are known without --columns, without signs and in lower case. The first one that a table has
# is used. Sources: Kaggle's BirdCLEF 2019-2026, BirdNET-Analyzer, Raven, Kaleidoscope, OpenSoundscape, Crowsetta,
# DCASE, the soundscape collections of Zenodo.
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
    "name": ("name", "scientific name", "latin name", "sci name"),
    "start": (
        "start", "start seconds", "start time", "begin", "start s", "start time s", "start sec", "begin time s",
        "begin time", "begin s", "starttime", "onset s", "onset", "onset time", "tmin", "t start", "time start",
    ),
    "end": (
        "end", "end seconds", "end time", "end s", "end time s", "end sec", "stop", "stop s", "stop time", "endtime",
        "offset s", "offset time", "tmax", "t end", "time end",
    ),
    "duration": ("duration", "duration s", "duration seconds", "duration sec", "length s", "delta time s", "dur"),
    "score": ("confidence", "score", "probability", "conf", "match ratio"),
    "background": ("background", "secondary labels", "background species"),
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
        "individual count", "individualcount", "abundance",
    ),
}  # fmt: skip
# The last word of a name may tell the unit of times; without one they are in seconds.
_UNITS = {
    **dict.fromkeys(("ms", "msec", "millis", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
}
_TIMES = ("start", "end", "duration")
# words in the names of columns that may hold times of labels, also in German, French and Spanish
_OF_SPANS = frozenset((
    "start", "begin", "onset", "end", "stop", "offset", "from", "to", "tmin", "tmax", "t0", "t1", "x1", "x2",
    "duration", "beginn", "anfang", "ende", "dauer", "début", "debut", "fin", "durée", "inicio", "duración",
))  # fmt: skip


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
    position = {normal(name): i for i, name in reversed(list(enumerate(document.header))) if name}
    mine = given_for(document, given)
    found = {what: _given(document, what, column, position) for what, column in mine.items()}
    in_units = {name.rpartition(" ")[0]: i for name, i in position.items() if name.rpartition(" ")[2] in _UNITS}
    for what, names in COLUMNS.items():
        places = position if what not in _TIMES else in_units | position
        known = next((places[name] for name in names if name in places), None)
        if what not in found and known is not None:
            found[what] = (known,)
    if "end" in mine and normal(mine["end"]) in COLUMNS["duration"]:
        found["duration"] = found.pop("end")
        logging.info("%s: the column %s holds lengths, so it is read as duration", document.path, mine["end"])
    if "start" not in found:
        found.pop("duration", None)  # the length of the whole recording
    return found


def units(document: texts.Document, found: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """{what: unit in seconds} of the columns with times, by their names: start_ms has milliseconds.

    Raises:
        InputError: columns of different units for the same.
    """
    of_times = {}
    for what in (what for what in _TIMES if what in found):
        several = {_UNITS.get(normal(document.header[i]).rpartition(" ")[2], 1.0) for i in found[what]}
        if len(several) > 1:
            raise config.InputError(f"{document.path}: the columns for {what} have different units; name one of them")
        of_times[what] = several.pop()
    return of_times


def unused(document: texts.Document, found: Mapping[str, Sequence[int]]) -> list[str]:
    """The names of the other columns."""
    used = {i for positions in found.values() for i in positions}
    return [name for i, name in enumerate(document.header) if name and i not in used]


def may_hold_spans(name: str) -> bool:
    """Whether the name of a column is like that of times of labels."""
    return not _OF_SPANS.isdisjoint(normal(name).split())


def given_for(document: texts.Document, given: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    """{what: column} of the flags for one table; those that name it count more than those for all."""
    name = texts.comparable(os.path.basename(document.path))
    ours = sorted(given, key=lambda entry: bool(entry[0]))
    return {w: column for table, w, column in ours if not table or fnmatch.fnmatchcase(name, texts.comparable(table))}


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

"""The names of the sites of recordings: the folders that they lie in, else what their recorders call themselves."""

from __future__ import annotations

import collections
import datetime
import os
import re
from collections.abc import Sequence

from absl import logging

from bird_tf.labels import metadata, recorders

_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", "(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"


def _date(sign: str) -> str:
    """The pattern of a date; `sign` is the name of the group of what divides it."""
    return rf"20\d\d(?P<{sign}>[-_.]?){_MONTH}(?P={sign}){_DAY}"


# folders between a site and its files that recorders and people make
_NO_SITE = re.compile(rf"(?:data|audio|wavs?|recordings?|\.|{_date('sign')}.*)", re.IGNORECASE | re.ASCII)
# a date, perhaps with a last date or a time, and what is written behind it
_DATED = re.compile(
    rf"(?P<date>{_date('sign')})(?:[-_ .]*(?:to|bis)?[-_ .]*{_date('other_sign')}(?!\d))?"
    r"(?:[-_ T.]*\d\d[-_.:h]?\d\d(?:[-_.:m]?\d\d)?s?Z?(?!\d)|T\d\d(?!\d))?[-_ .]*(?P<rest>.*)",
    re.IGNORECASE | re.ASCII,
)
# folders of a year or of its days, and those in such folders: names of months as M, of days as W, and - between words
_MONTH_NAMES = frozenset((
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
    "januar", "februar", "märz", "maerz", "mai", "juni", "juli", "oktober", "dezember", "okt", "dez",
    "janvier", "février", "fevrier", "mars", "avril", "juin", "juillet", "août", "aout", "septembre", "octobre",
    "novembre", "décembre", "decembre",
))  # fmt: skip
_WEEKDAYS = frozenset(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"))
_OF_YEAR = re.compile(
    rf"{_YEAR}(?:-?{_MONTH})?(?:-M)?|{_YEAR}-M-{_DAY}|M-{_YEAR}|{_DAY}-M-{_YEAR}|M-{_DAY}-{_YEAR}", re.ASCII
)
_IN_YEAR = re.compile(rf"(?:{_MONTH}-)?M|{_MONTH}-?{_DAY}|M-{_DAY}|{_DAY}(?:-[MW])?", re.ASCII)
# words behind a date that name a part of the day or of the recordings
_NO_PLACE = frozenset((
    "am", "pm", "dawn", "dusk", "day", "night", "morning", "noon", "afternoon", "evening", "early", "late", "sunrise",
    "sunset", "morgen", "abend", "tag", "nacht", "matin", "soir", "jour", "nuit", "part", "session", "visit", "survey",
    "week", "card", "sd", "copy", "backup", "test", "teil", "utc", "khz", "audiomoth", *_WEEKDAYS,
))  # fmt: skip


def names(
    recordings: Sequence[metadata.Recording],
    origins: Sequence[recorders.Origin],
    root: str,
    *,
    every_folder: bool = False,
) -> list[str]:
    """The names that folders and recorders give to the sites of recordings; empty if they tell none.

    The folders count most, then what is before the clock in the name, then the recorder, then what is behind the date
    in folders such as 2023-05-20_SiteA, if the same is behind another date: else it can be anything.

    Links directly below `root`, such as known and new, are no part of the names if tables show that: they call a site
    north that lies in known/north.

    Args:
        recordings: with the sites that tables tell.
        origins: what their recorders noted.
        root: the folder in which recordings were searched.
        every_folder: whether every folder is a site, as in a deployment. Else only one with a recording whose clock is
            known, since folders of labelled recordings can be anything.
    """
    are_dates = _are_dates(recordings, origins, root)
    folders = [of_folder(recording.path, root, numbers_are_dates=are_dates) for recording in recordings]
    tops = [os.path.join(root, os.path.relpath(r.path, root or ".").split(os.sep)[0]) for r in recordings]
    links = {top for top in set(tops) - {r.path for r in recordings} if os.path.islink(top)}
    below = [
        of_folder(recording.path, top, numbers_are_dates=are_dates) or found.site or folder if top in links else folder
        for recording, found, folder, top in zip(recordings, origins, folders, tops, strict=True)
    ]
    if any(r.site and r.site == short != folder for r, short, folder in zip(recordings, below, folders, strict=True)):
        folders = below
    behind = [
        ("", "") if folder else _behind_dates(r.path, root) for folder, r in zip(folders, recordings, strict=True)
    ]
    times = collections.Counter(rest for rest, _ in set(behind))
    dated = [rest if times[rest] > 1 else "" for rest, _ in behind]
    places = list(zip(folders, dated, strict=True))
    known = {place for place, found in zip(places, origins, strict=True) if every_folder or found.has_clock}
    named = [
        (place[0] or found.site or place[1]) if place in known else found.site
        for place, found in zip(places, origins, strict=True)
    ]
    _warn_of_longer(named, recordings)
    return named


def _warn_of_longer(named: Sequence[str], recordings: Sequence[metadata.Recording]) -> None:
    """Warns of sites by folder, such as new/north, whose end is a site of a table."""
    told = {recording.site for recording in recordings} - {""}
    pairs = [
        (name, name.split("/", i)[-1])
        for name, recording in zip(named, recordings, strict=True)
        for i in range(1, name.count("/") + 1)
        if not recording.site and name not in told and name.split("/", i)[-1] in told
    ]
    if pairs:
        logging.warning(
            "%d recordings are of sites that have the end of their names in common with sites of tables, as %s with "
            "%s; they count as other sites: if they are the same, tell the site of all recordings in a table",
            len(pairs), *pairs[0],
        )  # fmt: skip


def of_folder(path: str, root: str, *, numbers_are_dates: bool = True) -> str:
    """The folders between root and recording without those that name no site, such as Data; empty if none is left.

    Nor do years and months (2024-06, May-2022), and below these months and days (06, 27-Friday).

    Args:
        path: the recording.
        root: the folder in which recordings were searched.
        numbers_are_dates: False if folders that could be dates, and are numbers alone, are something else.
    """
    parts = _folders(path, root)
    return "/".join(
        part
        for part, date in zip(parts, _dates(parts), strict=True)
        if may_be_site(part) and (not date or (date.isdigit() and not numbers_are_dates))
    )


def _are_dates(recordings: Sequence[metadata.Recording], origins: Sequence[recorders.Origin], root: str) -> bool:
    """Whether folders such as 2024/06 are those of the days on which most recordings in them were made.

    Else plots below a year, and points with four digits, are sites. A night, and UTC, can be of the day beside it.
    """
    agree = []
    for recording, found in zip(recordings, origins, strict=True):
        numbers = [date for date in _dates(_folders(recording.path, root)) if date.isdigit()]
        if numbers and found.date:
            days = [f"{found.date + datetime.timedelta(days=i):%Y%m%d}" for i in (-1, 0, 1)]
            agree.append(any(all(map(day.startswith, numbers)) for day in days))
    return 2 * sum(agree) >= len(agree)


def _dates(folders: Sequence[str]) -> list[str]:
    """For each folder, its date with those of the folders above it, such as 202406; "" for a folder of no date."""
    found = [""]
    for folder in folders:
        words = re.findall(r"\d+|[^\W\d_]+", folder.lower())
        text = "-".join("M" if word in _MONTH_NAMES else "W" if word in _WEEKDAYS else word for word in words)
        if _OF_YEAR.fullmatch(text):
            found.append(text.replace("-", ""))
        else:
            found.append(found[-1] + text.replace("-", "") if found[-1] and _IN_YEAR.fullmatch(text) else "")
    return found[1:]


def _folders(path: str, root: str) -> list[str]:
    return os.path.relpath(os.path.dirname(path) or ".", root or ".").split(os.sep)


def _behind_dates(path: str, root: str) -> tuple[str, str]:
    """What the folders between root and recording are called behind a date, as of_folder, and their dates.

    Parts of a day and the like, such as AM or part 2, are left out.
    """
    found = [
        dated for part in _folders(path, root) if (dated := _DATED.fullmatch(part)) and _may_be_place(dated["rest"])
    ]
    return "/".join(dated["rest"].strip() for dated in found), "/".join(dated["date"] for dated in found)


def _may_be_place(rest: str) -> bool:
    words = [word for word in re.split(r"[\W\d_]+", rest.lower()) if word]
    return not _NO_PLACE.issuperset(words) and may_be_site(rest.strip())


def may_be_site(folder: str) -> bool:
    """Whether the name of a folder can be that of a site: recorders and programs make others, such as Data."""
    return folder != os.pardir and not _NO_SITE.fullmatch(folder)

"""What is known of a recording, and how single descriptions of it read: XML, JSON, and their free-text fields.

Where descriptions and recordings lie, and what belongs together, is for `layouts` to know.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import hashlib
import json
import math
import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping

from bird_tf import config, files

NAN = math.nan


@dataclasses.dataclass(frozen=True, kw_only=True)
class Annotation:
    """A species marked in a span of a recording; the label is empty where nobody could name it."""

    start_seconds: float
    end_seconds: float
    label: str
    background: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording:
    """One audio file and what is known of it.

    Attributes:
        recording_id: unique in its set; BirdCLEF's MediaId where there is one.
        path: the audio file.
        label: class id of the foreground species; empty if unknown (test recordings).
        name: its Latin name.
        background: names of the species heard behind it, as listed.
        background_known: False if nobody noted the background, which is not the same as none.
        author: who recorded it, or the session; recordings of one author sound alike.
        split: "train" or "val" where the layout decides it, else empty.
        latitude, longitude: degrees; NaN if unknown.
        elevation: metres above the sea; NaN if unknown.
        day_of_year, hour: 1 … 366; hours of the day, 0 … 24; NaN if unknown.
        annotations: who is heard when, if that is known; then `label` is the species marked longest and `background`
            the other ones. Without them `label` holds for the whole recording.
    """

    recording_id: str
    path: str
    label: str = ""
    name: str = ""
    background: tuple[str, ...] = ()
    background_known: bool = False
    author: str = ""
    split: str = ""
    latitude: float = NAN
    longitude: float = NAN
    elevation: float = NAN
    day_of_year: float = NAN
    hour: float = NAN
    annotations: tuple[Annotation, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Class ids that chunks of it may have: the one label, or all annotated ones, the longest marked first."""
        if not self.annotations:
            return (self.label,)
        marked: collections.Counter[str] = collections.Counter()
        for annotation in self.annotations:
            marked[annotation.label] += annotation.end_seconds - annotation.start_seconds  # type: ignore[assignment]
        return tuple(sorted(filter(None, marked), key=lambda label: (-marked[label], label)))


def unique(recordings: Iterable[Recording]) -> list[Recording]:
    """Sorted by id; where ids are shared, as of equal names in two folders, a digest of the path tells them apart."""
    recordings = sorted(recordings, key=lambda r: (r.recording_id, r.path))
    shared = {i for i, count in collections.Counter(r.recording_id for r in recordings).items() if count > 1}
    root = os.path.commonpath([os.path.dirname(r.path) for r in recordings])
    return [
        dataclasses.replace(r, recording_id=f"{r.recording_id}-{md5(os.path.relpath(r.path, root))[:8]}")
        if r.recording_id in shared
        else r
        for r in recordings
    ]


def md5(text: str) -> str:
    """In hexadecimal: the same in every process and on every machine, which `hash()` is not."""
    return hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


def media_id(path: str) -> str:
    """BirdCLEF's MediaId: the number after the last `_RN` of the file's name, else the name without its suffix."""
    stem = os.path.splitext(os.path.basename(path))[0]
    number = re.search(r"_RN(\d+)$", stem)
    return number.group(1) if number else stem


def described(folder: str) -> dict[str, Recording]:
    """{stem of the audio file: what is known of it} as the XML files of a folder say; no label is needed.

    Raises:
        InputError: no such folder.
    """
    if not os.path.isdir(folder):
        raise config.InputError(f"--metadata={folder}: no such folder of XML files")
    found = {}
    for path in files.find(folder, (".xml",)):
        fields = _xml_fields(path)
        found[os.path.splitext(os.path.basename(fields.get("FileName") or path))[0]] = _recording(fields)
    return found


def _xml_fields(path: str) -> dict[str, str]:
    """{element: text} of a BirdCLEF XML file; raises InputError if it is none."""
    with open(path, "rb") as file:
        content = file.read()
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise config.InputError(f"{path}: XML with a document type or entities is refused")
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise config.InputError(f"{path}: not XML ({error})") from error
    return {element.tag: (element.text or "").strip() for element in root}


def parse_xml(path: str) -> tuple[str, Recording]:
    """Reads one BirdCLEF XML file.

    Returns:
        The FileName it gives (possibly empty), and the recording, its path still empty.

    Raises:
        InputError: not such a file, or without a label.
    """
    fields = _xml_fields(path)
    recording = _recording(fields)
    if not recording.label:
        raise config.InputError(f"{path}: neither ClassId nor Genus and Species: the recording has no label")
    return fields.get("FileName", ""), recording


def _recording(fields: Mapping[str, str]) -> Recording:
    """What the elements of a BirdCLEF XML file say; the path is empty, the label too if there is none."""
    name = f"{fields.get('Genus', '')} {fields.get('Species', '')}".strip()
    label = fields.get("ClassId", "") or name
    background = fields.get("BackgroundSpecies")
    return Recording(
        recording_id=fields.get("MediaId", ""),
        path="",
        label=label,
        name=name or label,
        background=names(background.split(",") if background else []),
        background_known=background is not None,
        author=fields.get("AuthorID", "") or fields.get("Author", ""),
        latitude=number(fields.get("Latitude", ""), limit=90),
        longitude=number(fields.get("Longitude", ""), limit=180),
        elevation=elevation(fields.get("Elevation", "")),
        day_of_year=day_of_year(fields.get("Date", "")),
        hour=hour_of_day(fields.get("Time", "")),
    )


def parse_json(path: str) -> tuple[str, Recording]:
    """Reads one file of the 2018 sorter's metadata/ folder; returns and raises as `parse_xml`."""
    try:
        with open(path, encoding="utf-8") as file:
            fields: Mapping[str, object] = json.load(file)
        name, background = str(fields["sci-name"]), fields.get("background")
        file_name, label = str(fields.get("filename", "")), str(fields.get("classid", "")) or name
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise config.InputError(f"{path}: not metadata of a sorted tree ({error!r})") from error
    # the 2018 sorter, which knew no author, wrote an empty list for "none" and for "unknown" alike: it says unknown
    listed = names(map(str, background)) if isinstance(background, list) else ()
    known = bool(listed) or (isinstance(background, list) and "author" in fields)
    return file_name, Recording(
        recording_id="",
        path="",
        label=label,
        name=name,
        background=listed,
        background_known=known,
        author=str(fields.get("author") or ""),
        latitude=number(str(fields.get("latitude")), limit=90),
        longitude=number(str(fields.get("longitude")), limit=180),
        elevation=elevation(str(fields.get("elevation", ""))),
        day_of_year=number(str(fields.get("day_of_year")), limit=366),
        hour=number(str(fields.get("hour")), limit=24),
    )


def names(listed: Iterable[str]) -> tuple[str, ...]:
    """Names without the blanks around them and without empty ones."""
    return tuple(name.strip() for name in listed if name.strip())


def number(text: str, limit: float) -> float:
    """A number within ± limit; NaN for anything else, since these fields are free text."""
    try:
        value = float(text)
    except ValueError:
        return NAN
    return value if abs(value) <= limit else NAN


def elevation(text: str) -> float:
    """Metres of an elevation such as 1200, ca. 1,200 m or 1100-1300 (their middle); NaN for anything else."""
    number = r"(-?\d{1,3}(?:,\d{3})+|-?\d+(?:\.\d+)?)"
    parts = re.fullmatch(rf"\D*?{number}(?:\s*[-–]\s*{number})?\s*(?:m|metres|meters)?\.?", text.strip().lower())
    if not parts:
        return NAN
    metres = [float(part.replace(",", "")) for part in parts.groups() if part]
    middle = sum(metres) / len(metres)
    return middle if -500 <= middle <= 9000 else NAN


def day_of_year(text: str) -> float:
    """Day 1 … 366 of a date written 2014-01-31 (or with / or .); NaN for anything else."""
    parts = re.fullmatch(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})", text)
    try:
        return float(datetime.date(*map(int, parts.groups())).timetuple().tm_yday) if parts else NAN
    except ValueError:
        return NAN


def hour_of_day(text: str) -> float:
    """Hours 0 … 24 of a time such as 08:30, ~06h15, 9:30 am or 7.15; NaN for anything else."""
    parts = re.search(r"\b(\d{1,2})\s*[:h.]\s*(\d{2})(?:[:.]\d+)?\s*([ap]\.?m\b)?", text.lower().replace("~", " "))
    if not parts:
        return NAN
    hour, minute, half = int(parts.group(1)), int(parts.group(2)), parts.group(3) or ""
    if half:
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    return hour + minute / 60 if hour < 24 and minute < 60 else NAN

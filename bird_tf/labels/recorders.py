"""What recorders note of when and where they recorded: in the file name, in AudioMoth's comment, in GUANO metadata.

No time zone is guessed.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import math
import os
import re
import zoneinfo
from collections.abc import Iterable, Mapping

from bird_tf import config, free_text
from bird_tf.audio import content, wav

# a recorder whose clock was never set begins in 1970 or 2000
_FIRST_YEAR, _LAST_YEAR = 2001, 2069
_DATE = r"(?P<year>20\d\d)(?P<s>[-_.]?)(?P<month>0[1-9]|1[0-2])(?P=s)(?P<day>0[1-9]|[12]\d|3[01])"
_TIME = r"(?P<hour>[01]\d|2[0-3])(?P<t>[-_.:h]?)(?P<minute>[0-5]\d)(?:(?:(?P=t)|[.:m])(?P<second>[0-5]\d))?(?!\d)"
_OTHER_DATE = r"20\d\d(?P<o>[-_.])(?:0[1-9]|1[0-2])(?P=o)(?:0[1-9]|[12]\d|3[01])(?!\d)"
# behind a time without seconds, -0530 is the end of the recording, as in 0500-0530
_ZONE = (
    r"(?:\.\d+)?(?:(?P<gap>[-_ ]?)(?P<half>[AP])\.?M(?![a-z\d]))?"
    r"(?P<zone>Z(?![a-z])|[_ ]?(?:(?:UTC|GMT)(?:[+-]\d{1,2}(?::?\d\d)?)?"
    r"|(?(second)[+-]|\+)(?:\d\d:?|\d:)\d\d(?![\d.])))?"
)
_DATE_AND_TIME = re.compile(
    rf"(?<!\d){_DATE}(?:[-_ T$.]|(?P<birdnet>-birdnet-(?:(?P<stream>RTSP_\d+)-)?))(?!{_OTHER_DATE}){_TIME}{_ZONE}",
    re.IGNORECASE | re.ASCII,
)
# a date alone: with separators, or as the last part of a name, as in 10534_SSW_20170429
_DATE_ALONE = re.compile(rf"(?<!\d)(?=\d{{4}}[-_.]|(?<=_)\d{{8}}$){_DATE}(?!\d)", re.ASCII)
_TIME_ALONE = re.compile(r"(?:^|[_ ])(?P<hour>[01]\d|2[0-3])[-:](?P<minute>[0-5]\d)[-:](?P<second>[0-5]\d)$", re.ASCII)
# abbreviations of zones, which can mean several
_ABBREVIATION = re.compile(
    r"[-_ ]?(?P<zone>CES?T|EES?T|WET|MES?Z|BST|IST|MSK|(?:AC|AE|AK|AW|NZ|[ACEHJKMNP])[SD]T)(?![A-Za-z\d])", re.ASCII
)
# old AudioMoth firmware: the seconds since 1970, in hexadecimal (with a letter, since catalogue numbers have none)
_HEXADECIMAL = re.compile(r"(?=.*[A-F])[0-9A-F]{8}")
# Frontier Labs' recorders write degrees into the name
_PLACE = re.compile(r"(?<![\d.])(?P<latitude>[+-]\d{1,2}\.\d{2,})(?P<longitude>[+-]\d{1,3}\.\d{2,})(?![\d.])", re.ASCII)
# and S before the time of the start, E before that of the end
_START, _END = re.compile(r"(?<![A-Za-z\d])S$", re.ASCII), re.compile(r"_E20\d\d", re.ASCII)
# species and confidence in %, as BirdNET-Go writes them, and BirdNET-Pi
_SURE_DETECTION = re.compile(r".*[^\W\d]_(?:100|\d?\d)p_", re.ASCII)
_DETECTION = re.compile(r".*-(?:100|\d?\d)-", re.ASCII)
# what BirdNET writes before the name when it cuts clips: the confidence, and the clip's number
CONFIDENCE = re.compile(r"^[01]\.\d+_(?P<number>\d{1,4}_(?=.))?", re.ASCII)
# the times of a clip in its recording, as BirdNET and OpenSoundscape write them behind its name
_CLIP = re.compile(r"[-_ ](?P<start>\d{1,6}(?:\.\d+)?)s[-_]\d+(?:\.\d+)?s$", re.IGNORECASE | re.ASCII)
# of firmware 1.0.0, without a zone, and 1.0.1, all recorders tell the same number: an address in their memory
_AUDIOMOTH = re.compile(
    r"Recorded at (?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.\d+)? "
    r"(?P<day>\d\d)/(?P<month>\d\d)/(?P<year>\d{4})(?: \((?P<zone>UTC[^)]*)\)| by AudioMoth)"
    r"(?:.*?\b(?!0FE081F8)(?P<recorder>[0-9A-F]{16})\b)?",
    re.ASCII,
)
# what AudioMoth's app writes in place of that comment when it cuts a recording
_SPLIT = re.compile(r"Split from \S+ as file \d+ of \d+", re.ASCII)
LOST_BY_SPLIT = "AudioMoth's app cut it and left the zone out"
_OFFSET = re.compile(
    r"_?(?:UTC|GMT)?(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>\d\d))?", re.IGNORECASE | re.ASCII
)
_ZONE_BEHIND_TIME = re.compile(r"(?P<time>.*\d:\d.*?) ?(?P<zone>Z|UTC|[+-](?:0\d|1[0-4]):?[0-5]\d)", re.ASCII)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """When and where a recording was made.

    Attributes:
        date: day of its first sample; None if unknown.
        time: time of day of its first sample; with its zone (`tzinfo`) if that is known. None if unknown.
        site: name of the place; empty if unknown.
        latitude, longitude: degrees; NaN if unknown.
        elevation: metres above the sea; NaN if unknown.
        recorder: serial number of the recorder, or the stream that BirdNET-Pi heard; empty if unknown.
        lost_zone: what stands for the zone and cannot be read, such as CEST, or `LOST_BY_SPLIT`; empty otherwise.
    """

    date: datetime.date | None = None
    time: datetime.time | None = None
    site: str = ""
    latitude: float = math.nan
    longitude: float = math.nan
    elevation: float = math.nan
    recorder: str = ""
    lost_zone: str = ""

    @property
    def has_clock(self) -> bool:
        """Whether the date or the time of day is known."""
        return self.date is not None or self.time is not None

    @property
    def start(self) -> datetime.datetime | None:
        """Date and time of the first sample, with the zone if it is known; None if one of the two is unknown."""
        return datetime.datetime.combine(self.date, self.time) if self.date and self.time else None

    @property
    def day_of_year(self) -> float:
        """1 … 366; NaN if unknown."""
        return free_text.day_of_year(self.date)

    @property
    def hour(self) -> float:
        """Hours of the day, 0 … 24; NaN if unknown."""
        return self.time.hour + self.time.minute / 60 + self.time.second / 3600 if self.time else math.nan

    @property
    def utc_offset_hours(self) -> float:
        """What date and time are ahead of UTC; NaN if unknown."""
        offset = self.start.utcoffset() if self.start else None
        return offset.total_seconds() / 3600 if offset is not None else math.nan


def zone(text: str, where: str) -> datetime.tzinfo | None:
    """A time zone: a name as Europe/Berlin, or UTC, Z, UTC+2, -03:30; None for an empty text.

    Raises:
        InputError: there is no such zone; the message begins with `where`.
    """
    text = text.strip()
    if not text:
        return None
    if text.upper().lstrip("_") in ("Z", "UTC", "GMT"):
        return datetime.timezone.utc
    if offset := _OFFSET.fullmatch(text):
        minutes = 60 * int(offset["hours"]) + int(offset["minutes"] or 0)
        if minutes <= 14 * 60:
            return datetime.timezone(datetime.timedelta(minutes=-minutes if offset["sign"] == "-" else minutes))
    try:
        return zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise config.InputError(f"{where}={text}: no such time zone; write one as Europe/Berlin or UTC+2") from error


def without_zone(text: str) -> tuple[str, float]:
    """A time such as 2023-05-01 05:10:20 UTC without its zone, and what it is ahead of UTC, hours; NaN without one."""
    found = _ZONE_BEHIND_TIME.fullmatch(text.strip())
    offset = (zone(found["zone"], "") or datetime.timezone.utc).utcoffset(None) if found else None
    return (found["time"], offset.total_seconds() / 3600) if found and offset is not None else (text, math.nan)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Notes:
    """What a recorder noted of a recording.

    Attributes:
        name: what the file name tells.
        header: what AudioMoth's comment or GUANO metadata tell.
    """

    name: Origin
    header: Origin

    @property
    def origin(self) -> Origin:
        """Both; the header counts more than the name. The site is what stands before the clock, else the recorder."""
        name, header = self.name, self.header
        known = name.has_clock or header.has_clock
        return Origin(
            date=header.date or name.date,
            time=header.time or name.time,
            site=(name.site or header.recorder or name.recorder) if known else "",
            latitude=name.latitude if math.isnan(header.latitude) else header.latitude,
            longitude=name.longitude if math.isnan(header.longitude) else header.longitude,
            elevation=header.elevation,
            recorder=header.recorder or name.recorder,
            lost_zone=header.lost_zone or ("" if header.time else name.lost_zone),
        )

    @property
    def are_apart(self) -> bool:
        """Whether name and header tell times that differ, by a minute or more, otherwise than time zones do."""
        if not (self.name.start and self.header.start):
            return False
        apart = abs(self.name.start.replace(tzinfo=None) - self.header.start.replace(tzinfo=None)).total_seconds()
        return apart > 14 * 3600 + 60 or not -60 < (apart + 450) % 900 - 450 < 60


def read(path: str) -> Notes:
    """Reads what the recorder noted. A file that cannot be opened has only its name."""
    return Notes(name=from_name(os.path.splitext(os.path.basename(path))[0]), header=_from_header(path))


@functools.lru_cache(maxsize=4096)  # the rows of a table name few recordings
def from_name(stem: str) -> Origin:
    """What a file name without suffix tells of the clock and the place; the part before the clock can name the site.

    A clip whose name ends with its times in the recording, as 3.0s_6.0s, begins so much later.
    """
    if _HEXADECIMAL.fullmatch(stem):
        start = datetime.datetime.fromtimestamp(int(stem, 16), datetime.timezone.utc)
        return Origin(date=start.date(), time=start.timetz()) if _is_set(start.date()) else Origin()
    matches: Iterable[re.Match[str] | None] = (p.search(stem) for p in (_DATE_AND_TIME, _DATE_ALONE, _TIME_ALONE))
    found = next((match for match in matches if match), None)
    if found is None:
        return Origin()
    place = _PLACE.search(stem, found.end())
    parts = found.groupdict()
    origin = _moment(parts)
    if origin.start and (clip := _CLIP.search(stem, found.end())):
        start = origin.start + datetime.timedelta(seconds=round(float(clip["start"])))
        origin = Origin(date=start.date(), time=start.timetz())
    if place:
        latitude, longitude = free_text.place(*place.groups())
        origin = dataclasses.replace(origin, latitude=latitude, longitude=longitude)
    unread = _ABBREVIATION.match(stem, found.end())
    lost_zone = unread["zone"] if unread and not parts.get("zone") else ""
    site, stream = _site_before(stem, found), parts.get("stream") or ""
    return dataclasses.replace(origin, site=site, recorder=stream, lost_zone=lost_zone)


def _site_before(stem: str, clock: re.Match[str]) -> str:
    """What stands before the clock of a name, but for signs and what recorders and programs of detections write."""
    prefix = CONFIDENCE.match(stem)
    before = stem[prefix.end() if prefix else 0 : clock.start()]
    if _SURE_DETECTION.fullmatch(before) or (clock.groupdict().get("birdnet") and _DETECTION.fullmatch(before)):
        return ""
    return (_START.sub("", before) if _END.match(stem, clock.end()) else before).strip("-_. ")


def _moment(parts: Mapping[str, str | None]) -> Origin:
    """Date and time of the parts of a match; nothing if the recorder's clock was not set, or there is no such day."""
    date = time = None
    try:
        if parts.get("year"):
            date = datetime.date(*(int(parts[name] or 0) for name in ("year", "month", "day")))
        if parts.get("hour"):
            hour, minute, second = (int(parts[name] or 0) for name in ("hour", "minute", "second"))
            # behind digits alone, _AM and _PM may be another name, as AudioMoth's
            if parts.get("t") or parts.get("gap") in ("", " "):
                hour = _of_day(hour, parts.get("half") or "")
            time = datetime.time(hour, minute, second, tzinfo=zone(parts.get("zone") or "", ""))
    except ValueError:  # what cannot be read is unknown
        return Origin()
    return Origin(date=date, time=time) if date is None or _is_set(date) else Origin()


def _of_day(hour: int, half: str) -> int:
    """The hour of the day for one with A or P of AM or PM."""
    if half.upper() == "P" and hour < 12:
        return hour + 12
    return 0 if half.upper() == "A" and hour == 12 else hour


def _is_set(date: datetime.date) -> bool:
    return _FIRST_YEAR <= date.year <= _LAST_YEAR


def _from_header(path: str) -> Origin:
    """What the recorder wrote into the header: GUANO metadata, else AudioMoth's comment."""
    try:
        texts = _texts(path)
    except OSError:  # the reader of its sound says so
        return Origin()
    if "guan" in texts:
        return _from_guano(texts["guan"])
    comment = texts.get("ICMT", "")
    if _SPLIT.search(comment):
        return Origin(lost_zone=LOST_BY_SPLIT)
    found = _AUDIOMOTH.search(comment)
    if found is None:
        return Origin()
    parts = {**found.groupdict(), "zone": found["zone"] or "UTC"}
    return dataclasses.replace(_moment(parts), recorder=found["recorder"] or "")


def _texts(path: str) -> Mapping[str, str]:
    """The texts in a WAV file. Of another one, its beginning: what was converted keeps the comment among its tags."""
    if path.lower().endswith(wav.SUFFIXES):
        header = wav.read(path)
        return header.texts if header else {}
    if not os.path.isfile(path):  # a pipe would wait for its writer
        return {}
    return {"ICMT": content.beginning(path)}


def _from_guano(text: str) -> Origin:
    """Reads GUANO metadata (guano-md.org, version 1.0): lines `Field: value`."""
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    written, _, other = fields.get("Loc Position", "").partition(" ")
    latitude, longitude = free_text.place(written, other)
    timestamp = re.sub(r"(:[\d.]+ ?[+-]\d\d)$", r"\1:00", fields.get("Timestamp", ""))  # 05:00:00+02, as of ISO 8601
    moment = _DATE_AND_TIME.match(timestamp)
    return dataclasses.replace(
        _moment(moment.groupdict()) if moment else Origin(),
        latitude=latitude,
        longitude=longitude,
        elevation=free_text.elevation(fields.get("Loc Elevation", "")),
        recorder=fields.get("Serial", ""),
        lost_zone=timestamp[moment.end() :].strip() if moment and not moment["zone"] else "",
    )

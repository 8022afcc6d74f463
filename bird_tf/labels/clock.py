"""When and where recordings were made: what tables and metadata files leave open is filled by the recorders' notes.

Times of known zone are changed to the zone of the places. No time zone is guessed.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import math
import os
from collections.abc import Mapping, Sequence
from concurrent import futures

from absl import logging

from bird_tf import config, free_text
from bird_tf.labels import metadata, recorders, sites

# files whose headers are read at once: on a network disk most of the time is waiting
_READERS = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClockConfig:
    """The time zones of recorders."""

    timezone: str = config.option(
        "",
        "time zone of the places, as Europe/Berlin or UTC-4: a recorder's times of known zone are changed to it, for "
        "hours and dates as birds live them; empty: times stay as they were noted",
    )
    recorder_timezone: str = config.option(
        "", "time zone of the clock of recorders that note none, as UTC; empty: that of the places"
    )

    def __post_init__(self) -> None:
        for name in ("timezone", "recorder_timezone"):
            recorders.zone(getattr(self, name), f"--{name}")
        if self.recorder_timezone and not self.timezone:
            raise config.InputError("--recorder_timezone needs --timezone, the time zone of the places")


def read(path: str, root: str, settings: ClockConfig, *, folders_are_sites: bool = True) -> recorders.Origin:
    """Reads when and where a recording was made. What its header says counts more than its name.

    Args:
        path: the recording; a file that cannot be opened has only its name.
        root: the folder in which recordings were searched; the folders between the two can name the site.
        settings: the time zones.
        folders_are_sites: False if the folders have another meaning, such as the species.

    Returns:
        What is known. Folders name a site only if the recorder's clock is known, since then a recorder named the file;
        `fill` knows the other files of the folder, too.
    """
    found = recorders.read(path).origin
    if folders_are_sites:
        [site] = sites.names([metadata.unknown(path)], [found], root)
        found = dataclasses.replace(found, site=site)
    return _in_zone(found, settings)


def fill(
    recordings: Sequence[metadata.Recording],
    root: str,
    settings: ClockConfig,
    *,
    folders_are_sites: bool = True,
    every_folder: bool = False,
) -> list[metadata.Recording]:
    """Fills what is unknown of the date, hour, place and site of recordings from their recorders' notes.

    Dates and hours of known zone are changed to the zone of the places.

    Args:
        recordings: in any order, which is kept.
        root, settings, folders_are_sites: as in `read`.
        every_folder: as in `sites.names`.
    """

    with futures.ThreadPoolExecutor(_READERS) as pool:
        notes = list(pool.map(lambda recording: recorders.read(recording.path), recordings))
    origins = [noted.origin for noted in notes]
    zones = _zones_of_folders(recordings, origins)
    origins = [_of_split(found, zones[_folder(r)]) for r, found in zip(recordings, origins, strict=True)]
    if folders_are_sites:
        named = sites.names(recordings, origins, root, every_folder=every_folder)
        origins = [dataclasses.replace(found, site=site) for found, site in zip(origins, named, strict=True)]
    moved = [_in_zone(found, settings) for found in origins]
    repeated = [_is_repeated(recording, found) for recording, found in zip(recordings, origins, strict=True)]
    of_night = [_is_of_night_before(recording, start) for recording, start in zip(recordings, moved, strict=True)]
    told = [
        _without_clock(recording) if is_repeated or is_of_night else _noted_in_zone(recording, settings)
        for recording, is_repeated, is_of_night in zip(recordings, repeated, of_night, strict=True)
    ]
    filled = [_filled(recording, found) for recording, found in zip(told, moved, strict=True)]
    nights = [
        (recording, start)
        for recording, start, is_repeated, is_of_night in zip(recordings, moved, repeated, of_night, strict=True)
        if is_of_night and not is_repeated
    ]
    _warn_of_nights(nights, len(recordings))
    _warn_of_other_days(told, moved)
    _warn_of_other_times(told, notes)
    _warn_of_lost_zones(told, origins, zones, settings)
    num_universal = sum(recording.utc_offset_hours == 0 for recording in filled)
    if num_universal and not settings.timezone:
        logging.warning(
            "the time of %d of %d recordings is noted as UTC, and used as it is; --timezone=Europe/Berlin (or where "
            "they were) gives the hours and dates of the place", num_universal, len(recordings),
        )  # fmt: skip
    return filled


def _noted_in_zone(recording: metadata.Recording, settings: ClockConfig) -> metadata.Recording:
    """The recording with the date and hour of a table in the zone of the places, if the table tells their zone."""
    start = recording.start
    if start is None or start.tzinfo is None or not settings.timezone:
        return recording
    moved = _in_zone(recorders.Origin(date=start.date(), time=start.timetz()), settings)
    return _filled(_without_clock(recording), moved)


def _without_clock(recording: metadata.Recording) -> metadata.Recording:
    unknown = math.nan
    return dataclasses.replace(recording, date="", day_of_year=unknown, hour=unknown, utc_offset_hours=unknown)


def _is_repeated(recording: metadata.Recording, noted: recorders.Origin) -> bool:
    """Whether all that a table tells of date and hour is what the recorder noted, so that the zone is the same."""
    if noted.date is None or not (recording.date or math.isnan(recording.day_of_year)):
        return False
    same_day = recording.date in ("", noted.date.isoformat())
    same_minute = math.isnan(recording.hour) or abs(recording.hour - noted.hour) < 1 / 60 - 1e-9
    return same_day and same_minute and math.isnan(recording.utc_offset_hours)


def _is_of_night_before(recording: metadata.Recording, origin: recorders.Origin) -> bool:
    """Whether a table without a time tells the day before a recording after midnight: that of the night's evening."""
    if origin.date is None or origin.time is None or origin.time.hour >= 12 or not math.isnan(recording.hour):
        return False
    evening = origin.date - datetime.timedelta(days=1)
    return recording.day_of_year == free_text.day_of_year(evening) and recording.date in ("", evening.isoformat())


def _warn_of_nights(found: Sequence[tuple[metadata.Recording, recorders.Origin]], num_recordings: int) -> None:
    """Warns of dates that are not those of their table."""
    if found:
        recording, origin = found[0]
        logging.warning(
            "the table tells the day before for %d of %d recordings after midnight, as of the evening of their night; "
            "their recorder's date and time count, as of %s (%s)", len(found), num_recordings, recording.path,
            origin.start,
        )  # fmt: skip


def _is_other_day(recording: metadata.Recording, origin: recorders.Origin) -> bool:
    """Whether a table tells another day than the recorder, so that the recorder's time of day is not of that day."""
    if origin.date is None or math.isnan(recording.day_of_year):
        return False
    return recording.day_of_year != origin.day_of_year or recording.date not in ("", origin.date.isoformat())


def _warn_of_other_days(recordings: Sequence[metadata.Recording], origins: Sequence[recorders.Origin]) -> None:
    """Warns of times of day that stay unknown."""
    found = [
        (recording, origin)
        for recording, origin in zip(recordings, origins, strict=True)
        if origin.time and math.isnan(recording.hour) and _is_other_day(recording, origin)
    ]
    if found:
        recording, origin = found[0]
        logging.warning(
            "the time of day of %d of %d recordings stays unknown: their table tells another date than their recorder, "
            "as of %s (%s, not %s); correct the dates or --timezone, or add a column time",
            len(found), len(recordings), recording.path, recording.date, origin.date,
        )  # fmt: skip


def _warn_of_other_times(recordings: Sequence[metadata.Recording], notes: Sequence[recorders.Notes]) -> None:
    """Warns of names that tell another time than the header, as of pieces that kept the header of the whole."""
    known = [(r, n) for r, n in zip(recordings, notes, strict=True) if math.isnan(r.hour) and n.name.start]
    names = collections.defaultdict(set)  # of one header in a folder
    for recording, noted in known:
        names[_folder(recording), noted.header.start].add(noted.name.start)
    found = [
        (recording.path, noted.header.start)
        for recording, noted in known
        if noted.header.start and (noted.are_apart or len(names[_folder(recording), noted.header.start]) > 1)
    ]
    if found:
        logging.warning(
            "the names of %d of %d recordings tell another time than their headers, which count, as %s (%s); if they "
            "were cut or renamed, tell their times in a table", len(found), len(recordings), *found[0],
        )  # fmt: skip


def _folder(recording: metadata.Recording) -> str:
    return os.path.dirname(recording.path)


def _zones_of_folders(
    recordings: Sequence[metadata.Recording], noted: Sequence[recorders.Origin]
) -> dict[str, set[datetime.timedelta]]:
    """{folder: what the times that recorders noted in it are ahead of UTC, where they noted it}."""
    found: dict[str, set[datetime.timedelta]] = collections.defaultdict(set)
    for recording, origin in zip(recordings, noted, strict=True):
        offset = origin.start.utcoffset() if origin.start else None
        found[_folder(recording)] |= set() if offset is None else {offset}
    return found


def _of_split(origin: recorders.Origin, zones: set[datetime.timedelta]) -> recorders.Origin:
    """A recording that AudioMoth's app cut has the zone of all others in its folder, if they have one."""
    if origin.time is None or origin.time.tzinfo or origin.lost_zone != recorders.LOST_BY_SPLIT or len(zones) != 1:
        return origin
    return dataclasses.replace(origin, time=origin.time.replace(tzinfo=datetime.timezone(min(zones))))


def _warn_of_lost_zones(
    recordings: Sequence[metadata.Recording],
    noted: Sequence[recorders.Origin],
    zones: Mapping[str, set[datetime.timedelta]],
    settings: ClockConfig,
) -> None:
    """Warns of times that are taken for those of the places, although their recorders note a zone."""
    lost = [
        (recording.path, origin.lost_zone or "others in its folder note one")
        for recording, origin in zip(recordings, noted, strict=True)
        if origin.start and origin.start.tzinfo is None and math.isnan(recording.hour)
        and (origin.lost_zone or zones[_folder(recording)])
    ]  # fmt: skip
    if lost and settings.timezone and not settings.recorder_timezone:
        logging.warning(
            "the time zone of %d of %d recordings is not known, as of %s (%s); their times are taken for those of the "
            "places: if they are not, say --recorder_timezone", len(lost), len(recordings), *lost[0],
        )  # fmt: skip


def _filled(recording: metadata.Recording, origin: recorders.Origin) -> metadata.Recording:
    changes: dict[str, object] = {}
    other_day = _is_other_day(recording, origin)
    if origin.date and not recording.date and not other_day:
        changes.update(date=origin.date.isoformat(), day_of_year=origin.day_of_year)
    if math.isnan(recording.hour) and not other_day:
        changes.update(hour=origin.hour, utc_offset_hours=origin.utc_offset_hours)
    if math.isnan(recording.latitude) and math.isnan(recording.longitude):
        changes.update(latitude=origin.latitude, longitude=origin.longitude)
    if math.isnan(recording.elevation):
        changes["elevation"] = origin.elevation
    if not recording.site:
        changes["site"] = origin.site
    return dataclasses.replace(recording, **changes)  # type: ignore[arg-type]


def _in_zone(origin: recorders.Origin, settings: ClockConfig) -> recorders.Origin:
    """Changes date and time to the zone of the places. A time without a zone has that of the recorder's clock."""
    place = recorders.zone(settings.timezone, "--timezone")
    start = origin.start
    if place is None or start is None:
        return origin
    if start.tzinfo is None:
        start = start.replace(tzinfo=recorders.zone(settings.recorder_timezone, "--recorder_timezone") or place)
    start = start.astimezone(place)
    # a time of day alone cannot tell the offset of a named zone, so it keeps that of its date
    fixed = datetime.timezone(start.utcoffset() or datetime.timedelta())
    return dataclasses.replace(origin, date=start.date(), time=start.time().replace(tzinfo=fixed))

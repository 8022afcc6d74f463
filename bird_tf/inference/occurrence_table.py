"""A table of the frequencies of species, by place and week of the year."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence

import numpy as np
from absl import logging

from bird_tf import config
from bird_tf.labels import given_table, metadata, taxonomy
from bird_tf.scores import prior

# The weeks of a year: 52 of seven days from 1 January on, the last one longer; or 48, four a month, of which the last
# begins on the 22nd, as BirdNET and eBird count.
YEARS = (48, 52)
_MOST_FREQUENCIES = 100_000_000  # 800 MB

_FAR_KILOMETRES = 500  # where other birds live

# a place, its week (0: the whole year), the index of a class ([] if the model lacks it), its frequency
_Row = tuple[tuple[float, float], int, list[int], float]


def week_of(recording: metadata.Recording, num_weeks: int) -> int | None:
    """The week of a recording, 0 … num_weeks − 1; None if its day is unknown.

    Args:
        recording: with its day of the year, which is taken for one of a common year if it has no date.
        num_weeks: one of `YEARS`.
    """
    if math.isnan(recording.day_of_year):
        return None
    if num_weeks == 52:
        return min(51, int(recording.day_of_year - 1) // 7)
    if recording.date:
        day = datetime.date.fromisoformat(recording.date)
    else:
        day = datetime.date(2023, 1, 1) + datetime.timedelta(days=min(364, int(recording.day_of_year) - 1))
    return 4 * (day.month - 1) + min(3, (day.day - 1) // 7)


class Table:
    """The frequencies of species, by place and week.

    Attributes:
        places: [places, 2] latitude, longitude.
        frequencies: [places, weeks, classes] in [0, 1]; NaN for weeks that are not in the table.
    """

    def __init__(self, path: str, classes: taxonomy.Taxonomy, num_weeks: int = 0) -> None:
        """Reads a CSV with the columns latitude, longitude, week, class_id, frequency.

        Args:
            path: the table.
            classes: of the model.
            num_weeks: one of `YEARS`; 0: 48 if the last week of the table is 48, else 52.

        Raises:
            InputError: other columns, a value that is not a number or out of range, two frequencies of one species at a
                place and week, or no class of the model.
        """
        rows = _read(path, classes, num_weeks or max(YEARS))
        last = max((week for _, week, _, _ in rows), default=0)
        if not num_weeks:
            num_weeks = 48 if last == 48 else 52
            if num_weeks == 48:
                logging.info(
                    "--occurrence=%s: its last week is 48, so a month has four weeks (--occurrence_weeks)", path
                )
        places = {place: number for number, place in enumerate(dict.fromkeys(place for place, _, _, _ in rows))}
        shape = (len(places), num_weeks, len(classes))
        if math.prod(shape) > _MOST_FREQUENCIES:
            raise config.InputError(
                f"--occurrence={path}: {len(places)} places, {num_weeks} weeks and {len(classes)} classes are more "
                f"than {_MOST_FREQUENCIES} frequencies; leave out places that are far away"
            )
        found = np.full(shape, np.nan)
        for place, week, index, frequency in sorted(rows, key=lambda row: row[1]):  # a week overrides the year
            weeks = slice(None) if not week else slice(week - 1, week)
            year = found[places[place]]
            year[weeks] = np.nan_to_num(year[weeks])  # species that the week does not list: 0
            year[weeks, index] = frequency
        if not any(index for _, _, index, _ in rows):
            raise config.InputError(f"--occurrence={path}: no row is of a class of the model")
        self.places = np.array(list(places))
        self.frequencies = found
        self._is_far = False  # whether a recording was far from all places, which is told once
        self._warn_of_gaps(path)

    def _warn_of_gaps(self, path: str) -> None:
        """Says which weeks of a place have no row, if others have."""
        missing = np.isnan(self.frequencies[:, :, 0])
        for (latitude, longitude), weeks in zip(self.places, missing, strict=True):
            if weeks.any():
                more = f" (and {missing.any(axis=1).sum() - 1} more places)" if missing.any(axis=1).sum() > 1 else ""
                logging.warning(
                    "--occurrence=%s: at %g, %g%s there is no row for week %s; such a week gets the mean of its "
                    "neighbours, and without them the highest value of the year",
                    path, latitude, longitude, more, _spans(np.flatnonzero(weeks) + 1),
                )  # fmt: skip
                return

    def at(self, recording: metadata.Recording) -> np.ndarray | None:
        """[classes] frequencies at the nearest place: the mean of the week, the one before and the one after.

        Without a date, or if none of those weeks is in the table: the maximum over the year. None if the place of the
        recording is unknown and the table has several places.
        """
        distances = prior.kilometres(recording.latitude, recording.longitude, *self.places.T)
        if np.isnan(distances).any() and len(self.places) > 1:
            return None
        if not self._is_far and distances.min() > _FAR_KILOMETRES:  # not so for NaN
            self._is_far = True
            logging.warning(
                "%s: its place, %g, %g, is %.0f km from the nearest place of --occurrence, whose frequencies it gets; "
                "is one of them wrong?", recording.path, recording.latitude, recording.longitude, distances.min(),
            )  # fmt: skip
        year = self.frequencies[0 if len(self.places) == 1 else int(np.argmin(distances))]
        known, week = ~np.isnan(year[:, 0]), week_of(recording, len(year))
        if week is not None:
            around = np.array([week - 1, week, (week + 1) % len(year)])
            if known[around].any():
                return np.asarray(np.nanmean(year[around], axis=0))
        return np.asarray(np.nanmax(year, axis=0))


def _read(path: str, classes: taxonomy.Taxonomy, num_weeks: int) -> list[_Row]:
    """The rows of a table. Raises InputError for one that cannot be read."""
    rows: list[_Row] = []
    known: dict[tuple[tuple[float, float], int, int], tuple[float, int]] = {}  # to frequency and line
    for row in given_table.read(path, "occurrence", ("latitude", "longitude", "week", "class_id", "frequency")):
        place = (row.number("latitude", -90, 90), row.number("longitude", -180, 180))
        week, frequency = row.count("week", 0), row.number("frequency", 0, 1)
        if week > num_weeks or math.isnan(place[0] + place[1] + frequency):
            raise row.error(f"need latitude, longitude, frequency, and a week from 1 to {num_weeks} or none")
        name = row.text("class_id")
        indices = classes.resolve([name])
        for index in indices:
            other, line = known.setdefault((place, week, index), (frequency, row.line))
            if other != frequency:
                raise row.error(f"{name} has another frequency at this place and week in line {line} already")
        rows.append((place, week, indices, frequency))
    return rows


def _spans(numbers: Sequence[int] | np.ndarray) -> str:
    """Rising numbers in words: 1–3, 7."""
    spans: list[list[int]] = []
    for number in map(int, numbers):
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(f"{first}–{last}" if last > first else str(first) for first, last in spans)

"""A survey → summary.html: one page with everything in it, readable without a network, on a desk or a phone.

Layout and texts are in templates/. This module prepares the values for them.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence

from bird_tf.evaluation import pages
from bird_tf.scores import density
from bird_tf.surveys import tally

# so many dates fit below a heat map on a phone
_MAX_TICKS = 3
# at the edges of the hours
_HOUR_TICKS = ("00", "06", "12", "18", "24")
_FAINTEST = 0.15
# a longer survey shows only the days with recordings
_MAX_DAYS = 400


@dataclasses.dataclass(frozen=True, kw_only=True)
class _HeatCell:
    """One cell of a heat map: its column, how dark it is in (0, 1], and what it says when touched."""

    column: int
    opacity: float
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class _HeatRow:
    """One species: the darkest cell is its highest rate."""

    name: str
    total: int
    cells: list[_HeatCell]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _HeatMap:
    """Species by hour or day.

    Attributes:
        title: what the columns are.
        columns: their names.
        ticks: those that are written below.
        silent: the columns without a recording.
        rows: the species.
    """

    title: str
    columns: Sequence[str]
    ticks: Sequence[str]
    silent: list[int]
    rows: list[_HeatRow]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Species:
    """What was found of one species."""

    name: str
    class_id: str
    detections: int
    recordings: int
    sites: int
    days: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Site:
    """What was recorded and found at one site."""

    name: str
    days: int
    hours: float
    detections: int
    species: int


def render(title: str, survey: tally.Survey, densities: Mapping[int, density.Density]) -> str:
    """The page; `densities` {class index: its call density} may be empty."""
    days, hours = survey.hours(lambda cell: cell.date), survey.hours(tally.hour_name)
    maps = []
    if set(hours) - {""}:
        columns = [f"{hour:02d}" for hour in range(24)]
        maps.append(_heat_map("hour of the day", survey, tally.hour_name, columns, hours, _HOUR_TICKS))
    if set(days) - {""}:
        dates = _calendar([day for day in days if day])
        maps.append(_heat_map("day", survey, lambda cell: cell.date, dates, days, _ticks(dates)))
    figures = {
        "recordings": survey.num_recordings, "hours": f"{sum(days.values()):.1f}",
        "sites": len({cell.site for cell in survey.effort if cell.site}), "days": len(set(days) - {""}),
        "species": len(survey.species), "detections": survey.detections.total(),
    }  # fmt: skip
    return pages.render(
        "summary.html.j2",
        title=title,
        figures=figures,
        maps=maps,
        num_universal=survey.num_universal,
        has_ids=survey.classes.class_ids != survey.classes.names,
        species=_species(survey),
        sites=_sites(survey),
        densities=[(survey.classes.names[index], found) for index, found in densities.items()],
    )


def _heat_map(
    title: str, survey: tally.Survey, part: Callable[[tally.Cell], str], columns: Sequence[str],
    hours: dict[str, float], ticks: Sequence[str],
) -> _HeatMap:  # fmt: skip
    """Detections for each recorded hour, by species and column."""
    sums, rows = survey.by(part, survey.detections), []
    for index in survey.species:
        counts = {column: sums[index][column] for column in columns if sums[index][column]}
        rates = {column: count / hours[column] for column, count in counts.items()}
        cells = [
            _HeatCell(
                column=columns.index(column),
                opacity=_FAINTEST + (1 - _FAINTEST) * rate / max(rates.values()),
                text=f"{column}: {counts[column]} in {hours[column]:.2f} h",
            )
            for column, rate in rates.items()
        ]
        rows.append(_HeatRow(name=survey.classes.names[index], total=sum(counts.values()), cells=cells))
    silent = [i for i, column in enumerate(columns) if not hours.get(column)]
    return _HeatMap(title=title, columns=columns, ticks=ticks, silent=silent, rows=rows)


def _ticks(columns: Sequence[str]) -> list[str]:
    """The columns that are written below a heat map."""
    step = max(1, -(-(len(columns) - 1) // (_MAX_TICKS - 1)))
    ticks = [*columns[:-1:step], columns[-1]] if len(columns) > 1 else list(columns)
    return ticks[-_MAX_TICKS:]


def _calendar(days: Sequence[str]) -> list[str]:
    """All days from the first to the last of the rising `days`, so that gaps show; of a long survey only `days`."""
    first, last = datetime.date.fromisoformat(days[0]), datetime.date.fromisoformat(days[-1])
    count = (last - first).days + 1
    if count > _MAX_DAYS:
        return list(days)
    return [(first + datetime.timedelta(days=i)).isoformat() for i in range(count)]


def _species(survey: tally.Survey) -> list[_Species]:
    detections = collections.Counter[int]()
    cells: dict[int, set[tally.Cell]] = collections.defaultdict(set)
    for cell, index in {*survey.detections, *survey.present}:
        detections[index] += survey.detections[cell, index]
        cells[index].add(cell)
    return [
        _Species(
            name=survey.classes.names[index],
            class_id=survey.classes.class_ids[index],
            detections=detections[index],
            recordings=survey.num_present[index],
            sites=len({cell.site for cell in cells[index] if cell.site}),
            days=len({cell.date for cell in cells[index] if cell.date}),
        )
        for index in survey.species
    ]


def _sites(survey: tally.Survey) -> list[_Site]:
    detections: collections.Counter[str] = collections.Counter()
    species: dict[str, set[int]] = collections.defaultdict(set)
    for counts in (survey.detections, survey.present):
        for cell, index in counts:
            species[cell.site].add(index)
    for (cell, _), count in survey.detections.items():
        detections[cell.site] += count
    return [
        _Site(
            name=site,
            days=len({cell.date for cell in survey.effort if cell.site == site and cell.date}),
            hours=hours,
            detections=detections[site],
            species=len(species[site]),
        )
        for site, hours in survey.hours(lambda cell: cell.site).items()
    ]

"""The Macaulay Library's CSV export; files are named ML123 or 123."""

from __future__ import annotations

import dataclasses
import re

from bird_tf import free_text
from bird_tf.labels import label_cells, texts
from bird_tf.labels.tables import columns, file_format, rows

_NUMBERS = ("ml catalog number", "catalog number", "catalog id", "asset id", "ml catalogue number")
_WHAT = (
    "scientific name", "common name", "background species", "recordist", "date", "year", "month", "day", "time",
    "latitude", "longitude", "locality", "elevation",
)  # fmt: skip


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether it has the columns of such an export."""
    names = columns.positions(document).keys()
    return "scientific name" in names and not names.isdisjoint(_NUMBERS)


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the recordings. An empty cell of background species can mean that nobody has noted them."""
    position = columns.positions(document)
    found = {what: (position[what],) for what in _WHAT if what in position}
    found["number"] = next((position[name],) for name in _NUMBERS if name in position)
    lines = [(line, columns.cells_of(cells, found)) for line, cells in document.lines[1:]]
    order = free_text.order_of_dates(cells.get("date", "") for _, cells in lines)
    return [_row(rows.where(document, line), cells, options, order) for line, cells in lines]


def _row(where: str, cells: dict[str, str], options: rows.Options, order: str) -> rows.Row:
    numbers = rows.names(cells["number"].upper().removeprefix("ML"))
    listed, known = label_cells.background(cells.get("background species", ""))
    parts = [cells.get(part, "").zfill(2) for part in ("year", "month", "day")]
    about = rows.described(
        date=cells.get("date", "") or "-".join(parts),
        time=re.sub(r"^(\d{1,2})(\d\d)$", r"\1:\2", cells.get("time", ""), flags=re.ASCII),
        latitude=cells.get("latitude", ""),
        longitude=cells.get("longitude", ""),
        elevation=cells.get("elevation", ""),
        order=order,
    )
    row = rows.Row(
        where=where,
        catalogue_numbers=tuple(name for number in numbers for name in (f"ML{number}", number)),
        about=dataclasses.replace(
            about,
            name=cells["scientific name"],
            author=cells.get("recordist", ""),
            site=cells.get("locality", ""),
            background=listed,
            background_known=known,
        ),
        common=cells.get("common name", ""),
        problem="" if numbers else "it has no catalogue number",
    )
    return rows.labelled(row, cells["scientific name"], options)


FORMAT = file_format.Format(
    name="Macaulay Library export",
    suffixes=(".csv",),
    recognise=recognise,
    read=read,
    has_header=True,
    taken={
        "label": ("scientific name",), "name": ("scientific name",), "background": ("background species",),
        "author": ("recordist",), "site": ("locality",), "latitude": ("latitude",), "longitude": ("longitude",),
        "elevation": ("elevation",), "date": ("date",), "time": ("time",), "present": (),
    },
)  # fmt: skip

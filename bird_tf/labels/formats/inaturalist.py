"""iNaturalist's CSV export of observations; files are named by the number of the sound or of the observation."""

from __future__ import annotations

import dataclasses
import math
import os

from bird_tf import free_text
from bird_tf.labels import recorders, texts
from bird_tf.labels.tables import columns, file_format, rows

_WHAT = (
    "id", "sound url", "url", "scientific name", "taxon name", "latitude", "longitude", "observed on",
    "time observed at", "user login", "place guess",
)  # fmt: skip


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether it has the columns of such an export."""
    names = columns.positions(document).keys()
    return {"id", "scientific name"} <= names and bool({"observed on", "sound url", "quality grade"} & names)


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the observations. The species of the background are not noted there."""
    position = columns.positions(document)
    found = {what: (position[what],) for what in _WHAT if what in position}
    lines = [(line, columns.cells_of(cells, found)) for line, cells in document.lines[1:]]
    order = free_text.order_of_dates(cells.get("observed on", "") for _, cells in lines)
    return [_row(rows.where(document, line), cells, options, order) for line, cells in lines]


def _row(where: str, cells: dict[str, str], options: rows.Options, order: str) -> rows.Row:
    sound = os.path.splitext(cells.get("sound url", "").partition("?")[0].rpartition("/")[2])[0]
    # the date is that of the observer, the time is UTC: where both are known, the date is that of the time, too
    time, offset = recorders.without_zone(cells.get("time observed at", ""))
    about = rows.described(
        date=cells.get("observed on", "") if math.isnan(offset) else time,
        time=time,
        latitude=cells.get("latitude", ""),
        longitude=cells.get("longitude", ""),
        order=order,
    )
    row = rows.Row(
        where=where,
        catalogue_numbers=tuple(filter(None, (sound, *rows.names(cells["id"])))),
        about=dataclasses.replace(
            about,
            name=cells["scientific name"],
            author=cells.get("user login", ""),
            site=cells.get("place guess", ""),
            utc_offset_hours=offset,
        ),
    )
    return rows.labelled(row, cells["scientific name"], options)


FORMAT = file_format.Format(
    name="iNaturalist export",
    suffixes=(".csv",),
    recognise=recognise,
    read=read,
    has_header=True,
    taken={
        "label": ("scientific name",), "name": ("scientific name",), "author": ("user login",),
        "site": ("place guess",), "latitude": ("latitude",), "longitude": ("longitude",), "date": ("observed on",),
        "time": ("time observed at",), "present": (),
    },
)  # fmt: skip

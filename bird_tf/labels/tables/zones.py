"""Time zones in tables, which are not used: times count as those of the place."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from absl import logging

from bird_tf.labels import recorders, texts
from bird_tf.labels.tables import columns

_COLUMNS = frozenset(("timezone", "time zone", "tz", "utc offset"))
_RANGE = re.compile(r"(?:.*[^\d:])?\d{1,2}:\d\d ?-\d\d:?\d\d")  # 05:00-06:00 tells when it ends

_LONGEST = 40  # characters of a time


def warn(document: texts.Document, found: Mapping[str, Sequence[int]]) -> None:
    """Warns of columns with time zones, and of zones behind times, if the table tells times of the day.

    Args:
        document: the table.
        found: as of `columns.find`.
    """
    of_days, of_hours = (columns.by_row(document, found.get(what, ())) for what in ("date", "time"))
    times = {where: cell for where, cell in of_days.items() if ":" in cell}
    times |= {where: cell for where, cell in of_hours.items() if cell}  # they count more
    if not times:
        return
    unused = [name for name in columns.unused(document, found) if columns.normal(name) in _COLUMNS]
    if named := [name for name in unused if any(columns.down(document, [document.header.index(name)]))]:
        logging.warning("%s: %s is not used: its times count as those of the place", document.path, " and ".join(named))
    if zoned := [(where, cell) for where, cell in times.items() if _has_zone(cell)]:
        logging.warning(
            "%d times have a zone, which is not used: they count as those of the place; the first: %s (%r)",
            len(zoned), zoned[0][0], zoned[0][1][:40],
        )  # fmt: skip


def _has_zone(cell: str) -> bool:
    return len(cell) <= _LONGEST and not _RANGE.fullmatch(cell) and not math.isnan(recorders.without_zone(cell)[1])

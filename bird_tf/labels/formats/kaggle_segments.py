"""Kaggle's labels of soundscapes in 2020 and 2021: a row for each five seconds, with the birds divided by blanks."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping

from bird_tf import free_text
from bird_tf.labels import texts
from bird_tf.labels.tables import columns, file_format, rows

_SECONDS = 5.0
_NONE = "nocall"
_WHAT = ("row id", "audio id", "site", "seconds", "birds", "filename")


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether it has the columns of such a table, of which one numbers the segments, or one has `nocall` for none."""
    names = columns.positions(document)
    if not {"seconds", "birds"} <= names.keys():
        return False
    if {"row id", "filename seconds"} & names.keys():
        return True
    birds = names["birds"]
    return "filename" in names and any(_NONE in line[birds : birds + 1] for _, line in document.lines[1:])


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the segments. `seconds` is the end of one; `row_id` is the beginning of the file's name, and the end.

    A row is not used if it tells two ends, while other rows tell the same one twice.
    """
    position = columns.positions(document)
    found = {what: (position[what],) for what in _WHAT if what in position}
    lines = [(line, columns.cells_of(texts_of_line, found)) for line, texts_of_line in document.lines[1:]]
    has_ends = any(_end_in_id(cells) == free_text.seconds(cells["seconds"]) for _, cells in lines)
    read_rows = []
    for line, cells in lines:
        head, _, tail = cells.get("row id", "").rpartition("_")
        end = free_text.seconds(cells["seconds"])
        row = rows.Row(
            where=rows.where(document, line),
            files=(cells["filename"],) if cells.get("filename") else (),
            catalogue_numbers=(head,) if head and not cells.get("filename") else (),
            about=dataclasses.replace(rows.NOTHING, site=cells.get("site", ""), background_known=True),
        )
        if re.search("[A-Z][a-z]", cells["birds"]):  # which blanks would divide into words
            row = dataclasses.replace(row, problem=f"its birds {cells['birds'][:40]!r} are no codes divided by blanks")
        else:
            row = rows.labelled(row, cells["birds"].replace(" ", ";"), options)
        row = rows.spanned(row, f"{end - _SECONDS:.3f}", cells["seconds"])
        if has_ends and abs(_end_in_id(cells) - end) > 0:
            problem = f"its row_id ends in {tail}, and seconds are {cells['seconds']}: correct one of them"
            row = dataclasses.replace(row, problem=row.problem or problem)
        read_rows.append(row)
    return read_rows


def _end_in_id(cells: Mapping[str, str]) -> float:
    """The end of a segment, as `row_id` tells it; NaN if it does not."""
    return free_text.number(cells.get("row id", "").rpartition("_")[2], limit=math.inf)


FORMAT = file_format.Format(
    name="Kaggle table of segments",
    suffixes=(".csv",),
    recognise=recognise,
    read=read,
    has_header=True,
    taken={"file": ("filename",), "label": ("birds",), "end": ("seconds",), "site": ("site",), "present": ()},
)

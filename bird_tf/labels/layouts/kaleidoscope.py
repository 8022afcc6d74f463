"""Kaleidoscope's id.csv, meta.csv and cluster.csv: a row for each detection, with OFFSET and DURATION."""

from __future__ import annotations

import math

from bird_tf import config, free_text
from bird_tf.labels import texts
from bird_tf.labels.layouts import columns, csv_table, rows

NAME = "Kaleidoscope table"
SUFFIXES = (".csv", ".txt")
# A person's answer counts more than the program's.
_LABELS = ("manual id", "top1match", "auto id", "scientific name", "common name")
_FIXED = ("indir", "folder", "in file", "offset", "duration", "top1dist", "match ratio", "confidence", "manual id")


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether it has the columns of such a table."""
    return {"in file", "offset"} <= {columns.normal(name) for name in document.header}


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the rows. NoID is something without a name, Noise a negative.

    The columns FOLDER and IN FILE name the recording, INDIR the folder of all on the machine that wrote the table. DATE
    and TIME are of the detection, or of the recording, so they are not used.

    Raises:
        InputError: the table lacks a column that --columns gives, or one with the species.
    """
    position = {columns.normal(name): (i,) for i, name in reversed(list(enumerate(document.header)))}
    given = columns.find(document, options.columns) if options.columns else {}
    labels = tuple(position[name][0] for name in _LABELS if name in position)
    if "label" in columns.given_for(document, options.columns):
        labels = given["label"]
    if not labels:
        raise config.InputError(
            f"{document.path}: which column holds the species? it has {', '.join(document.header)}; "
            "say --columns=label=NAME"
        )
    found = {what: position[what] for what in _FIXED if what in position} | {"label": labels}
    read_rows = []
    for line, texts_of_line in document.lines[1:]:
        cells = csv_table.cells_of(texts_of_line, found)
        parts = [cells.get(what, "") for what in ("indir", "folder", "in file")]
        names = ["/".join(filter(None, parts[i:])) for i in (1, 0)]
        row = rows.Row(
            where=rows.where(document, line),
            files=tuple(names if parts[1] else reversed(names)),  # the one with a folder first
            score=math.nan if cells.get("manual id") else _score(cells),
            about=rows.COMPLETE,
        )
        row = rows.labelled(row, cells["label"], options)
        read_rows.append(rows.spanned(row, cells["offset"], cells.get("duration", ""), is_duration=True))
    return read_rows


def _score(cells: dict[str, str]) -> float:
    """Its confidence. TOP1DIST is the distance of a cluster, 0 for the best."""
    for what in ("match ratio", "confidence"):
        if what in cells:
            return rows.read_score(cells[what])
    return 1 - free_text.number(cells.get("top1dist", ""), limit=10)

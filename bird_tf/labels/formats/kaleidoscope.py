"""Kaleidoscope's id.csv, meta.csv and cluster.csv: a row for each detection, with OFFSET and DURATION."""

from __future__ import annotations

import dataclasses
import re

from absl import logging

from bird_tf import free_text
from bird_tf.labels import texts
from bird_tf.labels.tables import columns, file_format, rows

# A person's answer counts more than the program's.
_LABELS = ("manual id", "top1match", "auto id", "scientific name", "common name")
_FIXED = (
    "indir",
    "folder",
    "in file",
    "offset",
    "duration",
    "top1dist",
    "match ratio",
    "confidence",
    "manual id",
    "channel",
)
_SCORES = ("score", "match ratio", "confidence")
_USUAL = ("date", "time", "hour", "date 12", "time 12", "hour 12")

# as the program calls its clusters until a person renames them
_CLUSTER = re.compile(r"(?:.*[\W_])?cluster[\W_]*\d+(?:[\W_].*)?", re.IGNORECASE)


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether it has the columns of such a table."""
    return {"in file", "offset"} <= columns.positions(document).keys()


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the rows. NoID and the number of a cluster are something without a name, Noise a negative.

    Where a person has begun to fill MANUAL ID, what the program alone says was not reviewed, and is not used.

    The columns FOLDER and IN FILE name the recording, INDIR the folder of all on the machine that wrote the table. DATE
    and TIME are of the detection, or of the recording, so they are not used. CHANNEL counts from 0.

    Raises:
        InputError: the table lacks a column that --columns gives, or one with the species.
    """
    found = _columns(document, options)
    if "label" not in found:
        raise columns.lacks(document, "label", "the species")
    if len(document.lines) == 1:
        return rows.nothing_found(document.path)
    is_given = "label" in columns.given_for(document, options.columns)
    manual = found.get("manual id", ())
    has_begun = not is_given and any(columns.down(document, manual))
    of_score = next((what for what in _SCORES if what in found), "")
    in_percent = columns.is_in_percent(document, found.get(of_score, ()))
    read_rows, clusters, not_reviewed = [], [], []
    for line, texts_of_line in document.lines[1:]:
        cells = columns.cells_of(texts_of_line, found)
        parts = [cells.get(what, "") for what in ("indir", "folder", "in file")]
        names = ["/".join(filter(None, parts[i:])) for i in (1, 0)]
        row = rows.Row(
            where=rows.where(document, line),
            files=tuple(names if parts[1] else reversed(names)),  # the one with a folder first
            channel=rows.read_channel(cells.get("channel", ""), first=0),
            about=rows.COMPLETE,
        )
        if of_score == "score" or (of_score and not cells.get("manual id")):
            row = rows.scored(row, cells[of_score], in_percent=in_percent)
        elif not cells.get("manual id"):  # the distance of a cluster, 0 for the best
            row = dataclasses.replace(row, score=1 - free_text.number(cells.get("top1dist", ""), limit=10))
        label = cells["label"]
        if not (is_given or cells.get("manual id")) and _CLUSTER.fullmatch(label):
            clusters.append(label)
            label = "?"
        row = rows.labelled(row, label, options)
        if has_begun and not cells["manual id"] and row.labels.species:
            not_reviewed.append(row.where)
            row = rows.unsure(row)
        read_rows.append(rows.spanned(row, cells["offset"], cells.get("duration", ""), is_duration=True))
    if clusters:
        logging.warning(
            "%s: %d detections have no MANUAL ID and the name of a cluster, as %s: they are not used, and are no noise",
            document.path, len(clusters), clusters[0],
        )  # fmt: skip
    if not_reviewed:
        both = ",".join(document.header[i].rstrip("*") for i in found["label"])
        logging.warning(
            "%d detections are not used: their MANUAL ID is empty, and that of others is filled, the "
            "first: %s; if they count all the same, say '--columns=label=%s'", len(not_reviewed), not_reviewed[0], both,
        )  # fmt: skip
    return read_rows


def unused_columns(document: texts.Document, options: rows.Options) -> tuple[str, ...]:
    """The names of the columns that are not used, without those that every table has."""
    found = _columns(document, options)
    return tuple(name for name in columns.unused(document, found) if columns.normal(name) not in _USUAL)


def _columns(document: texts.Document, options: rows.Options) -> dict[str, tuple[int, ...]]:
    """{what: positions} of the columns that are used; `label` stands for the names of the species.

    Raises:
        InputError: the table lacks a column that --columns gives.
    """
    position = columns.positions(document)
    given = columns.given_for(document, options.columns)
    found: dict[str, tuple[int, ...]] = {what: (position[what],) for what in _FIXED if what in position}
    if labels := tuple(position[name] for name in _LABELS if name in position):
        found["label"] = labels
    if given:
        told = columns.find(document, options.columns)
        found |= {what: told[what] for what in ("label", "score") if what in given}
    return found


FORMAT = file_format.Format(
    name="Kaleidoscope table",
    suffixes=(".csv", ".txt"),
    recognise=recognise,
    read=read,
    has_header=True,
    taken={
        "label": (), "score": (), "present": (), "file": ("in file",), "start": ("offset",), "end": ("duration",),
        "duration": ("duration",),
    },
    unused_columns=unused_columns,
)  # fmt: skip

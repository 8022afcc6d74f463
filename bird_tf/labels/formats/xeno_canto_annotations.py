"""Xeno-canto's annotation sets: JSON with the spans of species in recordings that are named by their number."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from bird_tf.labels import texts
from bird_tf.labels.formats import xeno_canto
from bird_tf.labels.tables import file_format, rows


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether it holds a list of annotations. Raises InputError if it is not JSON."""
    return bool(_sets(document.json))


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the annotations. One without a scientific name is something without a name."""
    found = []
    for annotation_set in _sets(document.json):
        for position, entry in enumerate(annotation_set["annotations"], 1):
            where = f"{document.path}, annotation {position}"
            if isinstance(entry, dict):
                found.append(_row(where, entry, xeno_canto.text(annotation_set, "xc_nr"), options))
            else:
                found.append(rows.Row(where=where, problem="it is not an annotation"))
    return found


def _sets(content: Any) -> list[Mapping[str, Any]]:
    parts = content if isinstance(content, list) else [content]
    return [part for part in parts if isinstance(part, dict) and isinstance(part.get("annotations"), list)]


def _row(where: str, entry: Mapping[str, Any], number_of_set: str, options: rows.Options) -> rows.Row:
    number = (xeno_canto.text(entry, "xc_nr") or number_of_set).upper().removeprefix("XC")
    row = rows.Row(where=where, catalogue_numbers=(f"XC{number}", number) if number else ())
    row = rows.labelled(row, xeno_canto.text(entry, "scientific_name") or "?", options)
    return rows.spanned(
        dataclasses.replace(row, about=rows.COMPLETE),
        xeno_canto.text(entry, "start_time"),
        xeno_canto.text(entry, "end_time"),
    )


FORMAT = file_format.Format(
    name="xeno-canto annotation set",
    suffixes=(".json",),
    recognise=recognise,
    read=read,
    taken={},
)

"""What xeno-canto's API answers: JSON pages of recordings, whose files are named XC123.mp3, 123.mp3 or the like."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from bird_tf import free_text
from bird_tf.labels import texts
from bird_tf.labels.tables import file_format, rows


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether it holds recordings with genus and species. Raises InputError if it is not JSON."""
    return bool(_recordings(document.json))


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the recordings. An empty list of further species can mean that nobody has noted them: it is unknown."""
    read_rows = [
        _row(f"{document.path}, XC{text(entry, 'id')}", entry, options) for entry in _recordings(document.json)
    ]
    return list(dict.fromkeys(read_rows))  # one that changed its page while these were fetched stands there twice


def _recordings(content: Any) -> list[Mapping[str, Any]]:
    """The entries of a page, of a list of entries or of pages, or of a single entry."""
    if isinstance(content, list):
        return [entry for part in content if isinstance(part, dict) for entry in _recordings(part)]
    if not isinstance(content, dict):
        return []
    if isinstance(content.get("recordings"), list):
        return _recordings(content["recordings"])
    return [content] if {"id", "gen", "sp"} <= set(content) else []


def _row(where: str, entry: Mapping[str, Any], options: rows.Options) -> rows.Row:
    number = text(entry, "id").upper().removeprefix("XC")
    genus = text(entry, "gen")
    name = f"{genus} {text(entry, 'sp')}".strip() if genus else "?"
    also = entry.get("also")
    background = free_text.names(map(str, also)) if isinstance(also, list) else ()
    about = rows.described(
        date=text(entry, "date"),
        time=text(entry, "time"),
        latitude=text(entry, "lat"),
        longitude=text(entry, "lng") or text(entry, "lon"),
        elevation=text(entry, "alt"),
    )
    row = rows.labelled(rows.Row(where=where, catalogue_numbers=(f"XC{number}", number)), name, options)
    row = dataclasses.replace(
        row,
        about=dataclasses.replace(
            about,
            name=name if row.labels.species else "",
            author=text(entry, "rec"),
            site=text(entry, "loc"),
            background=background,
            background_known=bool(background),
        ),
    )
    if not number.isascii() or not number.isdigit():
        problem = f"{number[:40]!r} is not the number of a recording"
        return dataclasses.replace(rows.without_label(row), problem=problem)
    return row


def text(entry: Mapping[str, Any], name: str) -> str:
    """A field of an entry; empty if it is not there, or holds no text and no number."""
    value = entry.get(name)
    return texts.clean(str(value)) if isinstance(value, str | int | float) else ""


FORMAT = file_format.Format(
    name="xeno-canto JSON",
    suffixes=(".json",),
    recognise=recognise,
    read=read,
    taken={},
)

"""Audacity label tracks: tab-separated text without a header line: start, end, label. BirdNET adds the confidence."""

from __future__ import annotations

import math

from bird_tf import free_text
from bird_tf.labels import texts
from bird_tf.labels.layouts import rows

NAME = "Audacity label track"
SUFFIXES = (".txt", ".tsv")


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether it is a label track: a line with two times, or nothing at all."""
    if not document.text.strip():
        return document.path.lower().endswith(".txt")
    return "\t" in document.text and any(
        len(cells) > 1 and not any(math.isnan(free_text.seconds(cell)) for cell in cells[:2])
        for _, cells in document.lines
    )


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the labels. A line with a backslash holds the frequency range of the label before it."""
    found = []
    for line, cells in document.lines:
        if cells[0].strip() == "\\":
            continue
        start, end, label, score = [*cells, "", "", ""][:4]
        row = rows.Row(
            where=rows.where(document, line),
            score=rows.read_score(score),
            about=rows.COMPLETE,
        )
        found.append(rows.spanned(rows.labelled(row, label, options), start, end))
    return found or rows.nothing_found(document)

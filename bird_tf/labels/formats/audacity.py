"""Audacity label tracks: tab-separated text without a header line: start, end, label. BirdNET adds the confidence."""

from __future__ import annotations

import math

from bird_tf import config, free_text
from bird_tf.labels import texts
from bird_tf.labels.tables import file_format, rows


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether it is a label track: a line with two times, or nothing at all."""
    if not document.text.strip():
        return document.path.lower().endswith(".txt")
    return "\t" in document.text and any(
        len(cells) > 1 and not any(math.isnan(free_text.seconds(cell)) for cell in cells[:2])
        for _, cells in document.lines
    )


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the labels. A line with a backslash holds the frequency range of the label before it.

    Raises:
        InputError: a text stands behind the third column, so that the label may be there.
    """
    found = []
    for line, cells in document.lines:
        if cells[0].strip() == "\\":
            continue
        if text := next(filter(_is_text, cells[3:]), ""):
            raise config.InputError(
                f"{document.path}: line {line} has {text.strip()[:40]!r} behind the third column: which columns hold "
                "start, end or duration, and label? number them, as --columns=start=1 --columns=end=2 --columns=label=5"
            )
        start, end, label, score = [*cells, "", "", ""][:4]
        row = rows.scored(rows.Row(where=rows.where(document, line), about=rows.COMPLETE), score)
        found.append(rows.spanned(rows.labelled(row, label, options), start, end))
    return found or rows.nothing_found(document.path)


def _is_text(cell: str) -> bool:
    """Whether a cell holds anything but a number, or a share in %."""
    return bool(cell.strip()) and math.isnan(free_text.number(cell.strip().removesuffix("%"), limit=math.inf))


FORMAT = file_format.Format(
    name="Audacity label track",
    suffixes=(".txt", ".tsv"),
    recognise=recognise,
    read=read,
    taken={},
)

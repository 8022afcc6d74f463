"""verdicts.csv: what a person said of predictions, as labels of the spans that were judged."""

from __future__ import annotations

import dataclasses

from bird_tf.labels import texts, verdicts
from bird_tf.labels.layouts import columns, rows

NAME = "table of verdicts"
SUFFIXES = (".csv",)


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether it has the columns of such a table."""
    return {columns.normal(name) for name in verdicts.COLUMNS} <= {columns.normal(name) for name in document.header}


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the verdicts that say what is to be heard: a species, or none.

    The rest of the recording was not judged, and what a person could not name tells nothing.

    Raises:
        InputError: a row cannot be read.
    """
    about = dataclasses.replace(rows.NOTHING, partly_annotated=True)
    read_rows = []
    for verdict in verdicts.read(document.path):
        if verdict.label or verdict.answer == verdicts.NO:
            row = rows.Row(
                where=f"{document.path}, {verdict.file} at {verdict.start_seconds:g} s",
                files=(verdict.file,),
                start_seconds=verdict.start_seconds,
                end_seconds=verdict.end_seconds,
                about=about,
            )
            read_rows.append(rows.named(row, [verdict.label or "none"], options))
    return read_rows

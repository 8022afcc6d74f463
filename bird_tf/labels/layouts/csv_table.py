"""Tables with a header line: a row for each recording, or for each span of one. Columns are known by their names."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

from absl import logging

from bird_tf import config, files, free_text
from bird_tf.labels import label_cells, metadata, parquet, texts
from bird_tf.labels.layouts import columns, rows

NAME = "table"
SUFFIXES = (".csv", ".tsv", ".txt", parquet.SUFFIX)
# columns that may be filled and unreadable, and the fields of a recording that they fill
_PLACE_AND_TIME = {"latitude": "latitude", "longitude": "longitude", "date": "date", "time": "hour"}
_PLACE_AND_TIME_CELLS = ("latitude", "longitude", "elevation", "date", "time")
_ABOUT = ("author", "site", "name", "background", *_PLACE_AND_TIME_CELLS)


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether it is a table that names recordings, or one of labelled spans.

    Raises:
        InputError: the table lacks a column that --columns gives.
    """
    if len(document.header) < 2:
        return False
    found = columns.find(document, options.columns)
    return {"file"} < set(found) or {"start", "label"} <= set(found)


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the rows.

    Raises:
        InputError: no rows, or a start without an end or a duration.
    """
    found = columns.find(document, options.columns)
    length = next((what for what in ("end", "duration") if what in found), "")
    if ("start" in found) != bool(length):
        missing = "end" if "start" in found else "start"
        raise config.InputError(
            f"{document.path}: which column holds {missing}? it has {', '.join(document.header)[:500]}; "
            f"say --columns={missing}=NAME"
        )
    if length and "label" not in found:
        raise config.InputError(
            f"{document.path}: which column holds label? it has {', '.join(document.header)[:500]}; "
            "say --columns=label=NAME"
        )
    lines = document.lines[1:]
    if not lines:
        if length:
            return rows.nothing_found(document)
        raise config.InputError(f"{document.path}: a table without rows")
    in_dates = found.get("date", ())
    order = free_text.order_of_dates(_first_filled(line, in_dates) for _, line in lines) if in_dates else ""
    read_rows: list[rows.Row] = []
    width = len(document.header)
    unread: dict[str, list[str]] = {what: [] for what in _PLACE_AND_TIME if what in found}
    for number, line in lines:
        where, cells = rows.where(document, number), cells_of(line, found)
        if len(line) > width and any(map(str.strip, line[width:])):
            problem = f"{len(line)} cells, but the header has {width}; put texts with commas into quotes"
            files_of_row = (cells["file"],) if cells.get("file") else ()
            read_rows.append(rows.Row(where=where, files=files_of_row, problem=problem))
            continue
        read_rows.append(_row(where, cells, options, order, length))
        for what, examples in unread.items():
            if cells[what] not in ("", "?") and rows.is_unknown(getattr(read_rows[-1].about, _PLACE_AND_TIME[what])):
                examples.append(f"{where} ({cells[what][:40]!r})")
    for what, examples in unread.items():
        if examples:  # a date may lack a certain order
            logging.warning("%d cells of %s cannot be read, the first: %s", len(examples), what, examples[0])
    return _with_empty_segments(read_rows) if length else read_rows


def cells_of(line: Sequence[str], found: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """{what: text} of a line; of several columns the first that is filled counts. Our own tables defuse formulas."""
    return {what: _first_filled(line, positions) for what, positions in found.items()}


def _first_filled(line: Sequence[str], positions: Sequence[int]) -> str:
    for i in positions:
        if i < len(line) and (text := texts.clean(files.restored(line[i]))):
            return text
    return ""


def _row(where: str, cells: Mapping[str, str], options: rows.Options, order: str, length: str) -> rows.Row:
    about = _about(order, tuple([(what, cells[what]) for what in _ABOUT if what in cells]))
    named = (cells["file"],) if cells.get("file") else ()
    span, labels, problem = rows.NO_SPAN, rows.NOT_STATED, ""
    if "file" in cells and not named:
        problem = "it names no recording"
    else:
        if "label" in cells:
            labels, problem = rows.read_label(cells["label"], options)
        if length and (cells["start"] or cells[length]):
            span, unread = rows.read_span(cells["start"], cells[length], is_duration=length == "duration")
            problem = unread or problem
    return rows.Row(
        where=where,
        files=named,
        labels=labels,
        start_seconds=span[0],
        end_seconds=span[1],
        score=free_text.number(cells["score"], limit=1) if "score" in cells else math.nan,
        background=about.background,
        about=about,
        problem=problem,
    )


@functools.lru_cache(maxsize=1024)  # the rows of one recording say the same of it
def _about(order: str, told: tuple[tuple[str, str], ...]) -> metadata.Recording:
    cells = dict(told)
    listed, known = label_cells.background(cells.get("background", ""))
    return dataclasses.replace(
        rows.described(order=order, **{what: cells[what] for what in _PLACE_AND_TIME_CELLS if what in cells}),
        name=cells.get("name", ""),
        author=cells.get("author", ""),
        site=cells.get("site", ""),
        background=listed,
        background_known=known,
    )


def _with_empty_segments(read_rows: list[rows.Row]) -> list[rows.Row]:
    """In a table of segments of equal length, an empty label says that nothing is in the segment.

    So does a row without times and label, as OpenSoundscape writes it for a recording without annotations. An empty
    label of a span of its own length is something that has no name.
    """
    num_spans, shortest, longest = 0, math.inf, 0.0
    for row in read_rows:
        if row.has_span:
            seconds = row.end_seconds - row.start_seconds
            num_spans, shortest, longest = num_spans + 1, min(shortest, seconds), max(longest, seconds)
    are_segments = num_spans > 1 and longest - shortest < 0.01
    nothing = label_cells.Labels(negative=True)
    return [
        dataclasses.replace(row, labels=nothing)
        if row.labels.missing and not row.problem and (are_segments or math.isnan(row.start_seconds))
        else row
        for row in read_rows
    ]

"""Text without a header line: start, duration, label, as Sonic Visualiser exports them; or columns by their numbers."""

from __future__ import annotations

import math

from bird_tf import config, free_text
from bird_tf.labels import texts
from bird_tf.labels.tables import columns, file_format, rows

_NUMBERED = {"file", "start", "end", "duration", "label", "score"}


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether the first line has two times and a text, or --columns gives the numbers of columns."""
    if not document.lines:
        return False
    if _given(document, options):
        return True
    if len(document.header) < 3 or not document.path.lower().endswith(".csv"):
        return False  # a label track of Audacity
    return [math.isnan(free_text.seconds(cell)) for cell in document.header[:3]] == [False, False, True] or (
        len(document.header) > 3 and not any(math.isnan(free_text.seconds(cell)) for cell in document.header[:3])
    )


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the annotations.

    Whether the second column is the end or the duration shows where it is less than the first: an end never is.

    Raises:
        InputError: that cannot be told, or there are more columns than three; --columns names them by their numbers.
    """
    given = positions = _given(document, options)
    if not given:
        times = [[free_text.seconds(cell) for cell in [*cells, ""][:2]] for _, cells in document.lines]
        are_durations = any(end < start for start, end in times) or all(start == 0 for start, _ in times)
        if len(document.header) != 3 or not are_durations:
            raise config.InputError(
                f"{document.path}: no header line: which columns hold start, end or duration, and label? number them, "
                "as --columns=start=1 --columns=duration=2 --columns=label=3"
            )
        positions = {"start": (0,), "duration": (1,), "label": (2,)}
    length = next((what for what in ("end", "duration") if what in positions), "")
    read_rows = []
    for line, texts_of_line in document.lines:
        cells = columns.cells_of(texts_of_line, positions)
        row = rows.Row(
            where=rows.where(document, line),
            files=(cells["file"],) if cells.get("file") else (),
            about=rows.COMPLETE if length else rows.NOTHING,
            problem="it names no recording" if "file" in cells and not cells["file"] else "",
        )
        row = rows.labelled(rows.scored(row, cells.get("score", "")), cells["label"], options)
        if length:
            row = rows.spanned(row, cells["start"], cells[length], is_duration=length == "duration")
        read_rows.append(row)
    return read_rows if given else rows.fitting(document, read_rows)


def _given(document: texts.Document, options: rows.Options) -> dict[str, tuple[int, ...]]:
    """{what: position} of columns that are given by their numbers; {} unless label, and recording or times are.

    Numbers that all stand in the first line are names of columns.
    """
    given = columns.given_for(document, options.columns)
    if set(document.header).issuperset(given.values()):
        return {}
    numbers = {w: int(c) - 1 for w, c in given.items() if c.isascii() and c.isdecimal() and 0 < int(c[:4]) < 1000}
    in_time = {"start", "label"} <= set(numbers) and bool({"end", "duration"} & set(numbers))
    is_whole = in_time or ({"file", "label"} <= set(numbers) and not set(columns.TIMES) & set(numbers))
    if is_whole and (others := set(numbers) - _NUMBERED):
        raise config.InputError(
            f"--columns={min(others)}={given[min(others)]} cannot be used in {document.path}: it has no "
            f"header line, so --columns may number {', '.join(sorted(_NUMBERED))} only"
        )
    return {what: (number,) for what, number in numbers.items()} if is_whole else {}


FORMAT = file_format.Format(
    name="annotations without header (start, duration, label)",
    suffixes=(".csv", ".txt", ".tsv"),
    recognise=recognise,
    read=read,
)

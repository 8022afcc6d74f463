"""The submissions of Kaggle's BirdCLEF tasks: a CSV with a row for each 5 s and a column for each class.

A row's id is the recording's name and the end of its 5 s: soundscape_1_5, soundscape_1_10 … (2023 to 2026). In 2021 the
name was cut: 2782_SSW_5 is in 2782_SSW_20170701.ogg. A sample submission says which form, columns and order are wanted.
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from absl import logging

from bird_tf import config, files, free_text, lines
from bird_tf.inference import segments
from bird_tf.labels import taxonomy, texts
from bird_tf.submissions import run_files

TASK = "kaggle"
ROW_ID = "row_id"
_DELIMITERS = ",;\t"  # of samples that were saved with a spreadsheet program
_NO_TABLE = (csv.Error, lines.TooLargeError, lines.NotUnicodeError)
_ROW_ID = re.compile(r"(.+)_([1-9]\d{0,7})", re.DOTALL | re.ASCII)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """What a submission must look like.

    Attributes:
        columns: with row_id among them; all others are classes.
        row_ids: the rows that it must have, in their order; empty: those of all recordings.
    """

    columns: tuple[str, ...]
    row_ids: tuple[str, ...] = ()

    @property
    def class_ids(self) -> tuple[str, ...]:
        """The classes, in the order of their columns."""
        return tuple(column for column in self.columns if column != ROW_ID)


def form_of(classes: taxonomy.Taxonomy) -> Form:
    """The form of a submission without a sample.

    Raises:
        InputError: a class is called as the column of the rows' ids.
    """
    if ROW_ID in classes.class_ids:
        raise config.InputError(
            f"a class has the id {ROW_ID}, the name of a column; rename it with --class_ids=FILE.csv"
        )
    return Form(columns=(ROW_ID, *classes.class_ids))


def read_sample(path: str) -> Form:
    """The form of a sample submission, with any of the usual delimiters.

    Raises:
        InputError: not a table with row_id and a column for each class.
    """
    row_ids = []
    try:
        content = files.read_bytes(path, files.LARGEST_TEXT)
        delimiter = next((sign for sign in _DELIMITERS if ROW_ID in next(_records(content, sign), [])), ",")
        rows = _records(content, delimiter)
        header = next(rows, [])
        if ROW_ID not in header or len(set(header)) < len(header):
            raise config.InputError(f"--sample_submission={path}: need a column {ROW_ID}, and each column once")
        for row in rows:
            if len(row) != len(header):
                raise config.InputError(f"--sample_submission={path}: need a cell for each column in each row")
            row_ids.append(row[header.index(ROW_ID)])
    except _NO_TABLE as error:
        raise config.InputError(f"--sample_submission={path}: not a table ({error})") from error
    if set(header) - {ROW_ID} in ({"birds"}, {"target"}, set()):
        raise config.InputError(
            f"--sample_submission={path} has the columns {', '.join(header)}, the form of 2021 or 2022; only the form "
            "with a column for each class is written"
        )
    return Form(columns=tuple(header), row_ids=tuple(row_ids))


def for_recordings(form: Form, names: Sequence[str]) -> tuple[Form, dict[str, str]]:
    """Fits a form to recordings.

    A sample whose rows are all of other recordings shows the columns alone; then its rows count for nothing.

    Args:
        form: of a sample.
        names: of the recordings, without suffix.

    Returns:
        The form, and {name of a recording: what its row ids begin with}.

    Raises:
        InputError: two recordings would have the same row ids, or a name has a sign that nobody sees; or the rows of
            the sample, where they count, break a rule.
    """
    if unfit := next(filter(texts.hidden, names), ""):
        raise config.InputError(f"{run_files.shown(unfit)}: a name with a sign that nobody sees; rename the recording")
    beginnings = {_divided(row_id)[0] for row_id in form.row_ids}
    begins = {name: next((b for b in _beginnings(name) if b in beginnings), name) for name in names}
    shared = [begin for begin, count in collections.Counter(begins.values()).items() if count > 1]
    if shared:
        raise config.InputError(f"--sample_submission: two recordings would have the rows {shared[0]}_5 …; rename one")
    if not beginnings & set(begins.values()):
        form = dataclasses.replace(form, row_ids=())
    _check_row_ids(form.row_ids)
    return form, begins


def _check_row_ids(row_ids: Sequence[str]) -> None:
    """Refuses rows of a sample that a submission cannot have."""
    seen: set[str] = set()
    for row_id in row_ids:
        if sign := texts.hidden(row_id):
            raise config.InputError(f"--sample_submission: a row_id holds the sign {sign!a}, which nobody sees")
        if error := _end_error(row_id) or ("is there twice" if row_id in seen else ""):
            raise config.InputError(f"--sample_submission: the row {run_files.quoted(row_id)} {error}; correct it")
        seen.add(row_id)


def _beginnings(name: str) -> Iterator[str]:
    """A name, and what is left of it without its last parts."""
    while name:
        yield name
        name = name.rpartition("_")[0]


def write(form: Form, scores: Mapping[str, np.ndarray], classes: taxonomy.Taxonomy, prior: np.ndarray) -> str:
    """The text of a submission.

    Args:
        form: as `for_recordings` gives it.
        scores: {what the row ids of a recording begin with: [segments, classes]}.
        classes: of the scores.
        prior: [classes] for rows that no recording has. A class that the model lacks gets the lowest of them.

    Returns:
        A CSV with the rows of the form in their order; then those of the recordings that the form does not name.
    """
    indices = {class_id: index for index, class_id in enumerate(classes.class_ids)}
    order = [indices.get(class_id, len(classes)) for class_id in form.class_ids]
    rows = {
        f"{name}_{(i + 1) * segments.SECONDS}": row
        for name, segment_rows in scores.items()
        for i, row in enumerate(segment_rows)
    }
    named = {_divided(row_id)[0] for row_id in form.row_ids}
    wanted = [*form.row_ids, *(row_id for row_id in rows if _divided(row_id)[0] not in named)]
    if without := [row_id for row_id in form.row_ids if row_id not in rows]:
        logging.warning(
            "--sample_submission has %d rows that no recording has, as %s: they get the training prior",
            len(without), run_files.shown(without[0]),
        )  # fmt: skip
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(form.columns)
    for row_id in wanted:
        values = np.append(rows.get(row_id, prior), prior.min())[order]
        cells = dict(zip(form.class_ids, (f"{value:.10f}" for value in values), strict=True))
        writer.writerow([row_id if column == ROW_ID else cells[column] for column in form.columns])
    return text.getvalue()


def errors(text: str, form: Form | None, classes: taxonomy.Taxonomy | None = None) -> Iterator[str]:
    """Checks a submission.

    Args:
        text: of the file.
        form: that it must have; None: any columns.
        classes: that its columns must be; None, or with a form: not checked.

    Yields:
        "line N: broken rule", or "run: …" for a rule about several lines.
    """
    if text.startswith("\ufeff"):
        yield "line 1: begins with a byte order mark"
        return
    try:
        yield from _table_errors(_records(text.encode("utf-8", "surrogateescape")), form, classes)
    except _NO_TABLE as error:
        yield f"run: no table that can be read ({error})"


def _table_errors(rows: Iterator[list[str]], form: Form | None, classes: taxonomy.Taxonomy | None) -> Iterator[str]:
    header = next(rows, [])
    yield from _header_errors(header, form, classes)
    if ROW_ID not in header:
        return
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            yield f"line {number}: {len(row)} fields, expected {len(header)}"
            continue
        row_id = row[header.index(ROW_ID)]
        if sign := next(filter(None, map(texts.hidden, row)), ""):
            yield f"line {number}: holds the sign {sign!a}, which nobody sees"
            continue
        if row_id in seen:
            yield f"line {number}: {run_files.shown(row_id)} is in line {seen[row_id]} already"
        seen[row_id] = number
        if error := _end_error(row_id):
            yield f"line {number}: {run_files.quoted(row_id)} {error}"
        for column, cell in zip(header, row, strict=True):
            if column != ROW_ID and math.isnan(free_text.probability(cell)):
                yield f"line {number}: {run_files.shown(column)} is {run_files.quoted(cell)}, not a number in [0, 1]"
    yield from _row_errors(list(seen), form)


def _header_errors(header: Sequence[str], form: Form | None, classes: taxonomy.Taxonomy | None) -> Iterator[str]:
    repeated = [column for column, count in collections.Counter(header).items() if count > 1]
    if ROW_ID not in header:
        yield f"line 1: no column {ROW_ID}"
    elif len(header) < 2:
        yield "line 1: no column of a class"
    elif repeated:
        yield f"line 1: the column {run_files.shown(repeated[0])} is there twice"
    elif form is not None and tuple(header) != form.columns:
        place = next(
            i for i, pair in enumerate(zip([*header, ""], [*form.columns, ""], strict=False)) if pair[0] != pair[1]
        )
        expected = form.columns[place] if place < len(form.columns) else "the end"
        found = header[place] if place < len(header) else "the end"
        yield f"line 1: column {place + 1} is {run_files.shown(found)}, expected {expected}"
    elif form is None and classes is not None and set(header) - {ROW_ID} - set(classes.class_ids):
        unknown = next(column for column in header if column not in {ROW_ID, *classes.class_ids})
        yield f"line 1: column {run_files.shown(unknown)} is no class of the model"


def _row_errors(row_ids: Sequence[str], form: Form | None) -> Iterator[str]:
    """Checks that no row is missing: none of the form, else none of a recording that has others."""
    if not row_ids:
        yield "run: no row"
    required, present = form.row_ids if form else (), set(row_ids)
    if present.intersection(required):
        yield from (f"run: {row_id} is missing" for row_id in required if row_id not in present)
    named = {_divided(row_id)[0] for row_id in required}
    counts = collections.Counter(_divided(row_id)[0] for row_id in row_ids)
    for name, count in counts.items():
        missing = [e for e in range(segments.SECONDS, (count + 1) * segments.SECONDS, segments.SECONDS)
                   if f"{name}_{e}" not in present]  # fmt: skip
        if missing and name not in named:
            lacking = run_files.shown(f"{name}_{missing[0]}")
            yield f"run: {run_files.shown(name)} has {count} rows, but {lacking} is missing"


def _records(content: bytes, delimiter: str = ",") -> Iterator[list[str]]:
    """Yields the lines of a CSV, as fields."""
    return filter(None, csv.reader(lines.of_rows(lines.each(content)), delimiter=delimiter))


def _end_error(row_id: str) -> str:
    """What is wrong with the end in a row id; empty if nothing is."""
    end = _divided(row_id)[1]
    is_right = end and not end % segments.SECONDS
    return "" if is_right else f"is no name and end of {segments.SECONDS} seconds, as soundscape_1_5"


def _divided(row_id: str) -> tuple[str, int]:
    """The name and the end in seconds of a row id; the end is 0 if it has none."""
    match = _ROW_ID.fullmatch(row_id)
    return (match.group(1), int(match.group(2))) if match else (row_id, 0)

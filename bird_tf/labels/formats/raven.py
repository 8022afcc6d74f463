"""Raven selection tables: of one recording, or of a sequence of recordings (Begin File or Begin Path, File Offset)."""

from __future__ import annotations

import collections
import dataclasses
import math
import os
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence

from bird_tf import config, free_text
from bird_tf.audio import decode
from bird_tf.labels import texts
from bird_tf.labels.tables import columns, file_format, rows

_START, _END, _LENGTH = "begin time s", "end time s", "delta time s"
# the names of the columns; the first one that the table has is used, unless --columns gives another one
_KNOWN = {
    "label": (
        "species code", "species ebird code", "species", "common name", "annotation", "label", "tags", "sound type",
    ),
    "file": ("begin path", "begin file"),
    "score": columns.COLUMNS["score"],
    "channel": ("channel",),
    "annotator": columns.ANNOTATOR,
    "common": columns.COLUMNS["common"],
    "end file": ("end path", "end file"),
}  # fmt: skip
_OFFSET = "file offset s"
_OF_PREDICTION = {"species", "class", "confidence"}  # in tables of `predict`
_MOST_ROUNDED = 0.5  # seconds by which rounded times may differ
_USUAL = (_START, _END, _LENGTH, _OFFSET, "selection", "view", "low freq hz", "high freq hz")


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether it is a selection table: its first line is the header of one."""
    names = columns.positions(document)
    return _START in names and ("selection" in names or "view" in names or "begin path" in names)


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the selections. Raven lists a selection once for each view.

    A selection that goes on into the next recording is a label of the first; the rest is told as a row without use.

    Raises:
        InputError: there is no column with the species, or neither one with the end nor one with the length; or the
            selections are in several recordings, File Offset is missing, and --columns does not say that Begin Time is
            of each recording.
    """
    if len(document.lines) == 1:
        return rows.nothing_found(document.path)
    names, used = columns.positions(document), _columns(document, options)
    if "label" not in used:
        raise columns.lacks(document, "label", "the species")
    if not {_END, _LENGTH} & names.keys():
        raise config.InputError(
            f"{document.path}: selections without End Time (s) or Delta Time (s): add one of these columns in Raven "
            "and save the table again"
        )
    found = list(_selections(document, names, used))
    num_named = _num_named(found)
    if "start" in columns.given_for(document, options.columns):  # Begin Time counts from the start of each recording
        found = [dataclasses.replace(selection, offset="") for selection in found]
    elif num_named > 1 and not any(selection.offset for selection in found):
        raise config.InputError(
            f"{document.path}: a sequence of {num_named} recordings without File Offset (s): add this column in Raven "
            f"and save the table again, or say '--columns=start={document.header[names[_START]]}' if these times count "
            "from the beginning of each recording"
        )
    found = _placed(found, document.path, is_prediction=names.keys() >= _OF_PREDICTION)
    # the table of one recording, which may have another name today
    alone = num_named <= 1 and all(s.start == s.begin for s in found)
    in_percent = columns.is_in_percent(document, used.get("score", ()))
    read_rows = []
    for selection in found:
        next_file = _goes_on_in(selection)
        row = rows.Row(
            where=rows.where(document, selection.line),
            files=(selection.file,) if selection.file else (),
            or_namesake=alone,
            channel=rows.read_channel(selection.cells.get("channel", "")),
            annotator=selection.cells.get("annotator", ""),
            common=selection.cells.get("common", ""),
            goes_on=bool(next_file),
            second_name=selection.cells.get("second name", ""),
            about=rows.COMPLETE,
            problem=selection.problem,
        )
        row = rows.scored(row, selection.cells.get("score", ""), in_percent=in_percent)
        row = rows.labelled(row, selection.cells["label"], options)
        read_rows.append(rows.spanned(row, selection.start, selection.length, is_duration=True))
        if next_file:
            problem = f"its selection goes on into {next_file}: what is not annotated there is no noise"
            read_rows.append(rows.Row(where=row.where, files=(next_file,), problem=problem))
    return read_rows


def _goes_on_in(selection: _Selection) -> str:
    """The recording in which a selection of a sequence ends; empty if it is the one that it begins in."""
    begin, end = (name.replace("\\", "/") for name in (selection.file, selection.cells.get("end file", "")))
    folder, _, name = begin.rpartition("/")
    if not begin or end.rpartition("/")[2] in ("", name):
        return ""
    return end if "/" in end or not folder else f"{folder}/{end}"


def unused_columns(document: texts.Document, options: rows.Options) -> tuple[str, ...]:
    """The names of the columns that are filled and not used, without those that every table has."""
    names = columns.positions(document)
    used = _columns(document, options) | {name: (names[name],) for name in _USUAL if name in names}
    filled = {i for _, line in document.lines[1:] for i, cell in enumerate(line) if cell.strip()}
    return tuple(columns.unused(document, used | {"": tuple(set(range(len(document.header))) - filled)}))


def _columns(document: texts.Document, options: rows.Options) -> dict[str, tuple[int, ...]]:
    """{what: positions} of the columns with the species, recording, score and channel, as far as there are any.

    Raises:
        InputError: the table lacks a column that --columns gives.
    """
    names, given = columns.positions(document), columns.given_for(document, options.columns)
    found = columns.find(document, options.columns) if given else {}
    used = {what: found[what] for what in _KNOWN if what in given}
    for what, known in _KNOWN.items():
        if what not in used and (positions := [names[name] for name in known if name in names]):
            used[what] = (columns.filled_of(document, known) if what == "label" else positions[0],)
    if {"species", "class"} <= names.keys() and used["label"] == (names["species"],):  # a table of ours
        used["second name"] = (names["class"],)
    if "file" not in used and (position := _with_recordings(document, names)) >= 0:
        used["file"] = (position,)
    return used


def _with_recordings(document: texts.Document, names: dict[str, int]) -> int:
    """The column of another name that holds nothing but recordings, as a person adds it; -1 without one."""
    position = next((names[name] for name in columns.COLUMNS["file"] if name in names), -1)
    cells = [texts.clean(cells[position]) for _, cells in document.lines[1:] if position < len(cells)]
    return position if all(cell.lower().endswith(decode.SUFFIXES) for cell in cells) else -1


@dataclasses.dataclass(frozen=True, slots=True)
class _Selection:
    """A line of the table.

    Attributes:
        line: its number.
        cells: {what: text}.
        file: the recording as it is named; empty if it is not.
        begin: where it begins in the sequence, as text.
        offset: File Offset, where it begins in its recording; empty if it is not told.
        length: in seconds.
        start: where it begins in its recording, as `_placed` finds it.
        problem: why that cannot be told.
    """

    line: int
    cells: Mapping[str, str]
    file: str
    begin: str
    offset: str
    length: str
    start: str = ""
    problem: str = ""

    @property
    def before_seconds(self) -> float:
        """How much of the sequence lies before its recording; NaN if it does not tell."""
        return free_text.seconds(self.begin) - free_text.seconds(self.offset)


def _selections(
    document: texts.Document, names: Mapping[str, int], used: Mapping[str, tuple[int, ...]]
) -> Iterator[_Selection]:
    for line, cells in document.lines[1:]:
        if len(cells) < len(document.header):
            cells = cells + [""] * (len(document.header) - len(cells))
        begin = cells[names[_START]]
        if _END in names:
            end = cells[names[_END]]
            seconds = free_text.seconds(end) - free_text.seconds(begin)
            unread = end if math.isnan(free_text.seconds(end)) else begin
            length = unread if math.isnan(seconds) else f"{seconds:.9f}"
        else:
            length = cells[names[_LENGTH]]
        filled = {what: columns.filled(cells, positions) for what, positions in used.items()}
        yield _Selection(
            line=line,
            cells=filled,
            file=columns.written(cells, used.get("file", ())),
            begin=begin,
            offset=cells[names[_OFFSET]].strip() if _OFFSET in names else "",
            length=length,
        )


def _num_named(found: Sequence[_Selection]) -> int:
    """The number of recordings that a table names."""
    return len({selection.file for selection in found} - {""})


def _placed(found: Sequence[_Selection], table: str, *, is_prediction: bool) -> list[_Selection]:
    """The selections with their starts: File Offset, or else Begin Time without what lies before their recording.

    All selections in a recording tell the same of what lies before it. One that does not was moved outside of Raven.
    """
    rounding = min(_MOST_ROUNDED, _step(s.begin for s in found) + _step(s.offset for s in found if s.offset))
    before = _before(found, table, rounding, is_prediction=is_prediction)
    placed = []
    for selection in found:
        start, problem, told = selection.offset, "", before.get(selection.file, 0.0)
        if math.isnan(told) or (start and abs(selection.before_seconds - told) > rounding):
            start = start or selection.begin
            problem = (
                f"Begin Time {selection.begin} and File Offset {selection.offset} contradict those of other selections "
                "in its recording, or the name of the table; correct both if it was moved"
            )
        elif not start and selection.file not in before and before and _num_named(found) > 1:
            start, problem = selection.begin, "no File Offset (s), while other selections of the sequence have it"
        elif not start:
            start = f"{free_text.seconds(selection.begin) - told:.9f}" if told else selection.begin
        placed.append(dataclasses.replace(selection, start=start, problem=problem))
    return placed


def _before(found: Sequence[_Selection], table: str, rounding: float, *, is_prediction: bool) -> dict[str, float]:
    """{recording: the seconds of the sequence before it, as most of its selections tell}; NaN if most do not agree.

    A table is named after the first recording of its sequence, before which there is nothing. One of another recording
    may be a part of the table of the sequence, but not if it is of a prediction.
    """
    told: dict[str, list[float]] = collections.defaultdict(list)
    for selection in found:
        if not math.isnan(selection.before_seconds):
            told[selection.file].append(selection.before_seconds)
    before = {}
    for file, seconds in told.items():
        stem = os.path.splitext(file.replace("\\", "/").rpartition("/")[2])[0]
        is_namesake = texts.comparable(os.path.basename(table)).startswith(f"{texts.comparable(stem)}.")
        if is_namesake and (is_prediction or len(seconds) > 1):
            seconds.append(0.0)
        middle = statistics.median_low(seconds)
        agreeing = sum(abs(each - middle) <= rounding for each in seconds)
        before[file] = middle if 2 * agreeing > len(seconds) and middle >= -rounding else math.nan
    return before


def _step(cells: Iterable[str]) -> float:
    """The step of the last digit of times, seconds."""
    digits = max((len(re.split("[.,]", f"{cell.strip()}.")[1]) for cell in cells), default=9)
    return 1.001 * 10.0**-digits  # 0.1 + 0.2 > 0.3


FORMAT = file_format.Format(
    name="Raven selection table",
    suffixes=(".txt", ".tsv", ".csv"),
    recognise=recognise,
    read=read,
    has_header=True,
    taken={
        "file": (), "label": (), "score": (), "present": (), "start": (_START,), "end": (_END,), "duration": (_LENGTH,),
    },
    unused_columns=unused_columns,
)  # fmt: skip

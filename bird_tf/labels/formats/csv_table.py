"""Tables with a header line: a row for each recording, or for each span of one. Columns are known by their names."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from absl import logging

from bird_tf import config, free_text
from bird_tf.labels import json_lines, label_cells, metadata, parquet, texts
from bird_tf.labels.formats import one_hot
from bird_tf.labels.tables import columns, file_format, rows, segments, times, zones

# columns that may be filled and unreadable, and the fields of a recording that they fill
_PLACE_AND_TIME = {"latitude": "latitude", "longitude": "longitude", "date": "date", "time": "hour"}
_PLACE_AND_TIME_CELLS = ("latitude", "longitude", "elevation", "date", "time")
# further columns of recordings.csv of records, which is known by two of them; earlier versions have no other
_OWN = {"background_known": "background known", "annotated": "annotated"}
# those of its numbers that no column of other tables holds, and their limits
_OWN_NUMBERS = {"day_of_year": 366, "hour": 24, "utc_offset_hours": 24}
_ABOUT = ("author", "site", "name", "background", "background_known", *_PLACE_AND_TIME_CELLS, *_OWN_NUMBERS)
_IS_OWN = {"background known", "recording id"}
_OF_SPECIES = frozenset(("species", "species code", "species name", "manual id"))
# names of columns that alone hold the length of the recording, without a unit
_LENGTH = re.compile("((file|recording|audio|clip|sound) )*(duration|dauer|durée|duración)")
# the second word of a Latin name, or what stands in its place: `sp.`, `sp. 1`, `cf. major`
_EPITHET = re.compile(r"(?:(?:cf|aff)\. ?)?[a-zë-]{2,}\.?|spp?\.? ?[a-z\d]{1,3}", re.IGNORECASE)


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether it is a table that names recordings, or one of labelled spans.

    Raises:
        InputError: the table lacks a column that --columns gives.
    """
    if len(document.header) < 2:
        return False
    found = set(columns.find(document, options.columns)) - {"genus", "present", "folder"}
    return {"file"} < found or {"start", "label"} <= found


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads the rows.

    Raises:
        InputError: no rows, a start without an end or a duration, a second line of the header, times that are not of
            the recording, or several annotations in a row.
    """
    found = _columns(document, options)
    times.refuse_second_header(document, found)
    times.refuse_other_times(document, found, options.columns)
    times.refuse_several_spans(document, found)
    zones.warn(document, found)
    if "label" in found:
        _warn_of_unused(document, found, in_time="start" in {*found, *columns.not_meant(document, options.columns)})
    length = next((what for what in ("end", "duration") if what in found), "")
    lines = document.lines[1:]
    if not lines:
        if length:
            return rows.nothing_found(document.path)
        raise config.InputError(f"{document.path}: {rows.EMPTY}")
    in_dates, in_times, units = found.get("date", ()), found.get("time", ()), times.units(document, found)
    order = free_text.order_of_dates(columns.down(document, in_dates)) if in_dates else ""
    has_shares = free_text.are_shares_of_day(columns.down(document, in_times))
    if has_shares:
        share = next(filter(None, columns.down(document, in_times)))
        logging.warning(
            "%s: its times are read as shares of a day, as spreadsheets save them: %s is %s",
            document.path, share[:40], free_text.time_of_share(share),
        )  # fmt: skip
    in_percent = columns.is_in_percent(document, found.get("score", ()))
    in_channels = {*columns.down(document, found.get("channel", ()))}
    first_channel = 1 if in_channels.isdisjoint(("0", "0.0")) else 0
    read_rows: list[rows.Row] = []
    used = {columns.normal(document.header[positions[0]]) for positions in found.values()}
    is_own = {"class id", "name", "start seconds"} <= used
    unread: dict[str, list[str]] = {what: [] for what in _PLACE_AND_TIME if what in found}
    epithets, above = _epithets(document, found), ""
    for number, line in lines:
        where, cells = rows.where(document, number), _with_genus(columns.cells_of(line, found), epithets)
        if number in document.misfits:
            files, problem = rows.names(cells.get("file", "")), document.misfits[number]
            labels = label_cells.Labels(stated="label" in found)
            read_rows.append(rows.Row(where=where, files=files, labels=labels, problem=problem))
            continue
        above = cells.get("file") or above
        if has_shares:
            cells["time"] = free_text.time_of_share(cells["time"])
        of_span = units.get("start", 1.0), units.get(length, 1.0)
        row = _row(where, cells, above, options, order, length, of_span, in_percent=in_percent)
        if "channel" in found:
            row = dataclasses.replace(row, channel=rows.read_channel(cells["channel"], first_channel))
        read_rows.append(dataclasses.replace(row, second_name=row.about.name) if is_own else row)
        for what, examples in unread.items():
            if _is_unread(what, cells[what], row):
                examples.append(f"{where} ({cells[what][:40]!r})")
    for what, examples in unread.items():
        if examples:  # a date may lack a certain order
            logging.warning("%d cells of %s cannot be read, the first: %s", len(examples), what, examples[0])
    if "annotated" in found:
        return _of_whole_recordings(document, read_rows, found)
    return segments.with_empty(document, found, read_rows) if length else read_rows


def _of_whole_recordings(
    document: texts.Document, read_rows: Sequence[rows.Row], found: Mapping[str, Sequence[int]]
) -> list[rows.Row]:
    """The rows of recordings.csv without labels that are of times in their recording, which it does not tell."""
    in_time = [
        text.casefold() in (metadata.IN_TIME, metadata.IN_PART) for text in columns.down(document, found["annotated"])
    ]
    if any(in_time):
        logging.warning(
            "%s: %d labels are not used: they are of times in their recordings (column annotated), which it does not "
            "tell; add the tables that these records were made from", document.path, sum(in_time),
        )  # fmt: skip
    return [
        dataclasses.replace(
            rows.without_label(row),
            background=(),
            about=dataclasses.replace(row.about, name="", background=(), background_known=False),
        )
        if is_in_time
        else row
        for row, is_in_time in zip(read_rows, in_time, strict=True)
    ]


def _epithets(document: texts.Document, found: Mapping[str, Sequence[int]]) -> frozenset[str]:
    """Labels with a capital letter that stand beside several genera, so that they are second words of Latin names."""
    genera: dict[str, set[str]] = {}
    for _, line in document.lines[1:] if {"genus", "label"} <= found.keys() else ():
        label, genus = (columns.filled(line, found[what]) for what in ("label", "genus"))
        if genus and not label.islower() and _EPITHET.fullmatch(label):
            genera.setdefault(label, set()).add(genus)
    return frozenset(genera) if any(len(several) > 1 for several in genera.values()) else frozenset()


def _with_genus(cells: dict[str, str], epithets: Collection[str]) -> dict[str, str]:
    """The cells with the Latin name as label, where the label is the second word of one and another cell has the first.

    Args:
        cells: {what: text} of a line.
        epithets: labels with a capital letter that are second words.
    """
    label = cells.get("label", "")
    if not _EPITHET.fullmatch(label) or label_cells.is_unnamed(label):
        return cells
    first, second, *_ = (*cells.get("name", "").split(), "", "")
    in_genus = cells.get("genus", "") if label.islower() or label in epithets else ""
    genus = in_genus or (first if second == label.casefold() else "")
    return {**cells, "label": f"{genus} {label.casefold()}"} if genus else cells


def _is_unread(what: str, cell: str, row: rows.Row) -> bool:
    """Whether a cell is filled, and nothing could be read from it."""
    if cell in ("", "?"):
        return False
    if what in ("latitude", "longitude") and free_text.number(cell, limit=1) in (0, -1):  # they are read, and no place
        return False
    return rows.is_unknown(getattr(row.about, _PLACE_AND_TIME[what]))


def _columns(document: texts.Document, options: rows.Options) -> dict[str, tuple[int, ...]]:
    """The columns that are used, as of `columns.find`.

    Raises:
        InputError: a start without an end or a duration, or spans without labels.
    """
    found = columns.find(document, options.columns)
    in_time = "end" in found or "duration" in found
    if ("start" in found) != in_time or (in_time and "label" not in found):
        missing = "end" if not in_time else "label" if "start" in found else "start"
        problem = columns.lacks(document, missing, missing)
        misfit = next((f"; line {number}: {why}" for number, why in document.misfits.items()), "")
        raise config.InputError(f"{problem}{one_hot.what_is_no_answer(document, options)}{misfit}")
    of_label = columns.normal(document.header[found["label"][0]]) if "label" in found else ""
    if of_label not in ("species", "specific epithet", "sp"):
        found.pop("genus", None)
    if "file" in found and "file" not in columns.given_for(document, options.columns):
        position = columns.positions(document)
        if others := {position[name] for name in columns.COLUMNS["file"] if name in position}.difference(found["file"]):
            found["path"] = tuple(sorted(others))
    if not _are_of_species(document, options, found, of_label):
        found.pop("name", None)
    position = columns.positions(document)
    used = {i for positions in found.values() for i in positions}
    for what, names in (("annotator", columns.ANNOTATOR), ("channel", ("channel",))):
        free = [position[name] for name in names if name in position and position[name] not in used]
        if free and "label" in found:
            found[what] = (free[0],)
    if position.keys() >= _IS_OWN:
        own = _OWN | {what: columns.normal(what) for what in _OWN_NUMBERS}
        found |= {what: (position[name],) for what, name in own.items() if name in position}
    return found


def _are_of_species(
    document: texts.Document, options: rows.Options, found: Mapping[str, Sequence[int]], of_label: str
) -> bool:
    """Whether a column of names has those of species. One called `name` alone may have those of observers.

    It has those of species if one is Latin, or if each label that is repeated has a name of its own.

    Args:
        document: the table.
        options: what the user says about tables.
        found: positions of the columns.
        of_label: name of the column of labels; our own tables have `class_id` beside `name`.
    """
    names = found.get("name", ())
    is_sure = "name" in columns.given_for(document, options.columns) or of_label == "class id"
    if is_sure or not names or columns.normal(document.header[names[0]]) != "name":
        return True
    beside = [*zip(columns.down(document, found.get("label", ())), columns.down(document, names), strict=True)]
    pairs, labels, others = set(beside), {label for label, _ in beside}, {name for _, name in beside}
    are_pairs = 1 < len(labels) == len(others) == len(pairs) < len(beside)
    return are_pairs or any(map(label_cells.is_latin, others))


def _warn_of_unused(document: texts.Document, found: Mapping[str, Sequence[int]], *, in_time: bool) -> None:
    """Warns of columns that may change what the labels mean."""
    unused = columns.unused(document, found)
    others = [name for name in unused if columns.normal(name) in _OF_SPECIES]
    if others:
        used = document.header[found["label"][0]]
        logging.warning(
            "%s: the column %s holds the labels, and %s is not used; if that is wrong, say --columns=label=NAME",
            document.path, used, ", ".join(others),
        )  # fmt: skip
    _warn_of_several_species(document, found)
    if in_time:
        return
    of_spans, moments = times.of_spans(document, unused), times.moments(document, found)
    if not moments and all(_LENGTH.fullmatch(columns.without_unit(columns.normal(name))) for name in of_spans):
        return
    they = ", ".join(sorted({*moments, *of_spans}, key=document.header.index))
    if of_spans and not times.are_centres(moments):
        hint = f"if the columns {they} hold their times in seconds, say --columns=start=NAME --columns=end=NAME"
    else:
        hint = f"if {they} tells when they are, write where each begins and ends into columns start and end, in seconds"
    logging.warning("%s: its labels count for whole recordings; %s", document.path, hint)


def _warn_of_several_species(document: texts.Document, found: Mapping[str, Sequence[int]]) -> None:
    """Warns if a label stands beside several common names: it may be a kind of sound, or a group of species."""
    if "common" not in found or found["common"] == found["label"]:
        return
    common_of: dict[str, dict[str, str]] = {}
    used = (*found["label"], *found["common"])
    for line in {tuple(line[i] for i in used if i < len(line)): line for _, line in document.lines[1:]}.values():
        label, common = (columns.filled(line, found[what]) for what in ("label", "common"))
        if common and not label_cells.is_latin(label) and not rows.read_label(label, rows.Options())[0].negative:
            common_of.setdefault(label, {})[label_cells.letters(common.partition("(")[0])] = common
    if several := next((label for label, commons in common_of.items() if len(commons) > 1 and label), ""):
        logging.warning(
            "%s: the column %s holds the labels, but %r stands beside several of %s, as %s; if the species are there, "
            "say --columns=label=%s", document.path, document.header[found["label"][0]], several,
            document.header[found["common"][0]], " and ".join([*common_of[several].values()][:2]),
            document.header[found["common"][0]],
        )  # fmt: skip


def unused_columns(document: texts.Document, options: rows.Options) -> tuple[str, ...]:
    """The names of the columns that are not used."""
    return tuple(columns.unused(document, _columns(document, options)))


def _row(
    where: str,
    cells: Mapping[str, str],
    above: str,
    options: rows.Options,
    order: str,
    length: str,
    units: tuple[float, float],
    *,
    in_percent: bool,
) -> rows.Row:
    """Reads one row. `above` is the last recording that was named: merged cells have their text in the first row."""
    about = _about(order, tuple([(what, cells[what]) for what in _ABOUT if what in cells]))
    named = rows.names(cells.get("file", ""))
    span, labels, problem = rows.NO_SPAN, rows.NOT_STATED, ""
    if "file" in cells and not named:
        problem = "it names no recording"
        named = rows.names(above) if cells.get("label") or cells.get("start") else ()
    else:
        if "label" in cells:
            labels, problem = rows.read_label(cells["label"], options)
        if length and (cells["start"] or cells[length]):
            span, unread = rows.read_span(cells["start"], cells[length], is_duration=length == "duration", units=units)
            problem = unread or problem
    row = rows.Row(
        where=where,
        files=named,
        labels=labels,
        start_seconds=span[0],
        end_seconds=span[1],
        background=about.background,
        annotator=cells.get("annotator", ""),
        common=cells.get("common", ""),
        about=about,
        problem=problem,
    )
    return rows.scored(row, cells.get("score", ""), in_percent=in_percent)


@functools.lru_cache(maxsize=1024)  # the rows of one recording say the same of it
def _about(order: str, told: tuple[tuple[str, str], ...]) -> metadata.Recording:
    cells = dict(told)
    listed, known = label_cells.background(cells.get("background", ""))
    if "background_known" in cells:
        known = cells["background_known"].casefold() == "true"
    described = rows.described(order=order, **{what: cells[what] for what in _PLACE_AND_TIME_CELLS if what in cells})
    own: dict[str, Any] = {what: free_text.number(cells.get(what, ""), limit) for what, limit in _OWN_NUMBERS.items()}
    return dataclasses.replace(
        rows.merged(described, dataclasses.replace(rows.NOTHING, **own)),
        name=cells.get("name", ""),
        author=cells.get("author", ""),
        site=cells.get("site", ""),
        background=listed,
        background_known=known,
    )


FORMAT = file_format.Format(
    name="table",
    suffixes=(".csv", ".tsv", ".txt", parquet.SUFFIX, *json_lines.SUFFIXES),
    recognise=recognise,
    read=read,
    has_header=True,
    unused_columns=unused_columns,
)

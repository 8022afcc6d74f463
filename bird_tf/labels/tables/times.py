"""Columns with times: their units, and what they may mean other than seconds of the recording."""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence

from bird_tf import config, free_text
from bird_tf.labels import recorders, texts
from bird_tf.labels.tables import columns

_DAY_SECONDS = 86400
_FEW = 3  # starts, of which one may be like the clock by chance
# words in the names of columns that may hold times of labels, also in German, French and Spanish
_OF_SPANS = frozenset((
    "start", "begin", "onset", "end", "stop", "offset", "from", "to", "tmin", "tmax", "t0", "t1", "x1", "x2",
    "duration", "beginn", "anfang", "ende", "dauer", "début", "debut", "fin", "durée", "inicio", "duración",
))  # fmt: skip
# those of which such names consist: `Aufgenommen von` is who made a recording
_OF_SPANS_ALONE = frozenset(("von", "bis", "desde", "hasta"))
_OTHER_UNITS = frozenset(("hz", "khz", "db", "dbfs", "m", "km", "cm", "mm", "deg", "degrees", "c"))
_SAMPLES = frozenset(("sample", "samples", "frame", "frames"))  # not read, of times
_OF_TIME, _OF_EXTREMES = frozenset(("t", "time")), frozenset(("min", "max"))
_SIDES = {"left", "right"}
# words in the names of columns that may hold when labels are, those of which such names consist, and those of others
_OF_MOMENTS = frozenset(("time", "timestamp", "timecode", "interval"))
_CENTRES = frozenset(("centre", "center", "mid", "middle"))
_MOMENTS = _OF_MOMENTS | _CENTRES | {"second", "sec", "moment", "span"}
_OFTEN_OF_THE_DAY = {"minute", "zeit", "temps", "tiempo", "tempo"}
_NO_MOMENTS = frozenset((
    "zone", "timezone", "since", "after", "before", "to", "sunrise", "sunset", "day", "date", "year", "hour", "effort",
    "total", "length", "response", "confidence", "freq", "frequency", "local", "inter", "upload", "uploaded", "created",
    "creation", "annotated", "reviewed", "verified", "checked", "edited", "saved", "modified", "updated", "exported",
    "age", "page", "ratio", "grid", "länge",
))  # fmt: skip
_BETWEEN = re.compile(r"\s*(?:[-–]|\bto\b)\s*")  # the two times of `0-2`
_THOUSAND, _WITH_POINT = re.compile(r"[1-9]\d{0,2},\d{3}", re.ASCII), re.compile(r"[\d,]*\.\d+", re.ASCII)
# milliseconds with a sign that may divide thousands, and those that may stand beside them
_THOUSAND_MS = re.compile(r"[1-9]\d{0,2}[,.]\d{3}", re.ASCII)
_BELOW_MILLION_MS = re.compile(rf"\d{{1,3}}|{_THOUSAND_MS.pattern}", re.ASCII)
_DECIMAL_COMMA = re.compile(r"\d+,(?:\d{1,2}|\d{4,})|0,\d+", re.ASCII)
_CLOCK = re.compile(r"\d{1,3}:[0-5]\d(?::[0-5]\d)?(?:[.,]\d+)?", re.ASCII)
_AFTER_MIDNIGHT = re.compile("0?0:")


def refuse_other_times(
    document: texts.Document, found: Mapping[str, Sequence[int]], given: Sequence[tuple[str, str, str]]
) -> None:
    """Refuses times that are not those from the beginning of the recording, unless --columns names their column.

    Args:
        document: the table.
        found: as of `columns.find`.
        given: as of `columns.parse`.

    Raises:
        InputError: the times are of the clock by which the recordings are named, or shares of a day; or minutes and
            seconds of a time stand in columns of their own; or commas may divide thousands.
    """
    mine = columns.given_for(document, given)
    others = {what: found[what] for what in columns.TIMES if what in found and what not in mine}
    for what, positions in others.items():
        _refuse_parts(document, what, positions[0])
    _refuse_thousands(document, others)
    if "start" not in found or "start" in mine:
        return
    column = document.header[found["start"][0]]
    anyway = f"say '--columns=start={column}' if they are right"
    if _are_of_the_clock(document, found):
        raise config.InputError(
            f"{document.path}: the times in {column} are like those of the clock in the names of the recordings; write "
            f"them from the beginning of the recording, in seconds, or {anyway}"
        )
    if _are_shares_of_a_day(document, found):
        raise config.InputError(
            f"{document.path}: the times in {column} are like shares of a day, as a spreadsheet saves 0:00:10; format "
            f"them as text or in seconds, and save it again, or {anyway}"
        )


def refuse_second_header(document: texts.Document, found: Mapping[str, Sequence[int]]) -> None:
    """Refuses a table whose second line names no recording, and holds units or further names of columns alone.

    Units that change nothing do no harm: seconds, those that the names of the columns tell, and those of other columns.

    Args:
        document: the table.
        found: as of `columns.find`.

    Raises:
        InputError: such a line.
    """
    if len(document.lines) < 2:
        return
    number, line = document.lines[1]
    told = {i: text for i in range(len(line)) if re.search(r"[\w%]", text := columns.filled(line, (i,)))}
    if not told.keys().isdisjoint(found.get("file", ())):
        return
    where, names = f"{document.path}, line {number}", ", ".join(told.values())[:200]
    if all(map(_is_unit, told.values())):
        for i in (i for what in (*columns.TIMES, "score") for i in found.get(what, ()) if i in told):
            name, word, unit = document.header[i], columns.unit_of(document, i), texts.without_signs(told[i])
            in_name = free_text.UNITS.get(word, 1.0)
            has_percent = "%" in told[i] and not columns.is_called_percent(name)
            if not has_percent and unit not in _SAMPLES and free_text.UNITS.get(unit, in_name) == in_name:
                continue
            if unit in _SAMPLES:
                advice = "write the times in seconds"
            elif word in free_text.UNITS:
                advice = f"the name {name} says {word}, and this line {unit}: write the right one into the name"
            else:
                advice = f"write them into the names of the columns, as '{name} ({told[i].strip('()[]')})'"
            raise config.InputError(f"{where}: units below the header ({names}): {advice}, and delete this line")
    elif "file" in found and len(told) > 1 and all(map(_is_name, told.values())):
        raise config.InputError(f"{where}: a second line of names of columns ({names}): write one line with all names")


def _is_unit(cell: str) -> bool:
    return "%" in cell or texts.without_signs(cell) in free_text.UNITS.keys() | _OTHER_UNITS | _SAMPLES


def _is_name(cell: str) -> bool:
    """Whether a cell holds the name of a column that is known, or one of times of labels."""
    name = columns.without_unit(columns.normal(cell))
    is_known = any(name in names for names in columns.COLUMNS.values())
    return is_known or (bool(name) and {*name.split()} <= _OF_SPANS | _OF_SPANS_ALONE | _OF_TIME)


def refuse_several_spans(document: texts.Document, found: Mapping[str, Sequence[int]]) -> None:
    """Refuses a table that has further columns of start, end and label, as `start,end,species,start.1,end.1,species.1`.

    They may be empty, or repeat the first ones.

    Args:
        document: the table.
        found: as of `columns.find`.

    Raises:
        InputError: a line tells another annotation there.
    """
    first = [found[what][0] for what in ("start", "end" if "end" in found else "duration", "label") if what in found]
    names = [re.sub(r" ?\d+$", "", columns.normal(name)) for name in document.header]
    used = {i for positions in found.values() for i in positions}
    again = [
        next((i for i, name in enumerate(names) if name == names[of_first] != "" and i not in used), -1)
        for of_first in first
    ]
    if len(again) < 3 or -1 in again:
        return
    for number, line in document.lines[1:]:
        told, further = ([columns.filled(line, (i,)) for i in positions] for positions in (first, again))
        if all(further) and told != further:
            raise config.InputError(
                f"{document.path}, line {number}: it tells a second annotation in the columns "
                f"{', '.join(f'{i + 1} ({document.header[i]})' for i in again)}; write one annotation a row"
            )


def _refuse_thousands(document: texts.Document, found: Mapping[str, Sequence[int]]) -> None:
    """Refuses signs before three digits that may divide thousands: 1,234 may be 1.234 s or 1234 s.

    Raises:
        InputError: the columns of times hold such commas beside decimal points; or they hold milliseconds, all cells
            with a sign are so, and no other has more than three digits.
    """
    used = [what for what in found if what != "duration" or "end" not in found]
    whats = {cell: what for what in used for cell in columns.down(document, found[what])}
    thousand, with_point = (next(filter(each.fullmatch, whats), "") for each in (_THOUSAND, _WITH_POINT))
    if thousand and with_point and not any(map(_DECIMAL_COMMA.fullmatch, whats)):
        doubt = f"of its times, {thousand} has a comma and {with_point} has a point: does the comma divide thousands?"
        raise config.InputError(f"{document.path}: {doubt} {_how_to_write(document, found, whats[thousand])}")
    units_of = (free_text.UNITS.get(columns.unit_of(document, found[what][0]), 1.0) for what in used)
    thousand = next(filter(_THOUSAND_MS.fullmatch, whats), "")
    if thousand and max(units_of) < 1 and all(not cell or _BELOW_MILLION_MS.fullmatch(cell) for cell in whats):
        sign = "comma" if "," in thousand else "point"
        doubt = f"of its milliseconds, {thousand} has a {sign}: does it divide thousands?"
        raise config.InputError(f"{document.path}: {doubt} {_how_to_write(document, found, whats[thousand])}")


def _how_to_write(document: texts.Document, found: Mapping[str, Sequence[int]], what: str) -> str:
    return (
        "Write all times with points, and without other signs; if it is the decimal sign, say "
        f"'--columns={what}={document.header[found[what][0]]}'"
    )


def _refuse_parts(document: texts.Document, what: str, position: int) -> None:
    """Refuses a column of times beside one of another unit that does not hold the same times.

    Raises:
        InputError: as start_min and start_s of 1 min 2 s, or for other reasons.
    """
    name = document.header[position]
    for other, i in columns.positions(document).items():
        pair = [(free_text.UNITS.get(columns.unit_of(document, each), 0.0), each) for each in (position, i)]
        if (
            columns.without_unit(other) != columns.without_unit(columns.normal(name))
            or 0 in dict(pair)
            or len(dict(pair)) < 2
        ):
            continue
        (fine_unit, fine), (coarse_unit, coarse) = sorted(pair)
        for number, line in document.lines[1:]:
            short, long = columns.filled(line, (fine,)), columns.filled(line, (coarse,))
            if not _are_same_time(short, long, fine_unit, coarse_unit):
                raise config.InputError(
                    f"{document.path}, line {number}: {document.header[coarse]} {long} and {document.header[fine]} "
                    f"{short} are not the same time; if they are parts of one, write it into one column, as 1:02 or "
                    f"62, else say '--columns={what}={name}'"
                )


def _are_same_time(fine_cell: str, coarse_cell: str, fine_unit: float, coarse_unit: float) -> bool:
    """Whether a time in a coarse unit is that in a fine one, rounded to its digits, or to whole ones below."""
    fine, coarse = (free_text.number(cell, limit=math.inf) for cell in (fine_cell, coarse_cell))
    if math.isnan(fine) or math.isnan(coarse) or not coarse:
        return True
    steps = [unit * 10.0 ** -len(re.split("[.,]", f"{cell}.")[1])
             for unit, cell in ((fine_unit, fine_cell), (coarse_unit, coarse_cell))]  # fmt: skip
    less = 0.0 if steps[1] == coarse_unit else steps[1]
    more = coarse_unit if coarse == round(coarse, 0) else steps[1]
    return -less - steps[0] < fine * fine_unit - coarse * coarse_unit < more + steps[0]


def _are_of_the_clock(document: texts.Document, found: Mapping[str, Sequence[int]]) -> bool:
    """Whether all spans begin in the hour after the clock in the name of their recording; a few must equal it."""
    num, are_equal = 0, True
    for _, line in document.lines[1:]:
        start, name = (columns.filled(line, found.get(what, ())) for what in ("start", "file"))
        if not start:
            continue
        noted = recorders.from_name(
            os.path.splitext(os.path.basename((name or document.path).replace("\\", "/")))[0]
        ).time
        if ":" not in start or noted is None or not noted.hour:  # after midnight, both are the same or alike
            return False
        step = 60 if start.count(":") == 1 else 1
        passed = step * free_text.seconds(start) - (3600 * noted.hour + 60 * noted.minute + noted.second // step)
        if not 0 <= passed < 3600:
            return False
        num, are_equal = num + 1, are_equal and passed < step
    return num >= _FEW or (num > 0 and are_equal)


def _are_shares_of_a_day(document: texts.Document, found: Mapping[str, Sequence[int]]) -> bool:
    """Whether all times lie in the first 42 ms, and are whole seconds of the first hour as shares of a day."""
    has_long = False
    for _, line in document.lines[1:]:
        for cell in (columns.filled(line, found[what]) for what in columns.TIMES if what in found):
            if cell:
                share = free_text.number(cell, limit=1 / 24)
                if not abs(_DAY_SECONDS * share - round(_DAY_SECONDS * share, 0)) < 0.01 or share < 0:
                    return False
                has_long = has_long or share != round(share, 4)
    return has_long


def units(document: texts.Document, found: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """{what: unit in seconds} of the columns with times, by their names: start_ms has milliseconds.

    The `min` of t_min beside t_max is the least one, and no minutes.

    Raises:
        InputError: columns of different units for the same; or only one of two columns names a unit, and that is not
            seconds; or the name of one says that it counts samples or frames, or minutes alone (hh:mm).
    """
    of_times, names = {}, columns.positions(document)
    words = {what: [columns.unit_of(document, i) for i in found[what]] for what in columns.TIMES if what in found}
    for name in (document.header[i] for what in words for i in found[what]):
        of_name = columns.normal(name).split()
        is_in_samples = not _SAMPLES.isdisjoint(of_name) and of_name[-1] not in free_text.UNITS
        if is_in_samples or of_name[-2:] == ["hh", "mm"]:
            raise config.InputError(
                f"{document.path}: {name} counts no seconds, by its name: write the times in seconds"
            )
    is_range = "max" in words.get("end", ())
    for what, of_columns in words.items():
        are_least = [
            word == "min" and (is_range or f"{columns.without_unit(columns.normal(document.header[i]))} max" in names)
            for word, i in zip(of_columns, found[what], strict=True)
        ]
        several = {
            1.0 if least else free_text.UNITS.get(word, 1.0) for word, least in zip(of_columns, are_least, strict=True)
        }
        if len(several) > 1:
            raise config.InputError(f"{document.path}: the columns for {what} have different units; name one of them")
        of_times[what] = several.pop()
    pair = [what for what in ("start", "end" if "end" in found else "duration") if what in found]
    unstated = [what for what in pair if free_text.UNITS.keys().isdisjoint(words[what])]
    if len(pair) == 2 and len(unstated) == 1:
        unit = next(of_times[what] for what in pair if what not in unstated)
        if unit != 1 and _may_be_in_unit(columns.down(document, found[unstated[0]]), unit):
            one, other = (document.header[found[what][0]] for what in pair)
            raise config.InputError(f"{document.path}: only one of {one} and {other} names its unit; name that of both")
    return of_times


def _may_be_in_unit(cells: Iterable[str], unit: float) -> bool:
    """Whether times of which the unit is not told may be in one: 1:02 is not, nor is 0.5 if that one is of 1 ms."""
    told = {free_text.number(cell, limit=math.inf) for cell in cells}
    numbers = {each for each in told if each and not math.isnan(each)}
    return bool(numbers) and (unit > 1 or all(map(float.is_integer, numbers)))


def may_hold_spans(name: str) -> bool:
    """Whether the name of a column is like that of times of labels."""
    words = columns.normal(re.sub("(?<=[a-z])(?=[A-Z])", " ", name)).split()
    bare = set(words).difference(free_text.UNITS, ("zeit",))
    return (
        not _OF_SPANS.isdisjoint(words)
        or (bool(bare) and bare <= _OF_SPANS_ALONE)
        or (len(words) == 2 and not _OF_TIME.isdisjoint(words) and not _OF_EXTREMES.isdisjoint(words))
    )


def of_spans(document: texts.Document, names: Sequence[str]) -> list[str]:
    """Those of some columns that may hold times of labels, by their names, or as pairs of a time and a later one.

    Dates, with or without a time, are none.
    """
    position = columns.positions(document)
    pairs = set[str]()
    for pair in itertools.combinations(names, 2):
        ends = {name.rpartition(" ")[2] for name in map(columns.normal, pair)}
        if ({*map(columns.normal, pair)} == _SIDES or ends <= free_text.FINE_UNITS.keys()) and _are_ordered(
            document, *(position[columns.normal(name)] for name in pair)
        ):
            pairs.update(pair)
    called = [name for name in names if may_hold_spans(name)]
    dates = {name for name in called if _are_dates(columns.down(document, (position[columns.normal(name)],)))}
    return [name for name in names if name in pairs or name in {*called} - dates]


def _are_dates(cells: Iterable[str]) -> bool:
    told = {cell for cell in cells if cell}
    return bool(told) and all(free_text.date(cell, "day") or free_text.date(cell, "month") for cell in told)


def moments(document: texts.Document, found: Mapping[str, Sequence[int]]) -> list[str]:
    """The columns that may hold when labels are: `Time (s)`, `timestamp`, `interval` and the like.

    They hold numbers, clock times or `0-2`. They differ in one recording, else they may be those of the day and much
    else; or they stand beside lengths, the name tells seconds or a centre, all are in the hour after midnight, or all
    are as `0-2`. Columns of other names, which may be those of the day, hold times as `0:05`, and differ in one
    recording.

    Args:
        document: the table.
        found: as of `columns.find`.
    """
    names = columns.positions(document)
    used = {i for positions in found.values() for i in positions}
    has_length = not names.keys().isdisjoint(columns.COLUMNS["duration"])
    told = []
    for name, i in names.items():
        words = set((columns.without_unit(name) or name).split())
        is_part = bool(words & {"minute", "second", "sec"}) and "hour" in names  # of a time in three columns
        is_called_so = bool(words & _OF_MOMENTS) or words <= _MOMENTS
        may_be_so = i not in used and (
            words <= _OFTEN_OF_THE_DAY or bool(_CLOCK.fullmatch(next(filter(None, columns.down(document, (i,))), "")))
        )
        if not words or is_part or words & _NO_MOMENTS or not (is_called_so or may_be_so):
            continue
        cells = [(columns.filled(line, found.get("file", ())), columns.filled(line, (i,))) for _, line in
                 document.lines[1:]]  # fmt: skip
        different = {(file, cell) for file, cell in cells if cell}
        filled = {cell for _, cell in different}
        differ = len(different) > len({file for file, _ in different})
        differ = differ or (is_called_so and has_length and not any(":" in cell for cell in filled))
        if i not in used and is_called_so and not differ:  # `time` may be that of the day
            has_unit = len(name.split()) > 1 and columns.unit_of(document, i) in free_text.FINE_UNITS
            is_centre = len(words) > 1 and not words.isdisjoint(_CENTRES)
            differ = (
                has_unit or is_centre or all(map(_AFTER_MIDNIGHT.match, filled)) or all(map(_BETWEEN.search, filled))
            )
        if differ and all(map(_is_time, filled)) and (len(filled) > 1 or len(filled) == len(cells)):
            told.append(document.header[i])
    return sorted(told, key=document.header.index)


def are_centres(names: Sequence[str]) -> bool:
    """Whether columns with times are called as those of the middle of a label."""
    return any(not _CENTRES.isdisjoint(columns.normal(name).split()) for name in names)


def _is_time(cell: str) -> bool:
    """Whether a cell is a time in a recording, or two of them, as `0-2` and `0:00-0:02`."""
    parts = [free_text.seconds(part) for part in _BETWEEN.split(cell)]
    return len(parts) < 3 and parts == sorted(parts) and 0 <= parts[0] <= parts[-1] <= _DAY_SECONDS


def _are_ordered(document: texts.Document, one: int, other: int) -> bool:
    """Whether two columns hold numbers, and those of one are less in each row."""
    rows = [
        [free_text.number(columns.filled(line, (i,)), limit=math.inf) for i in (one, other)]
        for _, line in document.lines[1:]
    ]
    return all(a < b for a, b in rows) or all(a > b for a, b in rows)

"""Numbers, times and names in free-text fields: THE policy for numbers that other programs and people wrote.

Digits are ASCII, a field has a limited length, and one comma may be the decimal sign. What cannot be read is NaN or
None.
"""

from __future__ import annotations

import datetime
import decimal
import itertools
import math
import re
from collections.abc import Iterable

_LONGEST = 40  # characters of a number or time; a float64 has at most 24
# Units of times, in seconds; the last word in the name of a column may tell one. Times in a fine unit are of the
# recording, others may be of the clock.
FINE_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millis", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("us", "usec", "μs", "microsecond", "microseconds"), 1e-6),
}
UNITS = {
    **FINE_UNITS,
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
}
_IN_UNIT = re.compile(r"(.*[\d.,])\s*([a-z]+)\.?", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
# only the first part may be above 59; 59.97 s may be rounded to 60.0
_CLOCK = re.compile(r"(?:(\d{1,3}):(?=[0-5]?\d:))?(\d{1,4}):([0-5]?\d(?:[.,]\d*)?|60(?:[.,]0*)?)", re.ASCII)
_DATE = re.compile(r"(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})(?:[T ].*)?", re.ASCII)
_DATE_OF_DIGITS = re.compile(r"((?:19|20)\d\d)(\d\d)(\d\d)(?:[T_ ].*)?", re.ASCII)
# a date beside a time, in lower case; what has two digits for the year is one if a time follows
_DATE_WITHIN = re.compile(
    r"(?<!\d)(?:\d{4} ?([-/.]) ?\d{1,2} ?\1 ?\d{1,2}|\d{1,2} ?([-/.]) ?\d{1,2} ?\2 ?(?:\d{4}|\d\d(?=[t_, ]+\d)))(?!\d)",
    re.ASCII,
)
# no time ends before a point and digits, or begins behind them: 05.06. 21:30 is a day and half past nine; and no
# minute has more than two digits: 0.2291667 is a share of a day
_HOUR = re.compile(
    r"(?<!\d)(?<!\d[:.])(\d{1,2})\s*[:h.]\s*(\d{2})(?!\d)(?::([0-5]\d)(?!\d))?(?:[:.]\d+){0,2}(?!\.\s*\d)"
    r"\s*([ap]\.?m\b)?", re.ASCII,
)  # fmt: skip
_TIME_OF_DIGITS = re.compile(r"([01]\d|2[0-3])([0-5]\d)([0-5]\d)", re.ASCII)
# controls, marks of direction, line ends of Unicode, and bytes of a file name that are not UTF-8
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY_WITH_MONTH = re.compile(r"(?P<day>\d{1,2})[-. ]+(?P<month>[a-z]{3})[a-z]*[-., ]+(?P<year>\d{4})", re.ASCII)
_MONTH_WITH_DAY = re.compile(r"(?P<month>[a-z]{3})[a-z]*\.?[- ]+(?P<day>\d{1,2})[, ]+(?P<year>\d{4})", re.ASCII)


def printable(text: str, kept: str = "") -> str:
    """A text for a terminal: signs that move the cursor, colour, or turn the direction of writing become escapes.

    Args:
        text: any text.
        kept: such signs that stay, as line ends.
    """
    return _UNPRINTABLE.sub(lambda found: found[0] if found[0] in kept else ascii(found[0])[1:-1], text)


def examples(texts: Iterable[str], most: int = 3) -> str:
    """The first of some texts, for a message, as " (a, b, …)"; empty if there are none."""
    first = list(itertools.islice(texts, most + 1))
    shown = [text[:80] for text in first[:most]]
    return f" ({', '.join([*shown, *(['…'] if len(first) > most else [])])})" if first else ""


def names(listed: Iterable[str]) -> tuple[str, ...]:
    """Strips names and leaves out empty ones."""
    return tuple(name.strip() for name in listed if name.strip())


def number(text: str, limit: float) -> float:
    """Reads a number within ± limit, such as 52.5 or 52,5; NaN for any other text."""
    text = text.strip()
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        return math.nan
    value = float(text.replace(",", "."))
    return value if abs(value) <= limit else math.nan


def place(latitude: str, longitude: str) -> tuple[float, float]:
    """Reads latitude and longitude in degrees; NaN for other texts, and for what programs write of an unknown place.

    That is 0, 0 where no satellite was received, and -1, -1, as BirdNET writes it.
    """
    found = number(latitude, limit=90), number(longitude, limit=180)
    return (math.nan, math.nan) if found in ((0, 0), (-1, -1)) else found


def probability(text: str) -> float:
    """Reads a number from 0 to 1 with a point, as programs write it; NaN for any other text.

    The comparison with 1 is exact: 1.00000000000000000001 is no probability, though float64 takes it for 1.
    """
    value = math.nan if "," in text or text != text.strip() else number(text, limit=1)
    return value if value >= 0 and decimal.Decimal(text) <= 1 else math.nan


def seconds(text: str, unit: float = 1.0) -> float:
    """Reads a time in a recording: a number, minutes:seconds or hours:minutes:seconds; NaN for any other text.

    Args:
        text: the field.
        unit: of a number without a unit (as `2 s`) behind it, in seconds.
    """
    text = text.strip()
    if clock := _CLOCK.fullmatch(text[: _LONGEST + 1]):
        hours, minutes, rest = clock.groups()
        return 3600 * int(hours or 0) + 60 * int(minutes) + float(rest.replace(",", "."))
    told = _IN_UNIT.fullmatch(text[: _LONGEST + 1])
    if told and (own := UNITS.get(told[2].lower())):
        return own * number(told[1], limit=1e9)
    return unit * number(text, limit=1e9)


def confidence(text: str, *, in_percent: bool = False) -> float:
    """Reads a number from 0 to 1, or a percentage such as 87 %; NaN for any other text.

    Args:
        text: the field.
        in_percent: whether a number without a % is a percentage, too.
    """
    share = text.strip().removesuffix("%")
    whole = 100 if in_percent or share != text.strip() else 1
    value = number(share, limit=whole) / whole
    return value if value >= 0 else math.nan


def elevation(text: str) -> float:
    """Reads an elevation in metres, such as 1200, ca. 1,200 m or 1100-1300 (the middle); NaN for any other text."""
    number = r"(-?\d{1,3}(?:,\d{3})+|-?\d+(?:\.\d+)?)"
    text = text.strip().lower()[: _LONGEST + 1]
    parts = re.fullmatch(rf"\D*?{number}(?:\s*[-–]\s*{number})?\s*(?:m|metres|meters)?\.?", text, re.ASCII)
    if not parts:
        return math.nan
    metres = [float(part.replace(",", "")) for part in parts.groups() if part]
    middle = sum(metres) / len(metres)
    return middle if -500 <= middle <= 9000 else math.nan


def order_of_dates(texts: Iterable[str]) -> str:
    """Whether the dates of a table, such as 5/31/2023, begin with the day or the month.

    Returns:
        "day", "month", or "" if no date makes it certain, or if they contradict each other.
    """
    found = set()
    for text in texts:
        parts = _DATE.fullmatch(text.strip()[: _LONGEST + 1])
        if parts and len(parts[1]) < 3 and len(parts[4]) in (2, 4):
            found |= {"day"} if int(parts[1]) > 12 else {"month"} if int(parts[3]) > 12 else set()
    return found.pop() if len(found) == 1 else ""


def date(text: str, order: str = "") -> datetime.date | None:
    """Reads a date such as 2014-01-31 (also with / or .), 31.01.2014 or 31 Jan 2014, perhaps with a time behind it.

    Args:
        text: the field.
        order: "day" or "month": what dates such as 1/5/2023 begin with. Without it they are unknown, unless a part is
            greater than 12; dates with points begin with the day.

    Returns:
        The date; None for any other text.
    """
    text = text.strip()[: _LONGEST + 1]
    try:
        if digits := _DATE_OF_DIGITS.fullmatch(text):
            return datetime.date(*map(int, digits.groups()))
        if parts := _DATE.fullmatch(text):
            first, sign, second, third = parts.groups()
            if len(first) == 4 and len(third) < 3:
                return datetime.date(int(first), int(second), int(third))
            order = order or order_of_dates([text]) or ("day" if sign == "." else "")
            if len(first) > 2 or len(third) not in (2, 4) or not order:
                return None
            day, month = (first, second) if order == "day" else (second, first)
            return datetime.date(int(third) + 2000 * (len(third) == 2), int(month), int(day))
        named = _DAY_WITH_MONTH.fullmatch(text.lower()) or _MONTH_WITH_DAY.fullmatch(text.lower())
        if named and named["month"] in _MONTHS:
            return datetime.date(int(named["year"]), _MONTHS.index(named["month"]) + 1, int(named["day"]))
    except ValueError:  # there is no such day
        pass
    return None


def day_of_year(day: datetime.date | None) -> float:
    """1 … 366; NaN without a date."""
    return float(day.timetuple().tm_yday) if day else math.nan


def hour_of_day(text: str) -> float:
    """Reads a time such as 08:30:15, ~06h15, 9:30 am, 7.15, perhaps beside a date, or 083015: hours 0 … 24; else NaN.

    Seconds count behind a colon only: what stands behind a point may be anything.
    """
    if digits := _TIME_OF_DIGITS.fullmatch(text.strip()):
        text = ":".join(digits.groups())
    text = _DATE_WITHIN.sub(" ", text[: 2 * _LONGEST].lower().replace("~", " "))
    parts = _HOUR.search(text)
    if not parts:
        return math.nan
    hour, minute, second, half = *(int(parts.group(i) or 0) for i in (1, 2, 3)), parts.group(4) or ""
    if half:
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    return hour + minute / 60 + second / 3600 if hour < 24 and minute < 60 else math.nan


def are_shares_of_day(texts: Iterable[str]) -> bool:
    """Whether the times of a table are shares of a day, as spreadsheets save 05:30 as 0.2291667: all are below 1."""
    shares = [number(text, limit=1) for text in texts if text]
    return any(shares) and all(0 <= share < 1 for share in shares)


def time_of_share(text: str) -> str:
    """A share of a day as a time, such as 05:30, or 05:30:15 if it has enough digits; any other text as it is."""
    share = number(text, limit=1)
    if not share >= 0:
        return text
    step = 1 if len(re.split("[.,]", text.strip())[-1]) >= 6 else 60  # a second is 0.0000116 of a day
    minutes, second = divmod(min(step * round(86400 * share / step), 86400 - step), 60)
    return "{:02}:{:02}".format(*divmod(minutes, 60)) + (f":{second:02}" if second else "")

"""Numbers, times and names in free-text fields. Values that cannot be read are NaN, or are left out."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable


def names(listed: Iterable[str]) -> tuple[str, ...]:
    """Strips names and leaves out empty ones."""
    return tuple(name.strip() for name in listed if name.strip())


def number(text: str, limit: float) -> float:
    """Reads a number within ± limit; NaN for any other text."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if abs(value) <= limit else math.nan


def elevation(text: str) -> float:
    """Reads an elevation in metres, such as 1200, ca. 1,200 m or 1100-1300 (the middle); NaN for any other text."""
    number = r"(-?\d{1,3}(?:,\d{3})+|-?\d+(?:\.\d+)?)"
    parts = re.fullmatch(rf"\D*?{number}(?:\s*[-–]\s*{number})?\s*(?:m|metres|meters)?\.?", text.strip().lower())
    if not parts:
        return math.nan
    metres = [float(part.replace(",", "")) for part in parts.groups() if part]
    middle = sum(metres) / len(metres)
    return middle if -500 <= middle <= 9000 else math.nan


def _date(text: str) -> datetime.date | None:
    """Reads a date such as 2014-01-31 (also with / or .); None for any other text."""
    parts = re.fullmatch(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})", text)
    try:
        return datetime.date(*map(int, parts.groups())) if parts else None
    except ValueError:
        return None


def iso_date(text: str) -> str:
    """Reads a date as YYYY-MM-DD; empty for any other text."""
    day = _date(text)
    return day.isoformat() if day else ""


def day_of_year(text: str) -> float:
    """Reads a date as day 1 … 366; NaN for any other text."""
    day = _date(text)
    return float(day.timetuple().tm_yday) if day else math.nan


def hour_of_day(text: str) -> float:
    """Reads a time such as 08:30, ~06h15, 9:30 am or 7.15 as hours 0 … 24; NaN for any other text."""
    parts = re.search(r"\b(\d{1,2})\s*[:h.]\s*(\d{2})(?:[:.]\d+)?\s*([ap]\.?m\b)?", text.lower().replace("~", " "))
    if not parts:
        return math.nan
    hour, minute, half = int(parts.group(1)), int(parts.group(2)), parts.group(3) or ""
    if half:
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    return hour + minute / 60 if hour < 24 and minute < 60 else math.nan

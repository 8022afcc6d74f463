"""Numbers, times and names out of fields that people fill in freely: what cannot be read is NaN or left out."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable


def names(listed: Iterable[str]) -> tuple[str, ...]:
    """Names without the blanks around them and without empty ones."""
    return tuple(name.strip() for name in listed if name.strip())


def number(text: str, limit: float) -> float:
    """A number within ± limit; NaN for anything else, since these fields are free text."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if abs(value) <= limit else math.nan


def elevation(text: str) -> float:
    """Metres of an elevation such as 1200, ca. 1,200 m or 1100-1300 (their middle); NaN for anything else."""
    number = r"(-?\d{1,3}(?:,\d{3})+|-?\d+(?:\.\d+)?)"
    parts = re.fullmatch(rf"\D*?{number}(?:\s*[-–]\s*{number})?\s*(?:m|metres|meters)?\.?", text.strip().lower())
    if not parts:
        return math.nan
    metres = [float(part.replace(",", "")) for part in parts.groups() if part]
    middle = sum(metres) / len(metres)
    return middle if -500 <= middle <= 9000 else math.nan


def day_of_year(text: str) -> float:
    """Day 1 … 366 of a date written 2014-01-31 (or with / or .); NaN for anything else."""
    parts = re.fullmatch(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})", text)
    try:
        return float(datetime.date(*map(int, parts.groups())).timetuple().tm_yday) if parts else math.nan
    except ValueError:
        return math.nan


def hour_of_day(text: str) -> float:
    """Hours 0 … 24 of a time such as 08:30, ~06h15, 9:30 am or 7.15; NaN for anything else."""
    parts = re.search(r"\b(\d{1,2})\s*[:h.]\s*(\d{2})(?:[:.]\d+)?\s*([ap]\.?m\b)?", text.lower().replace("~", " "))
    if not parts:
        return math.nan
    hour, minute, half = int(parts.group(1)), int(parts.group(2)), parts.group(3) or ""
    if half:
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    return hour + minute / 60 if hour < 24 and minute < 60 else math.nan

"""Lines of tab-separated text, as Raven and Audacity read it."""

from __future__ import annotations

from collections.abc import Iterable


def line(fields: Iterable[object]) -> str:
    """One line with its end. These programs know no quotes: a tab or line end in a text becomes a blank."""
    return "\t".join(" ".join(str(field).splitlines()).replace("\t", " ") for field in fields) + "\n"

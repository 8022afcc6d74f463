"""Raven selection tables: tab-separated text with a header line."""

from __future__ import annotations

from bird_tf import config
from bird_tf.labels.layouts import tab_separated

SUFFIXES = (".txt", ".tsv")
_START, _END = "begin time (s)", "end time (s)"
_LABELS = ("species code", "species", "common name", "annotation", "label", "tags", "sound type")


def recognise(text: str) -> bool:
    """Whether a text is a selection table: its first line is the header of one."""
    lines = tab_separated.lines(text)
    return bool(lines) and _START in _names(lines[0])


def read(path: str, text: str, label: str) -> list[tuple[int, str, str, str]]:
    """Reads the selections.

    Args:
        path: the file, for messages.
        text: its content.
        label: the column that holds the species; empty: the first of Raven's usual names that the table has.

    Returns:
        (line number, start, end, label) of each selection, as text.

    Raises:
        InputError: the column with the species, or the one with the end, is missing.
    """
    header, *lines = tab_separated.lines(text)
    names = _names(header)
    wanted = [label.lower()] if label else [name for name in _LABELS if name in names]
    if not wanted or wanted[0] not in names or _END not in names:
        raise config.InputError(
            f"{path}: which column holds the species? it has {', '.join(header)}; say --columns=label=NAME"
        )
    start, end, species = (names.index(name) for name in (_START, _END, wanted[0]))
    padded = [[*line, *[""] * len(names)] for line in lines]
    return [(number, line[start], line[end], line[species]) for number, line in enumerate(padded, 2)]


def _names(header: list[str]) -> list[str]:
    return [name.strip().lower() for name in header]

"""Audacity label files: tab-separated text without a header line: start, end, label."""

from __future__ import annotations

from bird_tf.labels.layouts import tab_separated

SUFFIXES = (".txt", ".tsv")


def recognise(text: str) -> bool:
    """Whether a text has labels: lines of at least two fields."""
    return bool(_rows(text))


def read(path: str, text: str, label: str) -> list[tuple[int, str, str, str]]:
    """Reads the labels.

    Args:
        path: the file; not used.
        text: its content.
        label: not used: the columns have no names.

    Returns:
        (line number, start, end, label) of each label, as text.
    """
    return _rows(text)


def _rows(text: str) -> list[tuple[int, str, str, str]]:
    # a line with a backslash holds the frequency range of the label before it
    return [
        (number, line[0], line[1], line[2] if len(line) > 2 else "")
        for number, line in enumerate(tab_separated.lines(text), 1)
        if line[0] != "\\" and len(line) > 1
    ]

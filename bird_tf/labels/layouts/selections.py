"""Raven selection tables and Audacity label files."""

from __future__ import annotations

import collections
import csv
from collections.abc import Mapping, Sequence

from bird_tf import config
from bird_tf.labels import metadata, spans

SUFFIXES = (".txt", ".tsv")
_RAVEN_START, _RAVEN_END = "begin time (s)", "end time (s)"
_RAVEN_LABELS = ("species code", "species", "common name", "annotation", "label", "tags", "sound type")


def read(path: str, columns: Mapping[str, str]) -> list[metadata.Annotation]:
    """Reads a Raven selection table or an Audacity label file, told apart by Raven's header line.

    Args:
        path: the table.
        columns: "label" → the name of the column that holds the species; Raven's usual ones are known.

    Returns:
        Its annotations in the order of time, each once (Raven lists one selection for every view of it).

    Raises:
        InputError: neither of them, or a line that does not read.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = [line for line in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if any(line)]
    except UnicodeDecodeError as error:
        raise config.InputError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from error
    if lines and _RAVEN_START in [name.strip().lower() for name in lines[0]]:
        rows = _raven(path, lines, columns.get("label", ""))
    else:
        # lines with a backslash give the band of frequencies of the label before them
        rows = [(i, line[0], line[1], line[2] if len(line) > 2 else "") for i, line in enumerate(lines, 1)
                if line[0] != "\\" and len(line) > 1]  # fmt: skip
        if not rows:
            raise config.InputError(f"{path}: neither a Raven selection table nor Audacity labels")
    found: dict[metadata.Annotation, None] = collections.OrderedDict()
    for number, start, end, label in rows:
        found[spans.parse_annotation(f"{path}, line {number}", start, end, label)] = None
    return sorted(found, key=lambda a: (a.start_seconds, a.end_seconds, a.label))


def _raven(path: str, lines: Sequence[Sequence[str]], label: str) -> list[tuple[int, str, str, str]]:
    header = [name.strip().lower() for name in lines[0]]
    wanted = [label.lower()] if label else [name for name in _RAVEN_LABELS if name in header]
    if not wanted or wanted[0] not in header or _RAVEN_END not in header:
        raise config.InputError(
            f"{path}: which column holds the species? it has {', '.join(lines[0])}; say --columns=label=NAME"
        )
    places = [header.index(name) for name in (_RAVEN_START, _RAVEN_END, wanted[0])]
    padded = [[*line, *[""] * len(header)] for line in lines[1:]]
    return [(i, line[places[0]], line[places[1]], line[places[2]]) for i, line in enumerate(padded, 2)]

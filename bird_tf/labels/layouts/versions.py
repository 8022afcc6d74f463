"""Annotation files about one recording that contradict each other, as an old version and a new one do."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from bird_tf import config
from bird_tf.labels import class_names
from bird_tf.labels.layouts import rows


def contradictions(found: Iterable[tuple[str, str, rows.Row]]) -> list[str]:
    """The first contradiction between files about one recording, in words; none if they agree.

    A file that names one more species for a span contradicts nothing, nor does one that names none.

    Args:
        found: (file, its format if it is named after a recording, a row of it about the recording).

    Raises:
        InputError: files of one format that are named after a recording contradict each other: one is an old version.
            Segments of equal length are not refused, for such files can hold a species each.
    """
    of_file: dict[str, list[rows.Row]] = {}
    formats: dict[str, str] = {}
    for file, file_format, row in found:
        of_file.setdefault(file, []).append(row)
        formats[file] = file_format
    if len(of_file) < 2:
        return []
    told: list[str] = []
    said = {file: _said(of_one) for file, of_one in of_file.items()}
    for first, second in itertools.combinations(said, 2):
        for span, species in said[first].items():
            others = said[second].get(span)
            if others and species and species.keys().isdisjoint(others):
                both = [f"{file} says {', '.join(sorted(said[file][span].values()))}" for file in (first, second)]
                text = f"at {span[0]:g} to {span[1]:g} s {', and '.join(both)}"
                are_segments = _are_segments(said[first]) and _are_segments(said[second])
                if formats[first] and formats[first] == formats[second] and not are_segments:
                    raise config.InputError(f"{text}; move the old version away, or name the right one with --metadata")
                told.append(text)
    return told[:1]


def _said(of_file: Iterable[rows.Row]) -> dict[tuple[float, float], dict[str, str]]:
    """{span: {key: name} of its species}, where "" stands for a negative. Programs round times."""
    said: dict[tuple[float, float], dict[str, str]] = {}
    for row in of_file:
        if row.has_span:
            species = said.setdefault((round(row.start_seconds, 2), round(row.end_seconds, 2)), {})
            species |= {class_names.key(name): name for name in row.labels.species}
            if row.labels.negative:
                species[""] = "that no species is there"
    return said


def _are_segments(spans: Iterable[tuple[float, float]]) -> bool:
    lengths = [end - start for start, end in spans]
    return len(lengths) > 1 and max(lengths) - min(lengths) < 0.015

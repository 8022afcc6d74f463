"""Annotation files about one recording that contradict each other, as an old version and a new one do."""

from __future__ import annotations

import collections
import itertools
import os
import re
from collections.abc import Iterable

from bird_tf import config
from bird_tf.labels import class_names, label_cells
from bird_tf.labels.tables import rows

# words in names of files and folders that tell versions apart, besides numbers; also in German, French and Spanish
_OF_VERSIONS = re.compile(
    r"[vr]?\d+|(?:old|new|bak|backup|copy|orig|original|prev|previous|final|draft|corrected|version|ver|rev|revised|"
    r"revision|alt|neu|kopie|sicherung|copie|ancien|nouveau|copia|viejo|nuevo)\d*"
)


def contradictions(found: Iterable[tuple[str, str, rows.Row]]) -> list[str]:
    """The first contradiction between files about one recording, in words; none if they agree.

    A file that names one more species for a span contradicts nothing, nor does one that names none.

    Args:
        found: (file, its format if it is named after a recording, a row of it about the recording).

    Raises:
        InputError: files of one format that are named after a recording contradict each other, and their names differ
            as those of versions do. Other such files can hold a species each, or be of two annotators.
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
                both = [f"{file} says {', '.join(sorted({*said[file][span].values()}))}" for file in (first, second)]
                text = f"at {span[0]:g} to {span[1]:g} s {', and '.join(both)}"
                if formats[first] and formats[first] == formats[second] and _are_versions(first, second):
                    raise config.InputError(f"{text}; move the old version away, or name the right one with --metadata")
                told.append(text)
    return told[:1]


def _said(of_file: Iterable[rows.Row]) -> dict[tuple[float, float], dict[str, str]]:
    """{span: {key: name} of its species}, by all their names, where "" stands for a negative. Programs round times."""
    said: dict[tuple[float, float], dict[str, str]] = {}
    for row in of_file:
        if row.has_span:
            species = said.setdefault((round(row.start_seconds, 2), round(row.end_seconds, 2)), {})
            for name in row.labels.species:
                latin = re.split("_|, ", name)[0]
                several: list[str] = [name, latin] if label_cells.is_latin(latin) else [name]
                if len(row.labels.species) == 1:
                    several.extend(filter(None, (row.about.name, row.common, row.second_name)))
                species |= {class_names.key(each): name for each in several}
            if row.labels.negative:
                species[""] = "that no species is there"
    return said


def _are_versions(first: str, second: str) -> bool:
    """Whether the paths of two files differ in nothing but numbers and words that tell versions apart."""
    one, other = (
        collections.Counter(re.findall(r"[^\W_]+", os.path.splitext(path)[0].lower())) for path in (first, second)
    )
    differing = (one - other) + (other - one)
    return bool(differing) and all(map(_OF_VERSIONS.fullmatch, differing))

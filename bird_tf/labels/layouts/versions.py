"""Labels of one recording that contradict each other, as an old version and a new one, or two persons, do."""

from __future__ import annotations

import collections
import itertools
import os
import re
from collections.abc import Iterable, Sequence

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
                both = [f"{file} says {_listed(said[file][span])}" for file in (first, second)]
                text = f"at {span[0]:g} to {span[1]:g} s {', and '.join(both)}"
                if formats[first] and formats[first] == formats[second] and _are_versions(first, second):
                    raise config.InputError(f"{text}; move the old version away, or name the right one with --metadata")
                told.append(text)
    return told[:1]


def in_one_file(found: Iterable[tuple[str, rows.Row]]) -> list[str]:
    """The first contradiction in a file about one recording, in words; none if there is none.

    Either a span has a species and none of them, or persons name it differently. That one names none says nothing. Of
    a whole recording each person lists some, and channels hear different ones.

    Args:
        found: (file, a row of it about the recording), for spans or for the whole of it.
    """
    of_file: dict[tuple[str, int], list[rows.Row]] = {}
    for file, row in found:
        if not row.labels.absent:  # one species is denied, and not all
            of_file.setdefault((file, row.channel), []).append(row)
    for (file, _), of_one in of_file.items():
        if len(of_one) < 2:
            continue
        if any(row.labels.negative for row in of_one):
            for span, species in _said(of_one).items():
                if "" in species and len(species) > 1:
                    nothing = species.pop("")
                    return [f"{file} says {_listed(species)} and {nothing}{_at(span)}"]
        of_person: dict[str, list[rows.Row]] = {}
        for row in of_one:
            of_person.setdefault(person(row), []).append(row)
        if len(of_person) == 1:
            continue
        said = {name: _said(of_one) for name, of_one in of_person.items() if name}
        for first, second in itertools.combinations(said, 2):
            for span, species in said[first].items():
                others = said[second].get(span) if span else None
                if others and species and species.keys().isdisjoint(others):
                    return [f"{file} says {_listed(species)} ({first}) and {_listed(others)} ({second}){_at(span)}"]
    return []


def person(row: rows.Row) -> str:
    """Who wrote a row, as far as it tells; a recording has one author, so others are those of its labels."""
    return row.annotator or row.about.author


def unlike(found: Iterable[Sequence[tuple[str, str, rows.Row]]]) -> list[tuple[str, str]]:
    """Pairs of files that are versions of each other by their names and by most labels, but not by all.

    Args:
        found: (file, its format, a row of it) of each recording.
    """
    found = list(found)
    pairs: dict[tuple[str, str], bool] = {}
    for of_one in found:
        formats = {file: file_format for file, file_format, _ in of_one}
        for pair in itertools.combinations(sorted(formats), 2):
            if pair not in pairs:
                pairs[pair] = formats[pair[0]] == formats[pair[1]] and _are_versions(*pair)
    versions = [pair for pair, are_versions in pairs.items() if are_versions]
    told: dict[str, set[tuple[object, ...]]] = {file: set() for pair in versions for file in pair}
    for number, of_one in enumerate(found if told else ()):
        for file, _, row in of_one:
            if file in told:
                told[file].add((number, _span(row), *sorted(map(class_names.key, row.labels.species))))
    return [
        (first, second)
        for first, second in versions
        if told[first] != told[second]
        and 2 * len(told[first] & told[second]) >= min(len(told[first]), len(told[second]))
    ]


def _said(of_file: Iterable[rows.Row]) -> dict[tuple[float, ...], dict[str, str]]:
    """{span: {key: name} of its species}, by all their names, where "" stands for a negative."""
    said: dict[tuple[float, ...], dict[str, str]] = {}
    for row in of_file:
        species = said.setdefault(_span(row), {})
        for name in row.labels.species:
            latin = re.split("_|, ", name)[0]
            several: list[str] = [name, latin] if label_cells.is_latin(latin) else [name]
            if len(row.labels.species) == 1:
                several.extend(filter(None, (row.about.name, row.common, row.second_name)))
            species |= {class_names.key(each): name for each in several}
        if row.labels.negative:
            species[""] = "that no species is there"
    return said


def _span(row: rows.Row) -> tuple[float, ...]:
    """The span of a row; empty if it is about the whole recording. Programs round times."""
    return (round(row.start_seconds, 2), round(row.end_seconds, 2)) if row.has_span else ()


def _at(span: tuple[float, ...]) -> str:
    return f" at {span[0]:g} to {span[1]:g} s" if span else ""


def _listed(species: dict[str, str]) -> str:
    return ", ".join(sorted({*species.values()}))


def _are_versions(first: str, second: str) -> bool:
    """Whether the paths of two files differ in nothing but numbers and words that tell versions apart."""
    one, other = (
        collections.Counter(re.findall(r"[^\W_]+", os.path.splitext(path)[0].lower())) for path in (first, second)
    )
    differing = (one - other) + (other - one)
    return bool(differing) and all(map(_OF_VERSIONS.fullmatch, differing))

"""Folders that are not the species, for names of recordings, or JSON beside them, tell species that cross them.

Folders of sites, days or quality hold several species each, and a species lies in several of them.
"""

from __future__ import annotations

import collections
import os
import re
from collections.abc import Collection, Iterable, Mapping

from absl import logging

from bird_tf import config
from bird_tf.labels import class_names, label_cells, odd_names, texts
from bird_tf.labels.formats import formats
from bird_tf.labels.layouts import matching
from bird_tf.labels.tables import columns

# Latin names in those of recordings: as xeno-canto calls its files, and by their ends alone
_OF_XENO_CANTO = re.compile(r"XC\d+ - .+ - ([A-Z][a-z]+ [a-z-]+)")
_LATIN = re.compile(
    r"(?<![^\W_])([A-Z][a-z]+(?:us|a|is|es|o|x|os|on|as|er)[ _-]"
    r"[a-z]+(?:us|a|is|es|i|um|or|ax|ix|ens|ans|er|bs|ps))(?![a-z])"
)
_LARGEST_SHARE = 0.75  # of the recordings that are of the most frequent species of their folders


def refuse(
    sources: Iterable[formats.Source],
    known: matching.Recordings,
    fields: Collection[str],
    hint: str,
    *,
    are_places: bool,
) -> None:
    """Refuses to take folders for species that names of recordings, or JSON beside them, very probably tell.

    Latin names that xeno-canto did not write may be something else: a warning tells of them, unless the folders are
    called as places.

    Args:
        sources: files that tell no labels of the recordings.
        known: the recordings, some of which lie in folders.
        fields: last words in the names of the fields of JSON that tell species.
        hint: what to say if the folders are the species.
        are_places: whether the folders are called as places.

    Raises:
        InputError: the folders are crossed.
    """
    names = {path: os.path.splitext(os.path.basename(path))[0] for path in known.paths}
    for what, told, is_sure in (
        ("JSON files tell", _in_json(sources, known, fields), True),
        ("names of recordings tell", _found(_OF_XENO_CANTO, names), True),
        ("names of recordings seem to tell", _found(_LATIN, names), are_places),
    ):
        if example := _crossing(told, known):
            text = (
                f"{known.root}: {what} other species than the folders, as {example}: put the recordings of each into a "
                f"folder of its name, or make a table with the columns file and label; {hint}"
            )
            if is_sure:
                raise config.InputError(text)
            logging.warning("%s", text)


def _found(pattern: re.Pattern[str], names: Mapping[str, str]) -> dict[str, str]:
    """{recording: the Latin name in its own}."""
    return {path: texts.without_signs(found[1]) for path, name in names.items() if (found := pattern.search(name))}


def _in_json(sources: Iterable[formats.Source], known: matching.Recordings, fields: Collection[str]) -> dict[str, str]:
    """{recording: what the JSON file of its name tells in such a field}. Kinds of sounds are no species."""
    told: dict[str, str] = {}
    for source in sources:
        try:
            path = (
                "" if source.format or not source.path.lower().endswith(".json") else known.find_namesake(source.path)
            )
            content = texts.Document(source.path).json if path else None
        except config.InputError:
            continue
        for name, value in content.items() if isinstance(content, dict) else ():
            is_told = isinstance(value, str) and columns.normal(name).rpartition(" ")[2] in fields
            if is_told and not label_cells.is_missing(value) and not odd_names.is_kind(value):
                told[str(path)] = class_names.key(value)
    return told


def _crossing(told: Mapping[str, str], known: matching.Recordings) -> str:
    """One of the species that cross the folders, and two of its folders; empty if they do not.

    Most recordings are of species that lie in several folders, and these are two or more; and a folder does not tell
    the species.

    Args:
        told: {recording: its species}.
        known: the recordings.
    """
    pairs = [(known.below(path).partition("/")[0], species) for path, species in told.items()]
    folders_of, most = collections.defaultdict[str, set[str]](set), collections.Counter[str]()
    for (folder, species), number in collections.Counter(pairs).items():
        folders_of[species].add(folder)
        most[folder] = max(most[folder], number)
    several = sorted(species for species, of_one in folders_of.items() if len(of_one) > 1)
    num_several = sum(species in several for _, species in pairs)
    if len(several) < 2 or 2 * num_several <= len(known.paths) or most.total() > _LARGEST_SHARE * len(pairs):
        return ""
    return f"{several[0]} in {' and '.join(sorted(folders_of[several[0]])[:2])}"

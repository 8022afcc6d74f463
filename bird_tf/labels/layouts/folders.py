"""One folder for each species."""

from __future__ import annotations

import collections
import dataclasses
import os
import re
from collections.abc import Collection, Iterable, Sequence

from absl import logging

from bird_tf import config
from bird_tf.labels import class_names, label_cells, metadata, texts
from bird_tf.labels.layouts import assembly
from bird_tf.labels.tables import rows

_YEAR = re.compile(r"(?:19|20)\d\d")
_SPLITS = frozenset(("train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"))
_ONE_IN = 10  # at most one recording in so many may lie less deep


def is_likely(paths: Iterable[str], audio: str) -> bool:
    """Whether any recording lies in a folder below `audio`."""
    return any(len(_parts(path, audio)) > 1 for path in paths)


def classes(paths: Iterable[str], audio: str, options: rows.Options) -> set[str]:
    """The names of the folders right below `audio`, without those of negatives."""
    parts = (_parts(path, audio) for path in paths)
    return {part[0] for part in parts if len(part) > 1 and not _is_negative(part, options)}


def refuse_nested(paths: Sequence[str], audio: str, options: rows.Options) -> None:
    """Refuses folders of which the ones in them seem to be the species.

    Folders of negatives tell nothing of this. A few recordings that lie less deep, as one beside its folders, do not
    hide it; another folder of a class does, except from years and parts of a split: these are no classes.

    Raises:
        InputError: a year or a part of a split holds folders; or the recordings lie in folders of folders, and these
            are species; or genera and their species; or it is a single one.
    """
    parts = [part for part in (_parts(path, audio) for path in paths) if not _is_negative(part, options)]
    pairs = dict.fromkeys((part[0], part[1]) for part in parts if len(part) > 2)
    outside, inside = {outer for outer, _ in pairs}, {inner for _, inner in pairs}
    doubtful = [pair for pair in pairs if _YEAR.fullmatch(pair[0]) or pair[0].casefold() in _SPLITS]
    less_deep = [part for part in parts if len(part) < 3]
    if (
        not doubtful
        and len(less_deep) * _ONE_IN <= len(parts)
        and outside.issuperset(part[0] for part in less_deep if len(part) > 1)
        and not any(map(label_cells.is_latin, outside))
        and (
            all(map(label_cells.is_latin, inside))
            or all(label_cells.is_latin(f"{outer} {inner}") for outer, inner in pairs)
            or (len(outside) == 1 and len(inside) > 1)
        )
    ):
        doubtful = list(pairs)
    if doubtful:
        outer, inner = doubtful[0]
        raise config.InputError(
            f"{audio}: are the classes folders such as {outer}, or those in them, such as {outer}/{inner}? --audio "
            f"names the folder of the folders of species; if {outer} is one of them, say --layout=folders"
        )


def refuse_places(described: Iterable[metadata.Recording], audio: str) -> None:
    """Refuses folders that tables tell as the sites, the authors or the days of their recordings.

    Args:
        described: what tables say of recordings.
        audio: folder with the folders.

    Raises:
        InputError: all of these recordings lie in the folder of their site, author or day, and these are several.
    """
    told = [(_parts(each.path, audio)[0], (each.site, each.author, each.date)) for each in described]
    if len({folder for folder, _ in told}) > 1 and all(
        class_names.key(folder) in map(class_names.key, of_recording) for folder, of_recording in told
    ):
        raise config.InputError(
            f"{audio}: the folders, such as {told[0][0]}, are those of sites, authors or days in tables, and no table "
            "tells species: say --columns=label=NAME, or --layout=folders if the folders are the species"
        )


def _is_negative(parts: Sequence[str], options: rows.Options) -> bool:
    return len(parts) > 1 and rows.named(rows.Row(where=""), parts[:1], options).labels.negative


def warn_of_unused(recordings: Iterable[metadata.Recording], audio: str) -> None:
    """Warns if labels come from files, and most of them are no names of the folders, although these are Latin.

    A label that stands in one such folder alone can be the code of its species.

    Args:
        recordings: with class ids as labels.
        audio: the folder with all of them.
    """
    num_labelled, apart, folders_of = 0, 0, collections.defaultdict[str, set[str]](set)
    for recording in recordings:
        if recording.labels:
            num_labelled += 1
            latin = [
                part for part in _parts(recording.path, audio)[:-1] if label_cells.is_latin(part.replace("_", " "))
            ]
            names = {class_names.key(name) for pair in recording.names for name in pair}
            if latin and names.isdisjoint(map(class_names.key, latin)):
                apart += 1
                folders_of[recording.label].add(latin[-1])
    several = next((label for label, of_label in folders_of.items() if len(of_label) > 1), "")
    if several and 2 * apart > num_labelled:
        logging.warning(
            "folders such as %s are not used: the labels come from files, as %s of several of them; if the folders are "
            "the species, say --layout=folders", " and ".join(sorted(folders_of[several])[:2]), several,
        )  # fmt: skip


def read(described: Iterable[metadata.Recording], audio: str, options: rows.Options) -> assembly.Assembled:
    """Gives each recording the name of the folder right below `audio` as its label.

    A folder can mean negatives; see `label_cells`. It names several species if each of them is a Latin name or another
    folder. Any other name that a label cell would divide is refused.

    Args:
        described: the recordings, and what tables say of them besides the species.
        audio: folder with the folders of species.
        options: what the user says about labels.
    """
    found, described = assembly.Assembled(), list(described)
    named = _named({parts[0] for parts in (_parts(each.path, audio) for each in described) if len(parts) > 1}, options)
    for recording in described:
        folder, *rest = _parts(recording.path, audio)
        if not rest:
            found.unmatched.append((recording.path, "does not lie in a folder of a species"))
            continue
        row = named[folder]
        try:
            if row.problem:
                raise config.InputError(f"{row.where}: {row.problem}")
            found.recordings.append(assembly.with_label(dataclasses.replace(recording, name=""), [row]))
        except config.InputError as error:
            found.unmatched.append((recording.path, str(error)))
    return found


def _named(folders: Collection[str], options: rows.Options) -> dict[str, rows.Row]:
    """What the name of each folder says."""
    known = set(map(class_names.key, folders))
    named = {}
    for folder in folders:
        row = rows.Row(where=f"the folder {folder}")
        several = _are_species(folder, known)
        named[folder] = rows.labelled(row, folder, options) if several else rows.named(row, [folder], options)
    species = rows.species_of(named.values())
    return {folder: rows.among(row, species) for folder, row in named.items()}


def _are_species(folder: str, known: Collection[str]) -> bool:
    """Whether the names that a folder is divided into are species: Latin names, or those of folders."""
    try:
        names = [texts.clean(name).removeprefix("-") for name in label_cells.divided(texts.clean(folder))]
    except ValueError:
        return False
    return all(label_cells.is_latin(name) or class_names.key(name) in known for name in names)


def _parts(path: str, audio: str) -> list[str]:
    return os.path.relpath(path, audio).split(os.sep)

"""Folders that are called as those of recordings of any species are, as `train` or `clips`, and may be no classes."""

from __future__ import annotations

import collections
import re
from collections.abc import Collection, Iterable

from absl import logging

from bird_tf import config
from bird_tf.labels import class_names, label_cells, odd_names, split, texts
from bird_tf.labels.formats import formats, one_hot
from bird_tf.labels.layouts import folders, matching

# the number of a species, too
_CODE = re.compile(rf"{label_cells.EBIRD_CODE.pattern}|[a-z]{{6}}|{label_cells.RINGERS_CODE.pattern}|\d+")


def is_one(folder: str) -> bool:
    """Whether a folder is called so: `train`, `wav`, `clips`, `xc_downloads`, `fold1`, `By_Date`."""
    name = texts.comparable(folder)
    words = re.findall(r"[^\W\d_]{3,}", name) or [name]  # mp3
    is_by = texts.without_signs(folder).startswith("by ")  # those of BirdNET-Pi
    return is_by or bool(split.part_of(folder)) or folders.CONTAINERS.issuperset(words)


def are_codes(names: Collection[str]) -> bool:
    """Whether most folders are called as codes or numbers of species are."""
    return 2 * sum(bool(_CODE.fullmatch(name)) for name in names) > len(names)


def are_crossed(told: Iterable[tuple[str, str]], known: matching.Recordings) -> bool:
    """Whether most values, of several, lie in several folders, or all in one.

    Args:
        told: (name of a recording, value) of each line of a table.
        known: the recordings.
    """
    folders_of = collections.defaultdict[str, set[str]](set)
    for name, value in told:
        try:
            paths = [path] if (path := known.find(name)) else known.numbered(name)
        except matching.AmbiguousError:
            continue
        for path in paths:
            folders_of[value].add(known.below(path).partition("/")[0])
    several = sum(len(of_value) > 1 for of_value in folders_of.values())
    is_one_folder = len(set[str]().union(*folders_of.values())) == 1
    return len(folders_of) > 1 and (is_one_folder or 2 * several > len(folders_of))


def refuse(names: Collection[str], audio: str, layout: str = "folders", *, has_negatives: bool = False) -> None:
    """Refuses folders of recordings of any species; warns if some of several are such, or of a single one alone.

    Args:
        names: the names of the folders of recordings, without those of negatives.
        audio: the folder that holds them.
        layout: the one that takes them for classes.
        has_negatives: whether folders of negatives lie beside them, as a person sorts.

    Raises:
        InputError: all are called as folders of recordings are.
    """
    found = sorted(filter(is_one, names))
    if found and len(found) == len(names):
        raise config.InputError(
            f"{audio}: the folders are called as those of recordings are, not as species: {', '.join(found)[:300]}; if "
            "a table tells the species, say --metadata=FILE, and --columns for names of columns that are not known; "
            "else put the recordings of each species into a folder of its own; if these folders are the classes, say "
            f"--layout={layout}"
        )
    if not found and folders.are_places(names):
        found = sorted(names)
    if found:
        logging.warning(
            "%s: folders become classes that are called as those of recordings or places are, not as species: "
            "%s; if they are none, move them away, or name a table with --metadata; if they are, all is well, and "
            "--layout=%s does not ask", audio, ", ".join(found)[:300], layout,
        )  # fmt: skip
    elif len(names) == 1 and not has_negatives and not any(map(_may_be_alone, names)):
        logging.warning(
            "%s: all recordings in the folder %s become one class of this name: is it a species? If not, put the "
            "recordings of each species into a folder of its own, or name a table with --metadata; if so, all is well, "
            "and --layout=%s does not ask", audio, *names, layout,
        )  # fmt: skip


def refuse_columns(labelling: Collection[formats.Source], names: Collection[str]) -> None:
    """Refuses columns of 0 and 1, known by --columns alone, as the classes beside folders that may be the species.

    Args:
        labelling: the files that tell labels.
        names: the names of the folders of recordings, without those of negatives.

    Raises:
        InputError: all of the files are such tables, none of which tells a class as a folder is called, and the folders
            are called neither as places nor as those of recordings.
    """
    told = {label for source in labelling for row in source.rows for label in row.labels.species}
    if (
        told
        and names
        and all(source.format == one_hot.FORMAT.name for source in labelling)
        and not folders.are_places(names)
        and not all(map(is_one, names))
        and {*map(class_names.key, told)}.isdisjoint(map(class_names.key, names))
    ):
        raise config.InputError(
            f"{next(iter(labelling)).path}: are the classes its columns of 0 and 1, such as {min(told)}, or the "
            f"folders, such as {min(names)}? Say --layout=csv for the columns, or --layout=folders"
        )


def _may_be_alone(folder: str) -> bool:
    """Whether a single folder is surely a class: it has a Latin name or a code, or is a kind of sound or `bird`."""
    return bool(
        folders.is_latin(folder) or _CODE.fullmatch(folder) or odd_names.is_kind(folder) or odd_names.is_bird(folder)
    )

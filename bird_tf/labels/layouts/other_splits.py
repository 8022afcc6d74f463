"""Splits that people tell otherwise than by the folders train and val. They are not used, but told."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from bird_tf import config, files
from bird_tf.labels import metadata, split, texts
from bird_tf.labels.formats import csv_table, formats
from bird_tf.labels.layouts import matching

_LONGEST = 3  # words of a line in a list without signs: a recording, its class, and a part of a split


def warn(
    recordings: Iterable[metadata.Recording], sources: Iterable[formats.Source], known: matching.Recordings, folder: str
) -> None:
    """Warns of a split that is told by folders of recordings, by tables of labels, or by lists of recordings.

    Args:
        recordings: those that are used.
        sources: the files that may tell of them.
        known: the recordings.
        folder: the folder of the files.
    """
    in_folders = {name for each in recordings for name in _named(known.root, os.path.dirname(each.path))}
    tables, lists = dict[str, str](), dict[str, str]()
    for source in sources:
        if source.is_labelling and source.names_recordings:
            stem = os.path.splitext(source.path)[0]
            tables |= {name: source.path for name in _named(folder, stem)[-1:]}
        elif not source.format and (name := _of_list(source.path, known)):
            lists[name] = source.path
    if split.are_parts(in_folders):
        name = min(in_folders, key=_training_last)
        split.warn_of_unused(known.root, f"folders such as {name}", name)
    elif of_files := lists or (tables if split.are_parts(tables) else {}):
        name = min(of_files, key=_training_last)
        split.warn_of_unused(of_files[name], "this file", name)


def _training_last(name: str) -> tuple[bool, str]:
    return split.part_of(name) == "train", name


def _named(folder: str, path: str) -> list[str]:
    """The names in a path below a folder that are parts of a split."""
    return list(filter(split.part_of, files.name_below(folder, path).split("/")))


def _of_list(path: str, known: matching.Recordings) -> str:
    """What a text calls a part of a split: its name, if it lists some of the recordings, or a word beside theirs."""
    named, beside = set[str](), set[str]()
    if not path.lower().endswith(csv_table.FORMAT.suffixes):
        return ""
    try:
        for line in texts.Document(path).each_line():
            words = re.findall("[^\\s\"',;|]+", line)
            parts = words if len(words) <= _LONGEST else re.split("[\t;,|]", line)  # words of prose tell nothing
            cells = [part.strip("\"' \n") for part in (line, *parts)]
            if names := [cell for cell in cells if known.has_name(cell)]:
                named.add(names[0])
                beside.update(filter(split.part_of, cells))
    except config.InputError:  # it is no text
        return ""
    name = os.path.splitext(os.path.basename(path))[0]
    if split.are_parts(beside):
        return min(beside, key=_training_last)
    return name if split.part_of(name) and 0 < len(named) < len(known.paths) else ""

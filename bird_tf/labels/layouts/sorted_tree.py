"""The tree of the 2018 sorter: train/SPECIES, val/SPECIES, and metadata/*.json."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable

from bird_tf import config, files, free_text
from bird_tf.labels import metadata, texts
from bird_tf.labels.formats import formats
from bird_tf.labels.layouts import assembly, containers, folders, matching
from bird_tf.labels.tables import rows

SPLITS = ("train", "val")
UNFINISHED = ".unfinished"  # folder in the tree while tools/sort_recordings.py is at work


def is_one(audio: str) -> bool:
    """Whether the folder has the folders of such a tree."""
    return {entry.name for entry in os.scandir(audio) if entry.is_dir()}.issuperset(SPLITS)


def refuse_unfinished(audio: str) -> None:
    """Raises InputError if the sorting of a tree was not finished: a part of the recordings would be taken for all."""
    if os.path.isdir(os.path.join(audio, UNFINISHED)):
        raise config.InputError(
            f"{audio} is a tree that tools/sort_recordings.py has not finished; repeat its command first"
        )


def metadata_folder(audio: str, metadata_path: str) -> str:
    """The folder of the JSON files."""
    return (metadata_path or os.path.join(audio, "metadata")).rstrip(os.sep)


def refuse_nested(paths: Iterable[str], audio: str, metadata_path: str, options: rows.Options) -> None:
    """Refuses a tree in which the species seem to lie deeper, or whose folders are no species; not if JSON tells them.

    The arguments are those of `read`.
    """
    if not os.path.isdir(metadata_folder(audio, metadata_path)):
        within = [path for path in paths if _part(path, audio) in SPLITS]
        folders.refuse_nested(within, audio, options, in_tree=True)
        parts = [(_of_part(within, audio, split), os.path.join(audio, split)) for split in SPLITS]
        names = set().union(*(folders.classes(of_part, part, options) for of_part, part in parts))
        has_negatives = any(folders.has_negatives(of_part, part, options) for of_part, part in parts)
        containers.refuse(names, audio, "sorted", has_negatives=has_negatives)


def read(paths: Iterable[str], audio: str, metadata_path: str, options: rows.Options) -> assembly.Assembled:
    """Reads the recordings. The tree decides the split.

    Args:
        paths: the recordings.
        audio: the tree.
        metadata_path: folder with the JSON files; empty: metadata/ in the tree.
        options: what the user says about labels.

    Raises:
        InputError: the metadata are no folder.
    """
    if metadata_path and not os.path.isdir(metadata_path):
        raise config.InputError(f"--metadata={metadata_path}: --layout=sorted needs the folder of the JSON files")
    paths = list(paths)
    folder = metadata_folder(audio, metadata_path)
    has_metadata = os.path.isdir(folder)
    sources = [_source(path, options) for path in files.find(folder, (".json",))] if has_metadata else []
    whole = assembly.Assembled(unmatched=[(source.path, source.problem) for source in sources if source.problem])
    for split in SPLITS:
        part = os.path.join(audio, split)
        of_part = _of_part(paths, audio, split)
        if has_metadata:
            found = assembly.assemble(_of(sources, of_part), matching.Recordings(of_part, part, folder))
            labelled = {recording.path for recording in found.recordings}
            found.unmatched += [(path, f"no metadata in {folder}") for path in of_part if path not in labelled]
        else:
            unknown = list(map(metadata.unknown, of_part))
            found = folders.read(unknown, part, options)
        whole.recordings += [dataclasses.replace(recording, split=split) for recording in found.recordings]
        whole.unmatched += found.unmatched
        whole.left_out += found.left_out
    others = (path for path in paths if _part(path, audio) not in SPLITS)
    whole.left_out += [(path, f"it lies neither in {' nor in '.join(SPLITS)}") for path in others]
    return whole


def _part(path: str, audio: str) -> str:
    return os.path.relpath(path, audio).split(os.sep)[0]


def _of_part(paths: Iterable[str], audio: str, split: str) -> list[str]:
    return [path for path in paths if _part(path, audio) == split]


def _of(sources: Iterable[formats.Source], paths: Iterable[str]) -> list[formats.Source]:
    """The JSON files of some recordings: the others describe those of the other split."""
    names = {texts.comparable(os.path.basename(path)) for path in paths}
    stems = {os.path.splitext(name)[0] for name in names}
    return [
        source
        for source in sources
        if any(texts.comparable(name) in names for row in source.rows for name in row.files)
        or texts.comparable(os.path.splitext(os.path.basename(source.path))[0]) in stems
    ]


def _source(path: str, options: rows.Options) -> formats.Source:
    try:
        return formats.Source(path=path, format="metadata of a sorted tree", rows=(parse(path, options),))
    except config.InputError as error:
        return formats.Source(path=path, problem=str(error))


def parse(path: str, options: rows.Options) -> rows.Row:
    """Reads one JSON file of the sorter's metadata/ folder.

    Raises:
        InputError: the file is not such metadata.
    """
    fields = texts.Document(path).json
    if not isinstance(fields, dict) or not fields.get("sci-name"):
        raise config.InputError(f"{path}: not metadata of a sorted tree: it has no sci-name")
    cells = {name: texts.clean(str(value)) for name, value in fields.items() if isinstance(value, str | int | float)}
    # the 2018 sorter wrote no author, and an empty list both for "none" and for "unknown": such a list means unknown
    background = fields.get("background")
    listed = free_text.names(map(str, background)) if isinstance(background, list) else ()
    day = free_text.date(cells.get("date", ""))
    latitude, longitude = free_text.place(cells.get("latitude", ""), cells.get("longitude", ""))
    about = metadata.Recording(
        recording_id="",
        path="",
        name=cells.get("sci-name", ""),
        background=listed,
        background_known=bool(listed) or (isinstance(background, list) and "author" in fields),
        author=cells.get("author", ""),
        latitude=latitude,
        longitude=longitude,
        elevation=free_text.elevation(cells.get("elevation", "")),
        day_of_year=free_text.number(cells.get("day_of_year", ""), limit=366),
        hour=free_text.number(cells.get("hour", ""), limit=24),
        utc_offset_hours=free_text.number(cells.get("utc_offset_hours", ""), limit=24),
        date=day.isoformat() if day else "",
        site=cells.get("site", ""),
    )
    row = rows.Row(
        where=path,
        files=tuple(filter(None, [cells.get("filename", "")])),
        or_namesake=True,
        about=about,
    )
    return rows.labelled(row, cells.get("classid", "") or about.name, options)

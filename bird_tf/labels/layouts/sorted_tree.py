"""The tree of the 2018 sorter: train/SPECIES, val/SPECIES, and metadata/*.json."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence

from bird_tf import config
from bird_tf.audio import decode
from bird_tf.labels import free_text, metadata
from bird_tf.labels.layouts import folders, matching

_SPLITS = ("train", "val")


def recognise(audio: str, metadata_path: str, columns: Sequence[str]) -> str:
    """The reason to take the folder for such a tree; empty if it is not one. Arguments as of `read`."""
    names = {entry.name for entry in os.scandir(audio) if entry.is_dir()}
    return f"{audio} has the folders train and val" if names.issuperset(_SPLITS) else ""


def read(audio: str, metadata_path: str, columns: Sequence[str]) -> matching.Found:
    """Reads the recordings. The tree decides the split.

    Args:
        audio: the tree.
        metadata_path: folder with the JSON files; empty: metadata/ in the tree.
        columns: not used.
    """
    folder = metadata_path or os.path.join(audio, "metadata")
    recordings, unmatched = [], []
    for split in _SPLITS:
        part = os.path.join(audio, split)
        if os.path.isdir(folder):
            found, _ = matching.join(part, folder, ".json", parse)
            matched = {recording.path for recording in found}
            unmatched += [(path, f"no metadata in {folder}") for path in decode.find(part) if path not in matched]
        else:
            found, _ = folders.read(part, "", columns)
        recordings += [dataclasses.replace(recording, split=split) for recording in found]
    return recordings, unmatched


def parse(path: str) -> tuple[str, metadata.Recording]:
    """Reads one JSON file of the sorter's metadata/ folder.

    Returns:
        The file name that it gives (possibly empty), and the recording; its path is still empty.

    Raises:
        InputError: the file is not such metadata.
    """
    try:
        with open(path, encoding="utf-8") as file:
            fields: Mapping[str, object] = json.load(file)
        name, background = str(fields["sci-name"]), fields.get("background")
        file_name, label = str(fields.get("filename", "")), str(fields.get("classid", "")) or name
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise config.InputError(f"{path}: not metadata of a sorted tree ({error!r})") from error
    # the 2018 sorter wrote no author, and an empty list both for "none" and for "unknown": such a list means unknown
    listed = free_text.names(map(str, background)) if isinstance(background, list) else ()
    known = bool(listed) or (isinstance(background, list) and "author" in fields)
    return file_name, metadata.Recording(
        recording_id="",
        path="",
        label=label,
        name=name,
        background=listed,
        background_known=known,
        author=str(fields.get("author") or ""),
        latitude=free_text.number(str(fields.get("latitude")), limit=90),
        longitude=free_text.number(str(fields.get("longitude")), limit=180),
        elevation=free_text.elevation(str(fields.get("elevation", ""))),
        day_of_year=free_text.number(str(fields.get("day_of_year")), limit=366),
        hour=free_text.number(str(fields.get("hour")), limit=24),
    )

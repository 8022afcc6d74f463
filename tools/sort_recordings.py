"""Sorts labelled recordings into the tree train/SPECIES, val/SPECIES, metadata/, which --layout=sorted reads.

For users who want to look at the split or listen to it. The converter does not need such a tree.
"""

from __future__ import annotations

import dataclasses
import errno
import math
import os
import re
import shutil
from collections.abc import Callable
from typing import Any

from absl import logging

from bird_tf import config, files, skips
from bird_tf.labels import metadata, split
from bird_tf.labels.layouts import reader


@dataclasses.dataclass(frozen=True, kw_only=True)
class SortConfig:
    """Flags of the sorting tool."""

    source: reader.SourceConfig
    split: split.SplitConfig
    output: str = config.option("", "folder to make the tree in, new or empty", required=True)
    how: str = config.option("copy", "what to do with the recordings", choices=("copy", "move", "symlink", "hardlink"))


def _copy(path: str, target: str) -> None:
    with files.replacing(target) as temporary:
        shutil.copy2(path, temporary)


def _move(path: str, target: str) -> None:
    try:
        os.rename(path, target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # it moves to another disk
            raise
        _copy(path, target)
        os.remove(path)


def _symlink(path: str, target: str) -> None:
    os.symlink(os.path.realpath(path), target)


_HOW: dict[str, Callable[[str, str], Any]] = {
    "copy": _copy,
    "move": _move,
    "symlink": _symlink,
    "hardlink": os.link,
}


def sort(settings: SortConfig) -> list[tuple[str, str]]:
    """Makes the tree.

    Returns:
        (path, reason) of recordings that are left out.

    Raises:
        InputError: what `reader.read` raises; an output that is not empty; annotated recordings, which do not fit into
            the tree; a hard link to another disk.
    """
    if os.path.isdir(settings.output) and os.listdir(settings.output):
        raise config.InputError(f"{settings.output} is not empty; --output names a new or empty folder")
    found, unmatched = reader.read(settings.source)
    if annotated := [r for r in found if r.annotations]:
        raise config.InputError(
            f"{annotated[0].path} has several labels over time, so it does not fit into the folder of one species"
        )
    unmatched += [(r.path, "it is negative, and the tree holds species only") for r in found if not r.labels]
    recordings = split.split([r for r in found if r.labels], settings.split)
    with config.progress(len(recordings), "recording", settings.how) as progress:
        for recording in recordings:
            suffix = os.path.splitext(recording.path)[1]
            name = _safe(recording.recording_id) + suffix
            folder = os.path.join(settings.output, recording.split, _safe(recording.name or recording.label))
            files.make_folder(folder)
            target = os.path.join(folder, name)
            if os.path.lexists(target):
                raise config.InputError(f"{target} exists already: two recordings have the same id")
            try:
                _HOW[settings.how](recording.path, target)
            except OSError as error:
                raise config.InputError(f"{settings.how} of {recording.path} to {target}: {error.strerror}") from error
            json_path = os.path.join(settings.output, "metadata", f"{_safe(recording.recording_id)}.json")
            files.write_json(json_path, describe(recording, name))
            progress.update()
    return unmatched


def _safe(name: str) -> str:
    """Makes a file name: characters that would lead into another folder, or hide the file, are replaced."""
    return re.sub(r"[/\\\0]", "_", name).lstrip(".") or "_"


def describe(recording: metadata.Recording, file_name: str) -> dict[str, Any]:
    """The content of the JSON file of a recording; `sorted_tree.parse` reads it. Unknown background is null."""
    fields = {
        "filename": file_name,
        "classid": ";".join(recording.labels),
        "sci-name": recording.name,
        "background": list(recording.background) if recording.background_known else None,
        "author": recording.author,
        "date": recording.date,
        "site": recording.site,
    }
    for name in ("latitude", "longitude", "elevation", "day_of_year", "hour"):
        value = getattr(recording, name)
        fields[name] = None if math.isnan(value) else value
    return fields


def main(settings: SortConfig) -> None:
    """Sorts, and prints a summary line."""
    unmatched = sort(settings)
    for path, reason in unmatched:
        skips.log((path, reason))
    logging.info("%s: sorted by %s, %d left out", settings.output, settings.how, len(unmatched))


if __name__ == "__main__":
    config.run(main, SortConfig)

"""Sorts labelled recordings into the tree train/SPECIES, val/SPECIES, metadata/, which --layout=sorted reads.

For those who want to see or hear the split; the converter does not need it.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
import shutil
from collections.abc import Callable
from typing import Any

from absl import logging

from bird_tf import config, files
from bird_tf.labels import metadata, split
from bird_tf.labels.layouts import reader


@dataclasses.dataclass(frozen=True, kw_only=True)
class SortConfig:
    """Flags of the sorting tool."""

    source: reader.SourceConfig
    split: split.SplitConfig
    output: str = config.option("", "folder to make the tree in, new or empty", required=True)
    how: str = config.option("copy", "what becomes of the recordings", choices=("copy", "move", "symlink", "hardlink"))


def _symlink(path: str, target: str) -> None:
    os.symlink(os.path.realpath(path), target)


_HOW: dict[str, Callable[[str, str], Any]] = {
    "copy": shutil.copy2,
    "move": shutil.move,
    "symlink": _symlink,
    "hardlink": os.link,
}


def sort(settings: SortConfig) -> list[tuple[str, str]]:
    """Makes the tree.

    Returns:
        (path, reason) of what was left out.

    Raises:
        InputError: what `reader.read` raises; an output that is not empty; annotated recordings, which have no place
            in the tree; a hard link to another disk.
    """
    if os.path.isdir(settings.output) and os.listdir(settings.output):
        raise config.InputError(f"{settings.output} is not empty; --output names a new or empty folder")
    found, unmatched = reader.read(settings.source)
    if annotated := [r for r in found if r.annotations]:
        raise config.InputError(f"{annotated[0].path} has several labels over time and fits into no species' folder")
    recordings = split.split(found, settings.split)
    with config.progress(len(recordings), "recording", settings.how) as progress:
        for recording in recordings:
            suffix = os.path.splitext(recording.path)[1]
            name = _safe(recording.recording_id) + suffix
            folder = os.path.join(settings.output, recording.split, _safe(recording.name or recording.label))
            files.make_folder(folder)
            target = os.path.join(folder, name)
            try:
                _HOW[settings.how](recording.path, target)
            except FileExistsError as error:
                raise config.InputError(f"{target} is there already: two recordings share their id") from error
            except OSError as error:
                raise config.InputError(f"{settings.how} of {recording.path} to {target}: {error.strerror}") from error
            described = os.path.join(settings.output, "metadata", f"{_safe(recording.recording_id)}.json")
            files.write_json(described, describe(recording, name))
            progress.update()
    return unmatched


def _safe(name: str) -> str:
    """A name as a file's name: what would lead into another folder or hide it is replaced."""
    return re.sub(r"[/\\\0]", "_", name).lstrip(".") or "_"


def describe(recording: metadata.Recording, file_name: str) -> dict[str, Any]:
    """What metadata/*.json says of a recording; `sorted_tree.parse` reads it back. Unknown background is null."""
    fields = {
        "filename": file_name,
        "classid": recording.label,
        "sci-name": recording.name,
        "background": list(recording.background) if recording.background_known else None,
        "author": recording.author,
    }
    for name in ("latitude", "longitude", "elevation", "day_of_year", "hour"):
        value = getattr(recording, name)
        fields[name] = None if math.isnan(value) else value
    return fields


def main(settings: SortConfig) -> None:
    """Sorts, and says in one line what came of it."""
    unmatched = sort(settings)
    for path, reason in unmatched:
        logging.warning("left out: %s (%s)", path, reason)
    logging.info("%s: sorted by %s, %d left out", settings.output, settings.how, len(unmatched))


if __name__ == "__main__":
    config.run(main, SortConfig)

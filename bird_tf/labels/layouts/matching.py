"""Matches audio files with their metadata, by path or by name."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Callable, Sequence

from bird_tf import config, files
from bird_tf.audio import decode
from bird_tf.labels import metadata

# the recordings that a layout finds, and (file, reason) of recordings and metadata that do not match
Found = tuple[list[metadata.Recording], list[tuple[str, str]]]


def matcher(paths: Sequence[str], root: str) -> Callable[[str], str | None]:
    """Makes the function that finds the recording that a cell of a table names.

    Args:
        paths: the recordings.
        root: the folder that paths in the table start from.

    Returns:
        Cell → path, or None. A bare file name is enough if only one recording has it.
    """
    by_relative = {os.path.relpath(path, root): path for path in paths}
    by_name = collections.defaultdict(list)
    for path in paths:
        by_name[os.path.basename(path)].append(path)

    def match(cell: str) -> str | None:
        file = os.path.normpath(cell.replace("\\", "/"))
        same_name = by_name[os.path.basename(file)]
        return by_relative.get(file) or (same_name[0] if len(same_name) == 1 else None)

    return match


def join(audio: str, folder: str, suffix: str, parse: Callable[[str], tuple[str, metadata.Recording]]) -> Found:
    """Joins recordings and metadata files, one for each: by the file name in the metadata, else by equal stems.

    Args:
        audio: folder with the recordings.
        folder: folder with the metadata files.
        suffix: of the metadata files.
        parse: metadata file → (name of its audio file, or empty; the recording).
    """
    paths = decode.find(audio)
    by_name = {os.path.basename(path): path for path in paths}
    by_stem = {os.path.splitext(name)[0]: path for name, path in by_name.items()}
    recordings, unmatched, used = [], [], set()
    for file in files.find(folder, (suffix,)):
        try:
            file_name, recording = parse(file)
        except config.InputError as error:
            unmatched.append((file, str(error)))
            continue
        # only the last part counts: a path in the name must not lead outside of the audio folder
        file_name = os.path.basename(file_name.replace("\\", "/"))
        stem = os.path.splitext(os.path.basename(file))[0]
        path = by_name.get(file_name) or by_stem.get(os.path.splitext(file_name)[0]) or by_stem.get(stem)
        if path is None:
            unmatched.append((file, f"its recording {file_name or stem} is not below {audio}"))
        elif path in used:
            unmatched.append((file, f"{path} is described by another metadata file already"))
        else:
            used.add(path)
            recording_id = recording.recording_id or metadata.media_id(path)
            recordings.append(dataclasses.replace(recording, path=path, recording_id=recording_id))
    unmatched += [(path, f"no metadata for it in {folder}") for path in paths if path not in used]
    return recordings, unmatched

"""The recordings of a folder, with their ids."""

from __future__ import annotations

import os

from bird_tf import config
from bird_tf.audio import decode
from bird_tf.labels import metadata


def find_recordings(path: str) -> list[tuple[str, str]]:
    """(id, path) of each recording in a folder, or of one audio file. The ids are unique and safe as file names.

    Raises:
        InputError: no such file or folder.
    """
    if not os.path.exists(path):
        raise config.InputError(f"--audio={path}: no such file or folder")
    paths = decode.find(path) if os.path.isdir(path) else [path]
    recordings = [metadata.Recording(recording_id=metadata.media_id(p), path=p) for p in paths]
    return [(r.recording_id, r.path) for r in metadata.with_unique_ids(recordings)]

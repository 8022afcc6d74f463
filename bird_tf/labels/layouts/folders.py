"""One folder for each species."""

from __future__ import annotations

import os
from collections.abc import Sequence

from bird_tf.audio import decode
from bird_tf.labels import metadata
from bird_tf.labels.layouts import matching


def recognise(audio: str, metadata_path: str, columns: Sequence[str]) -> str:
    """The reason to take folders for species; empty if there are none, or metadata is given. Arguments as of `read`."""
    if not metadata_path and any(os.path.dirname(path) != audio.rstrip("/") for path in decode.find(audio)):
        return f"no metadata, and folders below {audio}: one for each species"
    return ""


def read(audio: str, metadata_path: str, columns: Sequence[str]) -> matching.Found:
    """Reads the recordings. The label is the name of the folder right below `audio`; the background is unknown.

    Args:
        audio: folder with the folders of species.
        metadata_path, columns: not used: this layout has no metadata.
    """
    recordings, unmatched = [], []
    for path in decode.find(audio):
        folder, *rest = os.path.relpath(path, audio).split(os.sep)
        if not rest:
            unmatched.append((path, "does not lie in a folder of a species"))
            continue
        recordings.append(
            metadata.Recording(recording_id=metadata.media_id(path), path=path, label=folder, name=folder)
        )
    return recordings, unmatched

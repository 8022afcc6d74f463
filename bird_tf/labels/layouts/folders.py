"""One folder for each species."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable

from bird_tf import config
from bird_tf.labels import metadata
from bird_tf.labels.layouts import assembly, rows


def is_likely(paths: Iterable[str], audio: str) -> bool:
    """Whether any recording lies in a folder below `audio`."""
    return any(len(_parts(path, audio)) > 1 for path in paths)


def read(described: Iterable[metadata.Recording], audio: str, options: rows.Options) -> assembly.Assembled:
    """Gives each recording the name of the folder right below `audio` as its label.

    A folder can name several species, or mean negatives; see `label_cells`.

    Args:
        described: the recordings, and what tables say of them besides the species.
        audio: folder with the folders of species.
        options: what the user says about labels.
    """
    found = assembly.Assembled()
    for recording in described:
        folder, *rest = _parts(recording.path, audio)
        if not rest:
            found.unmatched.append((recording.path, "does not lie in a folder of a species"))
            continue
        row = rows.labelled(rows.Row(where=f"the folder {folder}"), folder, options)
        try:
            if row.problem:
                raise config.InputError(f"{row.where}: {row.problem}")
            found.recordings.append(assembly.with_label(dataclasses.replace(recording, name=""), [row]))
        except config.InputError as error:
            found.unmatched.append((recording.path, str(error)))
    return found


def _parts(path: str, audio: str) -> list[str]:
    return os.path.relpath(path, audio).split(os.sep)

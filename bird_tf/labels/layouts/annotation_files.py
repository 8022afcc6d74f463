"""Recordings, each with annotation files that are named after it, in any of the formats in `_FORMATS`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from bird_tf import config, files
from bird_tf.audio import decode
from bird_tf.labels import metadata, spans
from bird_tf.labels.layouts import audacity, csv_table, matching, raven

# The formats of annotation files. A format is a module with `SUFFIXES`, `recognise` and `read`. They are tried in this
# order.
_FORMATS: Sequence[Any] = (raven, audacity)


def recognise(audio: str, metadata_path: str, columns: Sequence[str]) -> str:
    """The reason to read annotation files; empty if no recording has one. Arguments as of `read`."""
    if os.path.isfile(metadata_path):
        return f"{metadata_path} is text"
    found = _find(audio, metadata_path)
    return f"{len(found)} text files below {metadata_path or audio} are named after recordings" if found else ""


def read(audio: str, metadata_path: str, columns: Sequence[str]) -> matching.Found:
    """Reads the recordings and their annotations. An annotator is assumed to note all species.

    Args:
        audio: folder with the recordings.
        metadata_path: folder with the annotation files, or a single one; empty: `audio`.
        columns: --columns; label=COLUMN names the column that holds the species.
    """
    named_columns = csv_table.parse_columns(columns)
    recordings, unmatched = [], []
    found = _find(audio, metadata_path)
    for path, annotation_paths in found.items():
        try:
            annotations = [a for file in annotation_paths for a in read_file(file, named_columns)]
            recording = metadata.Recording(recording_id=metadata.media_id(path), path=path, background_known=True)
            recordings.append(spans.with_annotations(recording, annotations))
        except config.InputError as error:
            unmatched.append((path, str(error)))
    folder = metadata_path or audio
    unmatched += [(path, f"no annotations for it in {folder}") for path in decode.find(audio) if path not in found]
    return recordings, unmatched


def read_file(path: str, columns: Mapping[str, str]) -> list[metadata.Annotation]:
    """Reads one annotation file in the first format that recognises it.

    Args:
        path: the file.
        columns: {"label": the column that holds the species}; a format's usual names need no entry.

    Returns:
        Its annotations, sorted by time, each once (Raven lists a selection once for each view).

    Raises:
        InputError: no format recognises the file, or a line cannot be read.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise config.InputError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from error
    file_format = next((candidate for candidate in _FORMATS if candidate.recognise(text)), None)
    if file_format is None:
        raise config.InputError(f"{path}: neither a Raven selection table nor Audacity labels")
    rows = file_format.read(path, text, columns.get("label", ""))
    annotations = {spans.parse_annotation(f"{path}, line {n}", start, end, label) for n, start, end, label in rows}
    return sorted(annotations, key=lambda a: (a.start_seconds, a.end_seconds, a.label))


def _find(audio: str, metadata_path: str) -> dict[str, list[str]]:
    """{recording: its annotation files}. A file belongs to the recording with the longest name that fits."""
    if os.path.isfile(metadata_path):
        paths = [metadata_path]
    else:
        suffixes = {suffix for file_format in _FORMATS for suffix in file_format.SUFFIXES}
        paths = files.find(metadata_path or audio, tuple(suffixes))
    by_stem = {os.path.splitext(os.path.basename(path))[0]: path for path in decode.find(audio)}
    found: dict[str, list[str]] = {}
    for path in paths:
        name = os.path.basename(path)
        # X.txt and X.Table.1.selections.txt belong to X: try shorter and shorter names
        while (name := name.rpartition(".")[0]) and name not in by_stem:
            pass
        if name:
            found.setdefault(by_stem[name], []).append(path)
    return found

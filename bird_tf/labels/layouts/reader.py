"""Reads the recordings of a labelled set in any layout, and recognises which layout it is."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from bird_tf import config
from bird_tf.labels import clock, metadata
from bird_tf.labels.layouts import annotation_files, birdclef, csv_table, folders, matching, sorted_tree

# The layouts. A layout is a module with `recognise` and `read`. They are tried in this order.
_LAYOUTS: Mapping[str, Any] = {
    "sorted": sorted_tree,
    "birdclef": birdclef,
    "csv": csv_table,
    "annotations": annotation_files,
    "folders": folders,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """The folder of the recordings, and the place and layout of their labels."""

    audio: str = config.option("", "folder with the recordings (searched recursively)")
    metadata: str = config.option(
        "", "folder of XML or JSON files, Raven selection tables or Audacity labels; or one CSV for all recordings"
    )
    layout: str = config.option(
        "auto",
        "where labels are: an XML file for each recording (birdclef), a folder for each species (folders), a tree of "
        "train/ and val/ (sorted), one table (csv), or Raven or Audacity files (annotations)",
        choices=("auto", *_LAYOUTS),
    )
    columns: tuple[str, ...] = config.option(
        (),
        f"WHAT=COLUMN, for other names of columns; WHAT is {', '.join(csv_table.COLUMNS)}; may be repeated",
    )
    clock: clock.ClockConfig = dataclasses.field(default_factory=clock.ClockConfig)
    skip_unmatched: bool = config.option(
        False, "list recordings without metadata, and metadata without recording, as skipped, instead of stopping"
    )


def read(source: SourceConfig) -> matching.Found:
    """Reads the recordings of a labelled set.

    Returns:
        The recordings, sorted by id, and (path, reason) of everything that is left out.

    Raises:
        InputError: missing or empty folder, unknown layout, or recordings and metadata that do not match.
    """
    if not os.path.isdir(source.audio):
        raise config.InputError(f"--audio={source.audio} is not a folder; --audio names the folder with the recordings")
    if source.metadata and not os.path.exists(source.metadata):
        raise config.InputError(f"--metadata={source.metadata}: no such folder or file")
    layout = source.layout
    if layout == "auto":
        layout, reason = detect(source)
        logging.info("--layout=%s: %s", layout, reason)
    recordings, unmatched = _LAYOUTS[layout].read(source.audio, source.metadata, source.columns)
    # a name in another encoding cannot be written to tables and records
    unmatched += [(r.path, "its name is not UTF-8; rename it") for r in recordings if not _is_utf8(r.path)]
    unmatched = [(path.encode("utf-8", "backslashreplace").decode(), reason) for path, reason in unmatched]
    recordings = [r for r in recordings if _is_utf8(r.path)]
    if unmatched and not source.skip_unmatched:
        raise config.InputError(
            f"{len(unmatched)} files do not match, the first: {unmatched[0][0]} ({unmatched[0][1]}); "
            "complete the set, or list them as skipped with --skip_unmatched"
        )
    if not recordings:
        raise config.InputError(f"{source.audio}: no labelled recording is left ({len(unmatched)} do not match)")
    folders_are_sites = _LAYOUTS[layout] not in (folders, sorted_tree)  # there a folder holds a species
    recordings = clock.fill(recordings, source.audio, source.clock, folders_are_sites=folders_are_sites)
    return metadata.with_unique_ids(recordings), unmatched


def describe(
    paths: Sequence[str], root: str, metadata_path: str, clock_settings: clock.ClockConfig
) -> dict[str, metadata.Recording]:
    """Reads the metadata of recordings that need no label, such as test recordings.

    Args:
        paths: the recordings.
        root: the folder that holds them.
        metadata_path: a folder of BirdCLEF XML files, or one CSV; empty for none.
        clock_settings: how the notes of recorders are read, which fill what the metadata leaves open.

    Returns:
        {path: recording}. Without metadata, id, path and the recorder's notes are known.

    Raises:
        InputError: the metadata does not exist or cannot be read.
    """
    if not metadata_path:
        found = {}
    elif os.path.isfile(metadata_path):
        found = csv_table.describe(metadata_path, paths, root)
    else:
        by_stem = birdclef.describe(metadata_path)
        stems = {path: os.path.splitext(os.path.basename(path))[0] for path in paths}
        found = {path: by_stem[stem] for path, stem in stems.items() if stem in by_stem}
    unknown = {path: metadata.Recording(recording_id=metadata.media_id(path), path=path) for path in paths}
    described = [dataclasses.replace(found.get(path, unknown[path]), path=path) for path in paths]
    return dict(zip(paths, clock.fill(described, root, clock_settings), strict=True))


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def detect(source: SourceConfig) -> tuple[str, str]:
    """Recognises the layout by the files that are there.

    Returns:
        The layout, and the reason.

    Raises:
        InputError: no layout fits, or several tables do.
    """
    for name, layout in _LAYOUTS.items():
        if reason := layout.recognise(source.audio, source.metadata, source.columns):
            return name, reason
    if source.metadata:
        raise config.InputError(f"{source.metadata} holds no XML files, no CSV and no texts named after recordings")
    raise config.InputError(
        f"{source.audio}: layout not recognised: give --metadata=DIR with BirdCLEF XML files, selection tables or "
        "labels, or --metadata=FILE.csv, or put the recordings of each species into a folder of its own, or give the "
        "sorted tree of train/ val/ metadata/"
    )

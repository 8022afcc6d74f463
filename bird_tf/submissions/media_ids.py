"""The ids that test recordings and classes have in a submission."""

from __future__ import annotations

import collections
import os

from bird_tf import config
from bird_tf.audio import decode
from bird_tf.labels import given_table, metadata, taxonomy
from bird_tf.labels.formats import birdclef
from bird_tf.submissions import run_files


def find_media_ids(folder: str, metadata_folder: str) -> list[tuple[str, str]]:
    """(MediaId, path) of each test recording.

    The MediaId is the number after _RN in the file's name, else the MediaId in the XML file, else the name's stem.

    Raises:
        InputError: no recordings, two recordings with the same MediaId, or a MediaId with a blank or semicolon.
    """
    # a CSV has no MediaIds
    described = birdclef.describe(metadata_folder) if metadata_folder and not os.path.isfile(metadata_folder) else {}
    found = []
    for stem, path in _stems(folder):
        own = metadata.media_id(path)
        if own == stem and stem in described:
            own = described[stem].recording_id or stem
        found.append((own, path))
    _refuse_repeated(folder, "MediaId", found)
    unfit = [media_id for media_id, _ in found if not run_files.fits(media_id)]
    if unfit:
        raise config.InputError(f"{folder}: a MediaId must have no blank and no semicolon: rename {unfit[0]!r}")
    return found


def find_soundscapes(folder: str) -> list[tuple[str, str]]:
    """(stem of its name, path) of each test recording of a Kaggle task.

    Raises:
        InputError: no recordings, or two recordings with the same stem.
    """
    found = _stems(folder)
    _refuse_repeated(folder, "name", found)
    return found


def _stems(folder: str) -> list[tuple[str, str]]:
    return [(os.path.splitext(os.path.basename(path))[0], path) for path in decode.find(folder)]


def _refuse_repeated(folder: str, what: str, found: list[tuple[str, str]]) -> None:
    counts = collections.Counter(name for name, _ in found)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        raise config.InputError(
            f"{folder}: {counts[repeated[0]]} recordings have the {what} {repeated[0]}; rename them"
        )


def map_class_ids(path: str, classes: taxonomy.Taxonomy) -> taxonomy.Taxonomy:
    """The classes with the ids that they have in a run.

    Args:
        path: CSV with the columns class_id (or a Latin name) and run_id. Classes without a row keep their ids.
        classes: the model's.

    Raises:
        InputError: another table, a row of no class of the model, a class with two ids, or two classes with one.
    """
    given: dict[int, str] = {}
    for row in given_table.read(path, "class_ids", ("class_id", "run_id")):
        indices = classes.resolve([row.text("class_id")])
        if not indices:
            raise row.error(f"{row.text('class_id')} is no class of the model")
        run_id = row.text("run_id")
        if given.setdefault(indices[0], run_id) != run_id:
            raise row.error(f"{row.text('class_id')} has the id {given[indices[0]]} in a line above")
    ids = [given.get(index, class_id) for index, class_id in enumerate(classes.class_ids)]
    shared = [class_id for class_id, count in collections.Counter(ids).items() if count > 1]
    if shared:
        raise config.InputError(f"--class_ids={path}: two classes would have the id {shared[0]}")
    return taxonomy.Taxonomy(tuple(ids), classes.names)

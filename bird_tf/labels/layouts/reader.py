"""Where recordings and their descriptions lie: five layouts, and telling which one it is."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence

from absl import logging

from bird_tf import config, files
from bird_tf.audio import decode
from bird_tf.labels import metadata, spans
from bird_tf.labels.layouts import birdclef, csv_table, selections, sorted_tree

_TABLES = (".csv", ".tsv")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """Where the recordings lie and how they are labelled."""

    audio: str = config.option("", "folder with the recordings (searched recursively)")
    metadata: str = config.option(
        "", "folder of XML or JSON files, Raven selection tables or Audacity labels; or one CSV for all recordings"
    )
    layout: str = config.option(
        "auto",
        "how recordings and labels are laid out: an XML file for each (birdclef), a folder for each species, a sorted "
        "tree of train/ and val/, one csv, or annotations (Raven, Audacity)",
        choices=("auto", "birdclef", "folders", "sorted", "csv", "annotations"),
    )
    columns: tuple[str, ...] = config.option(
        (),
        f"WHAT=COLUMN where a table names a column otherwise; WHAT is {', '.join(csv_table.COLUMNS)}; may be repeated",
    )
    skip_unmatched: bool = config.option(
        False, "list recordings without metadata, and metadata without recording, as skipped instead of stopping"
    )


def read(source: SourceConfig) -> tuple[list[metadata.Recording], list[tuple[str, str]]]:
    """Finds the recordings of a labelled set.

    Returns:
        The recordings, sorted by id, and (path, reason) of everything that was left out.

    Raises:
        InputError: missing or empty folder, unknown layout, or recordings and metadata that do not match.
    """
    if not os.path.isdir(source.audio):
        raise config.InputError(f"--audio={source.audio} is not a folder; --audio names the folder with the recordings")
    if source.metadata and not os.path.exists(source.metadata):
        raise config.InputError(f"--metadata={source.metadata}: no such folder or file")
    layout = source.layout
    if layout == "auto":
        layout, why = detect(source)
        logging.info("--layout=%s: %s", layout, why)
    readers = {
        "birdclef": _read_birdclef,
        "folders": _read_folders,
        "sorted": _read_sorted,
        "csv": _read_csv,
        "annotations": _read_annotations,
    }
    recordings, unmatched = readers[layout](source)
    # a name in another encoding could be written into no table or record
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
    return metadata.with_unique_ids(recordings), unmatched


def describe(paths: Sequence[str], root: str, described: str) -> dict[str, metadata.Recording]:
    """What metadata says of recordings whose label nobody needs to know, as test recordings.

    Args:
        paths: the recordings.
        root: the folder that they were looked for in.
        described: a folder of BirdCLEF XML files, or one CSV; empty for none.

    Returns:
        {path: recording}; bare ones where the metadata says nothing.

    Raises:
        InputError: no such metadata, or none that can be read.
    """
    if not described:
        found = {}
    elif os.path.isfile(described):
        found = csv_table.describe(described, paths, root)
    else:
        by_stem = birdclef.read_folder(described)
        stems = {path: os.path.splitext(os.path.basename(path))[0] for path in paths}
        found = {path: by_stem[stem] for path, stem in stems.items() if stem in by_stem}
    bare = {path: metadata.Recording(recording_id=metadata.media_id(path), path=path) for path in paths}
    return {path: dataclasses.replace(found.get(path, bare[path]), path=path) for path in paths}


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def detect(source: SourceConfig) -> tuple[str, str]:
    """Tells the layout from what lies in the folders.

    Returns:
        The layout, and what it was told by.

    Raises:
        InputError: none of the known layouts.
    """
    folders = {entry.name for entry in os.scandir(source.audio) if entry.is_dir()}
    if {"train", "val"} <= folders:
        return "sorted", f"{source.audio} has the folders train and val"
    where = source.metadata or source.audio
    if os.path.isfile(where):
        return (
            ("csv", f"{where} is a table") if where.lower().endswith(_TABLES) else ("annotations", f"{where} is text")
        )
    if xml := files.find(where, (".xml",)):
        return "birdclef", f"{len(xml)} XML files below {where}"
    columns = csv_table.parse_columns(source.columns)
    if csv_files := [path for path in files.find(where, _TABLES) if csv_table.fits(path, columns)]:
        if len(csv_files) == 1:
            return "csv", f"{csv_files[0]} has columns for file and label"
        raise config.InputError(f"{where} holds {len(csv_files)} such tables; name the one with --metadata=FILE")
    if texts := _annotation_files(source):
        return "annotations", f"{len(texts)} text files below {where} are named after recordings"
    if source.metadata:
        raise config.InputError(f"{where} holds no XML files, no CSV and no texts named after recordings")
    if any(os.path.dirname(path) != source.audio.rstrip("/") for path in decode.find(source.audio)):
        return "folders", f"no metadata, and folders below {source.audio}: one for each species"
    raise config.InputError(
        f"{source.audio}: layout not recognised: give --metadata=DIR with BirdCLEF XML files, selection tables or "
        "labels, or --metadata=FILE.csv, or put the recordings of each species into a folder of its own, or give the "
        "sorted tree of train/ val/ metadata/"
    )


def _read_birdclef(source: SourceConfig) -> tuple[list[metadata.Recording], list[tuple[str, str]]]:
    return _match(source, source.metadata or source.audio, ".xml", birdclef.parse)


def _read_csv(source: SourceConfig) -> tuple[list[metadata.Recording], list[tuple[str, str]]]:
    path, columns = source.metadata or source.audio, csv_table.parse_columns(source.columns)
    if os.path.isdir(path):
        found = [file for file in files.find(path, _TABLES) if csv_table.fits(file, columns)]
        if len(found) != 1:
            raise config.InputError(
                f"{path} holds {len(found)} tables with columns for file and label; name the one with --metadata=FILE"
            )
        path = found[0]
    return csv_table.read(path, decode.find(source.audio), source.audio, columns)


def _annotation_files(source: SourceConfig) -> dict[str, list[str]]:
    """{recording: the texts named after it}; a text belongs to the recording with the longest name that fits."""
    if os.path.isfile(source.metadata):
        texts = [source.metadata]
    else:
        texts = files.find(source.metadata or source.audio, selections.SUFFIXES)
    by_stem = {os.path.splitext(os.path.basename(path))[0]: path for path in decode.find(source.audio)}
    found: dict[str, list[str]] = {}
    for text in texts:
        name = os.path.basename(text)
        # X.txt and X.Table.1.selections.txt belong to X: try ever shorter names
        while (name := name.rpartition(".")[0]) and name not in by_stem:
            pass
        if name:
            found.setdefault(by_stem[name], []).append(text)
    return found


def _read_annotations(source: SourceConfig) -> tuple[list[metadata.Recording], list[tuple[str, str]]]:
    """Long recordings, each with tables or labels named after it; who annotates is taken to note all that is heard."""
    columns = csv_table.parse_columns(source.columns)
    recordings, unmatched = [], []
    found = _annotation_files(source)
    for path, texts in found.items():
        try:
            marked = [span for text in texts for span in selections.read(text, columns)]
            bare = metadata.Recording(recording_id=metadata.media_id(path), path=path, background_known=True)
            recordings.append(spans.with_annotations(bare, marked))
        except config.InputError as error:
            unmatched.append((path, str(error)))
    where = source.metadata or source.audio
    unmatched += [
        (path, f"no annotations for it in {where}") for path in decode.find(source.audio) if path not in found
    ]
    return recordings, unmatched


def _read_sorted(source: SourceConfig) -> tuple[list[metadata.Recording], list[tuple[str, str]]]:
    """The tree that the 2018 baseline's sorter makes: train/SPECIES/, val/SPECIES/, metadata/*.json."""
    folder = source.metadata or os.path.join(source.audio, "metadata")
    recordings, unmatched = [], []
    for split in ("train", "val"):
        part = dataclasses.replace(source, audio=os.path.join(source.audio, split))
        if os.path.isdir(folder):
            found, _ = _match(part, folder, ".json", sorted_tree.parse)
            described = {r.path for r in found}
            unmatched += [(p, f"no metadata in {folder}") for p in decode.find(part.audio) if p not in described]
        else:
            found, _ = _read_folders(part)
        recordings += [dataclasses.replace(recording, split=split) for recording in found]
    return recordings, unmatched


def _match(
    source: SourceConfig, folder: str, suffix: str, parse: Callable[[str], tuple[str, metadata.Recording]]
) -> tuple[list[metadata.Recording], list[tuple[str, str]]]:
    """Joins audio files and metadata files: by the FileName that the metadata gives, or by equal stems."""
    paths = decode.find(source.audio)
    by_name = {os.path.basename(path): path for path in paths}
    by_stem = {os.path.splitext(name)[0]: path for name, path in by_name.items()}
    recordings, unmatched, used = [], [], set()
    for file in files.find(folder, (suffix,)):
        try:
            file_name, recording = parse(file)
        except config.InputError as error:
            unmatched.append((file, str(error)))
            continue
        # only the last part counts: a name with a path in it must not lead outside the audio folder
        file_name = os.path.basename(file_name.replace("\\", "/"))
        stem = os.path.splitext(os.path.basename(file))[0]
        path = by_name.get(file_name) or by_stem.get(os.path.splitext(file_name)[0]) or by_stem.get(stem)
        if path is None:
            unmatched.append((file, f"its recording {file_name or stem} is not below {source.audio}"))
        elif path in used:
            unmatched.append((file, f"{path} is described by another metadata file already"))
        else:
            used.add(path)
            recordings.append(
                dataclasses.replace(
                    recording, path=path, recording_id=recording.recording_id or metadata.media_id(path)
                )
            )
    unmatched += [(path, f"no metadata for it in {folder}") for path in paths if path not in used]
    return recordings, unmatched


def _read_folders(source: SourceConfig) -> tuple[list[metadata.Recording], list[tuple[str, str]]]:
    """The label is the name of the folder right below the root; the background is unknown."""
    recordings, unmatched = [], []
    for path in decode.find(source.audio):
        parts = os.path.relpath(path, source.audio).split(os.sep)
        if len(parts) < 2:
            unmatched.append((path, "lies in no species' folder"))
            continue
        recordings.append(
            metadata.Recording(recording_id=metadata.media_id(path), path=path, label=parts[0], name=parts[0])
        )
    return recordings, unmatched

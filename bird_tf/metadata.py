"""Layouts on disk → `Recording`s, and their split into training and validation.

Reads no audio beyond its header. What the labels mean to a model belongs to `taxonomy` and `dataset`.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import hashlib
import json
import math
import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Mapping, Sequence

from bird_tf import audio, config

LAYOUTS = ("auto", "birdclef", "folders", "sorted")
NAN = math.nan


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording:
    """One audio file and what is known of it.

    Attributes:
        recording_id: unique in its set; BirdCLEF's MediaId where there is one.
        path: the audio file.
        label: class id of the foreground species; empty if unknown (test recordings).
        name: its Latin name.
        background: names of the species heard behind it, as listed.
        background_known: False if nobody noted the background, which is not the same as none.
        author: who recorded it, or the session; recordings of one author sound alike.
        split: "train" or "val" where the layout decides it, else empty.
        latitude, longitude: degrees; NaN if unknown.
        day_of_year, hour: 1 … 366; hours of the day, 0 … 24; NaN if unknown.
    """

    recording_id: str
    path: str
    label: str = ""
    name: str = ""
    background: tuple[str, ...] = ()
    background_known: bool = False
    author: str = ""
    split: str = ""
    latitude: float = NAN
    longitude: float = NAN
    day_of_year: float = NAN
    hour: float = NAN


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """Where the recordings lie and how they are labelled."""

    audio: str = config.option("", "folder with the recordings (searched recursively)")
    metadata: str = config.option("", "folder with their XML or JSON files")
    layout: str = config.option("auto", "how recordings and labels are laid out", choices=LAYOUTS)
    skip_unmatched: bool = config.option(
        False, "list recordings without metadata, and metadata without recording, as skipped instead of stopping"
    )


def read(source: SourceConfig) -> tuple[list[Recording], list[tuple[str, str]]]:
    """Finds the recordings of a labelled set.

    Returns:
        The recordings, sorted by id, and (path, reason) of everything that was left out.

    Raises:
        InputError: missing or empty folder, unknown layout, or recordings and metadata that do not match.
    """
    if not os.path.isdir(source.audio):
        raise config.InputError(f"--audio={source.audio} is not a folder; --audio names the folder with the recordings")
    if source.metadata and not os.path.isdir(source.metadata):
        raise config.InputError(f"{source.metadata} is not a folder; --metadata names the folder with the XML files")
    layout = detect(source) if source.layout == "auto" else source.layout
    readers = {"birdclef": _read_birdclef, "folders": _read_folders, "sorted": _read_sorted}
    recordings, unmatched = readers[layout](source)
    if unmatched and not source.skip_unmatched:
        raise config.InputError(
            f"{len(unmatched)} files do not match, the first: {unmatched[0][0]} ({unmatched[0][1]}); "
            "complete the set, or list them as skipped with --skip_unmatched"
        )
    if not recordings:
        raise config.InputError(f"{source.audio}: no labelled recording is left ({len(unmatched)} do not match)")
    return unique(recordings), unmatched


def detect(source: SourceConfig) -> str:
    """Tells the layout from what lies in the folders.

    Raises:
        InputError: none of the known layouts.
    """
    folders = {entry.name for entry in os.scandir(source.audio) if entry.is_dir()}
    if {"train", "val"} <= folders:
        return "sorted"
    if _find_metadata(source.metadata or source.audio, ".xml"):
        return "birdclef"
    if source.metadata:
        raise config.InputError(f"{source.metadata} holds no .xml files; --metadata names the folder of the metadata")
    if any(os.path.dirname(path) != source.audio.rstrip("/") for path in audio.find(source.audio)):
        return "folders"
    raise config.InputError(
        f"{source.audio}: layout not recognised: give --metadata=DIR with BirdCLEF XML files, or put the recordings of "
        "each species into a folder of its own, or give the sorted tree of train/ val/ metadata/"
    )


def _find_metadata(folder: str, suffix: str) -> list[str]:
    found = []
    for root, _, names in os.walk(folder):
        found += [os.path.join(root, name) for name in names if name.lower().endswith(suffix) and name[0] != "."]
    return sorted(found)


def unique(recordings: Iterable[Recording]) -> list[Recording]:
    """Sorted by id; where ids are shared, as of equal names in two folders, a digest of the path tells them apart."""
    recordings = sorted(recordings, key=lambda r: (r.recording_id, r.path))
    shared = {i for i, count in collections.Counter(r.recording_id for r in recordings).items() if count > 1}
    root = os.path.commonpath([os.path.dirname(r.path) for r in recordings])
    return [
        dataclasses.replace(r, recording_id=f"{r.recording_id}-{_md5(os.path.relpath(r.path, root))[:8]}")
        if r.recording_id in shared
        else r
        for r in recordings
    ]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


# --- BirdCLEF: audio files and one XML file for each ------------------------------------------------------------------


def _read_birdclef(source: SourceConfig) -> tuple[list[Recording], list[tuple[str, str]]]:
    return _match(source, source.metadata or source.audio, ".xml", parse_xml)


def _read_sorted(source: SourceConfig) -> tuple[list[Recording], list[tuple[str, str]]]:
    """The tree that the 2018 baseline's sorter makes: train/SPECIES/, val/SPECIES/, metadata/*.json."""
    folder = source.metadata or os.path.join(source.audio, "metadata")
    recordings, unmatched = [], []
    for split in ("train", "val"):
        part = dataclasses.replace(source, audio=os.path.join(source.audio, split))
        if os.path.isdir(folder):
            found, _ = _match(part, folder, ".json", parse_json)
            described = {r.path for r in found}
            unmatched += [(p, f"no metadata in {folder}") for p in audio.find(part.audio) if p not in described]
        else:
            found, _ = _read_folders(part)
        recordings += [dataclasses.replace(recording, split=split) for recording in found]
    return recordings, unmatched


def _match(
    source: SourceConfig, folder: str, suffix: str, parse: Callable[[str], tuple[str, Recording]]
) -> tuple[list[Recording], list[tuple[str, str]]]:
    """Joins audio files and metadata files: by the FileName that the metadata gives, or by equal stems."""
    paths = audio.find(source.audio)
    by_name = {os.path.basename(path): path for path in paths}
    by_stem = {os.path.splitext(name)[0]: path for name, path in by_name.items()}
    recordings, unmatched, used = [], [], set()
    for file in _find_metadata(folder, suffix):
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
                dataclasses.replace(recording, path=path, recording_id=recording.recording_id or media_id(path))
            )
    unmatched += [(path, f"no metadata for it in {folder}") for path in paths if path not in used]
    return recordings, unmatched


def media_id(path: str) -> str:
    """BirdCLEF's MediaId: the number after the last `_RN` of the file's name, else the name without its suffix."""
    stem = os.path.splitext(os.path.basename(path))[0]
    number = re.search(r"_RN(\d+)$", stem)
    return number.group(1) if number else stem


def described_media_ids(folder: str) -> dict[str, str]:
    """{stem of the audio file: MediaId} as the XML files of a folder say; those that say neither are left out.

    Raises:
        InputError: no such folder.
    """
    if not os.path.isdir(folder):
        raise config.InputError(f"{folder} is not a folder; --metadata names the folder with the XML files")
    described = {}
    for path in _find_metadata(folder, ".xml"):
        fields = _xml_fields(path)
        stem = os.path.splitext(os.path.basename(fields.get("FileName") or path))[0]
        if fields.get("MediaId"):
            described[stem] = fields["MediaId"]
    return described


def _xml_fields(path: str) -> dict[str, str]:
    """{element: text} of a BirdCLEF XML file; raises InputError if it is none."""
    with open(path, "rb") as file:
        content = file.read()
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise config.InputError(f"{path}: XML with a document type or entities is refused")
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise config.InputError(f"{path}: not XML ({error})") from error
    return {element.tag: (element.text or "").strip() for element in root}


def parse_xml(path: str) -> tuple[str, Recording]:
    """Reads one BirdCLEF XML file.

    Returns:
        The FileName it gives (possibly empty), and the recording, its path still empty.

    Raises:
        InputError: not such a file, or without a label.
    """
    fields = _xml_fields(path)
    name = f"{fields.get('Genus', '')} {fields.get('Species', '')}".strip()
    label = fields.get("ClassId", "") or name
    if not label:
        raise config.InputError(f"{path}: neither ClassId nor Genus and Species: the recording has no label")
    background = fields.get("BackgroundSpecies")
    return fields.get("FileName", ""), Recording(
        recording_id=fields.get("MediaId", ""),
        path="",
        label=label,
        name=name or label,
        background=_names(background.split(",") if background else []),
        background_known=background is not None,
        author=fields.get("AuthorID", "") or fields.get("Author", ""),
        latitude=_number(fields.get("Latitude", ""), limit=90),
        longitude=_number(fields.get("Longitude", ""), limit=180),
        day_of_year=_day_of_year(fields.get("Date", "")),
        hour=_hour(fields.get("Time", "")),
    )


def parse_json(path: str) -> tuple[str, Recording]:
    """Reads one file of the 2018 sorter's metadata/ folder; returns and raises as `parse_xml`."""
    try:
        with open(path, encoding="utf-8") as file:
            fields: Mapping[str, object] = json.load(file)
        name, background = str(fields["sci-name"]), fields.get("background")
        file_name, label = str(fields.get("filename", "")), str(fields.get("classid", "")) or name
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise config.InputError(f"{path}: not metadata of a sorted tree ({error!r})") from error
    # the 2018 sorter wrote an empty list for "none" and for "unknown" alike: empty is taken as unknown
    listed = _names(map(str, background)) if isinstance(background, list) else ()
    return file_name, Recording(
        recording_id="", path="", label=label, name=name, background=listed, background_known=bool(listed)
    )


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.strip() for name in names if name.strip())


def _number(text: str, limit: float) -> float:
    """A number within ± limit; NaN for anything else, since these fields are free text."""
    try:
        value = float(text)
    except ValueError:
        return NAN
    return value if abs(value) <= limit else NAN


def _day_of_year(text: str) -> float:
    """Day 1 … 366 of a date written 2014-01-31 (or with / or .); NaN for anything else."""
    parts = re.fullmatch(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})", text)
    try:
        return float(datetime.date(*map(int, parts.groups())).timetuple().tm_yday) if parts else NAN
    except ValueError:
        return NAN


def _hour(text: str) -> float:
    """Hours 0 … 24 of a time such as 08:30, ~06h15, 9:30 am or 7.15; NaN for anything else."""
    parts = re.search(r"\b(\d{1,2})\s*[:h.]\s*(\d{2})(?:[:.]\d+)?\s*([ap]\.?m\b)?", text.lower().replace("~", " "))
    if not parts:
        return NAN
    hour, minute, half = int(parts.group(1)), int(parts.group(2)), parts.group(3) or ""
    if half:
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    return hour + minute / 60 if hour < 24 and minute < 60 else NAN


# --- one folder a species ---------------------------------------------------------------------------------------------


def _read_folders(source: SourceConfig) -> tuple[list[Recording], list[tuple[str, str]]]:
    """The label is the name of the folder right below the root; the background is unknown."""
    recordings, unmatched = [], []
    for path in audio.find(source.audio):
        parts = os.path.relpath(path, source.audio).split(os.sep)
        if len(parts) < 2:
            unmatched.append((path, "lies in no species' folder"))
            continue
        recordings.append(Recording(recording_id=media_id(path), path=path, label=parts[0], name=parts[0]))
    return recordings, unmatched


# --- the split --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Which recordings validate."""

    val_share: float = config.option(0.1, "share of every class's recordings that validate; 0 keeps all for training")
    group_by: str = config.option(
        "recording",
        "what stays on one side of the split; author keeps a session together",
        choices=("recording", "author"),
    )
    split_seed: int = config.option(0, "another number, another split")


def split(recordings: Sequence[Recording], split_config: SplitConfig) -> list[Recording]:
    """Gives each recording its `split`, by recording (never by chunk) and stratified by class.

    A layout that decides the split keeps it. Otherwise each class, the rarest first, is to get `val_share` of its
    recordings into validation, and at least one if it has two groups. Of the groups that hold it the one is taken
    that brings all classes together nearest to what they are to get, as long as that helps; none that would leave a
    class without training recordings. Ties go by md5 hashes: the same in every process.

    Raises:
        InputError: a share outside [0, 1).
    """
    if not 0 <= split_config.val_share < 1:
        raise config.InputError(f"--val_share={split_config.val_share}: need 0 <= share < 1")
    if all(recording.split for recording in recordings):
        return list(recordings)

    def group_of(recording: Recording) -> str:
        by_author = split_config.group_by == "author" and recording.author
        return f"author {recording.author}" if by_author else f"recording {recording.recording_id}"

    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)  # group → class → n
    for recording in recordings:
        counts[group_of(recording)][recording.label] += 1
    totals = collections.Counter(recording.label for recording in recordings)
    groups = {label: [g for g in counts if label in counts[g]] for label in totals}
    wanted = {
        label: max(1, round(split_config.val_share * total)) if split_config.val_share and len(groups[label]) > 1 else 0
        for label, total in totals.items()
    }
    in_val: collections.Counter[str] = collections.Counter()
    chosen: set[str] = set()

    def cost(group: str) -> int:
        """By how much the group moves the classes away from what they are to get; below 0 it brings them nearer."""
        return sum(abs(in_val[c] + n - wanted[c]) - abs(in_val[c] - wanted[c]) for c, n in counts[group].items())

    for label in sorted(totals, key=lambda c: (len(groups[c]), c)):
        free = sorted(set(groups[label]) - chosen, key=lambda g: _md5(f"split {split_config.split_seed} {g}"))
        while in_val[label] < wanted[label]:
            free = [g for g in free if all(in_val[c] + n < totals[c] for c, n in counts[g].items())]
            best = min(free, key=cost, default=None)
            if best is None or (cost(best) >= 0 and in_val[label]):
                break
            free.remove(best)
            chosen.add(best)
            in_val.update(counts[best])
    return [
        dataclasses.replace(recording, split="val" if group_of(recording) in chosen else "train")
        for recording in recordings
    ]

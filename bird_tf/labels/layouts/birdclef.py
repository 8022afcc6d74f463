"""BirdCLEF's XML files, one for each recording."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence

from bird_tf import config, files
from bird_tf.labels import free_text, metadata
from bird_tf.labels.layouts import matching

_SUFFIX = ".xml"


def recognise(audio: str, metadata_path: str, columns: Sequence[str]) -> str:
    """The reason to read XML files; empty if there are none. Arguments as of `read`."""
    folder = metadata_path or audio
    found = files.find(folder, (_SUFFIX,))
    return f"{len(found)} XML files below {folder}" if found else ""


def read(audio: str, metadata_path: str, columns: Sequence[str]) -> matching.Found:
    """Reads the recordings.

    Args:
        audio: folder with the recordings.
        metadata_path: folder with the XML files; empty: `audio`.
        columns: not used.
    """
    return matching.join(audio, metadata_path or audio, _SUFFIX, parse)


def describe(folder: str) -> dict[str, metadata.Recording]:
    """Reads the XML files of a folder: {stem of the audio file: recording}. They need no label.

    Raises:
        InputError: the folder does not exist.
    """
    if not os.path.isdir(folder):
        raise config.InputError(f"--metadata={folder}: no such folder of XML files")
    found = {}
    for path in files.find(folder, (_SUFFIX,)):
        fields = _xml_fields(path)
        found[os.path.splitext(os.path.basename(fields.get("FileName") or path))[0]] = _recording(fields)
    return found


def _xml_fields(path: str) -> dict[str, str]:
    """{element: text} of a BirdCLEF XML file. Raises InputError if the file is not XML."""
    with open(path, "rb") as file:
        content = file.read()
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise config.InputError(f"{path}: XML with a document type or entities is refused")
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise config.InputError(f"{path}: not XML ({error})") from error
    return {element.tag: (element.text or "").strip() for element in root}


def parse(path: str) -> tuple[str, metadata.Recording]:
    """Reads one BirdCLEF XML file.

    Returns:
        The FileName that it gives (possibly empty), and the recording; its path is still empty.

    Raises:
        InputError: the file is not XML, or has no label.
    """
    fields = _xml_fields(path)
    recording = _recording(fields)
    if not recording.label:
        raise config.InputError(f"{path}: neither ClassId nor Genus and Species: the recording has no label")
    return fields.get("FileName", ""), recording


def _recording(fields: Mapping[str, str]) -> metadata.Recording:
    """The recording that the elements of a BirdCLEF XML file describe. Its path is empty."""
    name = f"{fields.get('Genus', '')} {fields.get('Species', '')}".strip()
    label = fields.get("ClassId", "") or name
    background = fields.get("BackgroundSpecies")
    return metadata.Recording(
        recording_id=fields.get("MediaId", ""),
        path="",
        label=label,
        name=name or label,
        background=free_text.names(background.split(",") if background else []),
        background_known=background is not None,
        author=fields.get("AuthorID", "") or fields.get("Author", ""),
        latitude=free_text.number(fields.get("Latitude", ""), limit=90),
        longitude=free_text.number(fields.get("Longitude", ""), limit=180),
        elevation=free_text.elevation(fields.get("Elevation", "")),
        day_of_year=free_text.day_of_year(fields.get("Date", "")),
        date=free_text.iso_date(fields.get("Date", "")),
        hour=free_text.hour_of_day(fields.get("Time", "")),
    )

"""BirdCLEF's XML files, one for each recording."""

from __future__ import annotations

import dataclasses
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping

from bird_tf import config, files
from bird_tf.labels import label_cells, metadata, texts
from bird_tf.labels.tables import file_format, rows

_LARGEST_BYTES = 16 << 20


class _Builder(ElementTree.TreeBuilder):
    """Refuses a document type, which can define entities: as an event of the parser, it is seen in every encoding."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Called by the parser when a document type begins."""
        raise config.InputError("XML with a document type or entities is refused")


def recognise(document: texts.Document, options: rows.Options) -> bool:
    """Whether to read it: every XML file below the folder is one, or is named as damaged."""
    return True


def read(document: texts.Document, options: rows.Options) -> list[rows.Row]:
    """Reads a file of one recording, which it names, or which has its name.

    Raises:
        InputError: the file is not XML.
    """
    fields = _xml_fields(document.path)
    about = _about(fields)
    row = rows.Row(
        where=document.path,
        files=(fields["FileName"],) if fields.get("FileName") else (),
        or_namesake=True,
        about=about,
    )
    return [rows.named(row, [about.label], options)]


def describe(folder: str) -> dict[str, metadata.Recording]:
    """Reads the XML files of a folder: {stem of the audio file: recording}. They need no label.

    Raises:
        InputError: the folder does not exist, or a file is not XML.
    """
    if not os.path.isdir(folder):
        raise config.InputError(f"--metadata={folder}: no such folder of XML files")
    found = {}
    for path in files.find(folder, FORMAT.suffixes):
        fields = _xml_fields(path)
        found[os.path.splitext(os.path.basename(fields.get("FileName") or path))[0]] = _about(fields)
    return found


def _xml_fields(path: str) -> dict[str, str]:
    """{element: text} of a BirdCLEF XML file. Raises InputError if the file is not XML."""
    content = texts.read_bytes(path, _LARGEST_BYTES)
    try:
        root = ElementTree.fromstring(content, ElementTree.XMLParser(target=_Builder()))
    except config.InputError as error:
        raise config.InputError(f"{path}: {error}") from error
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise config.InputError(f"{path}: not XML ({error})") from error
    fields = {element.tag: texts.clean(element.text or "") for element in root}
    if further := [texts.clean(element.text or "") for element in root.findall("BackgroundSpecies")]:
        fields["BackgroundSpecies"] = "; ".join(filter(None, further))
    return fields


def _about(fields: Mapping[str, str]) -> metadata.Recording:
    """What the elements of a BirdCLEF XML file say of the recording."""
    name = f"{fields.get('Genus', '')} {fields.get('Species', '')}".strip()
    listed, known = label_cells.background(fields.get("BackgroundSpecies", ""))
    about = rows.described(
        date=fields.get("Date", ""),
        time=fields.get("Time", ""),
        latitude=fields.get("Latitude", ""),
        longitude=fields.get("Longitude", ""),
        elevation=fields.get("Elevation", ""),
    )
    return dataclasses.replace(
        about,
        recording_id=fields.get("MediaId", ""),
        label=fields.get("ClassId", "") or name,
        name=name or fields.get("ClassId", ""),
        background=listed,
        background_known="BackgroundSpecies" in fields and (known or not fields["BackgroundSpecies"]),
        author=fields.get("AuthorID", "") or fields.get("Author", ""),
    )


FORMAT = file_format.Format(
    name="BirdCLEF XML file",
    suffixes=(".xml",),
    recognise=recognise,
    read=read,
    taken={},
)

"""The tree of the 2018 sorter: train/SPECIES, val/SPECIES, and metadata/*.json."""

from __future__ import annotations

import json
from collections.abc import Mapping

from bird_tf import config
from bird_tf.labels import free_text, metadata


def parse(path: str) -> tuple[str, metadata.Recording]:
    """Reads one file of the 2018 sorter's metadata/ folder; returns and raises as `parse_xml`."""
    try:
        with open(path, encoding="utf-8") as file:
            fields: Mapping[str, object] = json.load(file)
        name, background = str(fields["sci-name"]), fields.get("background")
        file_name, label = str(fields.get("filename", "")), str(fields.get("classid", "")) or name
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise config.InputError(f"{path}: not metadata of a sorted tree ({error!r})") from error
    # the 2018 sorter, which knew no author, wrote an empty list for "none" and for "unknown" alike: it says unknown
    listed = free_text.names(map(str, background)) if isinstance(background, list) else ()
    known = bool(listed) or (isinstance(background, list) and "author" in fields)
    return file_name, metadata.Recording(
        recording_id="",
        path="",
        label=label,
        name=name,
        background=listed,
        background_known=known,
        author=str(fields.get("author") or ""),
        latitude=free_text.number(str(fields.get("latitude")), limit=90),
        longitude=free_text.number(str(fields.get("longitude")), limit=180),
        elevation=free_text.elevation(str(fields.get("elevation", ""))),
        day_of_year=free_text.number(str(fields.get("day_of_year")), limit=366),
        hour=free_text.number(str(fields.get("hour")), limit=24),
    )

"""One CSV for all recordings: a row for each recording, or for each span of one. Kaggle's train_metadata.csv is one."""

from __future__ import annotations

import ast
import collections
import dataclasses
import os
from collections.abc import Mapping, Sequence

from bird_tf import config, files
from bird_tf.audio import decode
from bird_tf.labels import free_text, metadata, spans
from bird_tf.labels.layouts import matching

# The names of columns that are known without --columns. The first one that a table has is used.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "file": ("file", "filename", "file_name", "path"),
    "label": ("label", "primary_label", "ebird_code", "class_id", "species"),
    "name": ("name", "scientific_name", "latin_name"),
    "start": ("start", "start_seconds", "start_time", "begin"),
    "end": ("end", "end_seconds", "end_time"),
    "background": ("background", "secondary_labels", "background_species"),
    "author": ("author", "recordist", "session"),
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon", "lng"),
    "elevation": ("elevation", "elevation_m", "altitude"),
    "date": ("date",),
    "time": ("time", "time_of_day"),
    "site": ("site", "station", "plot"),
}
_SUFFIXES = (".csv", ".tsv")
_UNKNOWN = ("", "?", "unknown", "nan", "na")
_NONE = ("none", "-", "[]", "['']", '[""]')


def parse_columns(columns: Sequence[str]) -> dict[str, str]:
    """Parses flags of the form WHAT=COLUMN to {what: column}.

    Raises:
        InputError: another form, or an unknown WHAT.
    """
    pairs = dict(entry.partition("=")[::2] for entry in columns)
    for what, column in pairs.items():
        if what not in COLUMNS or not column:
            raise config.InputError(f"--columns={what}={column}: write WHAT=COLUMN, WHAT one of {', '.join(COLUMNS)}")
    return pairs


def fits(path: str, columns: Mapping[str, str]) -> bool:
    """Whether a file is a table with the columns that `read_table` needs."""
    try:
        return bool(_columns(path, _rows(path), columns))
    except config.InputError:
        return False


def _rows(path: str) -> list[dict[str, str]]:
    return files.read_table(path, delimiter="\t" if path.lower().endswith(".tsv") else ",")


def recognise(audio: str, metadata_path: str, columns: Sequence[str]) -> str:
    """The reason to read a table; empty if there is none. Arguments as of `read`.

    Raises:
        InputError: there are several such tables; or what `parse_columns` raises.
    """
    if os.path.isfile(metadata_path):
        return f"{metadata_path} is a table" if metadata_path.lower().endswith(_SUFFIXES) else ""
    folder = metadata_path or audio
    found = _find(folder, parse_columns(columns))
    if len(found) > 1:
        raise config.InputError(f"{folder} holds {len(found)} such tables; name the one with --metadata=FILE")
    return f"{found[0]} has columns for file and label" if found else ""


def read(audio: str, metadata_path: str, columns: Sequence[str]) -> matching.Found:
    """Reads the recordings.

    Args:
        audio: folder with the recordings.
        metadata_path: the table, or a folder with one; empty: `audio`.
        columns: --columns, for columns with other names.

    Raises:
        InputError: no such table or several; or what `parse_columns` and `read_table` raise.
    """
    path, named_columns = metadata_path or audio, parse_columns(columns)
    if os.path.isdir(path):
        found = _find(path, named_columns)
        if len(found) != 1:
            raise config.InputError(
                f"{path} holds {len(found)} tables with columns for file and label; name the one with --metadata=FILE"
            )
        path = found[0]
    return read_table(path, decode.find(audio), audio, named_columns)


def _find(folder: str, columns: Mapping[str, str]) -> list[str]:
    return [path for path in files.find(folder, _SUFFIXES) if fits(path, columns)]


def read_table(path: str, paths: Sequence[str], root: str, columns: Mapping[str, str]) -> matching.Found:
    """Reads the recordings that a table describes.

    Args:
        path: the table, comma-separated (tab-separated if it ends in .tsv), with a header line.
        paths: the recordings. No other file is opened.
        root: the folder that paths in the column `file` start from. A bare name is enough if only one recording has it.
        columns: {what: column} for columns with other names.

    Returns:
        The recordings, and (file, reason) of rows and recordings that do not match.

    Raises:
        InputError: the file is not such a table, or the column `file` or `label` is missing.
    """
    rows = _rows(path)
    found = _columns(path, rows, columns)
    match_of = matching.matcher(paths, root)
    rows_of: dict[str, list[tuple[int, dict[str, str]]]] = collections.defaultdict(list)
    unmatched = []
    for number, row in enumerate(rows, 2):
        fields = _fields(row, found)
        match = match_of(fields["file"])
        if match is None or not fields["label"]:
            reason = "no label" if match else f"{fields['file']!r} is not below {root}, or there are several"
            unmatched.append((f"{path}, line {number}", reason))
        else:
            rows_of[match].append((number, fields))
    recordings = []
    for match, entries in rows_of.items():
        try:
            recordings.append(_recording(path, match, entries))
        except config.InputError as error:
            unmatched.append((match, str(error)))
    unmatched += [(p, f"no row for it in {path}") for p in paths if p not in rows_of]
    return recordings, unmatched


def describe(path: str, paths: Sequence[str], root: str) -> dict[str, metadata.Recording]:
    """Reads a table of recordings that need no label: {audio file: recording}. The first row of a recording counts.

    Raises:
        InputError: the file is not a table, or the column `file` is missing.
    """
    rows = _rows(path)
    found = _columns(path, rows, {}, needed=("file",))
    match_of = matching.matcher(paths, root)
    recordings: dict[str, metadata.Recording] = {}
    for number, row in enumerate(rows, 2):
        fields = {**_fields(row, found), "start": "", "label": ""}
        match = match_of(fields["file"])
        if match and match not in recordings:
            recordings[match] = _recording(path, match, [(number, fields)])
    return recordings


def _fields(row: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """{what: text} of a row."""
    return {what: (row[column] or "").strip() for what, column in found.items()}


def _columns(
    path: str,
    rows: Sequence[Mapping[str, str]],
    columns: Mapping[str, str],
    needed: Sequence[str] = ("file", "label"),
) -> dict[str, str]:
    """{what: column} of the columns that the table has."""
    if not rows:
        raise config.InputError(f"{path}: a table without rows")
    by_name = {column.strip().lower(): column for column in rows[0] if column}
    for what, column in columns.items():
        if column.lower() not in by_name:
            raise config.InputError(f"{path} has no column {column} (--columns={what}={column}): {', '.join(rows[0])}")
    wanted = {what: (columns[what].lower(),) if what in columns else names for what, names in COLUMNS.items()}
    found = {what: by_name[n] for what, names in wanted.items() for n in reversed(names) if n in by_name}
    times = {"start", "end"} if {"start", "end"} & set(found) else set()
    if missing := {*needed, *times} - set(found):
        raise config.InputError(
            f"{path}: which column holds {' and which '.join(sorted(missing))}? it has {', '.join(rows[0])}; "
            f"say --columns={min(missing)}=NAME"
        )
    return found


def _recording(path: str, audio_file: str, entries: Sequence[tuple[int, dict[str, str]]]) -> metadata.Recording:
    """The recording that one row describes, or several rows with a span each."""
    number, fields = entries[0]
    listed, known = background(fields.get("background", ""))
    recording = metadata.Recording(
        recording_id=metadata.media_id(audio_file),
        path=audio_file,
        label=fields["label"],
        name=fields.get("name") or fields["label"],
        background=listed,
        background_known=known,
        author=fields.get("author", ""),
        latitude=free_text.number(fields.get("latitude", ""), limit=90),
        longitude=free_text.number(fields.get("longitude", ""), limit=180),
        elevation=free_text.elevation(fields.get("elevation", "")),
        day_of_year=free_text.day_of_year(fields.get("date", "")),
        date=free_text.iso_date(fields.get("date", "")),
        site=fields.get("site", ""),
        hour=free_text.hour_of_day(fields.get("time", "")),
    )
    if not fields.get("start"):
        if len(entries) > 1:
            raise config.InputError(
                f"{path}, line {entries[1][0]}: a second row for it, and no start and end in line {number}"
            )
        return recording
    annotations = []
    for number, row in entries:
        listed, known_in_span = background(row.get("background", ""))
        known = known and known_in_span
        where = f"{path}, line {number}"
        annotations.append(spans.parse_annotation(where, row["start"], row["end"], row["label"], listed))
    return spans.with_annotations(dataclasses.replace(recording, background_known=known), annotations)


def background(text: str) -> tuple[tuple[str, ...], bool]:
    """The species of a cell, and whether they are known.

    Names are separated by commas or semicolons, or are a Python list as in Kaggle's tables. `none`, `-` and `[]` mean
    that there are no background species. An empty cell, `?` and `unknown` mean that the background is unknown.
    """
    text = text.strip()
    if text.casefold() in _UNKNOWN:
        return (), False
    if text.casefold() in _NONE:
        return (), True
    if text.startswith("["):
        try:
            return free_text.names(map(str, ast.literal_eval(text))), True
        except (ValueError, SyntaxError):
            return (), False
    return free_text.names(text.replace(";", ",").split(",")), True

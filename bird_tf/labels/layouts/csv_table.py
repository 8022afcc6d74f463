"""One CSV for all recordings: a row for each, or for each span of one. Kaggle's train_metadata.csv reads as it is."""

from __future__ import annotations

import ast
import collections
import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence

from bird_tf import config, files
from bird_tf.labels import free_text, metadata, spans

# What a column may be called without --columns; the first that a table has is taken.
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
}
_UNKNOWN = ("", "?", "unknown", "nan", "na")
_NONE = ("none", "-", "[]", "['']", '[""]')


def parse_columns(columns: Sequence[str]) -> dict[str, str]:
    """{what: column} of flags written what=column.

    Raises:
        InputError: not written so, or a word that no table has use for.
    """
    pairs = dict(entry.partition("=")[::2] for entry in columns)
    for what, column in pairs.items():
        if what not in COLUMNS or not column:
            raise config.InputError(f"--columns={what}={column}: write WHAT=COLUMN, WHAT one of {', '.join(COLUMNS)}")
    return pairs


def fits(path: str, columns: Mapping[str, str]) -> bool:
    """Whether a file is a table with the columns that `read` needs."""
    try:
        return bool(_columns(path, _rows(path), columns))
    except config.InputError:
        return False


def _rows(path: str) -> list[dict[str, str]]:
    return files.read_table(path, delimiter="\t" if path.lower().endswith(".tsv") else ",")


def read(
    path: str, paths: Sequence[str], root: str, columns: Mapping[str, str]
) -> tuple[list[metadata.Recording], list[tuple[str, str]]]:
    """Reads the recordings that a table describes.

    Args:
        path: the table, comma-separated (tab-separated if it ends in .tsv), with a header line.
        paths: the recordings there are; no other file is ever opened.
        root: the folder that the column `file` counts from; a bare name will do where it is the only one of its kind.
        columns: {what: column} where a column has a name of its own.

    Returns:
        The recordings, and (file, reason) of rows and recordings that do not match.

    Raises:
        InputError: not such a table, or without the columns `file` and `label`.
    """
    rows = _rows(path)
    found = _columns(path, rows, columns)
    match_of = _matcher(paths, root)
    described: dict[str, list[tuple[int, dict[str, str]]]] = collections.defaultdict(list)
    unmatched = []
    for number, row in enumerate(rows, 2):
        fields = _fields(row, found)
        match = match_of(fields["file"])
        if match is None or not fields["label"]:
            reason = "no label" if match else f"{fields['file']!r} is not below {root}, or there are several"
            unmatched.append((f"{path}, line {number}", reason))
        else:
            described[match].append((number, fields))
    recordings = []
    for match, entries in described.items():
        try:
            recordings.append(_recording(path, match, entries))
        except config.InputError as error:
            unmatched.append((match, str(error)))
    unmatched += [(p, f"no row for it in {path}") for p in paths if p not in described]
    return recordings, unmatched


def describe(path: str, paths: Sequence[str], root: str) -> dict[str, metadata.Recording]:
    """What a table says of recordings that need no label: {audio file: recording}, its first row counts.

    Raises:
        InputError: not such a table, or without the column `file`.
    """
    rows = _rows(path)
    found = _columns(path, rows, {}, needed=("file",))
    match_of = _matcher(paths, root)
    described: dict[str, metadata.Recording] = {}
    for number, row in enumerate(rows, 2):
        fields = {**_fields(row, found), "start": "", "label": ""}
        match = match_of(fields["file"])
        if match and match not in described:
            described[match] = _recording(path, match, [(number, fields)])
    return described


def _fields(row: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """{what: text} of a row."""
    return {what: (row[column] or "").strip() for what, column in found.items()}


def _matcher(paths: Sequence[str], root: str) -> Callable[[str], str | None]:
    """The function that finds the recording meant by a cell of the column `file`."""
    by_relative = {os.path.relpath(p, root): p for p in paths}
    by_name = collections.defaultdict(list)
    for p in paths:
        by_name[os.path.basename(p)].append(p)

    def match(cell: str) -> str | None:
        file = os.path.normpath(cell.replace("\\", "/"))
        alike = by_name[os.path.basename(file)]
        return by_relative.get(file) or (alike[0] if len(alike) == 1 else None)

    return match


def _columns(
    path: str,
    rows: Sequence[Mapping[str, str]],
    columns: Mapping[str, str],
    needed: Sequence[str] = ("file", "label"),
) -> dict[str, str]:
    """{what: column} of the columns that the table has."""
    if not rows:
        raise config.InputError(f"{path}: a table without rows")
    there = {column.strip().lower(): column for column in rows[0] if column}
    for what, column in columns.items():
        if column.lower() not in there:
            raise config.InputError(f"{path} has no column {column} (--columns={what}={column}): {', '.join(rows[0])}")
    wanted = {what: (columns[what].lower(),) if what in columns else names for what, names in COLUMNS.items()}
    found = {what: there[n] for what, names in wanted.items() for n in reversed(names) if n in there}
    marked = {"start", "end"} if {"start", "end"} & set(found) else set()
    if missing := {*needed, *marked} - set(found):
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
        hour=free_text.hour_of_day(fields.get("time", "")),
    )
    if not fields.get("start"):
        if len(entries) > 1:
            raise config.InputError(
                f"{path}, line {entries[1][0]}: a second row for it, and no start and end in line {number}"
            )
        return recording
    marked = []
    for number, row in entries:
        listed, one_known = background(row.get("background", ""))
        known = known and one_known
        marked.append(spans.parse_annotation(f"{path}, line {number}", row["start"], row["end"], row["label"], listed))
    return spans.with_annotations(dataclasses.replace(recording, background_known=known), marked)


def background(text: str) -> tuple[tuple[str, ...], bool]:
    """The species of a cell, and whether they are known.

    Names are separated by commas or semicolons, or are a Python list as in Kaggle's tables. `none`, `-` and `[]` say
    that nothing was heard; an empty cell, `?` and `unknown`, that nobody noted it.
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

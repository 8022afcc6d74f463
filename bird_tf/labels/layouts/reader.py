"""Reads the recordings of a labelled set in any layout, and says what came from where."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Iterable, Sequence

from absl import logging

from bird_tf import config, files
from bird_tf.audio import decode
from bird_tf.labels import class_names, clock, metadata
from bird_tf.labels.layouts import assembly, birdclef, columns, folders, formats, matching, rows, sorted_tree

_NAMELESS = "names no recording, and no recording has its name"
_LAYOUTS = ("sorted", "birdclef", "csv", "annotations", "folders")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """The folder of the recordings, and the place and layout of their labels."""

    audio: str = config.option("", "folder with the recordings (searched recursively)")
    metadata: str = config.option(
        "", "folder of XML or JSON files, tables or annotation files; or one table; empty: what lies below --audio"
    )
    layout: str = config.option(
        "auto",
        "where labels are: an XML file for each recording (birdclef), a folder for each species (folders), a tree of "
        "train/ and val/ (sorted), tables that name recordings (csv), or annotation files with the tables beside them "
        "(annotations)",
        choices=("auto", *_LAYOUTS),
    )
    columns: tuple[str, ...] = config.option(
        (),
        f"WHAT=COLUMN, for other names of columns; WHAT is {', '.join(columns.COLUMNS)}; with WHAT=A,B the first one "
        "that is filled counts, with TABLE.csv:WHAT=COLUMN it is for that table; may be repeated",
    )
    min_confidence: float = config.option(
        0.0, "labels with a lower score in their table count neither as there nor as not there"
    )
    names: class_names.NameConfig = dataclasses.field(default_factory=class_names.NameConfig)
    clock: clock.ClockConfig = dataclasses.field(default_factory=clock.ClockConfig)
    skip_unmatched: bool = config.option(
        False, "list recordings without metadata, and metadata without recording, as skipped, instead of stopping"
    )

    @property
    def options(self) -> rows.Options:
        """What formats need to know."""
        return rows.Options(columns=columns.parse(self.columns), negative_labels=self.names.negative_labels)


def read(source: SourceConfig, noise_audio: str = "") -> matching.Found:
    """Reads the recordings of a labelled set.

    Args:
        source: the set.
        noise_audio: folder with recordings that hold none of the species, perhaps a part of the set; empty: none.

    Returns:
        The recordings, sorted by id, and (path or line, reason) of everything that is left out. Recordings without
        `labels` are negative.

    Raises:
        InputError: missing or empty folder, unknown layout, tables that cannot be read, or recordings and metadata that
            do not match.
    """
    if not os.path.isdir(source.audio):
        raise config.InputError(f"--audio={source.audio} is not a folder; --audio names the folder with the recordings")
    if source.metadata and not os.path.exists(source.metadata):
        raise config.InputError(f"--metadata={source.metadata}: no such folder or file")
    noise = decode.find(noise_audio) if noise_audio else []
    synonyms = class_names.read_synonyms(source.names.synonyms) if source.names.synonyms else {}
    paths = decode.find(source.audio)
    if noise:
        real = {os.path.realpath(path) for path in noise}
        paths = [path for path in paths if os.path.realpath(path) not in real]
    found, folders_are_sites = _read_layout(source, paths)
    # a name in another encoding cannot be written to tables and records
    found.unmatched += [(r.path, "its name is not UTF-8; rename it") for r in found.recordings if not _is_utf8(r.path)]
    unmatched, left_out = _writable(found.unmatched), _writable(found.left_out)
    if unmatched and not source.skip_unmatched:
        raise config.InputError(
            f"{len(unmatched)} files do not match, the first: {unmatched[0][0]} ({unmatched[0][1]}); "
            "complete the set, or list them as skipped with --skip_unmatched"
        )
    recordings = [r for r in found.recordings if _is_utf8(r.path)]
    if not any(r.labels for r in recordings):
        raise config.InputError(f"{source.audio}: no labelled recording is left ({len(unmatched)} do not match)")
    split = "train" if all(r.split for r in recordings) else ""  # where the layout decides the split
    recordings += [
        metadata.Recording(recording_id=metadata.media_id(p), path=p, negative=True, split=split) for p in noise
    ]
    recordings = class_names.unify(recordings, synonyms)
    recordings = clock.fill(recordings, source.audio, source.clock, folders_are_sites=folders_are_sites)
    _log_negatives(recordings)
    if left_out:
        logging.warning("%d rows are left out, the first: %s (%s)", len(left_out), *left_out[0])
    return metadata.with_unique_ids(recordings), unmatched + left_out


def describe(
    paths: Sequence[str], root: str, metadata_path: str, clock_settings: clock.ClockConfig
) -> dict[str, metadata.Recording]:
    """Reads the metadata of recordings that need no label, such as test recordings.

    Args:
        paths: the recordings.
        root: the folder that holds them.
        metadata_path: a folder of metadata files, or one table; empty for none.
        clock_settings: how the notes of recorders are read, which fill what the metadata leaves open.

    Returns:
        {path: recording}. Without metadata, id, path and the recorder's notes are known.

    Raises:
        InputError: the metadata does not exist or cannot be read.
    """
    found: dict[str, metadata.Recording] = {}
    if metadata_path:
        if not os.path.exists(metadata_path):
            raise config.InputError(f"--metadata={metadata_path}: no such folder or file")
        tables_root = metadata_path if os.path.isdir(metadata_path) else os.path.dirname(metadata_path)
        known = matching.Recordings(paths, root, tables_root)
        sources = _sources(SourceConfig(audio=root, metadata=metadata_path), metadata_path)
        for source in sources:
            if source.format and source.problem:
                raise config.InputError(f"{source.path}: {source.problem}")
        found = _described(sources, known)
    unknown = {path: metadata.Recording(recording_id=metadata.media_id(path), path=path) for path in paths}
    described = [dataclasses.replace(found.get(path, unknown[path]), path=path) for path in paths]
    return dict(zip(paths, clock.fill(described, root, clock_settings), strict=True))


def _read_layout(source: SourceConfig, paths: Sequence[str]) -> tuple[assembly.Assembled, bool]:
    """Reads all that is known of the recordings, and whether their folders may be sites."""
    if source.layout == "sorted" or (source.layout == "auto" and sorted_tree.is_one(source.audio)):
        logging.info("--layout=sorted: %s has the folders train and val", source.audio)
        return sorted_tree.read(paths, source.audio, source.metadata, source.options), False
    sources = _sources(source, source.metadata or source.audio)
    tells_no_label = source.layout == "auto" and not any(s.is_labelling for s in sources)
    if source.metadata and (tells_no_label or (source.layout == "annotations" and os.path.isfile(source.metadata))):
        sources += _sources(source, source.audio)  # the annotations beside the recordings
    tables_root = source.metadata if os.path.isdir(source.metadata) else source.audio
    known = matching.Recordings(paths, source.audio, tables_root)
    used, problems = _chosen(source, sources, known)
    labelling = [s for s in used if s.is_labelling]
    if source.layout == "folders" or (source.layout == "auto" and not (source.metadata or labelling or problems)):
        return _read_folders(source, used, known), False
    if not labelling and not problems:
        raise config.InputError(_not_recognised(source, sources))
    _log_sources(source, labelling, used)
    found = assembly.assemble(used, known, source.min_confidence)
    found.unmatched += problems
    labelled = {recording.path for recording in found.recordings} | {path for path, _ in found.unmatched}
    labelled |= {path for path, _ in found.left_out}
    folder = source.metadata or source.audio
    found.unmatched += [(path, f"no metadata for it in {folder}") for path in paths if path not in labelled]
    return found, True


def _sources(source: SourceConfig, folder: str) -> list[formats.Source]:
    """Reads the files of a folder that may be of any format, or one file.

    Raises:
        InputError: the one file cannot be read.
    """
    if os.path.isfile(folder):
        found = formats.read(folder, source.options)
        if found.problem:
            raise config.InputError(f"{folder}: {found.problem}")
        return [found]
    suffixes = birdclef.SUFFIXES if source.layout == "birdclef" else formats.SUFFIXES
    return [formats.read(path, source.options) for path in files.find(folder, suffixes)]


def _chosen(
    source: SourceConfig, sources: Iterable[formats.Source], known: matching.Recordings
) -> tuple[list[formats.Source], list[tuple[str, str]]]:
    """The files whose rows are used, and (file, reason) of those that should be and cannot be read."""
    used, problems, unused = [], [], []
    for found in sources:
        if not found.problem and (found.rows and (source.layout != "csv" or any(row.files for row in found.rows))):
            if _names_recordings(found, known):
                used.append(found)
            elif found.path == source.metadata:
                raise config.InputError(f"{found.path} {_NAMELESS}; say --columns=file=NAME")
            else:
                unused.append(f"{found.path} ({_NAMELESS})")
        elif found.format == birdclef.NAME or (
            _is_namesake(found.path, known) and not found.path.lower().endswith(".json")
        ):
            problems.append((found.path, found.problem or "not used with --layout=csv"))
        else:
            unused.append(f"{found.path} ({found.problem})")
    if unused:
        logging.info("%d files are not used, the first: %s", len(unused), unused[0])
    return used, problems


def _names_recordings(found: formats.Source, known: matching.Recordings) -> bool:
    return any(row.files or row.catalogue_numbers for row in found.rows) or _is_namesake(found.path, known)


def _is_namesake(path: str, known: matching.Recordings) -> bool:
    try:
        return known.find_namesake(path) is not None
    except matching.AmbiguousError:
        return True


def _read_folders(
    source: SourceConfig, used: Sequence[formats.Source], known: matching.Recordings
) -> assembly.Assembled:
    if source.layout == "auto" and not folders.is_likely(known.paths, source.audio):
        raise config.InputError(_not_recognised(source, used))
    logging.info("--layout=folders: folders below %s: one for each species", source.audio)
    about = _described(used, known)
    if about:
        logging.warning(
            "the species come from the folders; more of %d recordings from %s. %s", len(about), _by_format(used),
            " ".join(map(_without_species, used)),
        )  # fmt: skip
    unknown = {p: metadata.Recording(recording_id=metadata.media_id(p), path=p) for p in known.paths}
    return folders.read((unknown | about).values(), source.audio, source.options)


def _described(sources: Iterable[formats.Source], known: matching.Recordings) -> dict[str, metadata.Recording]:
    """{path: what files tell of a recording besides its species}."""
    unlabelled = [dataclasses.replace(s, rows=tuple(map(rows.without_label, s.rows))) for s in sources]
    return assembly.assemble(unlabelled, known).described


def _log_sources(source: SourceConfig, labelling: Sequence[formats.Source], used: Sequence[formats.Source]) -> None:
    """Says what came from where."""
    in_time = [s for s in labelling if s.is_in_time]
    whole = [s for s in labelling if not s.is_in_time and any(row.labels.species for row in s.rows)]
    layout = source.layout
    if layout == "auto":
        names = {s.format for s in labelling}
        has_names = any(row.files for s in labelling for row in s.rows)
        layout = "birdclef" if names == {birdclef.NAME} else "csv" if has_names else "annotations"
    logging.info("--layout=%s: labels from %s", layout, _by_format(labelling))
    if in_time and whole:
        logging.warning(
            "labels in time from %s; where a recording has them, %s tell only author, place and time",
            _by_format(in_time), _by_format(whole),
        )  # fmt: skip
    if about := [s for s in used if not s.is_labelling]:
        logging.info("author, place and time from %s", _by_format(about))


def _by_format(sources: Sequence[formats.Source]) -> str:
    of_format: dict[str, list[str]] = collections.defaultdict(list)
    for source in sources:
        of_format[source.format].append(source.path)
    return "; ".join(f"{len(paths)} x {name} ({_listed(paths)})" for name, paths in of_format.items())


def _listed(paths: Sequence[str]) -> str:
    return paths[0] + (", …" if len(paths) > 1 else "")


def _log_negatives(recordings: Sequence[metadata.Recording]) -> None:
    whole = sum(recording.negative for recording in recordings)
    stretches = sum(annotation.negative for recording in recordings for annotation in recording.annotations)
    if whole or stretches:
        logging.info("negatives, which become noise: %d recordings and %d stretches of others", whole, stretches)


def _not_recognised(source: SourceConfig, sources: Sequence[formats.Source]) -> str:
    hints = [f"{s.path}: {s.problem}" if s.problem else _without_species(s) for s in sources if not s.is_labelling]
    hint = f"; for example {hints[0].rstrip('.')}" if hints else ""
    where = f"{source.metadata} holds" if source.metadata else f"{source.audio}: layout not recognised: there are"
    return (
        f"{where} no tables that name recordings or are named after them{hint}. Give --metadata=FILE or DIR with "
        "tables, annotation files or BirdCLEF XML files, or put the recordings of each species into a folder of its own"
    )


def _without_species(source: formats.Source) -> str:
    return f"{source.path} tells no species; if it does, say --columns=label=NAME."


def _writable(reasons: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(path.encode("utf-8", "backslashreplace").decode(), reason) for path, reason in reasons]


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True

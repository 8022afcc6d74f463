"""Reads the recordings of a labelled set in any layout, and says what came from where."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from absl import logging

from bird_tf import config, skips
from bird_tf.audio import decode, unread_files
from bird_tf.labels import class_names, clock, metadata
from bird_tf.labels.formats import formats
from bird_tf.labels.layouts import (
    assembly,
    containers,
    corrections,
    evidence,
    folders,
    matching,
    other_splits,
    sorted_tree,
    unread_labels,
)
from bird_tf.labels.tables import columns, rows

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
        "that is filled counts, with WHAT= none, with TABLE.csv:WHAT=COLUMN it is for that table; may be repeated",
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """What was read of a labelled set.

    Attributes:
        layout: what the labels come from, in words.
        recordings: sorted by id; those without `labels` are negative.
        unmatched: recordings and metadata that do not match.
        silent: recordings of which no file tells; they are in `unmatched` too.
        left_out: rows that are not used, although their recordings may be; sound without the suffix of a recording.
        unused: files that are of no use, as those of other programs.
        has_judged_spans: whether a file tells of judged spans alone, so that a recording without a row is unknown.
    """

    layout: str
    recordings: list[metadata.Recording]
    unmatched: list[skips.Skip]
    left_out: list[skips.Skip]
    unused: list[skips.Skip]
    silent: list[str] = dataclasses.field(default_factory=list)
    has_judged_spans: bool = False

    def refuse_unusable(self, source: SourceConfig) -> None:
        """Raises InputError if recordings and metadata do not match (without --skip_unmatched), or none is labelled."""
        if self.unmatched and not source.skip_unmatched:
            file, reason = self.unmatched[0]
            raise config.InputError(
                f"{len(self.unmatched)} files do not match, the first: {file} ({reason}); "
                "complete the set, or list them as skipped with --skip_unmatched"
            )
        if not any(r.labels for r in self.recordings):
            raise config.InputError(
                f"{source.audio}: no labelled recording is left ({len(self.unmatched)} do not match; "
                f"{len(self.left_out)} rows or recordings are left out)"
            )


def read(source: SourceConfig, noise_audio: str = "", channel: str = "") -> matching.Found:
    """Reads the recordings of a labelled set.

    Args:
        source: the set.
        noise_audio: folder with recordings that hold none of the species, perhaps a part of the set; empty: none.
        channel: what is heard of several channels, as --channel.

    Returns:
        The recordings, as in `Reading`, and (path or line, reason) of everything that is left out.

    Raises:
        InputError: as `survey` and `Reading.refuse_unusable`.
    """
    reading = survey(source, noise_audio, channel)
    reading.refuse_unusable(source)
    return reading.recordings, reading.unmatched + reading.left_out


def survey(
    source: SourceConfig, noise_audio: str = "", channel: str = "", *, judges: bool = False,
    classes: Collection[str] = (),
) -> Reading:  # fmt: skip
    """Reads what is known of a labelled set, whether or not it can be used. The arguments are those of `read`.

    With `judges`, models are judged by the labels: what a model said is left out, as by `corrections.of_persons`, and a
    point in time is a call, of which a conversion does not know how long it is. `classes` are names of species that
    background species are compared with besides those that the set tells, as of the models.

    Raises:
        InputError: missing or empty folder, unknown layout, or tables that cannot be read.
    """
    if not os.path.isdir(source.audio):
        raise config.InputError(f"--audio={source.audio} is not a folder; --audio names the folder with the recordings")
    if source.metadata and not os.path.exists(source.metadata):
        raise config.InputError(f"--metadata={source.metadata}: no such folder or file")
    sorted_tree.refuse_unfinished(source.audio)
    noise = decode.find(noise_audio) if noise_audio else []
    synonyms = class_names.read_synonyms(source.names.synonyms) if source.names.synonyms else {}
    paths = decode.find(source.audio)
    not_read = unread_files.find(source.audio, paths, (*formats.SUFFIXES, *formats.SPREADSHEETS))
    if noise:
        real = {os.path.realpath(path) for path in noise}
        paths = [path for path in paths if os.path.realpath(path) not in real]
    with _no_collection():
        found, folders_are_sites = _read_layout(source, paths, channel, classes, synonyms, judges=judges)
    if source.min_confidence > 0 and not found.has_scores:
        warn_of_no_score(source)
    split = "train" if all(r.split for r in found.recordings) else ""  # where the layout decides the split
    found.recordings += [dataclasses.replace(metadata.unknown(p), negative=True, split=split) for p in noise]
    # a name in another encoding cannot be written to tables and records
    found.unmatched += [(r.path, "its name is not UTF-8; rename it") for r in found.recordings if not _is_utf8(r.path)]
    left_out = _writable(found.left_out)
    recordings = [r for r in found.recordings if _is_utf8(r.path)]
    recordings = class_names.unify(recordings, synonyms)
    if folders_are_sites:
        folders.warn_of_unused(recordings, source.audio)
        folders.warn_of_others(recordings, source.audio)
    recordings = clock.fill(recordings, source.audio, source.clock, folders_are_sites=folders_are_sites)
    _log_negatives(recordings)
    if left_out:
        logging.warning("%d rows or recordings are left out, the first: %s (%s)", len(left_out), *left_out[0])
    return Reading(
        layout=found.layout,
        recordings=metadata.with_unique_ids(recordings),
        unmatched=_writable(found.unmatched),
        left_out=left_out + _writable(not_read),
        unused=_writable(skip for skip in found.unused if skip[0] not in dict(not_read)),
        silent=found.silent,
        has_judged_spans=found.has_judged_spans,
    )


def warn_of_no_score(source: SourceConfig) -> None:
    """Warns that --min_confidence has no effect."""
    logging.warning(
        "--min_confidence=%g changes nothing: no label has a score; if a column holds it, say --columns=score=NAME",
        source.min_confidence,
    )


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
        found = _described(evidence.about_recordings(metadata_path), known)
    unknown = {path: metadata.unknown(path) for path in paths}
    described = [dataclasses.replace(found.get(path, unknown[path]), path=path) for path in paths]
    return dict(zip(paths, clock.fill(described, root, clock_settings, every_folder=True), strict=True))


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Without Python's search for cycles: rows hold none, and with a million of them it takes a quarter of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _read_layout(
    source: SourceConfig, paths: Sequence[str], channel: str, classes: Collection[str], synonyms: Mapping[str, str], *,
    judges: bool,
) -> tuple[assembly.Assembled, bool]:  # fmt: skip
    """Reads all that is known of the recordings, and whether their folders may be sites."""
    if source.layout == "sorted" or (source.layout == "auto" and sorted_tree.is_one(source.audio)):
        return _read_sorted(source, paths), False
    folder = source.metadata or source.audio
    sources = evidence.read(folder, source.layout, source.options)
    tells_no_label = source.layout == "auto" and not any(s.is_labelling for s in sources)
    if source.metadata and (tells_no_label or (source.layout == "annotations" and os.path.isfile(source.metadata))):
        sources += evidence.read(source.audio, source.layout, source.options)  # the annotations beside the recordings
    sources, own = corrections.of_persons(sources) if judges else (sources, [])
    sources, same = corrections.of_one_format(sources)
    tables_root = source.metadata if os.path.isdir(source.metadata) else source.audio
    known = matching.Recordings(paths, source.audio, tables_root)
    names = folders.classes(paths, source.audio, source.options)
    if source.metadata or source.layout == "annotations" or not names or not all(map(folders.is_latin, names)):
        known.learn_endings(s.path for s in sources if s.rows and not s.names_recordings)
    used, problems, unused = evidence.choose(sources, known, source.layout, source.metadata)
    unused += own + same
    labelling = [s for s in used if s.is_labelling]
    tells_labels = source.metadata or labelling or problems or own
    if source.layout == "folders" or (source.layout == "auto" and not tells_labels):
        if source.layout == "auto" and not folders.is_likely(paths, source.audio):
            raise config.InputError(evidence.not_recognised(folder, sources, known))
        if source.layout == "auto":
            unread_labels.refuse_folders(sources, known, names, source.options)
            folders.refuse_nested(paths, source.audio, source.options)
            has_negatives = folders.has_negatives(paths, source.audio, source.options)
            containers.refuse(names, source.audio, has_negatives=has_negatives)
        found = _read_folders(source, used, known, classes)
        found.unused = problems + unused + found.unused
        corrections.warn_of_untouched(own)
        other_splits.warn(found.recordings, sources, known, tables_root)
        return found, False
    are_foreign = all(reason == evidence.NAMELESS for _, reason in problems) and not any(
        s.is_labelling for s in sources
    )
    if not labelling and (not problems or are_foreign):
        refusal = corrections.refusal(own, may_be_folders=not source.metadata) if own else ""
        raise config.InputError(refusal or evidence.not_recognised(folder, sources, known))
    corrections.warn_of_untouched(own)
    if source.layout == "auto" and source.columns and not source.metadata:
        containers.refuse_columns(labelling, names)
    layout = evidence.log(source.layout, used)
    if not source.min_confidence:
        evidence.warn_of_scores(used)
    evidence.warn_of_denials(used)
    evidence.warn_of_refused(sources, problems)
    evidence.warn_of_other_names(used, synonyms)
    in_channel = formats.in_channel(used, channel)
    found = assembly.assemble(in_channel, known, source.min_confidence, classes, with_points=judges)
    found.layout, found.unused = layout, unused
    found.unmatched += problems
    other_splits.warn(found.recordings, sources, known, tables_root)
    labelled = {recording.path for recording in found.recordings} | {path for path, _ in found.unmatched}
    labelled |= {path for path, _ in found.left_out}
    found.silent = [path for path in paths if path not in labelled]
    found.unmatched += [(path, f"no metadata for it in {folder}") for path in found.silent]
    return found, True


def _read_sorted(source: SourceConfig, paths: Sequence[str]) -> assembly.Assembled:
    """Reads a tree of train and val; not if other files tell labels, unless the user says that the tree counts."""
    used, unused = _beside_tree(source, paths)
    layout = f"--layout=sorted: {source.audio} has the folders train and val"
    logging.info("%s", layout)
    if used:
        logging.warning("%d tables and annotation files are not used, the first: %s", len(used), used[0].path)
    if source.layout == "auto":
        sorted_tree.refuse_nested(paths, source.audio, source.metadata, source.options)
    found = sorted_tree.read(paths, source.audio, source.metadata, source.options)
    found.layout = layout
    found.unused = [(each.path, "not used with --layout=sorted") for each in used] + unused
    return found


def _beside_tree(source: SourceConfig, paths: Sequence[str]) -> tuple[list[formats.Source], list[skips.Skip]]:
    """The files that tell something of a tree's recordings besides its own JSON, and others.

    Raises:
        InputError: one of them tells labels, and the user does not say what counts.
    """
    own = sorted_tree.metadata_folder(source.audio, source.metadata)
    sources = [each for folder in dict.fromkeys((source.metadata or source.audio, source.audio))
               for each in evidence.read(folder, source.layout, source.options, without_json_in=own)]  # fmt: skip
    known = matching.Recordings(paths, source.audio, source.metadata if os.path.isdir(source.metadata) else "")
    used, problems, unused = evidence.choose(sources, known, source.layout, source.metadata)
    telling = [each.path for each in used if each.is_labelling] + [path for path, _ in problems]
    if telling and source.layout == "auto":
        layout = "csv" if all(each.names_recordings for each in used) and not problems else "annotations"
        raise config.InputError(
            f"{source.audio} has the folders train and val, but {telling[0]} tells labels, too: say --layout=sorted "
            f"for those of the folders, and their split, or --layout={layout} for those of files, and another split"
        )
    return used, unused + problems


def _read_folders(
    source: SourceConfig, used: Sequence[formats.Source], known: matching.Recordings, classes: Collection[str]
) -> assembly.Assembled:
    layout = f"--layout=folders: folders below {source.audio}: one for each species"
    logging.info("%s", layout)
    if others := evidence.of_unknown_kinds(known):
        logging.warning("%d files named after recordings are of no known format, the first: %s", len(others), others[0])
    about = _described(used, known, [*folders.classes(known.paths, source.audio, source.options), *classes])
    if source.layout == "auto":
        folders.refuse_places(about.values(), source.audio)
    if about:
        hints = " ".join(evidence.without_species(s) for s in used if not s.is_labelling)
        told = evidence.by_format(used)
        logging.warning("the species come from the folders; more of %d recordings from %s. %s", len(about), told, hints)
    unknown = {p: metadata.unknown(p) for p in known.paths}
    found = folders.read((unknown | about).values(), source.audio, source.options)
    found.layout = layout
    found.unused = [(path, "named after a recording, and of no known format") for path in others]
    return found


def _described(
    sources: Iterable[formats.Source], known: matching.Recordings, classes: Collection[str] = ()
) -> dict[str, metadata.Recording]:
    """{path: what files tell of a recording besides its species}. What is of no recording, or of several, is logged."""
    unlabelled = [dataclasses.replace(s, rows=tuple(map(rows.without_label, s.rows))) for s in sources]
    found = assembly.assemble(unlabelled, known, classes=classes)
    if unmatched := _writable(found.unmatched):
        logging.warning("%d rows of metadata are not used, the first: %s (%s)", len(unmatched), *unmatched[0])
    return found.described


def _log_negatives(recordings: Sequence[metadata.Recording]) -> None:
    whole = sum(recording.negative for recording in recordings)
    stretches = sum(annotation.negative for recording in recordings for annotation in recording.annotations)
    if whole or stretches:
        logging.info("negatives, which become noise: %d recordings and %d stretches of others", whole, stretches)


def _writable(reasons: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(path.encode("utf-8", "backslashreplace").decode(), reason) for path, reason in reasons]


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True

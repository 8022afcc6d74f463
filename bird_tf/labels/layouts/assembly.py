"""Puts together what the rows of all files say of each recording."""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
import os
from collections.abc import Iterable, Sequence

from absl import logging

from bird_tf import config
from bird_tf.labels import metadata, spans
from bird_tf.labels.layouts import formats, matching, rows, versions

# A point in time covers this much, so that the chunk around it does not count as one without a call.
_POINT_SECONDS = 0.001


@dataclasses.dataclass
class Assembled:
    """What was found.

    Attributes:
        recordings: those with labels, or negative.
        described: {path: what is known} of recordings without a label.
        unmatched: (file or line, reason) of what does not match.
        left_out: (file or line, reason) of rows that are not used, although their recordings may be.
        unused: (file, reason) of files that are of no use.
        layout: what the labels come from, in words.
        has_scores: whether a label has a score.
    """

    recordings: list[metadata.Recording] = dataclasses.field(default_factory=list)
    described: dict[str, metadata.Recording] = dataclasses.field(default_factory=dict)
    unmatched: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    left_out: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    unused: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    layout: str = ""
    has_scores: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    """A row, and what is known of the file that it is from.

    Attributes:
        row: the row.
        source, format: path and format of the file.
        is_namesake: whether the file is named after a recording.
        is_sure: whether the row tells its recording by a path or a number, and not only by a name.
    """

    row: rows.Row
    source: str
    format: str
    is_namesake: bool
    is_sure: bool


def assemble(
    sources: Iterable[formats.Source], recordings: matching.Recordings, min_confidence: float = 0.0
) -> Assembled:
    """Finds the recording of each row, and makes the metadata of each recording.

    Args:
        sources: the files that were read.
        recordings: the recordings.
        min_confidence: labels with a lower score count neither as there nor as not there.
    """
    assembled = Assembled()
    of_path: dict[str, list[_Entry]] = collections.defaultdict(list)
    num_elsewhere, sources = 0, list(sources)
    species = rows.species_of(row for source in sources for row in source.rows)
    assembled.has_scores = any(not math.isnan(row.score) for source in sources for row in source.rows)
    latin_names = rows.latin_names(row for source in sources for row in source.rows)
    for source in sources:
        is_namesake = _is_namesake(source, recordings)
        for row, path, claim in _matched(source, recordings, assembled):
            if path is None:
                num_elsewhere += 1
            else:
                named = rows.with_latin_name(rows.among(row, species), latin_names)
                of_path[path].append(_Entry(named, source.path, source.format, is_namesake, claim.is_path))
    of_path = {path: _of_nearest(path, entries, recordings, assembled) for path, entries in of_path.items()}
    if far := [several for path, entries in of_path.items() if (several := _from_folders(path, entries, recordings))]:
        logging.warning(
            "%d recordings have labels from files in several folders, such as %s and %s: all count. If they are sites, "
            "name one with --metadata", len(far), *far[0][:2],
        )  # fmt: skip
    if num_several := sum(map(_has_several_rows, of_path.values())):
        logging.warning("%d recordings have several rows without times: each adds its species", num_several)
    if num_elsewhere:
        logging.info("%d rows of catalogues are about recordings that are not here", num_elsewhere)
    contradictions: list[str] = []
    for path, entries in of_path.items():
        _add(path, entries, min_confidence, assembled, contradictions)
    if contradictions:
        logging.warning(
            "%d recordings have files that say different species of the same span; each adds its own; if one is an old "
            "version, move it away; the first: %s", len(contradictions), contradictions[0],
        )  # fmt: skip
    return assembled


def _is_namesake(source: formats.Source, recordings: matching.Recordings) -> bool:
    try:
        return recordings.find_namesake(source.path) is not None
    except matching.AmbiguousError:
        return True


def _has_several_rows(entries: Sequence[_Entry]) -> bool:
    in_source = collections.Counter(e.source for e in entries if e.row.labels.species and not e.row.has_span)
    return max(in_source.values(), default=0) > 1


# a row, its recording (None for one of a catalogue that is not here), and where the row says that it lies
_Match = tuple[rows.Row, str | None, matching.Claim]


def _matched(source: formats.Source, recordings: matching.Recordings, assembled: Assembled) -> list[_Match]:
    """The rows of a file whose recording is known, or is one of a catalogue that is not here."""
    found: list[_Match] = []
    find = functools.cache(functools.partial(_find, recordings, source.path))
    for row in source.rows:
        try:
            path, claim = find(row.files, row.catalogue_numbers, row.or_namesake, row.about.site)
        except matching.AmbiguousError as error:
            assembled.unmatched.append((row.where, str(error)))
            continue
        if path is None and not row.catalogue_numbers:
            reason = row.problem or f"its recording {_named(row, source.path)} is not below the folder of recordings"
            (assembled.left_out if row.problem else assembled.unmatched).append((row.where, reason))
        elif path and claim.is_elsewhere:
            assembled.unmatched.append((row.where, _not_here(row, source.path, path, "it lies in another folder")))
        else:
            found.append((row, path, claim))
    return _without_contradictions(found, source.path, assembled)


def _named(row: rows.Row, source: str) -> str:
    return repr((row.files[0] if row.files else os.path.basename(source))[:200])


def _not_here(row: rows.Row, source: str, path: str, why: str) -> str:
    return f"its recording {_named(row, source)} is not here: {path} has its name, but {why}"


def _find(
    recordings: matching.Recordings,
    table: str,
    names: Sequence[str],
    catalogue_numbers: Sequence[str],
    or_namesake: bool,
    site: str,
) -> tuple[str | None, matching.Claim]:
    """The recording of a row, and where the row says that it lies."""
    ambiguous: matching.AmbiguousError | None = None
    for name in names:
        try:
            if path := recordings.find(name, table):
                return path, recordings.claim(path, names, site, table)
        except matching.AmbiguousError as error:
            ambiguous = ambiguous or error
    if ambiguous:
        raise ambiguous
    if catalogue_numbers and (path := recordings.find_catalogued(catalogue_numbers)):
        return path, matching.Claim(num_shared=0, is_path=True)
    if (or_namesake or not (names or catalogue_numbers)) and (path := recordings.find_namesake(table)):
        return path, recordings.claim(path, (), site, table)
    return None, matching.Claim(num_shared=0)


def _without_contradictions(found: list[_Match], source: str, assembled: Assembled) -> list[_Match]:
    """Of rows that name one recording by different folders or sites, those that name its own count.

    A table that names A/x.wav and B/x.wav, of which only A/x.wav is here, says nothing of it in the rows of B. If it
    lies in neither, none of these rows counts.
    """
    claims: dict[str, set[matching.Claim]] = collections.defaultdict(set)
    for _, path, claim in found:
        if path:
            claims[path].add(claim)
    nearest = {path: max(claim.num_shared for claim in of_path) for path, of_path in claims.items()}
    several = {
        path: len({c.others for c in of_path if c.others and c.num_shared == nearest[path]}) > 1
        for path, of_path in claims.items()
    }
    kept = []
    for row, path, claim in found:
        if path and claim.others and (claim.num_shared < nearest[path] or several[path]):
            why = "rows of another folder or site have it, too"
            assembled.unmatched.append((row.where, _not_here(row, source, path, why)))
        else:
            kept.append((row, path, claim))
    return kept


def _of_nearest(
    path: str, entries: list[_Entry], recordings: matching.Recordings, assembled: Assembled
) -> list[_Entry]:
    """Of label files of one kind in several folders, those in the folders of the recording count.

    S2/x.txt says nothing of S1/x.wav beside S1/x.txt. Files in folders that are not the recording's all count.
    """
    claims = {source: recordings.claim_of_file(path, source) for source in {entry.source for entry in entries}}
    if len(claims) == 1:
        return entries
    nearest: dict[tuple[str, bool], tuple[int, str]] = {}
    for entry in entries:
        if entry.row.labels.stated:
            kind, shared = (entry.format, entry.row.has_span), claims[entry.source].num_shared
            nearest[kind] = max(nearest.get(kind, (0, "")), (shared, entry.source))
    kept = []
    for entry in entries:
        claim, (shared, other) = claims[entry.source], nearest.get((entry.format, entry.row.has_span), (0, ""))
        if entry.row.labels.stated and not entry.is_sure and claim.others and claim.num_shared < shared:
            why = f"{other} is of its own folder"
            assembled.unmatched.append((entry.row.where, _not_here(entry.row, entry.source, path, why)))
        else:
            kept.append(entry)
    return kept


def _from_folders(path: str, entries: Sequence[_Entry], recordings: matching.Recordings) -> list[str]:
    """Label files of one kind in several folders that are not the recording's; empty if there are less than two."""
    first: dict[tuple[str, bool], dict[frozenset[str], str]] = collections.defaultdict(dict)
    if len({entry.source for entry in entries}) > 1:
        for entry in entries:
            if entry.row.labels.stated and not entry.is_sure:
                others = recordings.claim_of_file(path, entry.source).others
                first[entry.format, entry.row.has_span].setdefault(others, entry.source)
    return next((list(of.values()) for of in first.values() if len(of) > 1 and frozenset() not in of), [])


def _add(
    path: str, entries: list[_Entry], min_confidence: float, assembled: Assembled, contradictions: list[str]
) -> None:
    """Adds one recording, or the reason why it has no label."""
    good = []
    for entry in entries:
        if entry.row.problem:
            assembled.left_out.append((entry.row.where, entry.row.problem))
        else:
            good.append(entry)
    told = (entry.row.about for entry in sorted(good, key=lambda e: e.row.has_span))
    about = functools.reduce(rows.merged, {id(each): each for each in told}.values(), rows.NOTHING)
    recording = dataclasses.replace(
        about, path=path, recording_id=about.recording_id or metadata.media_id(path), label="", further_labels=()
    )
    labelling = [entry for entry in good if entry.row.labels.stated]
    if not labelling:
        assembled.described[path] = recording
        if len(good) < len(entries):
            reason = next(entry.row.problem for entry in entries if entry.row.problem)
            assembled.unmatched.append((path, f"none of its {len(entries)} rows can be used: {reason}"))
        return
    try:
        in_time = [entry for entry in labelling if entry.row.has_span]
        if in_time:
            sure = [
                (e.source, e.format if e.is_namesake else "", e.row)
                for e in in_time
                if not e.row.score < min_confidence
            ]
            contradictions += versions.contradictions(sure)
            recording = _with_spans(recording, in_time, min_confidence, assembled)
            untimed = _without_times(labelling)
            assembled.left_out += [
                (e.row.where, "no times, while other rows of its recording have them") for e in untimed
            ]
            if untimed or len(good) < len(entries):  # a label is somewhere: what is not annotated may hold it
                recording = dataclasses.replace(recording, partly_annotated=True)
        else:
            recording = _with_label(recording, labelling, min_confidence)
        assembled.recordings.append(recording)
    except _BelowConfidenceError as error:
        assembled.left_out.append((path, str(error)))
    except config.InputError as error:
        assembled.unmatched.append((path, str(error)))


class _BelowConfidenceError(config.InputError):
    """All labels of a recording are doubtful."""


def _with_spans(
    recording: metadata.Recording, entries: Sequence[_Entry], min_confidence: float, assembled: Assembled
) -> metadata.Recording:
    annotations: dict[metadata.Annotation, None] = {}
    for row in (entry.row for entry in entries):
        end, species = row.end_seconds, row.labels.species
        if row.start_seconds == end:
            assembled.left_out.append((row.where, "a point in time; a label needs a start and a later end"))
            end, species = end + _POINT_SECONDS, ()
        elif row.labels.missing:
            assembled.left_out.append((row.where, "it has no label: the chunks there are not used"))
        elif row.score < min_confidence:
            species = ()
        for label in species or ("",):
            annotation = metadata.Annotation(
                start_seconds=row.start_seconds,
                end_seconds=end,
                label=label,
                background=tuple(name for name in row.background if name != label),
                negative=row.labels.negative and not row.score < min_confidence,
                name=row.about.name if len(species) == 1 else "",
            )
            annotations[annotation] = None
    if not any(a.label or a.negative for a in annotations) and any(e.row.score < min_confidence for e in entries):
        raise _BelowConfidenceError(f"all its labels have a score below --min_confidence={min_confidence:g}")
    known = all(entry.row.about.background_known for entry in entries)
    ordered = sorted(annotations, key=lambda a: (a.start_seconds, a.end_seconds, a.label))
    return spans.with_annotations(dataclasses.replace(recording, background_known=known), ordered)


def _with_label(recording: metadata.Recording, entries: Sequence[_Entry], min_confidence: float) -> metadata.Recording:
    """The recording with the label of rows without times. Different files must say the same."""
    sure = [entry for entry in entries if not entry.row.score < min_confidence]
    if not sure:
        raise _BelowConfidenceError(f"its labels have a score below --min_confidence={min_confidence:g}")
    sure = [entry for entry in sure if not entry.row.labels.missing] or sure  # an empty cell contradicts nothing
    said: dict[str, set[str]] = collections.defaultdict(set)
    for entry in sure:
        if said[entry.source].intersection(entry.row.labels.species):
            raise config.InputError(
                f"{entry.row.where}: a second row for it with the same species, without start and end; if columns hold "
                "them, say --columns=start=NAME --columns=end=NAME"
            )
        said[entry.source].update(entry.row.labels.species)
    (first, species), *others = said.items()
    for other, listed in others:
        if listed != species:
            raise config.InputError(
                f"{first} says {', '.join(sorted(species)) or 'that no species is in it'}, and {other} says "
                f"{', '.join(sorted(listed)) or 'that no species is in it'}; name the right one with --metadata"
            )
    return with_label(recording, [entry.row for entry in sure])


def with_label(recording: metadata.Recording, whole: Sequence[rows.Row]) -> metadata.Recording:
    """The recording with the label of rows about the whole of it; each row adds its species.

    Raises:
        InputError: a row has no label, or the species is unknown.
    """
    if missing := next((row.where for row in whole if row.labels.missing), ""):
        raise config.InputError(f"{missing}: no label; write noise if it holds none of the species")
    species = tuple(dict.fromkeys(name for row in whole for name in row.labels.species))
    if not species:
        if not all(row.labels.negative for row in whole):
            raise config.InputError(f"{whole[0].where}: its species is unknown")
        return dataclasses.replace(recording, name="", negative=True)
    label, *further = species
    return dataclasses.replace(
        recording,
        label=label,
        name=recording.name if recording.name and not further else label,
        further_labels=tuple(further),
        background=tuple(dict.fromkeys((*further, *(name for name in recording.background if name != label)))),
    )


def _without_times(labelling: Sequence[_Entry]) -> list[_Entry]:
    """Rows without times of files that have others with times of the same recording."""
    in_time = {entry.source for entry in labelling if entry.row.has_span}
    return [entry for entry in labelling if not entry.row.has_span and entry.source in in_time]

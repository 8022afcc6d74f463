"""Puts together what the rows of all files say of each recording."""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
from collections.abc import Collection, Iterable, Sequence

from absl import logging

from bird_tf import config
from bird_tf.labels import label_cells, metadata, spans
from bird_tf.labels.formats import formats, verdict_table
from bird_tf.labels.layouts import corrections, joining, matching, versions
from bird_tf.labels.tables import rows

# A point in time covers this much, so that the chunk around it does not count as one without a call. Its species is
# background there, since nobody knows how long it is to be heard; but a call where models are judged.
_POINT_SECONDS = 0.001
_SAME_DEGREES = 0.02  # by which places of one recording may differ, as some programs round them to 0.01
# what all tables of verdicts say together; they are not compared as versions
_VERDICTS = "verdicts"


@dataclasses.dataclass
class Assembled:
    """What was found.

    Attributes:
        recordings: those with labels, or negative.
        described: {path: what is known} of recordings without a label.
        unmatched: (file or line, reason) of what does not match.
        left_out: (file or line, reason) of rows that are not used, although their recordings may be.
        unused: (file, reason) of files that are of no use.
        silent: recordings of which no file tells; they are in `unmatched` too.
        layout: what the labels come from, in words.
        has_scores: whether a label has a score.
        has_judged_spans: whether a row is of a file that tells of judged spans alone.
    """

    recordings: list[metadata.Recording] = dataclasses.field(default_factory=list)
    described: dict[str, metadata.Recording] = dataclasses.field(default_factory=dict)
    unmatched: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    left_out: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    unused: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    silent: list[str] = dataclasses.field(default_factory=list)
    layout: str = ""
    has_scores: bool = False
    has_judged_spans: bool = False


def assemble(
    sources: Iterable[formats.Source],
    recordings: matching.Recordings,
    min_confidence: float = 0.0,
    classes: Collection[str] = (),
    *,
    with_points: bool = False,
) -> Assembled:
    """Finds the recording of each row, and makes the metadata of each recording.

    Args:
        sources: the files that were read.
        recordings: the recordings.
        min_confidence: labels with a lower score count neither as there nor as not there.
        classes: those that no row tells, as folders do.
        with_points: whether points in time are annotations with a label, and not left out.
    """
    sources = corrections.settled(sources)
    joined = joining.join(sources, recordings, classes)
    assembled = Assembled(unmatched=joined.unmatched, left_out=joined.left_out)
    assembled.has_scores = any(not math.isnan(row.score) for source in sources for row in source.rows)
    assembled.has_judged_spans = any(row.about.partly_annotated for source in sources for row in source.rows)
    if num_several := sum(map(_has_several_rows, joined.entries.values())):
        logging.warning("%d recordings have several rows without times: each adds its species", num_several)
    if both := [path for path, entries in joined.entries.items() if _has_labels_of_both_kinds(entries)]:
        logging.warning(
            "%d recordings have labels in time, and others of the whole recording, the first: %s: only those in time "
            "count there", len(both), both[0],
        )  # fmt: skip
    if places := [path for path, entries in joined.entries.items() if _has_several_places(entries)]:
        logging.warning(
            "%d recordings have rows that name different places or days, the first: %s; the first row counts",
            len(places), places[0],
        )  # fmt: skip
    if min_confidence > 0:
        _warn_of_unread_scores(row for source in sources for row in source.rows)
    contradictions: list[str] = []
    in_one_file: list[str] = []
    for path, entries in joined.entries.items():
        _add(path, entries, min_confidence, assembled, contradictions, in_one_file, with_points=with_points)
    if in_one_file:
        logging.warning(
            "%d recordings have rows of one file that contradict each other: each species counts; leave out the wrong "
            "rows; the first: %s", len(in_one_file), in_one_file[0],
        )  # fmt: skip
    if contradictions:
        logging.warning(
            "%d recordings have files that say different species of the same span; each adds its own; if one is an old "
            "version, move it away; the first: %s", len(contradictions), contradictions[0],
        )  # fmt: skip
    if len(sources) > 1 and (unlike := versions.unlike(map(_labelling, joined.entries.values()))):
        logging.warning(
            "%d pairs of files are named as versions of each other, and share most labels, but not all: those of one "
            "alone count, too; if one is an old version, move it away; the first: %s and %s", len(unlike), *unlike[0],
        )  # fmt: skip
    return assembled


def _warn_of_unread_scores(found: Iterable[rows.Row]) -> None:
    unread = [row for row in found if row.labels.stated and row.unread_score.strip() not in ("", "?")]
    if unread:
        logging.warning(
            "%d labels have a score that cannot be read, and are not used, the first: %s (%r); write it from 0 to 1, "
            "or with %%", len(unread), unread[0].where, unread[0].unread_score[:40],
        )  # fmt: skip


def _labelling(entries: Sequence[joining.Entry]) -> list[tuple[str, str, rows.Row]]:
    told = (e for e in entries if e.row.labels.stated and not (e.row.labels.missing or e.row.problem or e.row.verdict))
    return [(entry.source, entry.format, entry.row) for entry in told]


def _has_several_rows(entries: Sequence[joining.Entry]) -> bool:
    told = {(e.source, e.row.labels.species) for e in entries if e.row.labels.species and not e.row.has_span}
    in_source = collections.Counter(source for source, _ in told)
    return max(in_source.values(), default=0) > 1


def _has_labels_of_both_kinds(entries: Sequence[joining.Entry]) -> bool:
    told = [entry.row for entry in entries if entry.row.labels.stated and not entry.row.problem]
    return any(row.has_span for row in told) and any(row.labels.species and not row.has_span for row in told)


def _has_several_places(entries: Sequence[joining.Entry]) -> bool:
    told = {id(e.row.about): (e.row.about, e.row.has_span) for e in entries if not e.row.problem}.values()
    if len(told) < 2:
        return False
    for each in ("latitude", "longitude"):
        known = [degrees for about, _ in told if not math.isnan(degrees := getattr(about, each))]
        if known and max(known) - min(known) > _SAME_DEGREES:
            return True
    return len({about.date for about, has_span in told if not has_span} - {""}) > 1  # labels may have days of their own


def _add(
    path: str,
    entries: list[joining.Entry],
    min_confidence: float,
    assembled: Assembled,
    contradictions: list[str],
    in_one_file: list[str],
    *,
    with_points: bool,
) -> None:
    """Adds one recording, or the reason why it has no label."""
    entries = _settled(entries)
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
    in_time = [entry for entry in labelling if entry.row.has_span]
    certain = (e for e in in_time or labelling if not (e.row.verdict or e.row.score < min_confidence))
    in_one_file += [f"{path}: {text}" for text in versions.in_one_file((e.source, e.row) for e in certain)]
    try:
        if in_time:
            sure = [
                (_VERDICTS if e.row.verdict else e.source, e.format if e.is_namesake else "", e.row)
                for e in in_time
                if not e.row.score < min_confidence
            ]
            contradictions += versions.contradictions(sure)
            recording = _with_spans(recording, in_time, min_confidence, assembled, with_points=with_points)
            untimed = _without_times(labelling)
            assembled.left_out += [
                (e.row.where, "no times, while other rows of its recording have them") for e in untimed
            ]
            if untimed or len(good) < len(entries):  # a label is somewhere: what is not annotated may hold it
                recording = dataclasses.replace(recording, partly_annotated=True)
        else:
            recording = _with_label(recording, labelling, min_confidence)
        assembled.recordings.append(recording)
    except NotSureError as error:
        assembled.left_out.append((path, str(error)))
    except config.InputError as error:
        assembled.unmatched.append((path, str(error)))


def _settled(entries: list[joining.Entry]) -> list[joining.Entry]:
    """What tells of a recording, without what verdicts deny."""
    judged = [entry for entry in entries if entry.row.verdict]
    if not judged:
        return entries
    settled = verdict_table.settled([entry.row for entry in judged])
    others = [
        dataclasses.replace(entry, row=row)
        for entry in entries if not entry.row.verdict
        for row in verdict_table.undenied(entry.row, settled)
    ]  # fmt: skip
    return others + [dataclasses.replace(judged[0], row=row) for row in settled]


class NotSureError(config.InputError):
    """No label of a recording is sure."""


def _with_spans(
    recording: metadata.Recording, entries: Sequence[joining.Entry], min_confidence: float, assembled: Assembled, *,
    with_points: bool,
) -> metadata.Recording:  # fmt: skip
    annotations: dict[metadata.Annotation, None] = {}
    for row in (entry.row for entry in entries):
        end, species, background = row.end_seconds, row.labels.species, row.background
        if row.score < min_confidence:
            species = ()
        is_point = row.start_seconds == end
        end += is_point * _POINT_SECONDS
        if is_point and not with_points:
            assembled.left_out.append((row.where, "a point in time; a label needs a start and a later end"))
            species, background = (), (*species, *background)
        elif row.labels.missing:
            assembled.left_out.append((row.where, "it has no label: the chunks there are not used"))
        labels = (*species, "") if row.labels.has_unnamed else species
        for label in labels or ("",):
            annotation = metadata.Annotation(
                start_seconds=row.start_seconds,
                end_seconds=end,
                label=label,
                background=tuple(name for name in background if name != label),
                negative=row.labels.negative and not row.score < min_confidence,
                name=row.about.name if [label] == [*species] else "",
                goes_on=row.goes_on,
            )
            annotations[annotation] = None
    named = any(a.label or a.negative for a in annotations)
    if not named and any(e.row.score < min_confidence for e in entries):
        raise NotSureError(f"all its labels have a score below --min_confidence={min_confidence:g}")
    if not named and any(entry.row.labels == label_cells.Labels() for entry in entries):
        raise NotSureError("no label of it is sure: they have no name, or are denied, or of another channel")
    known = all(entry.row.about.background_known for entry in entries)
    ordered = sorted(annotations, key=lambda a: (a.start_seconds, a.end_seconds, a.label))
    return spans.with_annotations(dataclasses.replace(recording, background_known=known), ordered)


def _with_label(
    recording: metadata.Recording, entries: Sequence[joining.Entry], min_confidence: float
) -> metadata.Recording:
    """The recording with the label of rows without times. Different files must say the same."""
    sure = [entry for entry in entries if not entry.row.score < min_confidence]
    if not sure:
        raise NotSureError(f"its labels have a score below --min_confidence={min_confidence:g}")
    has_unnamed = any(e.row.labels.has_unnamed or e.row.labels == label_cells.Labels() for e in sure)
    if len(sure) < len(entries) or has_unnamed:
        recording = dataclasses.replace(recording, background_known=False)  # of the others nobody is sure
    sure = [entry for entry in sure if not entry.row.labels.missing] or sure  # an empty cell contradicts nothing
    said: dict[str, set[str]] = collections.defaultdict(set)
    by_person: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
    for entry in sure:
        told = by_person[entry.source, versions.person(entry.row)]
        if told.intersection(entry.row.labels.species):
            raise config.InputError(
                f"{entry.row.where}: a second row for it with the same species, without start and end; if columns hold "
                "them, say --columns=start=NAME --columns=end=NAME; if another person wrote it, tell who in a column "
                "annotator"
            )
        told.update(entry.row.labels.species)
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
        NotSureError: the species is unknown.
        InputError: a row has no label.
    """
    if missing := next((row.where for row in whole if row.labels.missing), ""):
        raise config.InputError(f"{missing}: no label; write noise if it holds none of the species")
    species = tuple(dict.fromkeys(name for row in whole for name in row.labels.species))
    if not species:
        if not all(row.labels.negative for row in whole):
            or_channel = " or of another channel" if any(row.channel for row in whole) else ""
            raise NotSureError(f"{whole[0].where}: its species is unknown{or_channel}")
        return dataclasses.replace(recording, name="", negative=True)
    label, *further = species
    return dataclasses.replace(
        recording,
        label=label,
        name=recording.name if recording.name and not further else label,
        further_labels=tuple(further),
        background=tuple(dict.fromkeys((*further, *(name for name in recording.background if name != label)))),
    )


def _without_times(labelling: Sequence[joining.Entry]) -> list[joining.Entry]:
    """Rows without times of files that have others with times of the same recording."""
    in_time = {entry.source for entry in labelling if entry.row.has_span}
    return [entry for entry in labelling if not entry.row.has_span and entry.source in in_time]

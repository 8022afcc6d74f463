"""The calls in soundscapes that models are judged by: from a table of ours, or from annotations of any known format."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence

from absl import logging

from bird_tf import config, skips
from bird_tf.labels import class_names, given_table, label_cells, metadata, odd_names, taxonomy, texts
from bird_tf.labels.layouts import matching, reader
from bird_tf.labels.tables import columns, presence, rows

# start and end in seconds, and the index of the class
Call = tuple[float, float, int]
# of a table of calls
COLUMNS = ("media_id", "class_id", "start_seconds", "end_seconds")
# of a table of mixed soundscapes, too: the recording of the call
CUT_FROM = "cut_from"
_MOST_NAMED = 5
_NOT_SURE = "no call of it is sure"


@dataclasses.dataclass(frozen=True)
class Truth:
    """What is known of the calls in the recordings of a folder.

    Attributes:
        calls: {path below the folder: its calls}. A recording that is not there holds none.
        unknown: {path: reason} of the recordings of which this is known in part only, which cannot be judged.
    """

    calls: Mapping[str, list[Call]]
    unknown: Mapping[str, str] = dataclasses.field(default_factory=dict)


def read(
    path: str, source: reader.SourceConfig, recordings: Sequence[tuple[str, str]], classes: taxonomy.Taxonomy,
    channel: str = "",
) -> Truth:  # fmt: skip
    """Reads the calls in recordings, and warns of recordings of which the truth says nothing.

    Args:
        path: a CSV with the columns media_id, class_id, start_seconds and end_seconds; or annotations that
            `labels.formats` reads, as a file or a folder.
        source: the folder of the recordings, and what the words in the calls mean.
        recordings: (path below the folder, path) of each.
        classes: of the models.
        channel: what is heard of several channels, as --channel. Calls that are noted for others have no sure name.

    Raises:
        InputError: the calls cannot be read, or are of a recording that is not there; or all species are unknown to the
            models.
    """
    try:
        if _is_table(path):
            truth = _of_table(path, source, recordings, classes)
        else:
            truth = _of_annotations(path, source, recordings, classes, channel)
    except config.InputError as error:
        message = str(error).removeprefix(f"{path}: ")
        raise config.InputError(
            message if message.startswith("--segments=") else f"--segments={path}: {message}"
        ) from error
    silent = sum(name not in truth.calls and file not in truth.unknown for name, file in recordings)
    if 0 < silent < len(recordings):
        logging.warning(
            "%s has no row of %d of %d recordings: they count as recordings without a call",
            path, silent, len(recordings),
        )  # fmt: skip
    return truth


def cut_from(path: str) -> list[str]:
    """The recordings that the calls of mixed soundscapes were cut from; none of other soundscapes. `path` as in `read`.

    Raises:
        InputError: as `read`.
    """
    if not _is_table(path):
        return []
    found = (row.cells.get(CUT_FROM, "") for row in given_table.read(path, "segments", COLUMNS))
    return sorted(set(found) - {""})


def known_as_whole(
    recordings: Iterable[metadata.Recording], origin: str
) -> tuple[list[metadata.Recording], list[skips.Skip]]:
    """The recordings of which it is known what they hold and do not hold, and (path, reason) of the others.

    Args:
        recordings: labelled ones, with or without annotations.
        origin: of the labels, for the warning that counts annotations without a name.
    """
    whole, unknown = list[metadata.Recording](), list[skips.Skip]()
    for recording in recordings:
        if recording.partly_annotated:
            unknown.append((recording.path, "annotated in part only: what else it holds is not known"))
        else:
            whole.append(recording)
    annotations = (annotation for recording in whole for annotation in recording.annotations)
    _warn_of_unsure(origin, sum(not (a.label or a.background or a.negative) for a in annotations))
    return whole, unknown


def _warn_of_unsure(origin: str, number: int) -> None:
    if number:
        logging.warning("%s: %d annotations have no sure name: what is there counts as no call", origin, number)


def none_as_whole(unknown: Iterable[skips.Skip], *, has_judged_spans: bool) -> config.InputError:
    """What is wrong where no recording is known as a whole, for `raise`."""
    first, reason = next(iter(unknown))
    hint = "; bird_tf.evaluate --verdicts judges by verdicts" if has_judged_spans else ""
    return config.InputError(f"it tells of no recording as a whole, the first: {first} ({reason}){hint}")


def read_table(path: str, classes: taxonomy.Taxonomy, source: reader.SourceConfig) -> dict[str, list[Call] | None]:
    """Reads a CSV with the columns media_id, class_id, start_seconds, end_seconds.

    A call is none where a further column denies it, and is not sure where the score in one is low, as in tables that
    the converter reads.

    Returns:
        {media_id: its calls; None if no row of it is sure, as one of a name in doubt}. A media_id is a MediaId, a file
        name with or without suffix, or the path of the recording below the folder of all.

    Raises:
        InputError: no such file, a missing column, a time that is not a number, or no species that the models know.
    """
    spans: list[tuple[str, float, float]] = []
    answered: list[rows.Row] = []
    document, options, names = texts.Document(path), source.options, source.names
    synonyms = class_names.read_synonyms(names.synonyms) if names.synonyms else {}
    for cells in given_table.read(path, "segments", COLUMNS):
        start, end, class_id = cells.number("start_seconds", 0), cells.number("end_seconds", 0), cells.cells["class_id"]
        if not start <= end:
            raise cells.error("need start_seconds, and an end_seconds that is not before it")
        row = rows.Row(where=rows.where(document, cells.line), labels=label_cells.Labels(species=(class_id,)))
        if class_id not in classes.class_ids:  # an id may look like anything
            row = rows.labelled(row, class_id, options)
        if row.problem:
            raise cells.error(row.problem)
        species = tuple(synonyms.get(class_names.key(name), name) for name in row.labels.species)
        row = dataclasses.replace(row, labels=dataclasses.replace(row.labels, species=species))
        spans.append((cells.text("media_id"), start, end))
        answered.append(row)
    further = [name for name in document.header if texts.comparable(name) not in COLUMNS]
    answered, _ = presence.apply(document, options, answered, further)
    if source.min_confidence > 0:
        answered = _confident(document, source, answered)
    found = _Found(classes)
    calls: dict[str, list[Call] | None] = dict.fromkeys(media_id for media_id, _, _ in spans)
    answered = [_without_doubtful(row, classes) for row in answered]
    for (media_id, start, end), row in zip(spans, answered, strict=True):
        if row.labels.species or row.labels.negative:
            own = found.calls(start, end, {name: name for name in row.labels.species})
            calls[media_id] = (calls[media_id] or []) + own
    _warn_of_unsure(path, sum(not (row.labels.species or row.labels.negative) for row in answered))
    found.check(path)
    return calls


def _confident(document: texts.Document, source: reader.SourceConfig, found: Sequence[rows.Row]) -> list[rows.Row]:
    """The rows of a table of ours, without what they say of species where their score is below --min_confidence."""
    given = tuple(entry for entry in source.options.columns if entry[1] == "score")
    positions = columns.find(document, given).get("score", ())
    if not positions:
        reader.warn_of_no_score(source)
        return list(found)
    cells, in_percent = columns.by_row(document, positions), columns.is_in_percent(document, positions)
    scored = [rows.scored(row, cells[row.where], in_percent=in_percent) for row in found]
    return [rows.unsure(row) if row.score < source.min_confidence else row for row in scored]


def _without_doubtful(row: rows.Row, classes: taxonomy.Taxonomy) -> rows.Row:
    """The row without species in doubt; something without a name if there are no others."""
    doubtful = [name for name in row.labels.species if _is_doubtful([name], classes)]
    sure = rows.without(row, doubtful)
    return sure if sure.labels.species else rows.unsure(row) if doubtful else row


def _is_doubtful(names: Sequence[str], classes: taxonomy.Taxonomy) -> bool:
    """Whether a call has a name in doubt, as `cadent?`, and is of no class of the models.

    `ascend/cadent` is in doubt if one of them is such a class.

    Args:
        names: its label, and perhaps its Latin name.
        classes: of the models.
    """
    is_unsure = odd_names.is_unsure(names[0]) or classes.resolve(odd_names.several(names[0]))
    return bool(is_unsure) and not classes.resolve(names)


class _Found:
    """Calls of species that the models know, and the number of others."""

    def __init__(self, classes: taxonomy.Taxonomy) -> None:
        self._classes, self._num_calls, self._strangers = classes, 0, collections.Counter[str]()

    def calls(self, start: float, end: float, species: Mapping[str, str]) -> list[Call]:
        """The calls in a span of species {label: name}."""
        found: list[Call] = []
        for label, name in species.items():
            indices = self._classes.resolve([label, name])
            found += [(start, end, index) for index in indices]
            self._strangers[label] += not indices
        self._num_calls += len(found)
        return found

    def check(self, path: str) -> None:
        """Warns of species that the models do not know; raises InputError if there are no others."""
        if not (strangers := +self._strangers):
            return
        named = ", ".join(f"{label} ({count})" for label, count in strangers.most_common(_MOST_NAMED))
        problem = f"{strangers.total()} calls of {len(strangers)} species that the model does not know: {named}"
        if not self._num_calls:
            raise config.InputError(problem)
        logging.warning("%s: %s; they are not judged", path, problem)


def _is_table(path: str) -> bool:
    """Whether a file is a table of ours, perhaps with a fault, and not one of another program."""
    if not os.path.isfile(path):  # what is missing is told of as a table
        return not os.path.isdir(path)
    _, first = next(texts.Document(path).rows(), (0, []))
    return not first or COLUMNS[0] in map(texts.comparable, map(texts.clean, first))


def _of_table(
    path: str, source: reader.SourceConfig, recordings: Sequence[tuple[str, str]], classes: taxonomy.Taxonomy
) -> Truth:
    names = matching.Recordings([file for _, file in recordings], source.audio)
    below = {file: name for name, file in recordings}
    ids = collections.Counter(metadata.media_id(file) for file in below)
    by_id = {media_id: file for file in below if ids[media_id := metadata.media_id(file)] == 1}
    found, unsure = collections.defaultdict[str, list[Call]](list), dict[str, str]()
    for name, own in read_table(path, classes, source).items():
        file = by_id.get(name) or names.find(name)
        if file is None or names.claim(file, [name]).is_elsewhere:
            several = f"; {ids[name]} recordings have this MediaId: write their paths" if ids[name] > 1 else ""
            raise config.InputError(f"{source.audio} has no recording {name}{several}")
        if own is None:
            unsure[file] = _NOT_SURE
        else:
            found[below[file]] += own
    return Truth(found, {file: reason for file, reason in unsure.items() if below[file] not in found})


def _of_annotations(
    path: str, source: reader.SourceConfig, recordings: Sequence[tuple[str, str]], classes: taxonomy.Taxonomy,
    channel: str,
) -> Truth:  # fmt: skip
    below = {file: name for name, file in recordings}
    source, named = dataclasses.replace(source, metadata=path), classes.class_ids + classes.names
    reading = reader.survey(source, channel=channel, judges=True, classes=named)
    if elsewhere := [skips.named(skip) for skip in reading.unmatched if skip[0] not in below]:
        raise config.InputError(f"{len(elsewhere)} of its rows or files are of no recording, the first: {elsewhere[0]}")
    found, known = dict[str, list[Call]](), _Found(classes)
    told_of = below.keys() - reading.silent
    unknown = {file: reason for file, reason in [*reading.unmatched, *reading.left_out] if file in told_of}
    annotated = [r for r in reading.recordings if r.path in below and r.path not in unknown]
    if untimed := next((r for r in annotated if r.labels and not r.annotations), None):
        raise config.InputError(f"{untimed.path} has the label {untimed.labels[0]} without times")
    annotated, in_doubt = _without_doubtful_annotations(annotated, classes)
    whole, in_part = known_as_whole(annotated, path)
    unknown |= dict([*in_part, *in_doubt])
    for recording in whole:
        own, names = found.setdefault(below[recording.path], []), dict(recording.names)
        for annotation in recording.annotations:
            species = {label: names.get(label, label) for label in (annotation.label, *annotation.background) if label}
            own += known.calls(annotation.start_seconds, annotation.end_seconds, species)
    if reading.has_judged_spans:
        silent = [file for file, name in below.items() if name not in found and file not in unknown]
        unknown |= dict.fromkeys(silent, "no span of it was judged: what it holds is not known")
    if unknown and not found:
        raise none_as_whole(unknown.items(), has_judged_spans=reading.has_judged_spans)
    known.check(path)
    return Truth(found, unknown)


def _without_doubtful_annotations(
    recordings: Iterable[metadata.Recording], classes: taxonomy.Taxonomy
) -> tuple[list[metadata.Recording], list[skips.Skip]]:
    """Recordings whose annotations in doubt have no name, and (path, reason) of those without any other call."""
    found, in_doubt = list[metadata.Recording](), list[skips.Skip]()
    for recording in recordings:
        names = dict(recording.names)
        told = {label for a in recording.annotations for label in (a.label, *a.background) if label}
        doubtful = {label for label in told if _is_doubtful([label, names.get(label, label)], classes)}
        annotations = tuple(
            dataclasses.replace(
                a, label="" if a.label in doubtful else a.label,
                background=tuple(name for name in a.background if name not in doubtful),
            )
            for a in recording.annotations
        )  # fmt: skip
        if doubtful and not any(a.label or a.background or a.negative for a in annotations):
            in_doubt.append((recording.path, _NOT_SURE))
        else:
            found.append(dataclasses.replace(recording, annotations=annotations) if doubtful else recording)
    return found, in_doubt

"""The calls in soundscapes that models are judged by: from a table of ours, or from annotations of any known format."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence

from absl import logging

from bird_tf import config, skips
from bird_tf.labels import given_table, label_cells, metadata, taxonomy, texts
from bird_tf.labels.layouts import matching, reader
from bird_tf.labels.tables import presence, rows

# start and end in seconds, and the index of the class
Call = tuple[float, float, int]
# of a table of calls
COLUMNS = ("media_id", "class_id", "start_seconds", "end_seconds")
_MOST_NAMED = 5


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
    path: str, audio: str, recordings: Sequence[tuple[str, str]], classes: taxonomy.Taxonomy, channel: str = ""
) -> Truth:
    """Reads the calls in recordings, and warns of recordings of which the truth says nothing.

    Args:
        path: a CSV with the columns media_id, class_id, start_seconds and end_seconds; or annotations that
            `labels.formats` reads, as a file or a folder.
        audio: the folder of the recordings.
        recordings: (path below the folder, path) of each.
        classes: of the models.
        channel: what is heard of several channels, as --channel. Calls that are noted for others have no sure name.

    Raises:
        InputError: the calls cannot be read, or are of a recording that is not there; a class of the table, or all
            species of the annotations, are unknown to the models.
    """
    try:
        if _is_table(path):
            truth = _of_table(path, audio, recordings, classes)
        else:
            truth = _of_annotations(path, audio, recordings, classes, channel)
    except config.InputError as error:
        message = str(error)
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
    if num_unsure := sum(
        not (a.label or a.background or a.negative) for recording in whole for a in recording.annotations
    ):
        logging.warning("%s: %d annotations have no sure name: what is there counts as no call", origin, num_unsure)
    return whole, unknown


def none_as_whole(unknown: Iterable[skips.Skip], *, has_judged_spans: bool) -> config.InputError:
    """What is wrong where no recording is known as a whole, for `raise`."""
    first, reason = next(iter(unknown))
    hint = "; bird_tf.evaluate --verdicts judges by verdicts" if has_judged_spans else ""
    return config.InputError(f"it tells of no recording as a whole, the first: {first} ({reason}){hint}")


def read_table(path: str, classes: taxonomy.Taxonomy) -> dict[str, list[Call]]:
    """Reads a CSV with the columns media_id, class_id, start_seconds, end_seconds.

    A call is none where a further column denies it, as in tables that the converter reads.

    Returns:
        {media_id: its calls, none if all are denied}. A media_id is a MediaId, a file name with or without suffix, or
        the path of the recording below the folder of all.

    Raises:
        InputError: no such file, a missing column, a time that is not a number, or a class that the models do not know.
    """
    read_rows: list[tuple[str, Call]] = []
    answered: list[rows.Row] = []
    document = texts.Document(path)
    for cells in given_table.read(path, "segments", COLUMNS):
        start, end, class_id = cells.number("start_seconds", 0), cells.number("end_seconds", 0), cells.text("class_id")
        if class_id not in classes.class_ids:
            raise cells.error(f"{class_id} is no class_id of the model")
        if not start <= end:
            raise cells.error("need start_seconds, and an end_seconds that is not before it")
        read_rows.append((cells.text("media_id"), (start, end, classes.index(class_id))))
        labels = label_cells.Labels(species=(class_id,))
        answered.append(rows.Row(where=rows.where(document, cells.line), labels=labels))
    further = [name for name in document.header if texts.comparable(name) not in COLUMNS]
    answered, _ = presence.apply(document, rows.Options(), answered, further)
    calls: dict[str, list[Call]] = {media_id: [] for media_id, _ in read_rows}
    for (media_id, call), row in zip(read_rows, answered, strict=True):
        calls[media_id] += [call] if row.labels.species else []
    return calls


def _is_table(path: str) -> bool:
    """Whether a file is a table of ours, perhaps with a fault, and not one of another program."""
    if not os.path.isfile(path):  # what is missing is told of as a table
        return not os.path.isdir(path)
    _, first = next(texts.Document(path).rows(), (0, []))
    return not first or COLUMNS[0] in map(texts.comparable, map(texts.clean, first))


def _of_table(path: str, audio: str, recordings: Sequence[tuple[str, str]], classes: taxonomy.Taxonomy) -> Truth:
    names = matching.Recordings([file for _, file in recordings], audio)
    below = {file: name for name, file in recordings}
    ids = collections.Counter(metadata.media_id(file) for file in below)
    by_id = {media_id: file for file in below if ids[media_id := metadata.media_id(file)] == 1}
    found = collections.defaultdict[str, list[Call]](list)
    for name, own in read_table(path, classes).items():
        file = by_id.get(name) or names.find(name)
        if file is None or names.claim(file, [name]).is_elsewhere:
            several = f"; {ids[name]} recordings have this MediaId: write their paths" if ids[name] > 1 else ""
            raise config.InputError(f"{audio} has no recording {name}{several}")
        found[below[file]] += own
    unknown = {file: "no call of it is sure" for file, name in below.items() if name in found and not found[name]}
    return Truth({name: own for name, own in found.items() if own}, unknown)


def _of_annotations(
    path: str, audio: str, recordings: Sequence[tuple[str, str]], classes: taxonomy.Taxonomy, channel: str
) -> Truth:
    below = {file: name for name, file in recordings}
    reading = reader.survey(reader.SourceConfig(audio=audio, metadata=path), channel=channel)
    if elsewhere := [skips.named(skip) for skip in reading.unmatched if skip[0] not in below]:
        raise config.InputError(f"{len(elsewhere)} of its rows or files are of no recording, the first: {elsewhere[0]}")
    found, strangers, num_calls = dict[str, list[Call]](), collections.Counter[str](), 0
    told_of = below.keys() - reading.silent
    unknown = {file: reason for file, reason in [*reading.unmatched, *reading.left_out] if file in told_of}
    annotated = [r for r in reading.recordings if r.path in below and r.path not in unknown]
    if untimed := next((r for r in annotated if r.labels and not r.annotations), None):
        raise config.InputError(f"{untimed.path} has the label {untimed.labels[0]} without times")
    whole, in_part = known_as_whole(annotated, path)
    unknown |= dict(in_part)
    for recording in whole:
        own = found.setdefault(below[recording.path], [])
        for annotation in recording.annotations:
            for label in filter(None, (annotation.label, *annotation.background)):
                indices = classes.resolve([label, dict(recording.names).get(label, label)])
                own += [(annotation.start_seconds, annotation.end_seconds, index) for index in indices]
                num_calls += len(indices)
                strangers[label] += not indices
    if reading.has_judged_spans:
        silent = [file for file, name in below.items() if name not in found and file not in unknown]
        unknown |= dict.fromkeys(silent, "no span of it was judged: what it holds is not known")
    if unknown and not found:
        raise none_as_whole(unknown.items(), has_judged_spans=reading.has_judged_spans)
    if strangers := +strangers:
        named = ", ".join(f"{label} ({count})" for label, count in strangers.most_common(_MOST_NAMED))
        problem = f"{strangers.total()} calls of {len(strangers)} species that the model does not know: {named}"
        if not num_calls:
            raise config.InputError(problem)
        logging.warning("%s: %s; they are not judged", path, problem)
    return Truth(found, unknown)

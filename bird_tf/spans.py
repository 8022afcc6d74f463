"""Who is heard when in a long recording: Raven selection tables, Audacity labels, and what they say of one chunk."""

from __future__ import annotations

import collections
import csv
import dataclasses
from collections.abc import Mapping, Sequence

from bird_tf import config, metadata

SUFFIXES = (".txt", ".tsv")

_RAVEN_START, _RAVEN_END = "begin time (s)", "end time (s)"
_RAVEN_LABELS = ("species code", "species", "common name", "annotation", "label", "tags", "sound type")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnnotationConfig:
    """How spans become labels of chunks."""

    annotation_share: float = config.option(
        0.5, "a chunk gets the label of an annotation if they share this much of the shorter of the two"
    )
    unannotated: str = config.option(
        "noise", "chunks of an annotated recording that no annotation touches", choices=("noise", "drop")
    )

    def __post_init__(self) -> None:
        if not 0 <= self.annotation_share <= 1:
            raise config.InputError(f"--annotation_share={self.annotation_share}: need 0 <= share <= 1")


@dataclasses.dataclass(frozen=True)
class Heard:
    """What a span of an annotated recording holds.

    Attributes:
        label: of the annotation that covers most; empty if none covers enough or nobody could name it.
        background: the other species that touch it.
        nothing: whether no annotation touches it at all.
    """

    label: str
    background: tuple[str, ...]
    nothing: bool


def heard(annotations: Sequence[metadata.Annotation], start: float, end: float, settings: AnnotationConfig) -> Heard:
    """What the annotations say of the span from `start` to `end`, seconds."""
    shared: dict[metadata.Annotation, float] = {}
    for annotation in annotations:
        overlap = min(end, annotation.end_seconds) - max(start, annotation.start_seconds)
        if overlap > 0:
            shared[annotation] = overlap
    best = max(shared, key=lambda a: (shared[a], a.label), default=None)
    if best is None:
        return Heard("", (), True)
    # a hair less than the share asked for is rounding of times that were written with few digits
    needed = settings.annotation_share * min(end - start, best.end_seconds - best.start_seconds) - 1e-6
    others = {name for a in shared for name in (a.label, *a.background)} - {best.label, ""}
    return Heard(best.label if shared[best] >= needed else "", tuple(sorted(others)), False)


def annotated(recording: metadata.Recording, found: Sequence[metadata.Annotation]) -> metadata.Recording:
    """The recording with annotations: its label is the species marked longest, its background the others.

    Raises:
        InputError: no annotation names a species.
    """
    made = dataclasses.replace(recording, annotations=tuple(found))
    if not made.labels:
        raise config.InputError(f"{recording.path}: its annotations name no species")
    label, *others = made.labels
    behind = {*others, *(name for a in found for name in a.background)} - {label}
    name = recording.name if recording.label == label else label
    return dataclasses.replace(made, label=label, name=name, background=tuple(sorted(behind)))


def read(path: str, columns: Mapping[str, str]) -> list[metadata.Annotation]:
    """Reads a Raven selection table or an Audacity label file, told apart by Raven's header line.

    Args:
        path: the table.
        columns: "label" → the name of the column that holds the species; Raven's usual ones are known.

    Returns:
        Its annotations in the order of time, each once (Raven lists one selection for every view of it).

    Raises:
        InputError: neither of them, or a line that does not read.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = [line for line in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if any(line)]
    except UnicodeDecodeError as error:
        raise config.InputError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from error
    if lines and _RAVEN_START in [name.strip().lower() for name in lines[0]]:
        rows = _raven(path, lines, columns.get("label", ""))
    else:
        # lines with a backslash give the band of frequencies of the label before them
        rows = [(i, line[0], line[1], line[2] if len(line) > 2 else "") for i, line in enumerate(lines, 1)
                if line[0] != "\\" and len(line) > 1]  # fmt: skip
        if not rows:
            raise config.InputError(f"{path}: neither a Raven selection table nor Audacity labels")
    found: dict[metadata.Annotation, None] = collections.OrderedDict()
    for number, start, end, label in rows:
        found[span(f"{path}, line {number}", start, end, label)] = None
    return sorted(found, key=lambda a: (a.start_seconds, a.end_seconds, a.label))


def _raven(path: str, lines: Sequence[Sequence[str]], label: str) -> list[tuple[int, str, str, str]]:
    header = [name.strip().lower() for name in lines[0]]
    wanted = [label.lower()] if label else [name for name in _RAVEN_LABELS if name in header]
    if not wanted or wanted[0] not in header or _RAVEN_END not in header:
        raise config.InputError(
            f"{path}: which column holds the species? it has {', '.join(lines[0])}; say --columns=label=NAME"
        )
    places = [header.index(name) for name in (_RAVEN_START, _RAVEN_END, wanted[0])]
    padded = [[*line, *[""] * len(header)] for line in lines[1:]]
    return [(i, line[places[0]], line[places[1]], line[places[2]]) for i, line in enumerate(padded, 2)]


def span(where: str, start: str, end: str, label: str, background: tuple[str, ...] = ()) -> metadata.Annotation:
    """An annotation from text; times in seconds, or as minutes:seconds or hours:minutes:seconds.

    Raises:
        InputError: times that are no numbers, or an end that is not after its start.
    """
    try:
        times = [
            sum(float(p) * 60**i for i, p in enumerate(reversed(t.replace(",", ".").split(":")))) for t in (start, end)
        ]
    except ValueError as error:
        raise config.InputError(f"{where}: {start!r} to {end!r} are not times in seconds") from error
    if not 0 <= times[0] < times[1] < float("inf"):
        raise config.InputError(f"{where}: an annotation from {start} to {end} s; its end must be after its start")
    return metadata.Annotation(start_seconds=times[0], end_seconds=times[1], label=label.strip(), background=background)

"""Annotations in time, and which labels they give a span of a recording. Foreign formats belong to `layouts`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from bird_tf import config
from bird_tf.labels import metadata


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
class SpanLabels:
    """What a span of an annotated recording holds.

    Attributes:
        label: of the annotation that covers most; empty if none covers enough or nobody could name it.
        background: the other species that touch it.
        nothing: whether no annotation touches it at all.
    """

    label: str
    background: tuple[str, ...]
    nothing: bool


def labels_in_span(
    annotations: Sequence[metadata.Annotation], start: float, end: float, settings: AnnotationConfig
) -> SpanLabels:
    """What the annotations say of the span from `start` to `end`, seconds."""
    shared: dict[metadata.Annotation, float] = {}
    for annotation in annotations:
        overlap = min(end, annotation.end_seconds) - max(start, annotation.start_seconds)
        if overlap > 0:
            shared[annotation] = overlap
    best = max(shared, key=lambda a: (shared[a], a.label), default=None)
    if best is None:
        return SpanLabels("", (), True)
    # a hair less than the share asked for is rounding of times that were written with few digits
    needed = settings.annotation_share * min(end - start, best.end_seconds - best.start_seconds) - 1e-6
    others = {name for a in shared for name in (a.label, *a.background)} - {best.label, ""}
    return SpanLabels(best.label if shared[best] >= needed else "", tuple(sorted(others)), False)


def with_annotations(recording: metadata.Recording, found: Sequence[metadata.Annotation]) -> metadata.Recording:
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


def parse_annotation(
    where: str, start: str, end: str, label: str, background: tuple[str, ...] = ()
) -> metadata.Annotation:
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

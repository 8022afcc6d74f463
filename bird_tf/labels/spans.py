"""Annotations in time, and which labels they give a span of a recording. Foreign formats belong to `layouts`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from bird_tf import config
from bird_tf.labels import metadata


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnnotationConfig:
    """Settings for the labels of chunks in annotated recordings."""

    annotation_share: float = config.option(
        0.5, "a chunk gets the label of an annotation if they overlap by this share of the shorter of the two"
    )
    unannotated: str = config.option(
        "noise",
        "what to do with chunks that no annotation overlaps, in annotated recordings",
        choices=("noise", "drop"),
    )

    def __post_init__(self) -> None:
        if not 0 <= self.annotation_share <= 1:
            raise config.InputError(f"--annotation_share={self.annotation_share}: need 0 <= share <= 1")


@dataclasses.dataclass(frozen=True)
class SpanLabels:
    """The labels of a span of an annotated recording.

    Attributes:
        label: of the annotation with the largest overlap; empty if that is too small, or if it names no species.
        background: the other species that overlap the span.
        is_empty: whether no annotation overlaps the span.
    """

    label: str
    background: tuple[str, ...]
    is_empty: bool


def labels_in_span(
    annotations: Sequence[metadata.Annotation], start: float, end: float, settings: AnnotationConfig
) -> SpanLabels:
    """The labels of the span from `start` to `end`, seconds."""
    overlaps: dict[metadata.Annotation, float] = {}
    for annotation in annotations:
        overlap = min(end, annotation.end_seconds) - max(start, annotation.start_seconds)
        if overlap > 0:
            overlaps[annotation] = overlap
    best = max(overlaps, key=lambda a: (overlaps[a], a.label), default=None)
    if best is None:
        return SpanLabels("", (), True)
    # the tolerance is for times that are rounded to a few digits
    needed = settings.annotation_share * min(end - start, best.end_seconds - best.start_seconds) - 1e-6
    others = {name for a in overlaps for name in (a.label, *a.background)} - {best.label, ""}
    return SpanLabels(best.label if overlaps[best] >= needed else "", tuple(sorted(others)), False)


def with_annotations(recording: metadata.Recording, annotations: Sequence[metadata.Annotation]) -> metadata.Recording:
    """Adds annotations to a recording. Its label becomes the species with the longest total time.

    Its background becomes the other species.

    Raises:
        InputError: no annotation names a species.
    """
    annotated = dataclasses.replace(recording, annotations=tuple(annotations))
    if not annotated.labels:
        raise config.InputError(f"{recording.path}: its annotations name no species")
    label, *others = annotated.labels
    background = {*others, *(name for a in annotations for name in a.background)} - {label}
    name = recording.name if recording.label == label else label
    return dataclasses.replace(annotated, label=label, name=name, background=tuple(sorted(background)))


def parse_annotation(
    where: str, start: str, end: str, label: str, background: tuple[str, ...] = ()
) -> metadata.Annotation:
    """Makes an annotation from text. Times are in seconds, or minutes:seconds, or hours:minutes:seconds.

    Raises:
        InputError: the times are not numbers, or the end is not after the start.
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

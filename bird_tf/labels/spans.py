"""Annotations in time, and which labels they give a span of a recording. Foreign formats belong to `layouts`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from absl import logging

from bird_tf import config
from bird_tf.labels import metadata

# programs round the last selection up
_ROUNDED_SECONDS = 1.0


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
        is_empty: whether no annotation overlaps the span, except negative ones.
        is_negative: whether it is empty, and negative annotations cover it as far as a label would have to.
        is_complete: whether all that overlaps the span has a name. Else any species may be there, too.
    """

    label: str
    background: tuple[str, ...]
    is_empty: bool
    is_negative: bool = False
    is_complete: bool = True


def labels_in_span(
    annotations: Sequence[metadata.Annotation], start: float, end: float, settings: AnnotationConfig
) -> SpanLabels:
    """The labels of the span from `start` to `end`, seconds."""
    overlaps: dict[metadata.Annotation, float] = {}
    negative_seconds = 0.0
    for annotation in annotations:
        overlap = min(end, annotation.end_seconds) - max(start, annotation.start_seconds)
        if overlap > 0 and annotation.negative:
            negative_seconds += overlap
        elif overlap > 0:
            overlaps[annotation] = overlap
    best = max(overlaps, key=lambda a: (overlaps[a], a.label), default=None)
    # the tolerance is for times that are rounded to a few digits
    if best is None:
        needed = settings.annotation_share * (end - start) - 1e-6
        return SpanLabels("", (), True, is_negative=negative_seconds > 0 and negative_seconds >= needed)
    needed = settings.annotation_share * min(end - start, best.end_seconds - best.start_seconds) - 1e-6
    others = {name for a in overlaps for name in (a.label, *a.background)} - {best.label, ""}
    label = best.label if overlaps[best] >= needed else ""
    return SpanLabels(label, tuple(sorted(others)), False, is_complete=all(a.label for a in overlaps))


def without_trust_in_late(
    recordings: Sequence[metadata.Recording], seconds: Mapping[str, float]
) -> list[metadata.Recording]:
    """Warns of annotations past the end of their recording, whose other chunks are then not known to be empty.

    Args:
        recordings: with or without annotations.
        seconds: {recording_id: length}; 0 if it is not known.

    Returns:
        The recordings; those with such annotations as partly annotated.
    """
    late: dict[str, list[float]] = {}
    for recording in recordings:
        length = seconds[recording.recording_id]
        ends = [a.end_seconds for a in recording.annotations if _is_late(a, length)]
        if ends:
            late[recording.path] = ends
    if late:
        path, ends = next(iter(late.items()))
        logging.warning(
            "%d annotations are past the end of their recordings, the first: %s, up to %.1f s; do their times count "
            "from another start, or are they no seconds? What is not annotated there is no noise",
            sum(map(len, late.values())), path, ends[0],
        )  # fmt: skip
    return [dataclasses.replace(r, partly_annotated=True) if r.path in late else r for r in recordings]


def _is_late(annotation: metadata.Annotation, length: float) -> bool:
    return 0 < length <= max(annotation.start_seconds, annotation.end_seconds - _ROUNDED_SECONDS)


def with_annotations(recording: metadata.Recording, annotations: Sequence[metadata.Annotation]) -> metadata.Recording:
    """Adds annotations to a recording. Its label becomes the species with the longest total time.

    Its background becomes the other species. If all annotations are negative, there is no label.

    Raises:
        InputError: no annotation names a species, and none is negative.
    """
    annotated = dataclasses.replace(recording, annotations=tuple(annotations))
    if not annotated.labels:
        if not any(annotation.negative for annotation in annotations):
            raise config.InputError(f"{recording.path}: its annotations name no species")
        return dataclasses.replace(annotated, label="", name="", background=())
    label, *others = annotated.labels
    background = {*others, *(name for a in annotations for name in a.background)} - {label}
    name = next((a.name for a in annotations if a.label == label and a.name), label)
    return dataclasses.replace(annotated, label=label, name=name, background=tuple(sorted(background)))

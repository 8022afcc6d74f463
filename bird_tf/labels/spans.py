"""Annotations in time, and which labels they give a span of a recording. Foreign formats belong to `formats`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from absl import logging

from bird_tf import config, skips
from bird_tf.audio import decode
from bird_tf.labels import metadata

# programs round the last selection up
_ROUNDED_SECONDS = 1.0
_LONGEST_WINDOW_SECONDS = 10.0  # of programs that fill the last window up


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


class Overlapping:
    """The annotations of a recording that overlap spans, which are asked for in the order of time.

    A recording of a day can have as many annotations as chunks: each is looked at near its time alone.
    """

    def __init__(self, annotations: Sequence[metadata.Annotation]) -> None:
        self._annotations = annotations
        self._later = sorted(range(len(annotations)), key=lambda i: annotations[i].start_seconds, reverse=True)
        self._there: list[int] = []

    def at(self, start: float, end: float) -> list[metadata.Annotation]:
        """Those that overlap a span that begins and ends no earlier than the one before, in their order."""
        while self._later and self._annotations[self._later[-1]].start_seconds < end:
            self._there.append(self._later.pop())
        self._there = [i for i in self._there if self._annotations[i].end_seconds > start]
        return [self._annotations[i] for i in sorted(self._there)]


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


def without_late(
    recordings: Sequence[metadata.Recording], seconds: Mapping[str, float]
) -> tuple[list[metadata.Recording], list[skips.Skip]]:
    """Leaves out annotations past the end of their recording. What is not annotated there is then no noise.

    One that begins before the end is used, as programs make windows at the end: unless it is past the end by more than
    the recording is long, or another one begins there, so that the times are others.

    Args:
        recordings: with or without annotations.
        seconds: {recording_id: length by the header}; 0 if it is not known.

    Returns:
        The recordings; those with late annotations as partly annotated, and without those that have no other ones. And
        (recording, reason) where annotations are not used.
    """
    kept, left_out, late = list[metadata.Recording](), list[skips.Skip](), list[tuple[str, float]]()
    for recording in recordings:
        length = seconds[recording.recording_id]
        ends = [a.end_seconds for a in recording.annotations if _is_late(a, length)]
        if ends:  # headers can tell too little
            length = decode.searched_seconds(recording.path) or length
            ends = [a.end_seconds for a in recording.annotations if _is_late(a, length)]
        if not ends:
            kept.append(recording)
            continue
        late += [(recording.path, end) for end in ends]
        used = _in_time(recording.annotations, length)
        if len(used) < len(recording.annotations):
            num = len(recording.annotations) - len(used)
            left_out.append((recording.path, f"{num} annotations past its end, up to {max(ends):.1f} s, are not used"))
            recording = dataclasses.replace(recording, partly_annotated=True)
            if any(annotation.label or annotation.negative for annotation in used):
                kept.append(with_annotations(recording, used))
        else:
            kept.append(dataclasses.replace(recording, partly_annotated=True))
    if late:
        logging.warning(
            "%d annotations are past the end of their recordings, the first: %s, up to %.1f s; do their times count "
            "from another start, or are they no seconds? What is not annotated there is no noise", len(late), *late[0],
        )  # fmt: skip
    return kept, left_out


def _in_time(annotations: Sequence[metadata.Annotation], length: float) -> list[metadata.Annotation]:
    """Those of a recording's annotations that may be in time."""
    longest = 0.0 if any(a.start_seconds >= length for a in annotations) else max(length, _LONGEST_WINDOW_SECONDS)
    return [a for a in annotations if not _is_late(a, length) or a.end_seconds - length <= longest]


def _is_late(annotation: metadata.Annotation, length: float) -> bool:
    end = annotation.start_seconds if annotation.goes_on else annotation.end_seconds - _ROUNDED_SECONDS
    return 0 < length <= max(annotation.start_seconds, end)


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

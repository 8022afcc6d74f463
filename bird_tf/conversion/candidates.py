"""The chunks of a recording with what its labels say of them, before it is decided which are written."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bird_tf.audio import decode
from bird_tf.conversion import shard_tasks
from bird_tf.labels import metadata, spans
from bird_tf.records import schema

# a chunk of which a damaged file lacks more than this share is left out
_MOST_LOST = 0.5


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A chunk of a recording, before the selection.

    Attributes:
        chunk: the chunk, at first without spectrogram and activity.
        class_id: its label; None if it has none, or one that is no class.
        noise_share: share of such chunks that is written as noise, in case it has no label or no activity.
    """

    chunk: schema.Chunk
    class_id: str | None
    noise_share: float

    def with_spectrogram(self, spectrogram: np.ndarray, active_share: float) -> Candidate:
        """The candidate with what the front-end has made of its samples."""
        features = {schema.SPECTROGRAM: spectrogram}
        chunk = dataclasses.replace(self.chunk, features=features, activity=active_share)
        return dataclasses.replace(self, chunk=chunk)


class _Told(NamedTuple):
    """What is known of a chunk by the labels of its recording.

    Attributes:
        class_id: its label; None without one.
        background: the other species.
        background_known: whether these are all; not where something has no name.
        noise_share: share of such chunks that is noise; what a person calls negative is, whatever --noise_share is.
    """

    class_id: str | None
    background: tuple[str, ...]
    background_known: bool
    noise_share: float


def _told(
    task: shard_tasks.ShardTask, recording: metadata.Recording, overlapping: spans.Overlapping, start: float
) -> _Told:
    if recording.negative:
        return _Told(None, (), recording.background_known, 1.0)
    if not recording.annotations:
        return _Told(recording.label, recording.background, recording.background_known, task.noise_share)
    end = start + task.front_end.chunk_seconds
    span = spans.labels_in_span(overlapping.at(start, end), start, end, task.annotated)
    label = span.label if span.label and task.classes.resolve([span.label]) else None
    if span.is_negative:
        return _Told(None, (), recording.background_known, 1.0)
    may_be_noise = span.is_empty and task.annotated.unannotated == "noise" and not recording.partly_annotated
    is_known = recording.background_known and span.is_complete
    return _Told(label, span.background, is_known, task.noise_share * may_be_noise)


def of_recording(
    task: shard_tasks.ShardTask, recording: metadata.Recording, stream: decode.ChunkStream
) -> Iterator[tuple[np.ndarray, Candidate]]:
    """Yields the samples of every chunk of a recording that is not lost, and the chunk, still without spectrogram."""
    hop_seconds = task.chunking.hop_seconds(task.front_end)
    overlapping, is_negative = spans.Overlapping(recording.annotations), not recording.labels
    for number, samples in enumerate(itertools.chain.from_iterable(stream)):
        start = number * hop_seconds
        if stream.report.lost_share(start, start + task.front_end.chunk_seconds) > _MOST_LOST:
            continue
        if task.kept is not None and number not in task.kept[recording.recording_id]:
            continue
        told = _told(task, recording, overlapping, start)
        # noise of a negative recording has no label; the index 0 stands for none
        label = 0 if is_negative else task.classes.index(told.class_id or recording.label)
        chunk = schema.Chunk(
            features={},
            label=label,
            background=[i for i in task.classes.resolve(told.background) if i != label],
            background_known=told.background_known,
            recording_id=recording.recording_id,
            chunk_index=number,
            start_seconds=start,
            activity=0.0,
        )
        yield samples, Candidate(chunk, told.class_id, told.noise_share)

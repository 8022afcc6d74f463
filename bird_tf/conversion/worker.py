"""One task of the converter: the recordings of a shard → the shard, and the noise shard beside it.

It runs in this process, in another one, or on another machine. The task holds everything it needs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import heapq
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bird_tf import files
from bird_tf.audio import activity, decode, frontend
from bird_tf.backbones import backbone, windows
from bird_tf.conversion import compiled_frontend
from bird_tf.labels import metadata, spans, taxonomy
from bird_tf.records import manifests, schema, shard_files

UNFINISHED = ".unfinished"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardTask:
    """Everything a worker needs for one shard.

    Attributes:
        directory: the records directory.
        name, noise_name: of the shard, and of the shard that gets its rejected chunks ("" for validation).
        recordings: what goes into it.
        quotas: for each recording the most chunks to take of a class, {} for no limit.
        classes: gives labels and background their indices.
        front_end, chunking, activity, annotated, teacher, noise_share: as in ConvertConfig.
        unusable: ids of recordings that ended a worker process before; they are not opened again.
    """

    directory: str
    name: str
    noise_name: str
    recordings: tuple[metadata.Recording, ...]
    quotas: tuple[Mapping[str, int], ...]
    classes: taxonomy.Taxonomy
    front_end: frontend.FrontendConfig
    chunking: decode.ChunkingConfig
    activity: activity.ActivityConfig
    annotated: spans.AnnotationConfig
    teacher: backbone.BackboneConfig
    noise_share: float
    unusable: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertedRecording:
    """What became of one recording.

    Attributes:
        recording_id: which.
        seconds: of sound that were read.
        chunks, noise: {class id: number of chunks written}.
        reason: why it was skipped, in part or as a whole; "" if it was not.
    """

    recording_id: str
    seconds: float = 0.0
    chunks: Mapping[str, int] = dataclasses.field(default_factory=dict)
    noise: Mapping[str, int] = dataclasses.field(default_factory=dict)
    reason: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardResult:
    """What a task reports: the shards it wrote and the outcome of each recording."""

    shards: tuple[manifests.Shard, ...]
    outcomes: tuple[ConvertedRecording, ...]


def note_path(task: ShardTask, suffix: str) -> str:
    """Where a worker notes that a shard is `.json`: finished, or `.now`: which of its recordings it is reading."""
    return os.path.join(task.directory, UNFINISHED, task.name + suffix)


@dataclasses.dataclass(frozen=True)
class _Candidate:
    """A chunk and where it may go: an example of `class_id`, or noise, or (class_id None, not noise) nowhere."""

    chunk: schema.Chunk
    class_id: str | None
    noise: bool


def _labels_of_chunk(
    task: ShardTask, recording: metadata.Recording, start: float
) -> tuple[str | None, tuple[str, ...], bool]:
    """What a chunk holds as far as the labels say: its class id or None, its background, whether it may be noise."""
    if not recording.annotations:
        return recording.label, recording.background, True
    heard = spans.labels_in_span(recording.annotations, start, start + task.front_end.chunk_seconds, task.annotated)
    label = heard.label if heard.label and task.classes.resolve([heard.label]) else None
    return label, heard.background, heard.nothing and task.annotated.unannotated == "noise"


def _chunks(task: ShardTask, recording: metadata.Recording) -> Iterator[_Candidate]:
    """Every chunk of a recording, spectrogram and signal-to-noise filled in."""
    hop_seconds = task.chunking.hop_samples(task.front_end) / task.front_end.sample_rate_hz
    index = 0
    for samples in decode.ChunkStream(recording.path, task.front_end, task.chunking, compiled_frontend.BATCH_SIZE):
        exact, quantised = compiled_frontend.spectrograms(samples, task.front_end)
        levels = activity.active_share(exact)
        for spectrogram, level in zip(quantised, levels, strict=True):
            start = index * hop_seconds
            class_id, background, may_be_noise = _labels_of_chunk(task, recording, start)
            label = task.classes.index(class_id or recording.label)
            chunk = schema.Chunk(
                spectrogram=spectrogram,
                label=label,
                background=[i for i in task.classes.resolve(background) if i != label],
                background_known=recording.background_known,
                recording_id=recording.recording_id,
                chunk_index=index,
                start_seconds=start,
                signal_to_noise=float(level),
                latitude=recording.latitude,
                longitude=recording.longitude,
                day_of_year=recording.day_of_year,
                hour=recording.hour,
            )
            yield _Candidate(chunk, class_id, may_be_noise)
            index += 1


def _draw(salt: str, chunk: schema.Chunk) -> float:
    """A number in [0, 1) that is the same for the same chunk on every machine."""
    text = f"{salt} {chunk.recording_id} {chunk.chunk_index}"
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[:6], "big") / 2**48


class _Selection:
    """Decides for each chunk of one recording whether it is written, and counts."""

    def __init__(self, task: ShardTask, quota: Mapping[str, int], keep: Any, keep_noise: Any) -> None:
        self._task, self._quota, self._keep, self._keep_noise = task, quota, keep, keep_noise
        self._drawn: dict[str, list[tuple[float, int, schema.Chunk]]] = {}
        self.chunks: dict[str, int] = {}
        self.noise: dict[str, int] = {}

    def take(self, placed: _Candidate, annotated: bool) -> None:
        """Writes, holds back until `finish`, or drops a chunk. Validation keeps every chunk that has a label."""
        chunk, class_id = placed.chunk, placed.class_id
        lowest, highest = self._task.activity.signal_interval
        if self._keep_noise is None:
            if class_id is not None:
                self._write(class_id, chunk)
        # a person has marked what is annotated: the activity test decides only about the rest
        elif class_id is None or (not annotated and chunk.signal_to_noise < self._task.activity.signal_threshold):
            if placed.noise and _draw("noise", chunk) < self._task.noise_share:
                self._keep_noise(chunk)
                id_of_label = self._task.classes.class_ids[chunk.label]
                self.noise[id_of_label] = self.noise.get(id_of_label, 0) + 1
        elif not lowest <= chunk.signal_to_noise <= highest:
            return
        elif not self._quota:
            self._write(class_id, chunk)
        else:
            drawn = self._drawn.setdefault(class_id, [])
            push = heapq.heappush if len(drawn) < self._quota.get(class_id, 0) else heapq.heappushpop
            push(drawn, (-_draw("quota", chunk), chunk.chunk_index, chunk))

    def finish(self) -> None:
        """Writes what was held back, in the order of time."""
        held = [(index, class_id, c) for class_id, drawn in self._drawn.items() for _, index, c in drawn]
        for _, class_id, chunk in sorted(held, key=lambda entry: entry[0]):
            self._write(class_id, chunk)

    def _write(self, class_id: str, chunk: schema.Chunk) -> None:
        self._keep(chunk)
        self.chunks[class_id] = self.chunks.get(class_id, 0) + 1


def _write_recording(task: ShardTask, recording: metadata.Recording, selection: _Selection) -> ConvertedRecording:
    seconds, reason = 0.0, ""
    try:
        if recording.recording_id in task.unusable:
            raise decode.UnreadableError(f"{recording.path}: the worker process died while reading it, twice")
        for placed in _chunks(task, recording):
            seconds = placed.chunk.start_seconds + task.front_end.chunk_seconds
            selection.take(placed, bool(recording.annotations))
    except decode.UnreadableError as error:
        reason = str(error)
    selection.finish()
    count = sum(selection.chunks.values())
    if reason and count:
        reason += f"; its {count} chunks before that are kept"
    elif not reason and not count:
        reason = f"{recording.path}: no chunk reaches --signal_threshold={task.activity.signal_threshold:g}"
        if recording.annotations:
            reason = f"{recording.path}: no chunk is covered by an annotation"
    return ConvertedRecording(
        recording_id=recording.recording_id,
        seconds=seconds,
        chunks=selection.chunks,
        noise=selection.noise,
        reason=reason,
    )


def _with_backbone_answers(
    task: ShardTask, recording: metadata.Recording, keep: Callable[[schema.Chunk], None]
) -> Callable[[schema.Chunk], None]:
    """`keep`, of chunks that hold the teacher's answers as well, if there is a teacher."""
    if not task.teacher.teacher_model:
        return keep
    teacher = backbone.load(task.teacher, task.classes)
    lesson = windows.WindowStream(teacher, recording.path, task.front_end.chunk_seconds)
    return lambda chunk: keep(dataclasses.replace(chunk, teacher=lesson.answers(chunk.start_seconds)))


def _write_recordings(task: ShardTask, keep: Any, keep_noise: Any) -> tuple[ConvertedRecording, ...]:
    outcomes = []
    for recording, quota in zip(task.recordings, task.quotas, strict=True):
        # if this process dies, the one that started it finds here what it died of
        files.write_text(note_path(task, ".now"), recording.recording_id)
        selection = _Selection(task, quota, _with_backbone_answers(task, recording, keep), keep_noise)
        outcomes.append(_write_recording(task, recording, selection))
    return tuple(outcomes)


def write_shard(task: ShardTask) -> ShardResult:
    """Makes the shard of a task, and its noise shard.

    Raises:
        InputError: the disk is full; nothing is left under a final name then.
    """
    with shard_files.writing(task.directory, task.name) as writer:
        written = [(task.name, writer)]
        if not task.noise_name:
            outcomes = _write_recordings(task, writer.write, None)
        else:
            with shard_files.writing(task.directory, task.noise_name) as noise_writer:
                outcomes = _write_recordings(task, writer.write, noise_writer.write)
                written.append((task.noise_name, noise_writer))
    result = ShardResult(
        shards=tuple(shard_files.describe_shard(task.directory, name, writer.count) for name, writer in written),
        outcomes=outcomes,
    )
    files.write_json(note_path(task, ".json"), dataclasses.asdict(result))
    return result

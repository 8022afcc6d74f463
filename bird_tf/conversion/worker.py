"""One task of the converter: the recordings of a shard → the shard, and the noise shard beside it.

It runs in this process, in another process, or on another machine. The task contains everything that it needs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import heapq
import os
from collections.abc import Callable, Iterator, Mapping

from bird_tf import files
from bird_tf.audio import activity, decode, frontend
from bird_tf.backbones import backbone, windows
from bird_tf.conversion import compiled_frontend
from bird_tf.labels import metadata, spans, taxonomy
from bird_tf.records import manifests, schema, shard_files

UNFINISHED = ".unfinished"

Write = Callable[[schema.Chunk], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardTask:
    """Everything a worker needs for one shard.

    Attributes:
        directory: the records directory.
        name: of the shard.
        noise_name: of the shard for chunks that count as noise; "" for validation.
        recordings: the recordings of the shard.
        quotas: for each recording {class id: the most chunks to take}; {} for no limit.
        classes: gives labels and background their indices.
        front_end, chunking, activity, annotated, backbone, noise_share: as in ConvertConfig.
        unusable: ids of recordings that have crashed a worker process; they are not opened again.
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
    backbone: backbone.BackboneConfig
    noise_share: float
    unusable: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertedRecording:
    """The result of converting one recording.

    Attributes:
        recording_id: of the recording.
        seconds: length of the audio that was read.
        chunks: {class id: number of chunks written}.
        noise: {class id: number of noise chunks written}.
        reason: why the recording, or the rest of it, was skipped; "" if it was not.
    """

    recording_id: str
    seconds: float = 0.0
    chunks: Mapping[str, int] = dataclasses.field(default_factory=dict)
    noise: Mapping[str, int] = dataclasses.field(default_factory=dict)
    reason: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardResult:
    """The result of a task: the shards, and what was written of each recording."""

    shards: tuple[manifests.Shard, ...]
    recordings: tuple[ConvertedRecording, ...]


def note_path(task: ShardTask, suffix: str) -> str:
    """Path of a worker's note about a shard: `.json` for its result, `.now` for the recording that is being read."""
    return os.path.join(task.directory, UNFINISHED, task.name + suffix)


@dataclasses.dataclass(frozen=True)
class _Candidate:
    """A chunk of a recording, before the selection.

    Attributes:
        chunk: the chunk.
        class_id: its label; None if it has none, or one that is no class.
        may_be_noise: whether it may be written as noise.
    """

    chunk: schema.Chunk
    class_id: str | None
    may_be_noise: bool


def _labels_of_chunk(
    task: ShardTask, recording: metadata.Recording, start: float
) -> tuple[str | None, tuple[str, ...], bool]:
    """Returns a chunk's class id (None without one), its background, and whether it may be noise."""
    if not recording.annotations:
        return recording.label, recording.background, True
    span = spans.labels_in_span(recording.annotations, start, start + task.front_end.chunk_seconds, task.annotated)
    label = span.label if span.label and task.classes.resolve([span.label]) else None
    return label, span.background, span.is_empty and task.annotated.unannotated == "noise"


def _candidates(task: ShardTask, recording: metadata.Recording) -> Iterator[_Candidate]:
    """Yields every chunk of a recording, with its spectrogram and its activity."""
    hop_seconds = task.chunking.hop_samples(task.front_end) / task.front_end.sample_rate_hz
    index = 0
    for samples in decode.ChunkStream(recording.path, task.front_end, task.chunking, compiled_frontend.BATCH_SIZE):
        exact, quantised = compiled_frontend.spectrograms(samples, task.front_end)
        for spectrogram, active_share in zip(quantised, activity.active_share(exact), strict=True):
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
                activity=float(active_share),
            )
            yield _Candidate(chunk, class_id, may_be_noise)
            index += 1


def _draw(salt: str, chunk: schema.Chunk) -> float:
    """A pseudorandom number in [0, 1) for a chunk, the same on every machine."""
    text = f"{salt} {chunk.recording_id} {chunk.chunk_index}"
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[:6], "big") / 2**48


class _Selection:
    """Decides which chunks of one recording are written, and counts them."""

    def __init__(self, task: ShardTask, quota: Mapping[str, int], write: Write, write_noise: Write | None) -> None:
        self._task, self._quota, self._write_chunk, self._write_noise = task, quota, write, write_noise
        self._drawn: dict[str, list[tuple[float, int, schema.Chunk]]] = {}
        self.chunks: dict[str, int] = {}
        self.noise: dict[str, int] = {}

    def add(self, candidate: _Candidate, annotated: bool) -> None:
        """Writes a chunk, keeps it until `finish`, or drops it. Validation keeps every chunk that has a label."""
        chunk, class_id = candidate.chunk, candidate.class_id
        if self._write_noise is None:
            if class_id is not None:
                self._write(class_id, chunk)
        # a person has marked the annotated spans, so the activity is tested only without annotations
        elif class_id is None or (not annotated and chunk.activity < self._task.activity.signal_threshold):
            if candidate.may_be_noise and _draw("noise", chunk) < self._task.noise_share:
                self._write_noise(chunk)
                id_of_label = self._task.classes.class_ids[chunk.label]
                self.noise[id_of_label] = self.noise.get(id_of_label, 0) + 1
        elif not self._task.activity.interval.contains(chunk.activity):
            return
        elif not self._quota:
            self._write(class_id, chunk)
        else:
            drawn = self._drawn.setdefault(class_id, [])
            push = heapq.heappush if len(drawn) < self._quota.get(class_id, 0) else heapq.heappushpop
            push(drawn, (-_draw("quota", chunk), chunk.chunk_index, chunk))

    def finish(self) -> None:
        """Writes the chunks that were drawn within the quotas, in the order of time."""
        chosen = [(index, class_id, c) for class_id, drawn in self._drawn.items() for _, index, c in drawn]
        for _, class_id, chunk in sorted(chosen, key=lambda entry: entry[0]):
            self._write(class_id, chunk)

    def _write(self, class_id: str, chunk: schema.Chunk) -> None:
        self._write_chunk(chunk)
        self.chunks[class_id] = self.chunks.get(class_id, 0) + 1


def _write_recording(task: ShardTask, recording: metadata.Recording, selection: _Selection) -> ConvertedRecording:
    seconds, reason = 0.0, ""
    try:
        if recording.recording_id in task.unusable:
            raise decode.UnreadableError(f"{recording.path}: the worker process died twice while reading it")
        for candidate in _candidates(task, recording):
            seconds = candidate.chunk.start_seconds + task.front_end.chunk_seconds
            selection.add(candidate, bool(recording.annotations))
    except decode.UnreadableError as error:
        reason = str(error)
    selection.finish()
    count = sum(selection.chunks.values())
    if reason and count:
        reason += f"; the {count} chunks before are kept"
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


def _with_backbone_answers(task: ShardTask, recording: metadata.Recording, write: Write) -> Write:
    """A function that adds the backbone's answers to a chunk and then writes it; `write` itself without a backbone."""
    if not task.backbone.backbone:
        return write
    model = backbone.load(task.backbone, task.classes)
    stream = windows.WindowStream(model, recording.path, task.front_end.chunk_seconds)
    return lambda chunk: write(dataclasses.replace(chunk, backbone_answers=stream.probabilities(chunk.start_seconds)))


def _write_recordings(task: ShardTask, write: Write, write_noise: Write | None) -> tuple[ConvertedRecording, ...]:
    converted = []
    for recording, quota in zip(task.recordings, task.quotas, strict=True):
        # if this process dies, the converter reads here which recording was the cause
        files.write_text(note_path(task, ".now"), recording.recording_id)
        selection = _Selection(task, quota, _with_backbone_answers(task, recording, write), write_noise)
        converted.append(_write_recording(task, recording, selection))
    return tuple(converted)


def write_shard(task: ShardTask) -> ShardResult:
    """Writes the shard of a task, and its noise shard.

    Raises:
        InputError: the disk is full. No unfinished shard is left under its final name.
    """
    with shard_files.writing(task.directory, task.name) as writer:
        written = [(task.name, writer)]
        if not task.noise_name:
            converted = _write_recordings(task, writer.write, None)
        else:
            with shard_files.writing(task.directory, task.noise_name) as noise_writer:
                converted = _write_recordings(task, writer.write, noise_writer.write)
                written.append((task.noise_name, noise_writer))
    result = ShardResult(
        shards=tuple(shard_files.describe_shard(task.directory, name, writer.count) for name, writer in written),
        recordings=converted,
    )
    files.write_json(note_path(task, ".json"), dataclasses.asdict(result))
    return result

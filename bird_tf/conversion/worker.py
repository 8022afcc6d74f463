"""One task of the converter: the recordings of a shard → the shard, and the shards beside it.

It runs in this process, in another process, or on another machine. The task contains everything that it needs.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import heapq
import os
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from bird_tf import files, tf
from bird_tf.audio import channels, decode
from bird_tf.conversion import candidates, chunk_features, compiled_frontend, notes, shard_tasks
from bird_tf.labels import metadata
from bird_tf.records import schema, selection, shard_files

Write = Callable[[schema.Chunk], None]


def _draw(salt: str, chunk: schema.Chunk) -> float:
    """A pseudorandom number in [0, 1) for a chunk."""
    return chunk_features.drawn(salt, chunk) / 2**48


class _Selection:
    """Decides what becomes of the chunks of one recording, whatever side of the split it is on, and counts them."""

    def __init__(self, task: shard_tasks.ShardTask, write: Write, write_noise: Write) -> None:
        self._task, self._write_chunk, self._write_noise = task, write, write_noise
        self._drawn: dict[str, list[tuple[float, int, schema.Chunk]]] = {}
        self.chunks: collections.Counter[str] = collections.Counter()
        self.candidates: collections.Counter[str] = collections.Counter()
        self.noise: collections.Counter[str] = collections.Counter()
        self.is_active = False  # whether a labelled chunk is not silent

    def add(
        self, candidate: candidates.Candidate, annotated: bool, hearer: chunk_features.Hearer, mixing: _Mixing
    ) -> None:
        """Writes a chunk as noise, as a labelled chunk, as both, or not at all. With a cap it may wait for `finish`."""
        chunk, class_id, task = candidate.chunk, candidate.class_id, self._task
        # a person has marked the annotated spans, so the activity is tested only without annotations
        silent = class_id is None or (not annotated and chunk.activity < task.activity.signal_threshold)
        # digital silence, as of a recorder that failed, is no noise
        has_sound = chunk.features[schema.SPECTROGRAM].any()
        is_noise = silent and has_sound and _draw("noise", chunk) < candidate.noise_share
        if is_noise or class_id is not None:
            chunk = hearer.completed(chunk)
        if is_noise:
            self._write_noise(chunk)
            self.noise[task.classes.class_ids[chunk.label]] += 1
        if class_id is None:
            return
        self.chunks[class_id] += 1
        self.is_active |= not silent
        if silent or not task.activity.interval.contains(chunk.activity):
            self._write(chunk, selection.NEVER)
            return
        self.candidates[class_id] += 1
        mixing.add(chunk, hearer)
        if not task.max_chunks_per_class:
            self._write(chunk, selection.ALWAYS)
            return
        drawn = self._drawn.setdefault(class_id, [])
        entry = (-_draw("quota", chunk), chunk.chunk_index, chunk)
        if len(drawn) < task.max_chunks_per_class:
            heapq.heappush(drawn, entry)
        else:  # the others of its recording reach the cap alone
            self._write(heapq.heappushpop(drawn, entry)[2], selection.NEVER)

    def finish(self) -> None:
        """Writes the chunks that have waited, in the order of time."""
        ranked = [
            (index, chunk, rank)
            for drawn in self._drawn.values()
            for rank, (_, index, chunk) in enumerate(sorted(drawn, key=lambda entry: (-entry[0], entry[1])))
        ]
        for _, chunk, rank in sorted(ranked, key=lambda entry: entry[0]):
            self._write(chunk, selection.order(rank, chunk.recording_id))

    def _write(self, chunk: schema.Chunk, order: int) -> None:
        self._write_chunk(dataclasses.replace(chunk, training_order=order))


class _Mixing:
    """Writes mixtures of the chunks of a task that may train, all of them when its queue is finished."""

    def __init__(self, task: shard_tasks.ShardTask, writer: shard_files.ShardWriter | None) -> None:
        self._count, self._writer, self._partners = task.backbone_mixtures, writer, chunk_features.Partners()
        self.queue = compiled_frontend.Queue(task.front_end)

    def add(self, chunk: schema.Chunk, hearer: chunk_features.Hearer) -> None:
        """Mixes a chunk, which is the last one that was completed, as often as the task says."""
        if not self._writer:
            return
        for samples, mixture in hearer.mixtures(chunk, self._partners, self._count):
            self.queue.add(samples, functools.partial(self._receive, self._writer, mixture))

    @staticmethod
    def _receive(
        writer: shard_files.ShardWriter, mixture: schema.Chunk, spectrogram: np.ndarray, active_share: float
    ) -> None:
        features = {schema.SPECTROGRAM: spectrogram, **mixture.features}
        writer.write(dataclasses.replace(mixture, features=features, activity=active_share))


def _read(
    task: shard_tasks.ShardTask, recording: metadata.Recording, queue: compiled_frontend.Queue, chosen: _Selection,
    mixing: _Mixing, converted: list[shard_tasks.ConvertedRecording],
) -> None:  # fmt: skip
    """Reads a recording. Its chunks are chosen, and its result is added to `converted`, when the queue gives them."""
    reason = ""
    hearer = chunk_features.Hearer(
        recording.path, task.front_end, task.backbone, task.classes, spectrogram=task.spectrogram,
        in_noise=task.backbone_noise, channel=task.chunking.channel or channels.MIX,
    )  # fmt: skip
    stream = decode.ChunkStream(
        recording.path, task.front_end, task.chunking, compiled_frontend.BATCH_SIZE, with_digest=True
    )

    def receive(candidate: candidates.Candidate, spectrogram: np.ndarray, active_share: float) -> None:
        whole = candidate.with_spectrogram(spectrogram, active_share)
        chosen.add(whole, bool(recording.annotations), hearer, mixing)

    try:
        if recording.recording_id in task.unusable:
            raise decode.UnreadableError(f"{recording.path}: the worker process died twice while reading it")
        for samples, candidate in candidates.of_recording(task, recording, stream):
            queue.add(samples, functools.partial(receive, candidate))
    except decode.UnreadableError as error:
        reason = str(error)
    queue.then(lambda: converted.append(_finished(task, recording, stream, chosen, reason)))


def _finished(
    task: shard_tasks.ShardTask, recording: metadata.Recording, stream: decode.ChunkStream, chosen: _Selection,
    reason: str,
) -> shard_tasks.ConvertedRecording:  # fmt: skip
    """Writes the last chunks of a recording. Returns its result."""
    chosen.finish()
    used = (chosen.candidates if task.split == "train" else chosen.chunks).total()
    if reason and used:
        reason += f"; the {used} chunks before are kept"
    elif not reason and not used and recording.labels:
        least = f"--signal_threshold={task.activity.signal_threshold:g}"
        reason = f"{recording.path}: no chunk reaches {least}; a lower one, as 0, uses it"
        if chosen.is_active:
            reason = f"{recording.path}: no chunk has an activity in {task.activity.interval}"
        elif recording.annotations:
            reason = f"{recording.path}: no chunk is covered by an annotation"
    elif not reason and not chosen.noise and recording.negative and task.kept is None:
        reason = f"{recording.path}: holds nothing but silence, so it gives no noise"
    if loss := stream.report.loss:
        reason = f"{reason}; {loss}" if reason else f"{recording.path}: {loss}"
    return shard_tasks.ConvertedRecording(
        recording_id=recording.recording_id,
        seconds=stream.num_samples / task.front_end.sample_rate_hz,
        chunks=dict(chosen.chunks),
        candidates=dict(chosen.candidates),
        noise=dict(chosen.noise),
        digest=str(stream.digest) if stream.num_samples else "",
        reason=reason,
        warnings=tuple(stream.report.warnings),
    )


def write_shard(task: shard_tasks.ShardTask) -> shard_tasks.ShardResult:
    """Writes the shard of a task, and the shards beside it.

    Raises:
        InputError: the disk is full. No unfinished shard is left under its final name.
    """
    converted: list[shard_tasks.ConvertedRecording] = []
    queue = compiled_frontend.Queue(task.front_end)
    with _writing(task, *task.parts) as writers, notes.writing(shard_tasks.note_path(task, ".now")) as note:

        def write(chunk: schema.Chunk) -> None:
            trains = task.split == "val" or chunk.training_order != selection.NEVER
            writers[task.split if trains else "rest"].write(chunk)

        write_noise = writers[shard_tasks.NOISE_OF[task.split]].write
        mixing = _Mixing(task, writers.get(shard_tasks.MIXED_OF[task.split]))
        for recording in task.recordings:
            note(recording.recording_id)
            _read(task, recording, queue, _Selection(task, write, write_noise), mixing, converted)
            if task.backbone:  # it reads the recording as well, and may be what kills this process
                queue.finish()
        queue.finish()
        mixing.queue.finish()
    return _noted(task, {part: writer.count for part, writer in writers.items()}, tuple(converted))


@contextlib.contextmanager
def _writing(task: shard_tasks.ShardTask, *parts: str) -> Iterator[dict[str, shard_files.ShardWriter]]:
    with contextlib.ExitStack() as stack:
        yield {part: stack.enter_context(shard_files.writing(task.directory, task.shard_name(part))) for part in parts}


def _noted(
    task: shard_tasks.ShardTask, counts: Mapping[str, int], recordings: tuple[shard_tasks.ConvertedRecording, ...]
) -> shard_tasks.ShardResult:
    """The result of a task, which is noted on disk too."""
    shards = tuple(
        shard_files.describe_shard(task.directory, task.shard_name(part), count) for part, count in counts.items()
    )
    result = shard_tasks.ShardResult(shards=shards, recordings=recordings)
    files.write_json(shard_tasks.note_path(task, ".json"), dataclasses.asdict(result))
    return result


def cut(
    task: shard_tasks.ShardTask, result: shard_tasks.ShardResult, selected: selection.Selection
) -> shard_tasks.ShardResult:
    """Moves the chunks of a training shard that do not train to the shard of the rest."""
    count_of = {shard.name: shard.count for shard in result.shards}
    sorted_out = ("train", "rest")
    counts = {part: count_of[task.shard_name(part)] for part in task.parts if part not in sorted_out}
    with _writing(task, *sorted_out) as writers:
        for part in (part for part in writers if count_of[task.shard_name(part)]):
            for block in tf.data.TFRecordDataset(os.path.join(task.directory, task.shard_name(part))).batch(256):
                parsed = schema.parse_order(block)
                for example, order, label in zip(
                    block.numpy(), parsed["training_order"].numpy(), parsed["label"].numpy(), strict=True
                ):
                    writers["train" if selected.trains(order, label) else "rest"].write_serialised(example)
    return _noted(task, {**{part: writer.count for part, writer in writers.items()}, **counts}, result.recordings)

"""Recordings → records directory.

One task makes one shard (and the noise shard beside it), so any executor will do: a worker that dies loses one
shard, a second run goes on where the first stopped, and the bytes do not depend on how many workers there are.
"""

from __future__ import annotations

import atexit
import collections
import dataclasses
import functools
import hashlib
import heapq
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any

import numpy as np
from absl import logging

from bird_tf import activity, audio, config, executor, files, frontend, metadata, records, taxonomy, tf

# Spectrograms are made in blocks that stay in the processor's cache: 8 chunks were fastest of 1, 8 and 32.
_BATCH_SIZE = 8
_UNFINISHED = ".unfinished"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectionConfig:
    """Which chunks become examples."""

    max_chunks_per_class: int = config.option(
        0, "cap on a class's training chunks, spread over its recordings; 0: none"
    )
    noise_share: float = config.option(0.1, "share of the rejected training chunks that is kept as noise")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """Flags of the converter."""

    source: metadata.SourceConfig
    output: str = config.option("", "records directory to make, as tfrecords/NAME", required=True)
    front_end: frontend.FrontendConfig
    chunking: audio.ChunkingConfig
    activity: activity.ActivityConfig
    split: metadata.SplitConfig
    selection: SelectionConfig
    shard_minutes: float = config.option(20.0, "sound that goes into one shard, minutes")
    max_skipped_share: float = config.option(0.5, "fail if more than this share of the recordings is unusable")
    workers: int = config.option(0, "processes; 0: as many as cores, 1: none but this")
    scheduler: str = config.option("", "address of a Dask scheduler to run on instead, as tcp://host:8786")
    overwrite: bool = config.option(False, "replace records that are at --output already")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardTask:
    """Everything a worker needs for one shard.

    Attributes:
        directory: the records directory.
        name, noise_name: of the shard, and of the shard that gets its rejected chunks ("" for validation).
        recordings: what goes into it.
        quotas: the most chunks to take of each recording; 0 for no limit.
        classes: gives labels and background their indices.
        front_end, chunking, activity, noise_share: as in ConvertConfig.
    """

    directory: str
    name: str
    noise_name: str
    recordings: tuple[metadata.Recording, ...]
    quotas: tuple[int, ...]
    classes: taxonomy.Taxonomy
    front_end: frontend.FrontendConfig
    chunking: audio.ChunkingConfig
    activity: activity.ActivityConfig
    noise_share: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one recording: seconds of sound read, chunks written, and why it was skipped ("" if not)."""

    recording_id: str
    seconds: float = 0.0
    chunks: int = 0
    noise: int = 0
    reason: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardResult:
    """What a task reports: the shards it wrote and the outcome of each recording."""

    shards: tuple[records.Shard, ...]
    outcomes: tuple[Outcome, ...]


# --- in the worker ----------------------------------------------------------------------------------------------------


@functools.cache
def _spectrogram_function(front_end: frontend.FrontendConfig) -> Callable[[np.ndarray], tf.Tensor]:
    signature = [tf.TensorSpec([None, front_end.chunk_samples], tf.float32)]
    # a graph that is still alive when the interpreter ends prints a traceback
    atexit.register(_spectrogram_function.cache_clear)
    return tf.function(lambda samples: frontend.spectrograms(samples, front_end), input_signature=signature)


def _chunks(task: ShardTask, recording: metadata.Recording) -> Iterator[records.Chunk]:
    """Every chunk of a recording, spectrogram and signal-to-noise filled in."""
    make = _spectrogram_function(task.front_end)
    background = [i for i in task.classes.resolve(recording.background) if i != task.classes.index(recording.label)]
    hop_seconds = task.chunking.hop_samples(task.front_end) / task.front_end.sample_rate_hz
    index = 0
    for samples in audio.Stream(recording.path, task.front_end, task.chunking, _BATCH_SIZE):
        spectrograms = make(samples)
        noise_levels = activity.signal_to_noise(spectrograms.numpy())
        for spectrogram, level in zip(frontend.quantise(spectrograms).numpy(), noise_levels, strict=True):
            yield records.Chunk(
                spectrogram=spectrogram,
                label=task.classes.index(recording.label),
                background=background,
                background_known=recording.background_known,
                recording_id=recording.recording_id,
                chunk_index=index,
                start_seconds=index * hop_seconds,
                signal_to_noise=float(level),
                latitude=recording.latitude,
                longitude=recording.longitude,
                day_of_year=recording.day_of_year,
                hour=recording.hour,
            )
            index += 1


def _draw(salt: str, chunk: records.Chunk) -> float:
    """A number in [0, 1) that is the same for the same chunk on every machine."""
    text = f"{salt} {chunk.recording_id} {chunk.chunk_index}"
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[:6], "big") / 2**48


def _write_recording(
    task: ShardTask, recording: metadata.Recording, quota: int, keep: Callable[[records.Chunk], None],
    keep_noise: Callable[[records.Chunk], None] | None,
) -> Outcome:  # fmt: skip
    """Writes the chunks of one recording; `keep_noise` is None for validation, which keeps every chunk."""
    drawn: list[tuple[float, int, records.Chunk]] = []
    chunks, noise, seconds, reason = 0, 0, 0.0, ""
    try:
        for chunk in _chunks(task, recording):
            seconds = chunk.start_seconds + task.front_end.chunk_seconds
            if keep_noise is not None and chunk.signal_to_noise < task.activity.signal_threshold:
                if _draw("noise", chunk) < task.noise_share:
                    keep_noise(chunk)
                    noise += 1
            elif not quota:
                keep(chunk)
                chunks += 1
            else:
                push = heapq.heappush if len(drawn) < quota else heapq.heappushpop
                push(drawn, (-_draw("quota", chunk), chunk.chunk_index, chunk))
    except audio.UnreadableError as error:
        reason = str(error)
    for _, _, chunk in sorted(drawn, key=lambda entry: entry[1]):
        keep(chunk)
        chunks += 1
    if reason and chunks:
        reason += f"; its {chunks} chunks before that are kept"
    elif not reason and not chunks:
        reason = f"{recording.path}: no chunk reaches --signal_threshold={task.activity.signal_threshold:g}"
    return Outcome(recording_id=recording.recording_id, seconds=seconds, chunks=chunks, noise=noise, reason=reason)


def _result_path(task: ShardTask) -> str:
    """Where a worker notes that a shard is finished; it outlives worker and main process."""
    return os.path.join(task.directory, _UNFINISHED, task.name + ".json")


def write_shard(task: ShardTask) -> ShardResult:
    """Makes the shard of a task, and its noise shard; runs in a worker."""
    with records.writing(task.directory, task.name) as writer:
        if not task.noise_name:
            outcomes = tuple(_write_recording(task, r, 0, writer.write, None) for r in task.recordings)
            written = [(task.name, writer)]
        else:
            with records.writing(task.directory, task.noise_name) as noise_writer:
                outcomes = tuple(
                    _write_recording(task, recording, quota, writer.write, noise_writer.write)
                    for recording, quota in zip(task.recordings, task.quotas, strict=True)
                )
                written = [(task.name, writer), (task.noise_name, noise_writer)]
    result = ShardResult(
        shards=tuple(records.describe_shard(task.directory, name, writer.count) for name, writer in written),
        outcomes=outcomes,
    )
    files.write_json(_result_path(task), dataclasses.asdict(result))
    return result


# --- in the main process ----------------------------------------------------------------------------------------------


def _quotas(recordings: Sequence[metadata.Recording], seconds: Mapping[str, float], cap: int) -> dict[str, int]:
    """Shares a class's cap among its recordings: as much as each has, up to a common level.

    Args:
        recordings: the training recordings.
        seconds: {recording_id: length}, about one chunk a second.
        cap: the most chunks of a class; 0 for no limit.

    Returns:
        {recording_id: most chunks}; empty without a cap.
    """
    if not cap:
        return {}
    by_class: dict[str, list[str]] = collections.defaultdict(list)
    for recording in recordings:
        by_class[recording.label].append(recording.recording_id)
    quotas = {}
    for ids in by_class.values():
        left = cap
        for position, recording_id in enumerate(sorted(ids, key=lambda i: (seconds[i], i))):
            level = left // (len(ids) - position)
            quotas[recording_id] = min(max(1, int(seconds[recording_id])), level)
            left -= quotas[recording_id]
    return quotas


def plan(
    settings: ConvertConfig, recordings: Sequence[metadata.Recording], classes: taxonomy.Taxonomy
) -> list[ShardTask]:
    """Divides the recordings into tasks of about equal length, each with recordings of many classes.

    The longest recording goes first, always to the task with the least sound so far; in its shard the order is that
    of hashes, so that long recordings do not come before short ones in every epoch of a training. Nothing here
    depends on the number of workers.
    """
    seconds = {r.recording_id: audio.duration_seconds(r.path) for r in recordings}
    hop_seconds = settings.chunking.hop_samples(settings.front_end) / settings.front_end.sample_rate_hz
    training = [r for r in recordings if r.split == "train"]
    in_chunks = {recording_id: length / hop_seconds for recording_id, length in seconds.items()}
    quotas = _quotas(training, in_chunks, settings.selection.max_chunks_per_class)
    tasks = []
    for split in ("train", "val"):
        part = sorted(
            (r for r in recordings if r.split == split), key=lambda r: (-seconds[r.recording_id], r.recording_id)
        )
        sound = sum(seconds[r.recording_id] for r in part)
        total = min(len(part), max(1, round(sound / (60 * settings.shard_minutes)))) if part else 0
        assigned: list[list[metadata.Recording]] = [[] for _ in range(total)]
        loads = [(0.0, i) for i in range(total)]
        for recording in part:
            load, i = heapq.heappop(loads)
            assigned[i].append(recording)
            heapq.heappush(loads, (load + seconds[recording.recording_id], i))
        for i, members in enumerate(assigned):
            group = sorted(members, key=lambda r: files.digest([r.recording_id]))
            tasks.append(
                ShardTask(
                    directory=settings.output,
                    name=records.shard_name(split, i, total),
                    noise_name=records.shard_name("noise", i, total) if split == "train" else "",
                    recordings=tuple(group),
                    quotas=tuple(quotas.get(r.recording_id, 0) for r in group),
                    classes=classes,
                    front_end=settings.front_end,
                    chunking=settings.chunking,
                    activity=settings.activity,
                    noise_share=settings.selection.noise_share,
                )
            )
    return tasks


def _prepare_output(settings: ConvertConfig, tasks: Sequence[ShardTask]) -> None:
    """Makes the output directory, or checks that what is in it is an unfinished run of just these tasks."""
    if files.exists(os.path.join(settings.output, records.MANIFEST)):
        if not settings.overwrite:
            raise config.InputError(
                f"{settings.output} holds finished records; choose another --output, or replace them with --overwrite"
            )
        _delete(settings.output)
    plan_path = os.path.join(settings.output, _UNFINISHED, "plan.json")
    digest = {"plan": files.digest([_task_digest(task) for task in tasks])}
    if files.exists(plan_path):
        if files.read_json(plan_path) == digest:
            return
        if not settings.overwrite:
            raise config.InputError(
                f"{settings.output} holds an unfinished conversion of other recordings or with other flags; "
                "repeat it as it was, choose another --output, or start afresh with --overwrite"
            )
        _delete(settings.output)
    elif files.exists(settings.output) and tf.io.gfile.listdir(settings.output):
        raise config.InputError(f"{settings.output} holds something else; --output names a new or empty folder")
    files.write_json(plan_path, digest)


def _delete(directory: str) -> None:
    """Removes a records directory, its manifest first: what is left is never taken for finished records."""
    manifest = os.path.join(directory, records.MANIFEST)
    if files.exists(manifest):
        tf.io.gfile.remove(manifest)
    tf.io.gfile.rmtree(directory)


def _task_digest(task: ShardTask) -> str:
    """Changes with whatever would change the shard, the size of its recordings included."""
    return files.digest(
        {
            "recordings": [[repr(r), os.path.getsize(r.path)] for r in task.recordings],
            "settings": repr(dataclasses.replace(task, recordings=(), directory="")),
            "version": frontend.VERSION,
        }
    )


def _finished_result(task: ShardTask) -> ShardResult | None:
    """The result of an earlier run, if its shards are still what it wrote."""
    if not files.exists(_result_path(task)):
        return None
    stored = files.read_json(_result_path(task))
    shards = tuple(records.Shard(**shard) for shard in stored["shards"])
    for shard in shards:
        path = os.path.join(task.directory, shard.name)
        if not files.exists(path) or files.checksum(path) != shard.checksum:
            return None
    return ShardResult(shards=shards, outcomes=tuple(Outcome(**outcome) for outcome in stored["outcomes"]))


def _run(settings: ConvertConfig, tasks: Sequence[ShardTask]) -> dict[str, ShardResult]:
    """Runs what is left of the tasks. Returns {shard name: result} of all."""
    finished = ((task, _finished_result(task)) for task in tasks)
    results = {task.name: result for task, result in finished if result is not None}
    if results:
        logging.info("going on with an unfinished conversion: %d of %d shards are there", len(results), len(tasks))
    left = [task for task in tasks if task.name not in results]
    workers = min(settings.workers or os.cpu_count() or 1, max(1, len(left)))
    with (
        executor.start(workers, settings.scheduler) as pool,
        config.progress(sum(len(t.recordings) for t in left), "recording", "converting") as progress,
    ):
        pending = {pool.submit(write_shard, task): task for task in left}
        for future in futures.as_completed(pending):
            task, result = pending[future], future.result()
            results[task.name] = result
            outcomes = [o for r in results.values() for o in r.outcomes]
            hours = sum(o.seconds for o in outcomes) / 3600
            progress.set_postfix_str(f"{hours:.2f} h of sound, {sum(bool(o.reason) for o in outcomes)} skipped")
            progress.update(len(task.recordings))
    return results


def convert(settings: ConvertConfig) -> records.Manifest:
    """Makes a records directory.

    Returns:
        The manifest, as it was written.

    Raises:
        InputError: what `metadata.read` raises; an output that holds something else; too many unusable recordings.
    """
    started = time.monotonic()
    found, unmatched = metadata.read(settings.source)
    recordings = metadata.split(found, settings.split)
    classes = taxonomy.from_labels([(r.label, r.name) for r in recordings])
    logging.info("%d recordings of %d species below %s", len(recordings), len(classes), settings.source.audio)
    frontend.filter_bank(settings.front_end)  # an impossible one is refused before hours of work
    tasks = plan(settings, recordings, classes)
    _prepare_output(settings, tasks)
    results = _run(settings, tasks)

    outcomes = {o.recording_id: o for result in results.values() for o in result.outcomes}
    reasons = {r.path: outcomes[r.recording_id].reason for r in recordings if outcomes[r.recording_id].reason}
    skipped = [{"file": path, "reason": reason} for path, reason in [*unmatched, *sorted(reasons.items())]]
    without = [r.label for r in recordings if not outcomes[r.recording_id].chunks]
    if len(without) > settings.max_skipped_share * len(recordings):
        raise config.InputError(
            f"{len(without)} of {len(recordings)} recordings gave no chunk (--max_skipped_share="
            f"{settings.max_skipped_share:g}), for example: {next(iter(reasons.values()))}"
        )
    for entry in skipped:
        logging.warning("skipped: %s", entry["reason"])
    manifest = _manifest(settings, recordings, classes, tasks, results, skipped)
    for class_id, count in zip(classes.class_ids, manifest.chunks_per_class["train"], strict=True):
        if not count:
            logging.warning("class %s has no training chunk: a model cannot learn it", class_id)
    _write_recordings_table(settings, recordings, outcomes)
    files.write_json(os.path.join(settings.output, "summary.json"), _summary(manifest, outcomes, started))
    records.save(manifest)
    tf.io.gfile.rmtree(os.path.join(settings.output, _UNFINISHED))
    return manifest


def _manifest(
    settings: ConvertConfig,
    recordings: Sequence[metadata.Recording],
    classes: taxonomy.Taxonomy,
    tasks: Sequence[ShardTask],
    results: Mapping[str, ShardResult],
    skipped: Sequence[Mapping[str, str]],
) -> records.Manifest:
    shards: dict[str, list[records.Shard]] = {split: [] for split in records.SPLITS}
    for task in tasks:
        for shard in results[task.name].shards:
            shards[shard.name.split("-")[0]].append(shard)
    counts = {split: [0] * len(classes) for split in records.SPLITS}
    num_recordings = dict.fromkeys(records.SPLITS, 0)
    outcomes = {o.recording_id: o for result in results.values() for o in result.outcomes}
    for recording in recordings:
        outcome, label = outcomes[recording.recording_id], classes.index(recording.label)
        counts[recording.split][label] += outcome.chunks
        counts["noise"][label] += outcome.noise
        num_recordings[recording.split] += outcome.chunks > 0
        num_recordings["noise"] += outcome.noise > 0
    return records.Manifest(
        directory=settings.output,
        front_end=settings.front_end,
        classes=classes,
        shards={split: tuple(part) for split, part in shards.items()},
        chunks_per_class={split: tuple(part) for split, part in counts.items()},
        num_recordings=num_recordings,
        converter=config.to_mapping(settings),
        skipped=tuple(skipped),
        versions=records.versions(),
    )


def _write_recordings_table(
    settings: ConvertConfig, recordings: Sequence[metadata.Recording], outcomes: Mapping[str, Outcome]
) -> None:
    columns = ("recording_id", "file", "split", "label", "name", "background", "background_known", "author",
               "seconds", "chunks", "noise_chunks", "skipped")  # fmt: skip
    rows = []
    for r in recordings:
        o = outcomes[r.recording_id]
        file = os.path.relpath(r.path, settings.source.audio)
        rows.append((r.recording_id, file, r.split, r.label, r.name, ", ".join(r.background), r.background_known,
                     r.author, f"{o.seconds:.2f}", o.chunks, o.noise, o.reason))  # fmt: skip
    files.write_table(os.path.join(settings.output, records.RECORDINGS), columns, rows)


def _summary(manifest: records.Manifest, outcomes: Mapping[str, Outcome], started: float) -> dict[str, Any]:
    return {
        "records": manifest.directory,
        "num_classes": len(manifest.classes),
        "num_recordings": dict(manifest.num_recordings),
        "num_chunks": {split: manifest.num_chunks(split) for split in records.SPLITS},
        "audio_hours": round(sum(o.seconds for o in outcomes.values()) / 3600, 4),
        "num_skipped": len(manifest.skipped),
        "wall_seconds": round(time.monotonic() - started, 1),
    }


def main(settings: ConvertConfig) -> None:
    """Converts, and says in one line what came of it."""
    manifest = convert(settings)
    chunks = ", ".join(f"{manifest.num_chunks(split)} {split}" for split in records.SPLITS)
    logging.info(
        "%s: %d classes, chunks: %s; %d recordings skipped",
        manifest.directory, len(manifest.classes), chunks, len(manifest.skipped),
    )  # fmt: skip


def run() -> None:
    """Entry point of `bird-tf-convert` and of tools/make_tfrecords.py."""
    config.run(main, ConvertConfig)

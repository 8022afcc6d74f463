"""Recordings → records directory.

One task makes one shard (and the noise shard beside it), so any executor will do: a worker that dies loses one
shard, a second run goes on where the first stopped, and the bytes do not depend on how many workers there are.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any

from absl import logging

from bird_tf import config, executor, files
from bird_tf.audio import activity, decode, frontend
from bird_tf.backbones import backbone
from bird_tf.conversion import plan, state, worker
from bird_tf.labels import metadata, spans, split, taxonomy
from bird_tf.labels.layouts import reader
from bird_tf.records import manifests, recordings_table, shard_files


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectionConfig:
    """Which classes and chunks become examples."""

    max_chunks_per_class: int = config.option(
        0, "cap on a class's training chunks, spread over its recordings; 0: none"
    )
    noise_share: float = config.option(0.1, "share of the rejected training chunks that is kept as noise")
    whitelist: tuple[str, ...] = config.option(
        (), "only this class (its id or name); may be repeated, or be a text file with one a line"
    )
    max_classes: int = config.option(0, "only so many classes, those with the most recordings; 0: all")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """Flags of the converter."""

    source: reader.SourceConfig
    output: str = config.option("", "records directory to make, as tfrecords/NAME or s3://BUCKET/NAME", required=True)
    front_end: frontend.FrontendConfig
    chunking: decode.ChunkingConfig
    activity: activity.ActivityConfig
    annotated: spans.AnnotationConfig
    split: split.SplitConfig
    selection: SelectionConfig
    teacher: backbone.BackboneConfig
    shard_minutes: float = config.option(20.0, "sound that goes into one shard, minutes")
    max_skipped_share: float = config.option(0.5, "fail if more than this share of the recordings is unusable")
    workers: int = config.option(
        0, "processes; 0: as many as cores, 1: none but this, which a decoder's crash then ends"
    )
    scheduler: str = config.option("", "address of a Dask scheduler to run on instead, as tcp://host:8786")
    overwrite: bool = config.option(False, "replace records that are at --output already")


def _tasks(
    settings: ConvertConfig, recordings: Sequence[metadata.Recording], classes: taxonomy.Taxonomy
) -> list[worker.ShardTask]:
    """The tasks, training shards first."""
    seconds = {r.recording_id: decode.duration_seconds(r.path) for r in recordings}
    hop_seconds = settings.chunking.hop_samples(settings.front_end) / settings.front_end.sample_rate_hz
    training = [r for r in recordings if r.split == "train"]
    quotas = plan.quotas(training, seconds, hop_seconds, settings.selection.max_chunks_per_class)
    tasks = []
    for part in ("train", "val"):
        members = [r for r in recordings if r.split == part]
        groups = plan.balance_shards(members, seconds, 60 * settings.shard_minutes)
        for i, group in enumerate(groups):
            tasks.append(
                worker.ShardTask(
                    directory=settings.output,
                    name=shard_files.shard_name(part, i, len(groups)),
                    noise_name=shard_files.shard_name("noise", i, len(groups)) if part == "train" else "",
                    recordings=tuple(group),
                    quotas=tuple(quotas.get(r.recording_id, {}) for r in group),
                    classes=classes,
                    front_end=settings.front_end,
                    chunking=settings.chunking,
                    activity=settings.activity,
                    annotated=settings.annotated,
                    teacher=settings.teacher,
                    noise_share=settings.selection.noise_share,
                )
            )
    return tasks


class _Progress:
    """Collects results, and shows them on a progress bar."""

    def __init__(self, tasks: Sequence[worker.ShardTask]) -> None:
        finished = {task.name: state.finished(task) for task in tasks}
        self.results = {name: result for name, result in finished.items() if result is not None}
        self.left = [task for task in tasks if task.name not in self.results]
        if self.results:
            logging.info(
                "going on with an unfinished conversion: %d of %d shards are there", len(self.results), len(tasks)
            )
        self._bar = config.progress(sum(len(t.recordings) for t in self.left), "recording", "converting")
        outcomes = [o for result in self.results.values() for o in result.outcomes]
        self._seconds, self._skipped = sum(o.seconds for o in outcomes), sum(bool(o.reason) for o in outcomes)

    def add(self, task: worker.ShardTask, result: worker.ShardResult) -> None:
        """Notes that a task is finished."""
        self.results[task.name] = result
        self.left.remove(task)
        self._seconds += sum(o.seconds for o in result.outcomes)
        self._skipped += sum(bool(o.reason) for o in result.outcomes)
        self._bar.set_postfix_str(f"{self._seconds / 3600:.2f} h of sound, {self._skipped} skipped")
        self._bar.update(len(task.recordings))

    def close(self) -> None:
        """Ends the bar."""
        self._bar.close()


def _run(settings: ConvertConfig, tasks: Sequence[worker.ShardTask]) -> dict[str, worker.ShardResult]:
    """Runs what is left of the tasks. Returns {shard name: result} of all."""
    progress = _Progress(tasks)
    try:
        while progress.left:
            for task in progress.left:
                state.forget(task)
            alone = not settings.teacher.teacher_model  # with more threads a teacher may sum in another order
            with executor.start(settings.workers, settings.scheduler, len(progress.left), in_process=alone) as pool:
                pending = {pool.submit(worker.write_shard, task): task for task in progress.left}
                for future in futures.as_completed(pending):
                    if not executor.worker_died(future.exception()):
                        progress.add(pending[future], future.result())
            # a process has died, and the others of its pool with it: what they were at is done again with care
            for task in [task for task in progress.left if state.in_work(task)]:
                progress.add(task, _run_alone(task))
    finally:
        progress.close()
    return progress.results


def _run_alone(task: worker.ShardTask) -> worker.ShardResult:
    """Runs a task in a process of its own; each time that dies, the recording it was reading is left out."""
    unusable: list[str] = []
    while True:
        with executor.alone() as pool:
            future = pool.submit(worker.write_shard, dataclasses.replace(task, unusable=tuple(unusable)))
            if not executor.worker_died(future.exception()):
                return future.result()
        guilty = state.in_work(task)
        if not guilty or guilty in unusable:
            raise config.InputError(f"{task.name}: its worker process dies, and not while reading a recording")
        logging.warning("a worker process died while reading recording %s: it is skipped", guilty)
        unusable.append(guilty)


def _find(settings: ConvertConfig) -> tuple[list[metadata.Recording], taxonomy.Taxonomy, list[tuple[str, str]]]:
    """The recordings of wanted classes, divided into training and validation; the classes; and what does not match."""
    found, unmatched = reader.read(settings.source)
    whitelist: list[str] = []
    for entry in settings.selection.whitelist:
        whitelist += files.read_text(entry).splitlines() if os.path.isfile(entry) else [entry]
    names = [name.strip() for name in whitelist if name.strip()]
    wanted = plan.choose_classes(found, names, settings.selection.max_classes)
    recordings = split.split(plan.filter_classes(found, wanted), settings.split)
    classes = taxonomy.from_labels(
        [(c, r.name if c == r.label else c) for r in recordings for c in r.labels if c in wanted]
    )
    logging.info("%d recordings of %d species below %s", len(recordings), len(classes), settings.source.audio)
    if len(recordings) < len(found):
        logging.info("%d recordings of other species are left out", len(found) - len(recordings))
    return recordings, classes, unmatched


def convert(settings: ConvertConfig) -> manifests.Manifest:
    """Makes a records directory.

    Returns:
        The manifest, as it was written.

    Raises:
        InputError: what `reader.read`, `backbone.describe` and `state.opened` raise; a full disk; too many
            unusable recordings.
    """
    started = time.monotonic()
    recordings, classes, unmatched = _find(settings)
    # what is impossible is refused before hours of work
    frontend.filter_bank(settings.front_end)
    teacher = backbone.describe(settings.teacher, classes)
    with state.opened(settings.output, settings.overwrite, state.describe(settings, recordings)):
        tasks = _tasks(settings, recordings, classes)
        results = _run(settings, tasks)
        outcomes = {o.recording_id: o for result in results.values() for o in result.outcomes}
        skipped = _skipped(settings, recordings, outcomes, unmatched)
        manifest = dataclasses.replace(
            _manifest(settings, recordings, classes, tasks, results, skipped), teacher=teacher
        )
        recordings_table.write(settings.output, settings.source.audio, _table_entries(recordings, outcomes))
        files.write_json(os.path.join(settings.output, manifests.SUMMARY), _summary(manifest, outcomes, started))
        manifests.save(manifest)
        state.close(settings.output)
    return manifest


def _skipped(
    settings: ConvertConfig,
    recordings: Sequence[metadata.Recording],
    outcomes: Mapping[str, worker.ConvertedRecording],
    unmatched: Sequence[tuple[str, str]],
) -> list[dict[str, str]]:
    """{"file", "reason"} of all that was left out; refuses if it is too much."""
    reasons = {r.path: outcomes[r.recording_id].reason for r in recordings if outcomes[r.recording_id].reason}
    skipped = [{"file": path, "reason": reason} for path, reason in [*unmatched, *sorted(reasons.items())]]
    without = [r for r in recordings if not outcomes[r.recording_id].chunks]
    if len(without) > settings.max_skipped_share * len(recordings):
        raise config.InputError(
            f"{len(without)} of {len(recordings)} recordings gave no chunk (--max_skipped_share="
            f"{settings.max_skipped_share:g}), for example: {next(iter(reasons.values()))}"
        )
    for entry in skipped:
        logging.warning("skipped: %s", entry["reason"])
    return skipped


def _manifest(
    settings: ConvertConfig,
    recordings: Sequence[metadata.Recording],
    classes: taxonomy.Taxonomy,
    tasks: Sequence[worker.ShardTask],
    results: Mapping[str, worker.ShardResult],
    skipped: Sequence[Mapping[str, str]],
) -> manifests.Manifest:
    shards: dict[str, list[manifests.Shard]] = {part: [] for part in manifests.SPLITS}
    for task in tasks:
        for shard in results[task.name].shards:
            shards[shard.name.split("-")[0]].append(shard)
    counts = {part: [0] * len(classes) for part in manifests.SPLITS}
    num_recordings = dict.fromkeys(manifests.SPLITS, 0)
    outcomes = {o.recording_id: o for result in results.values() for o in result.outcomes}
    for recording in recordings:
        outcome = outcomes[recording.recording_id]
        for part, chunks in ((recording.split, outcome.chunks), ("noise", outcome.noise)):
            num_recordings[part] += bool(chunks)
            for class_id, count in chunks.items():
                counts[part][classes.index(class_id)] += count
    for class_id, count in zip(classes.class_ids, counts["train"], strict=True):
        if not count:
            logging.warning("class %s has no training chunk: a model cannot learn it", class_id)
    return manifests.Manifest(
        directory=settings.output,
        front_end=settings.front_end,
        classes=classes,
        shards={part: tuple(found) for part, found in shards.items()},
        chunks_per_class={part: tuple(found) for part, found in counts.items()},
        num_recordings=num_recordings,
        converter=config.to_mapping(settings),
        skipped=tuple(skipped),
        versions=manifests.versions(),
    )


def _table_entries(
    recordings: Sequence[metadata.Recording], outcomes: Mapping[str, worker.ConvertedRecording]
) -> Iterator[tuple[metadata.Recording, tuple[float, int, int, str]]]:
    """Each recording with its seconds, chunks, noise chunks, and why it was skipped."""
    for recording in recordings:
        o = outcomes[recording.recording_id]
        yield recording, (o.seconds, sum(o.chunks.values()), sum(o.noise.values()), o.reason)


def _summary(
    manifest: manifests.Manifest, outcomes: Mapping[str, worker.ConvertedRecording], started: float
) -> dict[str, Any]:
    return {
        "records": manifest.directory,
        "num_classes": len(manifest.classes),
        "num_recordings": dict(manifest.num_recordings),
        "num_chunks": {part: manifest.num_chunks(part) for part in manifests.SPLITS},
        "audio_hours": round(sum(o.seconds for o in outcomes.values()) / 3600, 4),
        "num_skipped": len(manifest.skipped),
        "wall_seconds": round(time.monotonic() - started, 1),
    }


def main(settings: ConvertConfig) -> None:
    """Converts, and says in one line what came of it."""
    manifest = convert(settings)
    chunks = ", ".join(f"{manifest.num_chunks(part)} {part}" for part in manifests.SPLITS)
    logging.info(
        "%s: %d classes, chunks: %s; %d recordings skipped",
        manifest.directory, len(manifest.classes), chunks, len(manifest.skipped),
    )  # fmt: skip


def run() -> None:
    """Entry point of `bird-tf-convert` and of tools/make_tfrecords.py."""
    config.run(main, ConvertConfig)

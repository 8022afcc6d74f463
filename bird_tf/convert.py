"""Converts labelled recordings to records, from which models learn.

One task writes one shard, and the noise shard beside it. A worker that dies loses one shard only, a second run goes
on where the first stopped, and the bytes do not depend on the number of workers.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any, ClassVar

from absl import logging

from bird_tf import config, executor, files, next_steps, python_calls, skips, stored
from bird_tf.audio import activity, decode, frontend
from bird_tf.backbones import backbone, sources
from bird_tf.conversion import chunk_features, forecast, plan, state, worker
from bird_tf.labels import duplicates, metadata, spans, split, taxonomy
from bird_tf.labels.layouts import reader
from bird_tf.records import manifests, recordings_table, selection
from bird_tf.training import recipes

# worker processes may die so often, one time after the other, without having begun a recording
_MOST_TRIES = 3
# time after which the progress bar looks again at what the workers do
_REPORT_SECONDS = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectionConfig:
    """Which classes and chunks go into the records."""

    max_chunks_per_class: int = config.option(
        0, "the most training chunks of a class, divided among its recordings; 0: no limit"
    )
    noise_share: float = config.option(0.1, "share of the training chunks without activity that is kept as noise")
    whitelist: tuple[str, ...] = config.option(
        (), "use only this class (its id or name), or the classes in this text file, one a line; may be repeated"
    )
    max_classes: int = config.option(0, "use only so many classes, those with the most recordings; 0: all")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """Flags of the converter."""

    DEFAULT_FLAGFILE: ClassVar[str] = "records-recommended.flags"

    source: reader.SourceConfig
    noise_audio: str = config.option("", "folder with recordings that hold none of the species; they become noise")
    output: str = config.option("", "records directory to write, as tfrecords/NAME or s3://BUCKET/NAME", required=True)
    check: bool = config.option(
        False, "read everything but the sound, and only say what would be converted; the details go to OUTPUT.check/"
    )
    front_end: frontend.FrontendConfig
    chunking: decode.ChunkingConfig
    activity: activity.ActivityConfig
    annotated: spans.AnnotationConfig
    split: split.SplitConfig
    selection: SelectionConfig
    backbone: sources.BackboneConfig
    spectrogram: bool = config.option(
        True, "write the spectrograms of the chunks; a head of a backbone does not need them"
    )
    backbone_noise: bool = config.option(
        True,
        "let the backbone hear each chunk a second time, with synthesised noise: a head learns from both; without it "
        "the conversion takes half as long, and the head is less sure in noise",
    )
    shard_minutes: float = config.option(20.0, "audio in one shard, minutes")
    max_skipped_share: float = config.option(0.5, "fail if more than this share of the recordings gives no chunk")
    workers: int = config.option(
        0, "worker processes; 0: one for each core; 1: no extra process, so a crash of a decoder ends the converter"
    )
    scheduler: str = config.option("", "address of a Dask scheduler that runs the work instead, as tcp://host:8786")
    overwrite: bool = config.option(False, "replace existing records at --output")


def _tasks(
    settings: ConvertConfig, recordings: Sequence[metadata.Recording], seconds: Mapping[str, float],
    classes: taxonomy.Taxonomy, source: sources.Source | None, kept: Mapping[str, frozenset[int]] | None,
) -> list[worker.ShardTask]:  # fmt: skip
    """The tasks: first those of the training shards, then those of the validation shards."""
    tasks = []
    for part in ("train", "val"):
        members = [r for r in recordings if r.split == part]
        groups = plan.balance_shards(members, seconds, 60 * settings.shard_minutes)
        for i, group in enumerate(groups):
            tasks.append(
                worker.ShardTask(
                    directory=settings.output,
                    split=part,
                    number=i,
                    total=len(groups),
                    recordings=tuple(group),
                    classes=classes,
                    front_end=settings.front_end,
                    chunking=settings.chunking,
                    activity=settings.activity,
                    annotated=settings.annotated,
                    max_chunks_per_class=settings.selection.max_chunks_per_class,
                    noise_share=settings.selection.noise_share,
                    spectrogram=settings.spectrogram,
                    backbone_noise=settings.backbone_noise,
                    backbone=source,
                    kept=None if kept is None else {r.recording_id: kept[r.recording_id] for r in group},
                )
            )
    return tasks


class _Progress:
    """The results so far, the tasks that are left, and a progress bar."""

    def __init__(self, tasks: Sequence[worker.ShardTask]) -> None:
        finished = {task.name: state.finished(task) for task in tasks}
        self.results = {name: result for name, result in finished.items() if result is not None}
        self.left = [task for task in tasks if task.name not in self.results]
        if self.results:
            logging.info(
                "going on with an unfinished conversion: %d of %d shards are finished", len(self.results), len(tasks)
            )
        self._bar = config.progress(sum(len(t.recordings) for t in self.left), "recording", "converting")
        self._bar.set_postfix_str("starting workers")
        self._seconds, self._skipped, self._num_converted = 0.0, 0, 0
        for result in self.results.values():
            self._count(result)

    def add(self, task: worker.ShardTask, result: worker.ShardResult) -> None:
        """Adds the result of a task."""
        self.results[task.name] = result
        self.left.remove(task)
        self._count(result)
        self._bar.set_postfix_str(f"{self._seconds / 3600:.2f} h of audio, {self._skipped} skipped")
        self._num_converted += len(task.recordings)
        self._show(self._num_converted)

    def show_recordings_in_work(self, tasks: Iterable[worker.ShardTask]) -> None:
        """Counts the recordings too that are converted but whose shard is not finished yet."""
        in_work = [(task, state.recording_in_work(task)) for task in tasks]
        places = [[r.recording_id for r in task.recordings].index(now) for task, now in in_work if now]
        self._show(self._num_converted + sum(places))

    def _show(self, count: int) -> None:
        if not self._bar.n and count:
            self._bar.set_postfix_str("")
        # a worker that died begins its shard again
        self._bar.update(max(0, count - self._bar.n))

    def _count(self, result: worker.ShardResult) -> None:
        self._seconds += sum(converted.seconds for converted in result.recordings)
        self._skipped += sum(bool(converted.reason) for converted in result.recordings)

    def close(self) -> None:
        """Closes the bar."""
        self._bar.close()


def _run(settings: ConvertConfig, tasks: Sequence[worker.ShardTask]) -> dict[str, worker.ShardResult]:
    """Runs the tasks that are not finished. Returns {shard name: result} of all tasks."""
    progress, tries = _Progress(tasks), 0
    # what was being read when a command was killed may have killed it: then worker processes die of it in its place
    was_killed = any(map(state.has_recording_in_work, progress.left))
    try:
        while progress.left:
            before = len(progress.left)
            for task in progress.left:
                state.clear_recording_in_work(task)
            # a worker process has one thread; with several a SavedModel may sum in another order
            one_thread = any(task.backbone and task.backbone.is_saved_model for task in tasks)
            with executor.start(
                settings.workers, settings.scheduler, len(progress.left), in_process=not (one_thread or was_killed)
            ) as pool:
                pending = {pool.submit(worker.write_shard, task): task for task in progress.left}
                while pending:
                    progress.show_recordings_in_work(pending.values())
                    for future in futures.wait(pending, _REPORT_SECONDS, futures.FIRST_COMPLETED).done:
                        task = pending.pop(future)
                        if not executor.worker_died(future.exception()):
                            progress.add(task, future.result())
            # a process has died, which ends its whole pool: each task that was in work is repeated alone
            for task in [task for task in progress.left if state.recording_in_work(task)]:
                progress.add(task, _run_alone(task))
            tries = tries + 1 if len(progress.left) == before else 0
            if tries == _MOST_TRIES:
                raise config.InputError(
                    f"{progress.left[0].name}: {tries} times all worker processes died before they read a recording; "
                    "is there enough memory? fewer --workers need less"
                )
    finally:
        progress.close()
    return progress.results


def _run_alone(task: worker.ShardTask) -> worker.ShardResult:
    """Runs a task in a process of its own. If that dies, the task is repeated without the recording in work."""
    unusable: list[str] = []
    while True:
        state.clear_recording_in_work(task)  # the process may die before it reads another
        with executor.alone() as pool:
            future = pool.submit(worker.write_shard, dataclasses.replace(task, unusable=tuple(unusable)))
            if not executor.worker_died(future.exception()):
                return future.result()
        recording_id = state.recording_in_work(task)
        if not recording_id or recording_id in unusable:
            raise config.InputError(
                f"{task.name}: its worker process died, but not while reading a recording; is there enough memory?"
            )
        logging.warning("a worker process died while reading recording %s: it is skipped", recording_id)
        unusable.append(recording_id)


def _find(
    settings: ConvertConfig,
) -> tuple[list[metadata.Recording], dict[str, float], taxonomy.Taxonomy, list[tuple[str, str]]]:
    """Returns the recordings, with their split; their lengths; the classes; and files without a match, with reasons."""
    found, unmatched = reader.read(settings.source, settings.noise_audio)
    recordings, classes = plan.of_classes(found, settings.selection.whitelist, settings.selection.max_classes)
    logging.info("%d recordings found; reading their lengths, and looking for equal audio", len(recordings))
    lengths = decode.durations([r.path for r in recordings])
    seconds = {r.recording_id: length for r, length in zip(recordings, lengths, strict=True)}
    spans.warn_of_late(recordings, seconds)
    recordings = duplicates.with_digests(
        recordings, seconds, settings.front_end.sample_rate_hz, settings.workers, settings.chunking.channel
    )
    recordings = split.split(recordings, settings.split)
    num_negative = sum(not r.labels for r in recordings)
    logging.info(
        "%d recordings of %d species below %s%s", len(recordings) - num_negative, len(classes), settings.source.audio,
        f", and {num_negative} negative ones" * bool(num_negative),
    )  # fmt: skip
    if len(recordings) < len(found):
        logging.info("%d recordings of other species are left out", len(found) - len(recordings))
    return recordings, seconds, classes, unmatched


def _refuse_unworkable(settings: ConvertConfig) -> sources.Source | None:
    """Refuses settings that cannot work, before hours of work. Returns the backbone."""
    frontend.filter_bank(settings.front_end)
    settings.chunking.hop_samples(settings.front_end)
    source = sources.from_flags(settings.backbone) if settings.backbone.backbone else None
    config.refuse_without_effect({"--spectrogram=false without --backbone": not (settings.spectrogram or source)})
    return source


def check(settings: ConvertConfig) -> forecast.Forecast:
    """Says what `convert` would do, and writes that beside the place of the records. No sound is read.

    Raises:
        InputError: what `convert` would raise before it reads sound. What was read is told before.
    """
    _refuse_unworkable(settings)
    reading = reader.survey(settings.source, settings.noise_audio)
    chosen, classes = plan.of_classes(reading.recordings, settings.selection.whitelist, settings.selection.max_classes)
    found = forecast.Forecast(
        reading=reading,
        recordings=split.split(chosen, settings.split),
        classes=classes,
        folder=settings.output.rstrip("/") + forecast.FOLDER_SUFFIX,
    )
    found.write()
    for line in found.lines():
        print(line)  # noqa: T201
    reading.refuse_unusable(settings.source)
    state.refuse_occupied(settings.output, settings.overwrite)
    return found


def convert(settings: ConvertConfig) -> manifests.Manifest:
    """Converts recordings to a records directory.

    Returns:
        The manifest, as it was written.

    Raises:
        InputError: as `sources.from_flags`, `reader.read`, `backbone.describe` and `state.opened`; the disk is full;
            or too many recordings give no chunk.
    """
    source = _refuse_unworkable(settings)
    return _write_records(settings, source, *_find(settings))


def convert_unlabelled(
    settings: ConvertConfig, recordings: Sequence[metadata.Recording], seconds: Mapping[str, float],
    classes: taxonomy.Taxonomy, kept: Mapping[str, frozenset[int]],
) -> manifests.Manifest:  # fmt: skip
    """Converts chunks of recordings of which no label is known. They are the noise chunks of the records.

    Args:
        settings: those of the labelled records, with another output, and all noise chunks written.
        recordings: without labels, all for training.
        seconds: the length of each.
        classes: of the labelled records.
        kept: {recording id: numbers of the chunks that are written}.

    Returns:
        The manifest, as it was written.

    Raises:
        InputError: as `convert`.
    """
    return _write_records(settings, _refuse_unworkable(settings), recordings, seconds, classes, [], kept)


def _write_records(
    settings: ConvertConfig, source: sources.Source | None, recordings: Sequence[metadata.Recording],
    seconds: Mapping[str, float], classes: taxonomy.Taxonomy, unmatched: Sequence[tuple[str, str]],
    kept: Mapping[str, frozenset[int]] | None = None,
) -> manifests.Manifest:  # fmt: skip
    started = time.monotonic()
    described = backbone.describe(source, classes) if source else None
    fingerprint = described["fingerprint"] if described else ""
    with state.opened(settings.output, settings.overwrite, state.describe(settings, recordings, fingerprint)):
        duplicates.tell(recordings, os.path.join(settings.output, manifests.DUPLICATES))
        tasks = _tasks(settings, recordings, seconds, classes, source, kept)
        results = _run(settings, tasks)
        converted = {c.recording_id: c for result in results.values() for c in result.recordings}
        _warn({r.path: converted[r.recording_id].warnings for r in recordings})
        selected = _select(settings, [r for r in recordings if r.split == "train"], converted, classes)
        _cut(tasks, results, selected)
        skipped = _skipped(settings, recordings, converted, unmatched)
        manifest = dataclasses.replace(
            _manifest(settings, recordings, classes, tasks, results, skipped, selected),
            features=chunk_features.describe(
                settings.front_end, described, len(classes), settings.spectrogram, settings.backbone_noise
            ),
            backbone=described,
        )
        recordings_table.write(settings.output, settings.source.audio, _table_entries(recordings, converted))
        files.write_json(os.path.join(settings.output, manifests.SUMMARY), _summary(manifest, converted, started))
        manifests.save(manifest)
        state.close(settings.output)
    return manifest


def _select(
    settings: ConvertConfig,
    recordings: Sequence[metadata.Recording],
    converted: Mapping[str, worker.ConvertedRecording],
    classes: taxonomy.Taxonomy,
) -> selection.Selection:
    """The chunks that train if these recordings are for training."""
    candidates = {
        r.recording_id: {classes.index(c): count for c, count in converted[r.recording_id].candidates.items()}
        for r in recordings
    }
    return selection.select(candidates, len(classes), settings.selection.max_chunks_per_class)


def _cut(
    tasks: Sequence[worker.ShardTask], results: dict[str, worker.ShardResult], selected: selection.Selection
) -> None:
    """Takes the chunks above the cap, which is known when all recordings are read, out of the training shards."""
    for task in tasks:
        if task.split == "train":
            expected = sum(
                selection.num_below(selected.limits[task.classes.index(c)], converted.recording_id, count)
                for converted in results[task.name].recordings
                for c, count in converted.candidates.items()
            )
            if expected != next(shard.count for shard in results[task.name].shards if shard.name == task.name):
                results[task.name] = worker.cut(task, results[task.name], selected)


def _warn(warnings: Mapping[str, Sequence[str]]) -> None:
    """Logs what was noticed of recordings that are used all the same."""
    for path, told in warnings.items():
        for warning in told:
            logging.warning("%s: %s", path, warning)


def _used(recording: metadata.Recording, converted: worker.ConvertedRecording) -> bool:
    """Whether a recording can be used on its side of the split."""
    return bool(converted.candidates if recording.split == "train" else converted.chunks)


def _skipped(
    settings: ConvertConfig,
    recordings: Sequence[metadata.Recording],
    converted: Mapping[str, worker.ConvertedRecording],
    unmatched: Sequence[tuple[str, str]],
) -> list[dict[str, str]]:
    """{"file", "reason"} of all files that were left out. Raises InputError if too many recordings gave no chunk."""
    reasons = {r.path: converted[r.recording_id].reason for r in recordings if converted[r.recording_id].reason}
    skipped = [{"file": path, "reason": reason} for path, reason in [*unmatched, *sorted(reasons.items())]]
    without = [r for r in recordings if r.labels and not _used(r, converted[r.recording_id])]
    if len(without) > settings.max_skipped_share * len(recordings):
        raise config.InputError(
            f"{len(without)} of {len(recordings)} recordings gave no chunk (--max_skipped_share="
            f"{settings.max_skipped_share:g}), for example: {next(iter(reasons.values()))}"
        )
    for entry in skipped:
        skips.log((entry["file"], entry["reason"]))
    return skipped


def _manifest(
    settings: ConvertConfig,
    recordings: Sequence[metadata.Recording],
    classes: taxonomy.Taxonomy,
    tasks: Sequence[worker.ShardTask],
    results: Mapping[str, worker.ShardResult],
    skipped: Sequence[Mapping[str, str]],
    selected: selection.Selection,
) -> manifests.Manifest:
    shards: dict[str, list[manifests.Shard]] = {part: [] for part in (*manifests.SPLITS, *manifests.SPARE)}
    for task in tasks:
        for shard in results[task.name].shards:
            shards[shard.name.split("-")[0]].append(shard)
    counts = {part: [0] * len(classes) for part in shards}
    num_recordings = dict.fromkeys(shards, 0)
    converted = {c.recording_id: c for result in results.values() for c in result.recordings}
    for recording in recordings:
        written = converted[recording.recording_id]
        labelled, noise = ("rest", "noise") if recording.split == "train" else ("val", "val_noise")
        for part, chunks in ((labelled, written.chunks), (noise, written.noise)):
            num_recordings[part] += bool(chunks)
            for class_id, count in chunks.items():
                counts[part][classes.index(class_id)] += count
    counts["train"], num_recordings["train"] = list(selected.chunks_per_class), selected.num_recordings
    counts["rest"] = [every - training for every, training in zip(counts["rest"], counts["train"], strict=True)]
    del num_recordings["rest"]  # they are recordings of the training split
    any_label = any(recording.labels for recording in recordings)
    for class_id, count in zip(classes.class_ids, counts["train"], strict=True):
        if any_label and not count:
            logging.warning("class %s has no training chunk: a model cannot learn it", class_id)
    return manifests.Manifest(
        directory=settings.output,
        front_end=settings.front_end,
        classes=classes,
        shards={part: tuple(found) for part, found in shards.items()},
        chunks_per_class={part: tuple(found) for part, found in counts.items()},
        num_recordings=num_recordings,
        selected_for_refit=_select(settings, recordings, converted, classes),
        converter=config.to_mapping(settings),
        skipped=tuple(skipped),
        versions=manifests.versions(),
        features={},
    )


def _table_entries(
    recordings: Sequence[metadata.Recording], converted: Mapping[str, worker.ConvertedRecording]
) -> Iterator[tuple[metadata.Recording, recordings_table.Result]]:
    """Yields the rows of recordings.csv, as `recordings_table.write` needs them."""
    for recording in recordings:
        c = converted[recording.recording_id]
        num_chunks, num_candidates, num_noise = (sum(found.values()) for found in (c.chunks, c.candidates, c.noise))
        yield recording, (c.seconds, num_chunks, num_candidates, num_noise, c.digest, c.reason)


def _summary(
    manifest: manifests.Manifest, converted: Mapping[str, worker.ConvertedRecording], started: float
) -> dict[str, Any]:
    return {
        "records": manifest.directory,
        "num_classes": len(manifest.classes),
        "num_recordings": dict(manifest.num_recordings),
        "num_chunks": {part: manifest.num_chunks(part) for part in manifests.SPLITS},
        "audio_hours": round(sum(c.seconds for c in converted.values()) / 3600, 4),
        "num_skipped": len(manifest.skipped),
        "wall_seconds": round(time.monotonic() - started, 1),
    }


def main(settings: ConvertConfig) -> None:
    """Converts, and logs a summary in one line and what to do next; with --check, says what it would do."""
    if settings.check:
        check(settings)
        next_steps.log("if this is right, repeat the command without --check")
        return
    manifest = convert(settings)
    skips.log_summary(
        [(entry["file"], entry["reason"]) for entry in manifest.skipped],
        os.path.join(manifest.directory, manifests.MANIFEST),
    )
    chunks = ", ".join(f"{manifest.num_chunks(part)} {part}" for part in manifests.SPLITS)
    logging.info(
        "%s: %d classes, chunks: %s; %d files and rows skipped",
        manifest.directory, len(manifest.classes), chunks, len(manifest.skipped),
    )  # fmt: skip
    name = os.path.basename(os.path.normpath(settings.output))
    recipe = recipes.for_records(manifest)
    next_steps.log(
        next_steps.command("inspect", records=settings.output),
        next_steps.command("train", records=settings.output, run_dir=os.path.join("runs", name), flagfile=recipe),
    )


def run() -> None:
    """Entry point of `bird-tf-convert` and of tools/make_tfrecords.py."""
    config.run(main, ConvertConfig)


def _convert_and_summarise(settings: ConvertConfig) -> dict[str, Any]:
    """Converts. Returns the content of summary.json."""
    return stored.read_json(os.path.join(convert(settings).directory, manifests.SUMMARY), dict[str, Any])


python_calls.make_callable(__name__, _convert_and_summarise, ConvertConfig)


if __name__ == "__main__":
    run()

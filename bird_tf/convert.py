"""Converts labelled recordings to records, from which models learn.

One task writes one shard, and the noise shard beside it. A worker that dies loses one shard only, a second run goes
on where the first stopped, and the bytes do not depend on the number of workers.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from absl import logging

from bird_tf import command_line, config, executor, files, locks, next_steps, python_calls, skips, stored
from bird_tf.audio import activity, decode, frontend
from bird_tf.backbones import backbone, sources
from bird_tf.conversion import (
    chunk_features,
    class_selection,
    dry_run,
    execution,
    outcome,
    shard_tasks,
    sharding,
    state,
)
from bird_tf.labels import duplicates, groups, metadata, spans, split, taxonomy
from bird_tf.labels.layouts import reader
from bird_tf.records import manifests, recordings_table
from bird_tf.training import recipes


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

    def __post_init__(self) -> None:
        for name in ("max_chunks_per_class", "max_classes"):
            if getattr(self, name) < 0:
                raise config.InputError(f"--{name}={getattr(self, name)}: need a number above 0, or 0 for no limit")
        if not 0 <= self.noise_share <= 1:
            raise config.InputError(f"--noise_share={self.noise_share}: need 0 <= share <= 1")


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
    backbone_mixtures: int = config.option(
        0,
        "let the backbone hear this many mixtures of each training chunk with a chunk of another recording and with "
        "synthesised noise: a student learns from them (--mixtures); each costs as much time as the chunk",
    )
    shard_minutes: float = config.option(20.0, "audio in one shard, minutes")
    max_skipped_share: float = config.option(0.5, "fail if more than this share of the recordings gives no chunk")
    workers: int = config.option(
        0, "worker processes; 0: one for each core; 1: no extra process, so a crash of a decoder ends the converter"
    )
    scheduler: str = config.option("", "address of a Dask scheduler that runs the work instead, as tcp://host:8786")
    overwrite: bool = config.option(False, "replace existing records at --output")

    def __post_init__(self) -> None:
        if self.shard_minutes <= 0:
            raise config.InputError(f"--shard_minutes={self.shard_minutes}: need a number above 0")
        if self.workers < 0:
            raise config.InputError(f"--workers={self.workers}: must be 0 (all cores) or more")


def _tasks(
    settings: ConvertConfig, recordings: Sequence[metadata.Recording], seconds: Mapping[str, float],
    classes: taxonomy.Taxonomy, source: sources.Source | None, kept: Mapping[str, frozenset[int]] | None,
) -> list[shard_tasks.ShardTask]:  # fmt: skip
    """The tasks: first those of the training shards, then those of the validation shards."""
    tasks = []
    for part in ("train", "val"):
        members = [r for r in recordings if r.split == part]
        groups = sharding.balance_shards(members, seconds, 60 * settings.shard_minutes)
        for i, group in enumerate(groups):
            tasks.append(
                shard_tasks.ShardTask(
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
                    backbone_mixtures=settings.backbone_mixtures,
                    backbone=source,
                    kept=None if kept is None else {r.recording_id: kept[r.recording_id] for r in group},
                )
            )
    return tasks


def _tell_of_idle_workers(
    settings: ConvertConfig, tasks: Sequence[shard_tasks.ShardTask], seconds: Mapping[str, float]
) -> None:
    """Tells what keeps all workers busy, if there are fewer shards: a backbone takes most of the time.

    Not with mixtures, for which chunks of one shard are mixed.
    """
    workers = min(settings.workers or executor.num_cores(), sum(len(task.recordings) for task in tasks))
    if len(tasks) < workers and not settings.backbone_mixtures:
        minutes = sum(seconds[r.recording_id] for task in tasks for r in task.recordings) / 60 / workers
        logging.info(
            "a worker writes a shard, and %d shards keep %d of %d workers busy; --shard_minutes=%.2g makes more",
            len(tasks), len(tasks), workers, minutes,
        )  # fmt: skip


def _find(
    settings: ConvertConfig,
) -> tuple[list[metadata.Recording], dict[str, float], taxonomy.Taxonomy, list[tuple[str, str]]]:
    """Returns the recordings, with their split; their lengths; the classes; and files without a match, with reasons."""
    found, unmatched = reader.read(settings.source, settings.noise_audio, settings.chunking.channel)
    recordings, classes = class_selection.of_classes(
        found, settings.selection.whitelist, settings.selection.max_classes
    )
    logging.info("%d recordings found; reading their lengths, and looking for equal audio", len(recordings))
    lengths = decode.durations([r.path for r in recordings])
    seconds = {r.recording_id: length for r, length in zip(recordings, lengths, strict=True)}
    if len(recordings) < len(found):
        logging.info("%d recordings of other species are left out", len(found) - len(recordings))
    recordings, late = class_selection.without_late(recordings, seconds, classes, settings.max_skipped_share)
    recordings = duplicates.with_digests(
        recordings, seconds, settings.front_end.sample_rate_hz, settings.workers, settings.chunking.channel
    )
    recordings = split.split(recordings, settings.split)
    groups.tell(recordings)
    num_negative = sum(not r.labels for r in recordings)
    logging.info(
        "%d recordings of %d species below %s%s", len(recordings) - num_negative, len(classes), settings.source.audio,
        f", and {num_negative} negative ones" * bool(num_negative),
    )  # fmt: skip
    return recordings, seconds, classes, unmatched + late


def _refuse_unworkable(settings: ConvertConfig) -> sources.Source | None:
    """Refuses settings that cannot work, before hours of work. Returns the backbone."""
    frontend.filter_bank(settings.front_end)
    settings.chunking.hop_samples(settings.front_end)
    source = sources.from_flags(settings.backbone) if settings.backbone.backbone else None
    config.refuse_without_effect({"--spectrogram=false without --backbone": not (settings.spectrogram or source)})
    if settings.backbone_mixtures:
        _refuse_mixtures(settings, source)
    return source


def _refuse_mixtures(settings: ConvertConfig, source: sources.Source | None) -> None:
    if settings.backbone_mixtures < 0:
        raise config.InputError(f"--backbone_mixtures={settings.backbone_mixtures}: need a number of mixtures, or 0")
    if not settings.spectrogram or settings.selection.max_chunks_per_class:
        raise config.InputError(
            "--backbone_mixtures: mixtures are spectrograms of all chunks that may train; leave out "
            + ("--max_chunks_per_class" if settings.spectrogram else "--spectrogram=false")
        )
    if not source:
        raise config.InputError("--backbone_mixtures without --backbone: the backbone hears the mixtures; name one")
    if source.sample_rate_hz < settings.front_end.sample_rate_hz:
        raise config.InputError(
            f"--backbone_mixtures: the backbone hears {source.sample_rate_hz} Hz, and the spectrograms of mixtures "
            f"need --sample_rate_hz={settings.front_end.sample_rate_hz}; leave the flag out"
        )


def check(settings: ConvertConfig) -> dry_run.DryRun:
    """Says what `convert` would do, and writes that beside the place of the records. No sound is read.

    Raises:
        InputError: what `convert` would raise before it reads sound. What was read is told before.
    """
    _refuse_unworkable(settings)
    reading = reader.survey(settings.source, settings.noise_audio, settings.chunking.channel)
    chosen, classes = class_selection.of_classes(
        reading.recordings, settings.selection.whitelist, settings.selection.max_classes
    )
    chosen = split.split(chosen, settings.split)
    groups.tell(chosen)
    found = dry_run.DryRun(
        reading=reading,
        recordings=chosen,
        classes=classes,
        folder=settings.output.rstrip("/") + dry_run.FOLDER_SUFFIX,
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
    if not files.exists(os.path.join(settings.output, locks.NAME)):  # else it is cleaned up of what was killed first
        state.refuse_occupied(settings.output, settings.overwrite)  # the lengths of many recordings take minutes
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
    plan = state.describe(settings, recordings, classes, fingerprint)
    with state.opened(settings.output, settings.overwrite, plan, type(settings)):
        duplicates.tell(recordings, os.path.join(settings.output, manifests.DUPLICATES))
        tasks = _tasks(settings, recordings, seconds, classes, source, kept)
        if source and not settings.scheduler:
            _tell_of_idle_workers(settings, tasks, seconds)
        results = execution.run(tasks, settings.workers, settings.scheduler)
        found = outcome.Outcome(recordings, classes, tasks, results, settings.selection.max_chunks_per_class)
        found.warn()
        found.cut()
        skipped = found.skipped(unmatched, settings.max_skipped_share)
        manifest = dataclasses.replace(
            found.manifest(settings.output, settings.front_end, config.to_mapping(settings), skipped),
            features=chunk_features.describe(
                settings.front_end, described, len(classes), settings.spectrogram, settings.backbone_noise
            ),
            backbone=described,
        )
        recordings_table.write(settings.output, settings.source.audio, found.table_entries())
        files.write_json(os.path.join(settings.output, files.SUMMARY), _summary(manifest, found.converted, started))
        manifests.save(manifest)
        state.close(settings.output)
    return manifest


def _summary(
    manifest: manifests.Manifest, converted: Mapping[str, shard_tasks.ConvertedRecording], started: float
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
    told = [*manifests.SPLITS, *(part for part in manifests.MIXED if manifest.num_chunks(part))]
    chunks = ", ".join(f"{manifest.num_chunks(part)} {part}" for part in told)
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
    command_line.run(main, ConvertConfig)


def _convert_or_check(settings: ConvertConfig) -> dict[str, Any]:
    """As the command. Returns the content of summary.json; with --check, of that in OUTPUT.check."""
    if settings.check:
        return check(settings).summary()
    return stored.read_json(os.path.join(convert(settings).directory, files.SUMMARY), dict[str, Any])


python_calls.make_callable(__name__, _convert_or_check, ConvertConfig)


if __name__ == "__main__":
    run()

"""Records for tools/simulate_loop.py: with judged chunks beside known recordings, and with what was heard in noise."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence

import numpy as np

from bird_tf import csv_files, files, tf
from bird_tf.labels import metadata, spans, verdicts
from bird_tf.records import manifests, schema, shard_files, verify


def write_judged(
    manifest: manifests.Manifest, start: manifests.Manifest, given: Sequence[verdicts.Verdict], output: str
) -> None:
    """Writes the records that a conversion of the start recordings and of the verdicts would give.

    Args:
        manifest: all records.
        start: those of the start model.
        given: verdicts on other recordings; their files are ids of recordings.
        output: directory of the new records.
    """
    annotations: dict[str, list[metadata.Annotation]] = collections.defaultdict(list)
    for v in given:
        if v.label or v.answer == verdicts.NO:
            annotations[v.file].append(metadata.Annotation(
                start_seconds=v.start_seconds, end_seconds=v.end_seconds, label=v.label, negative=not v.label
            ))  # fmt: skip
    counts = {part: np.array(numbers) for part, numbers in start.chunks_per_class.items()}
    names = {part: shard_files.shard_name(part, 0, 1) for part in counts}
    with contextlib.ExitStack() as stack:
        writers = {part: stack.enter_context(shard_files.writing(output, names[part])) for part in counts}
        for part, writer in writers.items():
            for example, _ in _examples(start, part):
                writer.write_serialised(example)
        for part in manifest.chunks_per_class:
            for example, recording_id in _examples(manifest, part):
                if recording_id in annotations and (chunk := _judged(example, annotations[recording_id], manifest)):
                    judged, label, to = chunk
                    writers[to].write_serialised(judged)
                    counts[to][label] += 1
    shards = {p: (shard_files.describe_shard(output, names[p], int(counts[p].sum())),) for p in counts}
    rows = [row.cells for row in _table(start)]
    for row in _table(manifest):
        if of_row := annotations.get(row.cells["recording_id"]):
            told = spans.with_annotations(metadata.Recording(recording_id="", path=""), of_row)
            new = {"split": "train", "label": told.label, "name": told.name, "background": ", ".join(told.background),
                   "annotated": metadata.IN_PART}  # fmt: skip
            rows.append({name: new.get(name, cell) for name, cell in row.cells.items()})
    table = os.path.join(output, manifests.RECORDINGS)
    csv_files.write(table, tuple(rows[0]), [tuple(row.values()) for row in rows])
    numbers = {**start.num_recordings, "train": start.num_recordings["train"] + len(annotations)}
    manifests.save(
        dataclasses.replace(
            start, directory=output, shards=shards, num_recordings=numbers, selected_for_refit=None,
            chunks_per_class={part: tuple(map(int, found)) for part, found in counts.items()},
        )
    )  # fmt: skip


def _table(manifest: manifests.Manifest) -> Iterator[csv_files.Row]:
    return csv_files.read(os.path.join(manifest.directory, manifests.RECORDINGS), ("recording_id",))


def _examples(manifest: manifests.Manifest, part: str) -> Iterator[tuple[bytes, str]]:
    """Yields serialised example and recording id of every chunk of a split."""
    blocks = tf.data.TFRecordDataset(manifest.paths(part)).batch(256) if manifest.num_chunks(part) else ()
    for block in verify.naming_damage(blocks, manifest):
        ids = schema.parse_order(block)["recording_id"].numpy()
        yield from zip(block.numpy(), (recording_id.decode() for recording_id in ids), strict=True)


def _judged(
    serialised: bytes, annotations: Sequence[metadata.Annotation], manifest: manifests.Manifest
) -> tuple[bytes, int, str] | None:
    """A chunk with the labels of verdicts, its label and the split that it is for; None if no verdict is about it."""
    example = tf.train.Example.FromString(serialised)
    features = example.features.feature
    begin = features["start_seconds"].float_list.value[0]
    found = spans.labels_in_span(annotations, begin, begin + manifest.front_end.chunk_seconds, spans.AnnotationConfig())
    if not found.label and not found.is_negative:
        return None
    label = manifest.classes.index(found.label) if found.label else 0
    background = [index for index in manifest.classes.resolve(found.background) if index != label]
    for name, numbers in (("label", [label]), ("background", background), ("background_known", [0])):
        features[name].int64_list.value[:] = numbers
    features.pop("training_order", None)
    return bytes(example.SerializeToString(deterministic=True)), label, "train" if found.label else "noise"


def write_in_noise(test: manifests.Manifest, output: str) -> None:
    """Copies the validation chunks. What the backbone says of them in noise takes the place of what it says else."""
    name = shard_files.shard_name("val", 0, 1)
    with shard_files.writing(output, name) as writer:
        for serialised, _ in _examples(test, "val"):
            example = tf.train.Example.FromString(serialised)
            features = example.features.feature
            for clean, noisy in schema.IN_NOISE.items():
                features[clean].CopyFrom(features[noisy])
            writer.write_serialised(bytes(example.SerializeToString(deterministic=True)))
    recordings = files.read_bytes(os.path.join(test.directory, manifests.RECORDINGS))
    files.write_bytes(os.path.join(output, manifests.RECORDINGS), recordings)
    shard = shard_files.describe_shard(output, name, test.num_chunks("val"))
    manifests.save(
        dataclasses.replace(test, directory=output, shards=dict.fromkeys(test.shards, ()) | {"val": (shard,)})
    )

"""Records regrouped by recording, for cross-validation. The chunks are copied, and nothing is decoded again.

`split` decides which recordings are in a fold. tools/cross_validate.py trains on the folds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Mapping

import numpy as np

from bird_tf import config, files, tf
from bird_tf.labels import metadata, split
from bird_tf.records import manifests, recordings_table, schema, shard_files

_BATCH = 256


def recordings(directory: str) -> list[metadata.Recording]:
    """The recordings in the table of a records directory, without their split.

    Recordings without a chunk are included, so that the folds do not depend on the front-end.

    Raises:
        InputError: the table is missing.
    """
    path = os.path.join(directory, manifests.RECORDINGS)
    if not files.exists(path):
        raise config.InputError(f"{path} is missing; folds need it: convert again")
    return [dataclasses.replace(r, split="") for r in recordings_table.read(directory, with_unused=True)]


def prepare(manifest: manifests.Manifest, output: str, num_folds: int, fold: int, settings: split.SplitConfig) -> None:
    """Writes the records of one fold: `output`/records for training and validation, `output`/test for the test.

    The recordings of the fold, with their noise, are only in `test`, as its validation split. Of the other
    recordings, `settings.val_share` are for validation.

    Raises:
        InputError: as `split.folds` and `split.split`.
    """
    found = recordings(manifest.directory)
    fold_of = split.folds(found, num_folds, settings)
    rest = split.split([r for r in found if fold_of[r.recording_id] != fold], settings)
    regroup(manifest, os.path.join(output, "records"), {r.recording_id: r.split for r in rest})
    regroup(manifest, os.path.join(output, "test"), {r: "val" for r, number in fold_of.items() if number == fold})


def regroup(manifest: manifests.Manifest, output: str, split_of: Mapping[str, str]) -> manifests.Manifest:
    """Copies the chunks of some recordings, noise included, to new records with one shard a split.

    Args:
        manifest: the records to copy from.
        output: directory of the new records; an existing directory is replaced.
        split_of: {recording_id: "train" or "val"} of the recordings to copy.

    Returns:
        The manifest of the new records.
    """
    if files.exists(output):
        tf.io.gfile.rmtree(output)
    copied: dict[str, set[str]] = {part: set() for part in manifests.SPLITS}
    counts = {part: np.zeros(len(manifest.classes), int) for part in manifests.SPLITS}
    names = {part: shard_files.shard_name(part, 0, 1) for part in manifests.SPLITS}
    with contextlib.ExitStack() as stack:
        writers = {part: stack.enter_context(shard_files.writing(output, names[part])) for part in manifests.SPLITS}
        for source in manifests.SPLITS:
            for block in tf.data.TFRecordDataset(manifest.paths(source)).batch(_BATCH):
                parsed = schema.parse(block, manifest.front_end)
                for example, recording, label in zip(
                    block.numpy(), parsed["recording_id"].numpy(), parsed["label"].numpy(), strict=True
                ):
                    if part := split_of.get(recording.decode()):
                        part = "noise" if source == "noise" else part
                        writers[part].write_serialised(example)
                        counts[part][label] += 1
                        copied[part].add(recording.decode())
    written = {
        part: shard_files.describe_shard(output, names[part], int(counts[part].sum())) for part in manifests.SPLITS
    }
    table = os.path.join(manifest.directory, manifests.RECORDINGS)
    rows = [row | {"split": split_of[row["recording_id"]]} for row in files.read_table(table)
            if row["recording_id"] in split_of]  # fmt: skip
    files.write_table(os.path.join(output, manifests.RECORDINGS), tuple(rows[0]), [tuple(row.values()) for row in rows])
    regrouped = dataclasses.replace(
        manifest,
        directory=output,
        shards={part: (shard,) for part, shard in written.items()},
        chunks_per_class={part: tuple(map(int, found)) for part, found in counts.items()},
        num_recordings={part: len(ids) for part, ids in copied.items()},
    )
    manifests.save(regrouped)
    return regrouped

"""Records regrouped by recording, for cross-validation. The chunks are copied, and nothing is decoded again.

`split` decides which recordings are in a fold. tools/cross_validate.py trains on the folds.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bird_tf import config, csv_files, files, tf
from bird_tf.labels import groups, metadata, split
from bird_tf.records import manifests, recordings_table, schema, selection, shard_files, verify

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


def prepare(
    manifest: manifests.Manifest,
    output: str,
    num_folds: int,
    fold: int,
    settings: split.SplitConfig,
    most: int = 0,
    group_of: Mapping[str, str] | None = None,
) -> None:
    """Writes the records of one fold: `output`/records for training and validation, `output`/test for the test.

    The recordings of the fold, with their noise, are only in `test`, as its validation split. Of the other
    recordings, `settings.val_share` are for validation.

    Args:
        manifest: the records.
        output: directory for both.
        num_folds: number of folds.
        fold: the one that is tested, from 0.
        settings: how recordings are grouped and split.
        most: recordings of a class, in `output`/records; 0: all.
        group_of: {recording_id: its group}, if it is known already.

    Raises:
        InputError: as `split.folds`.
    """
    found = recordings(manifest.directory)
    group_of = group_of or groups.assign(found, settings.grouping)
    fold_of = split.folds(found, num_folds, settings, group_of)
    others = [r for r in found if fold_of[r.recording_id] != fold]
    if most:
        can_train = recordings_table.that_can_train(manifest.directory)
        others = at_most(others, most, f"draw {settings.split_seed}", can_train)
    rest = split.split(others, settings, group_of)
    regroup(manifest, os.path.join(output, "records"), {r.recording_id: r.split for r in rest})
    regroup(manifest, os.path.join(output, "test"), {r: "val" for r, number in fold_of.items() if number == fold})


def at_most(
    found: Sequence[metadata.Recording], most: int, salt: str, can_train: Collection[str] = ()
) -> list[metadata.Recording]:
    """At most `most` recordings of each label, drawn at random by `salt`; all without a label.

    A greater number keeps those of a smaller one. The order of the recordings does not matter. Those in `can_train`,
    which has their ids, are drawn before the others.
    """

    def order(recording: metadata.Recording) -> tuple[bool, str]:
        return recording.recording_id not in can_train, files.text_digest(f"{salt} {recording.recording_id}")

    kept, number = set(), collections.Counter[str]()
    for recording in sorted(found, key=order):
        number[recording.label] += 1
        if not recording.label or number[recording.label] <= most:
            kept.add(recording.recording_id)
    return [r for r in found if r.recording_id in kept]


def regroup(manifest: manifests.Manifest, output: str, split_of: Mapping[str, str]) -> manifests.Manifest:
    """Copies the chunks of some recordings, noise included, to new records with one shard a split.

    The new records have the chunks that a conversion with this split would give, in another order. Records before
    format 4 do not say which chunks train; of them, each recording keeps the chunks that it has.

    Args:
        manifest: the records to copy from.
        output: directory of the new records; an existing directory is replaced.
        split_of: {recording_id: "train" or "val"} of the recordings to copy.

    Returns:
        The manifest of the new records.
    """
    files.remove(output)
    cap, candidates = manifest.converter.get("max_chunks_per_class", 0), _candidates(manifest)
    selected, for_refit = (
        selection.select({i: candidates[i] for i in split_of if split_of[i] in sides}, len(manifest.classes), cap)
        for sides in (("train",), ("train", "val"))
    )
    counted = (*manifests.SPLITS, *manifests.SPARE)
    parts = tuple(dict.fromkeys((*counted, *manifest.shards)))
    counts = {part: np.zeros(len(manifest.classes), int) for part in parts}
    copied: dict[str, set[str]] = {part: set() for part in parts}
    names = {part: shard_files.shard_name(part, 0, 1) for part in parts}
    with contextlib.ExitStack() as stack:
        writers = {part: stack.enter_context(shard_files.writing(output, names[part])) for part in parts}
        for source in manifest.shards:
            for one in _examples(manifest, source):
                side = split_of.get(one.recording_id)
                if not side or split_of.get(one.partner_id or one.recording_id) != side:  # a mixture has two recordings
                    continue
                part = _part(source, side, selected.trains(one.order, one.label))
                writers[part].write_serialised(one.serialised)
                counts[part][one.label] += 1
                copied[part].add(one.recording_id)
    table = os.path.join(manifest.directory, manifests.RECORDINGS)
    rows = [{**row.cells, "split": split_of[row.cells["recording_id"]]}
            for row in csv_files.read(table, ("recording_id", "split"))
            if row.cells["recording_id"] in split_of]  # fmt: skip
    csv_files.write(os.path.join(output, manifests.RECORDINGS), tuple(rows[0]), [tuple(row.values()) for row in rows])
    regrouped = dataclasses.replace(
        manifest,
        directory=output,
        shards={part: (shard_files.describe_shard(output, names[part], int(counts[part].sum())),) for part in parts},
        chunks_per_class={part: tuple(map(int, counts[part])) for part in counted},
        num_recordings={part: len(copied[part]) for part in counted if part != "rest"},
        selected_for_refit=for_refit if manifest.selected_for_refit else None,
        read_digest="",
    )
    manifests.save(regrouped)
    return regrouped


def _part(source: str, side: str, trains: bool) -> str:
    """The split of a chunk, from the one that it was in and the side of its recording."""
    for pair in (manifests.NOISE, manifests.MIXED):
        if source in pair:
            return pair[side == "val"]
    return "val" if side == "val" else "train" if trains else "rest"


class _Example(NamedTuple):
    """A serialised chunk, and what decides where it goes; as in `schema.Chunk`."""

    serialised: bytes
    recording_id: str
    partner_id: str
    order: int
    label: int


def _examples(manifest: manifests.Manifest, part: str) -> Iterator[_Example]:
    """Yields every chunk of a split."""
    blocks = tf.data.TFRecordDataset(manifest.paths(part)).batch(_BATCH)
    for block in verify.naming_damage(blocks, manifest):
        parsed = {name: value.numpy() for name, value in schema.parse_order(block).items()}
        names = ("recording_id", "partner_id", "training_order", "label")
        for example, recording_id, partner_id, order, label in zip(
            block.numpy(), *(parsed[name] for name in names), strict=True
        ):
            yield _Example(example, recording_id.decode(), partner_id.decode(), int(order), int(label))


def _candidates(manifest: manifests.Manifest) -> dict[str, collections.Counter[int]]:
    """{recording_id: {label: number of chunks that may train}}."""
    found: dict[str, collections.Counter[int]] = collections.defaultdict(collections.Counter)
    for part in ("train", "val", "rest"):
        for one in _examples(manifest, part):
            found[one.recording_id][one.label] += one.order != selection.NEVER
    return found

"""The notes in the directory of an unfinished conversion: its plan, the finished shards, the recordings being read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

from bird_tf import config, files, locks, resume, stored, temporaries
from bird_tf.audio import frontend
from bird_tf.conversion import notes, shard_tasks
from bird_tf.labels import metadata, taxonomy
from bird_tf.records import manifests

# what converters make, and the inspection of it
_OWN_SUFFIXES = (".tfrecord", temporaries.SUFFIX)
_OWN_NAMES = (
    manifests.MANIFEST,
    manifests.CLASSES,
    manifests.RECORDINGS,
    manifests.DUPLICATES,
    files.SUMMARY,
    manifests.CONTACT_SHEET,
)

# flags that change no byte of a shard
_WITHOUT_EFFECT = (
    "output",
    "workers",
    "scheduler",
    "overwrite",
    "max_skipped_share",
    "skip_unmatched",
    "layout",
    "check",
)


@contextlib.contextmanager
def opened(directory: str, overwrite: bool, plan: resume.Plan, flags_of: type | None = None) -> Iterator[None]:
    """Keeps a directory for one conversion while the block runs: a new conversion, or an unfinished one of this plan.

    `flags_of` is as in `resume.Claim`.

    Raises:
        InputError: another conversion is at work in it; or it holds finished records, an unfinished conversion of
            another plan, or other files.
    """
    claim = resume.Claim(
        directory=directory,
        plan=plan,
        work="conversion",
        flag="--output",
        notes=shard_tasks.UNFINISHED,
        overwrite=overwrite,
        flags_of=flags_of,
    )
    _refuse_foreign(directory)
    with claim.locked():
        _refuse_finished(directory, overwrite)
        if not claim.goes_on():
            _clear(directory)
            claim.begin()
        yield


def close(directory: str) -> None:
    """Removes the notes. The records are finished now."""
    files.remove(os.path.join(directory, shard_tasks.UNFINISHED))


def describe(
    settings: Any, recordings: Sequence[metadata.Recording], classes: taxonomy.Taxonomy, backbone: str
) -> resume.Plan:
    """The plan: everything that decides the bytes of the shards; `backbone` is the fingerprint of the backbone."""
    flags = {k: v for k, v in config.to_mapping(settings).items() if k not in _WITHOUT_EFFECT}
    return {
        "flags": flags,
        "versions": {**manifests.versions(), "front-end": str(frontend.VERSION), "the backbone's files": backbone},
        "inputs": {
            r.path: {
                **resume.of_file(r.path),
                "recording id": r.recording_id,
                "label or metadata": files.text_digest(repr(r)),
            }
            for r in recordings
        },
        "files": {manifests.CLASSES: {"content": classes.digest}},  # they can be those of a text file
    }


def finished(task: shard_tasks.ShardTask) -> shard_tasks.ShardResult | None:
    """The result of a task in an earlier run; None if there is none, or it is of other recordings, whose lengths
    divided them otherwise, or if its shards have other checksums now.

    Raises:
        InputError: the note of it is damaged.
    """
    path = shard_tasks.note_path(task, ".json")
    if not files.exists(path):
        return None
    result = stored.read_json(path, shard_tasks.ShardResult)
    if [c.recording_id for c in result.recordings] != [r.recording_id for r in task.recordings]:
        return None
    for shard in (shard for shard in result.shards if shard.count):
        shard_path = os.path.join(task.directory, shard.name)
        if not files.exists(shard_path) or files.checksum(shard_path) != shard.checksum:
            return None
    return result


def recording_in_work(task: shard_tasks.ShardTask) -> str:
    """Id of the recording that a worker read last for a task; "" if it has not begun one."""
    return notes.read(shard_tasks.note_path(task, ".now"))


def has_recording_in_work(task: shard_tasks.ShardTask) -> bool:
    """Whether a worker has begun to read recordings for a task."""
    return files.exists(shard_tasks.note_path(task, ".now"))


def clear_recording_in_work(task: shard_tasks.ShardTask) -> None:
    """Removes the note of the recording that a worker read last."""
    files.remove(shard_tasks.note_path(task, ".now"))


def refuse_occupied(directory: str, overwrite: bool) -> None:
    """Raises InputError if a directory holds finished records that are not to be replaced, or other files."""
    _refuse_finished(directory, overwrite)
    _refuse_foreign(directory)


def _refuse_foreign(directory: str) -> None:
    ours = any(files.exists(os.path.join(directory, name)) for name in (manifests.MANIFEST, shard_tasks.UNFINISHED))
    if not ours and set(files.names(directory)) - {locks.NAME}:
        raise config.InputError(f"{directory} holds something else; --output must be a new or empty folder")


def _refuse_finished(directory: str, overwrite: bool) -> None:
    """A conversion that was killed while it removed its notes, after it wrote the manifest, is not finished."""
    unfinished = files.exists(os.path.join(directory, shard_tasks.UNFINISHED, resume.PLAN))
    if files.exists(os.path.join(directory, manifests.MANIFEST)) and not unfinished and not overwrite:
        raise config.InputError(
            f"{directory} holds finished records; choose another --output, or replace them with --overwrite"
        )


def _clear(directory: str) -> None:
    """Removes the files that converters make. The manifest goes first: the rest is never taken for finished records."""
    notes = os.path.join(directory, shard_tasks.UNFINISHED)
    files.make_folder(notes)  # it marks the directory as ours while the manifest is gone
    for name in sorted(files.names(directory), key=lambda name: name != manifests.MANIFEST):
        if name in _OWN_NAMES or name.endswith(_OWN_SUFFIXES):
            files.remove(os.path.join(directory, name))
    for name in sorted(files.names(notes), key=lambda name: name == resume.PLAN):  # by it the notes are known
        files.remove(os.path.join(notes, name))

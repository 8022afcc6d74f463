"""What an unfinished records directory remembers: who works on it, what was asked for, which shards are finished."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bird_tf import config, files, tf
from bird_tf.audio import frontend
from bird_tf.backbones import backbone
from bird_tf.conversion import worker
from bird_tf.labels import metadata
from bird_tf.records import manifests

_PLAN = "plan.json"
_LOCK = "lock"
_MADE = (
    ".tfrecord",
    files.TEMPORARY_SUFFIX,
    manifests.MANIFEST,
    manifests.CLASSES,
    manifests.RECORDINGS,
    manifests.SUMMARY,
)

# where it runs and how it ends change no byte of a shard
_WITHOUT_EFFECT = ("output", "workers", "scheduler", "overwrite", "max_skipped_share", "skip_unmatched", "layout")


@contextlib.contextmanager
def opened(directory: str, overwrite: bool, plan: Mapping[str, Any]) -> Iterator[None]:
    """Holds a directory for one conversion: a new one, or an unfinished one of just this plan.

    The lock is the operating system's (flock), so it goes with the process that held it, however that ended. Object
    stores have none: nothing keeps two converters apart there.

    Raises:
        InputError: another converter is at work in it; it holds finished records, another plan, or something else.
    """
    _refuse_finished(directory, overwrite)
    ours = any(files.exists(os.path.join(directory, name)) for name in (manifests.MANIFEST, worker.UNFINISHED))
    if not ours and files.names(directory):
        raise config.InputError(f"{directory} holds something else; --output names a new or empty folder")
    with _locked(directory):
        _refuse_finished(directory, overwrite)
        path = os.path.join(directory, worker.UNFINISHED, _PLAN)
        if files.exists(path):
            changes = differences(files.read_json(path), plan)
            if not changes:
                yield
                return
            if not overwrite:
                more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
                raise config.InputError(
                    f"{directory} holds an unfinished conversion that differs: {'; '.join(changes[:3])}{more}; "
                    "repeat it as it was, choose another --output, or start afresh with --overwrite"
                )
        _clear(directory)
        files.write_json(path, plan)
        yield


def close(directory: str) -> None:
    """Forgets everything: the records are finished."""
    tf.io.gfile.rmtree(os.path.join(directory, worker.UNFINISHED))


def describe(settings: Any, recordings: Sequence[metadata.Recording]) -> dict[str, Any]:
    """Everything that decides the bytes of the shards: flags, recordings and their sizes, versions, the teacher."""
    flags = {k: v for k, v in config.to_mapping(settings).items() if k not in _WITHOUT_EFFECT}
    teacher = backbone.fingerprint(settings.teacher)
    return {
        "flags": flags,
        "recordings": {r.recording_id: [r.path, _size(r.path), files.text_digest(repr(r))] for r in recordings},
        "versions": {**manifests.versions(), "front-end": str(frontend.VERSION), "the teacher's files": teacher},
    }


def _size(path: str) -> int:
    """Bytes of a file; -1 where it cannot be told, as of a link that leads in a circle."""
    try:
        return os.path.getsize(path)
    except OSError:
        return -1


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """In words, what of two plans is not equal."""
    changes = []
    for name in sorted({*old["flags"], *new["flags"]}):
        before, now = old["flags"].get(name), new["flags"].get(name)
        if before != now:
            changes.append(f"--{name} was {before}, is {now}")
    for name in sorted({*old["versions"], *new["versions"]}):
        before, now = old["versions"].get(name), new["versions"].get(name)
        if before != now:
            changes.append(f"version of {name} was {before}, is {now}")
    before, now = old["recordings"], new["recordings"]
    changes += [f"{now[i][0]} is new" for i in now if i not in before]
    changes += [f"{before[i][0]} is gone" for i in before if i not in now]
    for i in now:
        if i in before and before[i] != now[i]:
            what = "size" if before[i][1] != now[i][1] else "path" if before[i][0] != now[i][0] else "label or metadata"
            changes.append(f"{now[i][0]} has another {what}")
    return changes


def finished(task: worker.ShardTask) -> worker.ShardResult | None:
    """The result of an earlier run, if its shards are still what it wrote."""
    path = worker.note_path(task, ".json")
    if not files.exists(path):
        return None
    stored = files.read_json(path)
    shards = tuple(manifests.Shard(**shard) for shard in stored["shards"])
    for shard in shards:
        shard_path = os.path.join(task.directory, shard.name)
        if not files.exists(shard_path) or files.checksum(shard_path) != shard.checksum:
            return None
    return worker.ShardResult(
        shards=shards, outcomes=tuple(worker.ConvertedRecording(**outcome) for outcome in stored["outcomes"])
    )


def in_work(task: worker.ShardTask) -> str:
    """Id of the recording that a worker was reading last for a task; "" if it has not begun one."""
    path = worker.note_path(task, ".now")
    return files.read_text(path) if files.exists(path) else ""


def forget(task: worker.ShardTask) -> None:
    """Drops the note of what a worker was reading."""
    path = worker.note_path(task, ".now")
    if files.exists(path):
        tf.io.gfile.remove(path)


def _refuse_finished(directory: str, overwrite: bool) -> None:
    if files.exists(os.path.join(directory, manifests.MANIFEST)) and not overwrite:
        raise config.InputError(
            f"{directory} holds finished records; choose another --output, or replace them with --overwrite"
        )


def _clear(directory: str) -> None:
    """Removes what converters make, the manifest first: what is left is never taken for finished records."""
    for name in sorted(files.names(directory), key=lambda name: name != manifests.MANIFEST):
        if name.endswith(_MADE):
            tf.io.gfile.remove(os.path.join(directory, name))
    notes = os.path.join(directory, worker.UNFINISHED)
    for name in files.names(notes):
        if name != _LOCK:
            tf.io.gfile.remove(os.path.join(notes, name))


@contextlib.contextmanager
def _locked(directory: str) -> Iterator[None]:
    if files.is_remote(directory):
        yield
        return
    folder = os.path.join(directory, worker.UNFINISHED)
    files.make_folder(folder)
    with open(os.path.join(folder, _LOCK), "a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise config.InputError(
                f"{directory}: another converter is at work in it; wait for its end or choose another --output"
            ) from error
        yield

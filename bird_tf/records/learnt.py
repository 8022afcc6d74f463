"""The recordings that a model has learnt from, also by way of other models. They tell what it must not be judged on."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent import futures
from typing import Any

from bird_tf import config, csv_files, files
from bird_tf.audio import channels, decode, digests
from bird_tf.labels import metadata
from bird_tf.records import manifests, recordings_table

FILE = "learnt.csv"
_COLUMNS = ("recording_id", "digest", "sample_rate_hz")
_READERS = 8


@dataclasses.dataclass(frozen=True)
class Learnt:
    """Recordings that a model has learnt from.

    Attributes:
        rows: (recording id, digest of its samples, sample rate of the digest); the digest is empty where it is unknown.
    """

    rows: frozenset[tuple[str, str, int]] = frozenset()

    def __or__(self, other: Learnt) -> Learnt:
        return Learnt(self.rows | other.rows)

    def known(self, recordings: Iterable[metadata.Recording], sample_rate_hz: int) -> set[str]:
        """Ids of the recordings among these that the model has learnt from.

        Recordings are the same if their digests are equal, or, where two digests cannot be compared, if their ids are.

        Args:
            recordings: any, with their digests if they are known.
            sample_rate_hz: of these digests.
        """
        ids, heard, comparable = {i for i, _, _ in self.rows}, set[str](), collections.defaultdict[str, set[str]](set)
        for i, digest, rate in self.rows:
            if digest and rate == sample_rate_hz:
                heard.add(digest)
                comparable[digests.kind(digest)].add(i)
        return {
            r.recording_id
            for r in recordings
            if r.digest in heard or (r.recording_id in ids and r.recording_id not in comparable[digests.kind(r.digest)])
        }


def of_records(manifest: manifests.Manifest) -> Learnt:
    """What a training with these records learns from."""
    rate = manifest.front_end.sample_rate_hz
    return Learnt(
        frozenset((r.recording_id, r.digest, rate) for r in recordings_table.training(manifest, with_noise=True))
    )


def of_training(flags: Mapping[str, Any]) -> Learnt | None:
    """What a model of an earlier version learnt from, by the flags of its training; None if its records are gone."""
    try:
        manifest = manifests.load(str(flags["records"]))
    except (config.InputError, KeyError):
        return None
    return of_records(manifest.with_all_for_training() if flags.get("refit") else manifest)


def save(folder: str, learnt: Learnt) -> None:
    """Writes the table into a folder."""
    csv_files.write(os.path.join(folder, FILE), _COLUMNS, sorted(learnt.rows))


def load(folder: str, flags: Mapping[str, Any]) -> Learnt | None:
    """Reads the table of a folder; without one, as `of_training`.

    Args:
        folder: of a run, or the assets of a model.
        flags: of its training.
    """
    path = os.path.join(folder, FILE)
    if not files.exists(path):
        return of_training(flags)
    rows = csv_files.read(path, _COLUMNS)
    return Learnt(
        frozenset((row.text("recording_id"), row.cells["digest"], row.count("sample_rate_hz")) for row in rows)
    )


def with_digests(
    recordings: Sequence[metadata.Recording], learnt: Learnt, sample_rate_hz: int, channel: str = channels.MIX
) -> list[metadata.Recording]:
    """Gives the recordings their digests. Only those are decoded to the end whose first seconds a model has learnt.

    Args:
        recordings: with paths of audio files.
        learnt: what models have learnt.
        sample_rate_hz: of the digests.
        channel: of the digests.
    """
    heads = {digest[: digests.HEAD_LENGTH] for _, digest, rate in learnt.rows if digest and rate == sample_rate_hz}

    def digest(recording: metadata.Recording) -> metadata.Recording:
        try:
            found = decode.head_digest(recording.path, sample_rate_hz, channel)
            if found in heads:
                found = decode.digest(recording.path, sample_rate_hz, channel)
        except decode.UnreadableError:  # the scoring meets the same error, and lists the recording
            return recording
        return dataclasses.replace(recording, digest=found)

    with futures.ThreadPoolExecutor(_READERS) as readers:
        return list(readers.map(digest, recordings))

"""The embeddings of all recordings of a deployment: one file of vectors that grows, and a list of what is where in it.

Vectors are mapped into memory, so that a search reads a store that is larger than it.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence

import numpy as np
from absl import logging

from bird_tf import config, files, next_steps, progress_bars, resume, skips, stored
from bird_tf.audio import channels, decode
from bird_tf.inference import audio_files, ensembles

# folder in the output of a prediction
FOLDER = "embeddings"
_FORMAT_VERSION = 1
_VECTORS, _LIST, _DESCRIPTION = "vectors.f32", "recordings.jsonl", "store.json"
_TYPE = np.dtype("<f4")
_MOST_FEATURES = 1 << 20
_BLOCK = 16384  # vectors that are compared at once


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Entry:
    """The vectors of a recording: `count` from number `first`.

    Attributes:
        file: path of the recording below the folder of all, with `/`.
        source: tells whether the recording has changed since.
        first, count: which vectors.
        seconds: length of the recording.
    """

    file: str
    source: str
    first: int
    count: int
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """How a store was made, in store.json.

    Attributes:
        format_version: of the store.
        model: path of the model that wrote it.
        fingerprint: of that model.
        audio: the folder of all recordings, of the last prediction. What the store holds of other folders is not read.
        chunk_seconds, hop_seconds: length of a chunk, and the time from chunk to chunk.
        num_features: of an embedding.
        channel: what was heard of recordings with several channels; in stores of earlier versions their mean.
    """

    format_version: int
    model: str
    fingerprint: str
    audio: str
    chunk_seconds: float
    hop_seconds: float
    num_features: int
    channel: str = channels.MIX

    def __post_init__(self) -> None:
        channels.check(self.channel)

    @property
    def vector_bytes(self) -> int:
        """Size of an embedding on disk."""
        return self.num_features * _TYPE.itemsize


def _read_description(folder: str) -> Description:
    """The description of the store in a folder. Raises InputError if it is damaged, or of another format."""
    path = os.path.join(folder, _DESCRIPTION)
    content = stored.read_any(path)
    remedy = f"{path}: not of format {_FORMAT_VERSION}; run {next_steps.command('predict', embeddings=True)} again"
    stored.check_version(path, stored.version_of(content), (_FORMAT_VERSION,), remedy)
    read = stored.as_type(path, Description, content)
    if not (0 < read.num_features < _MOST_FEATURES and read.hop_seconds > 0 and read.chunk_seconds > 0):
        raise stored.damaged(path, "num_features, hop_seconds and chunk_seconds must be above 0")
    return read


def _read_entries(folder: str, vector_bytes: int) -> list[_Entry]:
    """The entries whose vectors are all there. A process that is killed leaves vectors or a line incomplete."""
    path, entries = os.path.join(folder, _LIST), []
    num_vectors = os.path.getsize(os.path.join(folder, _VECTORS)) // vector_bytes
    for entry in stored.read_json_lines(path, _Entry):
        if min(entry.first, entry.count) < 0:
            raise stored.damaged(path, f"first and count of {entry.file[:80]!a} must be at least 0")
        if entry.first + entry.count > num_vectors:
            break
        entries.append(entry)
    return entries


def _last_below(root: str, entries: Sequence[_Entry]) -> dict[str, _Entry]:
    """{file: its last entry} of the recordings below a folder. Those of another folder may have the same names."""
    paths = {entry.file: os.path.abspath(files.below(root, entry.file)) for entry in entries}
    return {entry.file: entry for entry in entries if audio_files.path_in(entry.source) == paths[entry.file]}


class Writer:
    """Adds recordings to the store in OUTPUT/embeddings/."""

    def __init__(
        self, output: str, root: str, ensemble: ensembles.Ensemble, chunking: decode.ChunkingConfig, *,
        overwrite: bool = False,
    ) -> None:  # fmt: skip
        """Describes the store; `open` opens it.

        Args:
            output: folder of the prediction.
            root: the folder of all recordings.
            ensemble: its first model gives the embeddings.
            chunking: how recordings are cut into chunks.
            overwrite: whether embeddings of another model or of other chunks may be replaced.
        """
        model = ensemble.models[0]
        self._folder, self._root = os.path.join(output, FOLDER), os.path.abspath(root)
        self._description = {
            "format_version": _FORMAT_VERSION,
            "model": os.path.abspath(model.path),
            "fingerprint": model.fingerprint,
            "audio": self._root,
            "channel": chunking.channel or model.hearing.channel,
            "chunk_seconds": model.front_end.chunk_seconds,
            "hop_seconds": chunking.hop_samples(model.front_end) / model.front_end.sample_rate_hz,
        }
        self._claim = resume.Claim(
            directory=self._folder,
            work="store of embeddings",
            flag="--output",
            overwrite=overwrite,
            plan={
                "flags": config.to_mapping(chunking),
                "versions": {"the stored embeddings": _FORMAT_VERSION},
                "inputs": {"the model": {"content": model.fingerprint}},
            },
            flags_of=decode.ChunkingConfig,
        )
        self._sources: dict[str, str] = {}
        self._num_vectors = 0

    def open(self) -> None:
        """Opens the store. What a killed prediction left incomplete is removed. The output is locked by the command.

        Raises:
            InputError: the folder holds the embeddings of another model or of other chunks, or something else.
        """
        self._claim.start(self._claim.goes_on())
        path = os.path.join(self._folder, _DESCRIPTION)
        if files.exists(path):
            described = _read_description(self._folder)
            vector_bytes, entries = described.vector_bytes, _read_entries(self._folder, described.vector_bytes)
            known = _last_below(self._root, entries)
            self._sources = {file: entry.source for file, entry in known.items()}
            self._num_vectors = max((entry.first + entry.count for entry in entries), default=0)
            os.truncate(os.path.join(self._folder, _VECTORS), self._num_vectors * vector_bytes)
            lines = "".join(json.dumps(dataclasses.asdict(entry)) + "\n" for entry in entries)
            files.write_text(os.path.join(self._folder, _LIST), lines)
            where = {name: self._description[name] for name in ("audio", "model")}
            files.write_json(path, {**dataclasses.asdict(described), **where})

    def has(self, file: str, path: str) -> bool:
        """Whether the embeddings of this recording are here and its file has not changed since."""
        return self._sources.get(file) == audio_files.source(path)

    def append(self, file: str, scores: ensembles.RecordingScores) -> None:
        """Adds a recording. Its earlier vectors, if there are any, are no longer found."""
        description = os.path.join(self._folder, _DESCRIPTION)
        if not files.exists(description):
            for name in (_VECTORS, _LIST):
                files.write_text(os.path.join(self._folder, name), "")
            files.write_json(description, {**self._description, "num_features": scores.embeddings.shape[1]})
        entry = _Entry(
            file=file, source=scores.source, first=self._num_vectors, count=len(scores.embeddings),
            seconds=scores.duration_seconds,
        )  # fmt: skip
        vectors, line = np.ascontiguousarray(scores.embeddings, _TYPE), json.dumps(dataclasses.asdict(entry))
        files.append(os.path.join(self._folder, _VECTORS), vectors.tobytes())
        files.append(os.path.join(self._folder, _LIST), f"{line}\n".encode())
        self._sources[file] = entry.source
        self._num_vectors += entry.count


@dataclasses.dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A chunk that is found: its recording, its time in seconds, and the cosine of the angle to the nearest query."""

    file: str
    start_seconds: float
    end_seconds: float
    similarity: float


class Embeddings:
    """A store, for reading.

    Attributes:
        vectors: [chunks, features] float32, mapped into memory; some belong to recordings that are not found.
        description: how it was made.
    """

    def __init__(self, folder: str) -> None:
        """Opens a store: the folder of a prediction, or the folder embeddings/ in it.

        Raises:
            InputError: there is no store.
        """
        inner = os.path.join(folder, FOLDER)
        self.folder = inner if os.path.isdir(inner) else folder
        path = os.path.join(self.folder, _DESCRIPTION)
        if not os.path.exists(path):
            raise config.InputError(
                f"{folder} holds no embeddings; {next_steps.command('predict', embeddings=True)} writes them"
            )
        self.description = _read_description(self.folder)
        found = _read_entries(self.folder, self.description.vector_bytes)
        root, total = self.description.audio, max((entry.first + entry.count for entry in found), default=0)
        self._entries = _last_below(root, found)
        if not len(self):
            again = next_steps.command("predict", embeddings=True)
            raise config.InputError(f"{self.folder} holds no vectors of {root[:200]}; run {again} again")
        if others := len({audio_files.path_in(entry.source) for entry in found}) - len(self._entries):
            logging.warning(
                "%s also holds %d recordings of other folders than %s, that of the last prediction: they are left out",
                self.folder, others, root,
            )  # fmt: skip
        self.vectors = np.memmap(
            os.path.join(self.folder, _VECTORS), dtype=_TYPE, mode="r", shape=(total, self.description.num_features)
        )

    def __len__(self) -> int:
        """Number of vectors of the recordings as they are."""
        return sum(entry.count for entry in self._entries.values())

    def __contains__(self, file: str) -> bool:
        """Whether the vectors of a recording, by its path below the folder of all, are found."""
        return file in self._entries

    @property
    def prediction(self) -> str:
        """The folder of the prediction that the store lies in."""
        return os.path.dirname(os.path.abspath(self.folder))

    def leave_out_others(self, root: str) -> list[skips.Skip]:
        """Leaves out recordings that are not in the folder, or are others there now than when they were embedded.

        Returns:
            (file, reason) of each.

        Raises:
            InputError: none is left.
        """
        left_out = []
        for file, entry in list(self._entries.items()):
            path = files.below(root, file)
            if not os.path.isfile(path):
                left_out.append((file, f"{path}: no such recording any more"))
            elif audio_files.has_changed(entry.source, path):
                left_out.append((file, f"{path}: {audio_files.CHANGED}"))
            else:
                continue
            del self._entries[file]
        if not len(self):
            raise config.InputError(f"none of {len(left_out)} recordings can be searched; the first: {left_out[0][1]}")
        return left_out

    def _times(self, entry: _Entry, chunks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Start and end of chunks of a recording, seconds."""
        start = chunks * self.description.hop_seconds
        return start, np.minimum(start + self.description.chunk_seconds, max(entry.seconds, 0.0))

    def at(self, file: str, seconds: float) -> tuple[np.ndarray, float, float] | None:
        """The vector of the chunk that begins nearest to a time, with the chunk's start and end, seconds.

        None if the recording is not in the store.
        """
        entry = self._entries.get(file)
        if entry is None or not entry.count:
            return None
        start, end = self._times(entry, np.arange(entry.count))
        chunk = int(np.argmin(np.abs(start - seconds)))
        return np.array(self.vectors[entry.first + chunk]), float(start[chunk]), float(end[chunk])

    def nearest(
        self, queries: np.ndarray, count: int, leave_out: Sequence[tuple[str, float, float]] = ()
    ) -> list[Neighbour]:
        """The chunks that are most similar to any query: an exact search through all of them.

        Args:
            queries: [queries, features] float32.
            count: number of chunks, at most.
            leave_out: (file, start, end) of spans whose chunks are not wanted.

        Returns:
            The most similar first.
        """
        wanted = np.zeros(len(self.vectors), bool)
        for entry in self._entries.values():
            wanted[entry.first : entry.first + entry.count] = True
        for file, begin, stop in leave_out:
            if known := self._entries.get(file):
                start, end = self._times(known, np.arange(known.count))
                wanted[known.first : known.first + known.count] &= (end <= begin + 1e-3) | (start >= stop - 1e-3)
        directions = _normalised(np.asarray(queries, np.float32)).T
        best = np.zeros((0, 2))  # similarity, number of the vector
        with progress_bars.start(len(self.vectors), "chunk", "searching") as progress:
            for first in range(0, len(self.vectors), _BLOCK):
                numbers = first + np.flatnonzero(wanted[first : first + _BLOCK])
                similarity = _cosines(self.vectors[first : first + _BLOCK], directions)[numbers - first]
                best = np.concatenate([best, np.stack([similarity, numbers], axis=1)])
                best = best[np.argsort(-best[:, 0], kind="stable")[:count]]
                progress.update(min(_BLOCK, len(self.vectors) - first))
        return self._described(best)

    def _described(self, found: np.ndarray) -> list[Neighbour]:
        entries = sorted(self._entries.values(), key=lambda entry: (entry.first, entry.count))
        entries = [entry for entry in entries if entry.count]
        firsts = np.array([entry.first for entry in entries])
        neighbours = []
        for similarity, number in found.tolist():
            entry = entries[int(np.searchsorted(firsts, number, side="right")) - 1]
            start, end = self._times(entry, np.array(number - entry.first))
            neighbours.append(
                Neighbour(file=entry.file, start_seconds=float(start), end_seconds=float(end), similarity=similarity)
            )
        return neighbours


def _cosines(vectors: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """[n, features], [features, queries] of length 1 → [n] the highest cosine; 0 for a vector of length 0."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    products = (vectors @ directions).max(axis=1)
    return np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)


def _normalised(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)

"""Recordings → scores, as a stream: one thread decodes while the models work on batches that cross recordings, several
of them at once.

Memory does not grow with the length of a recording, but for its scores. What the scores are good for belongs elsewhere.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent import futures
from typing import Any

import numpy as np

from bird_tf import config
from bird_tf.audio import decode, frontend
from bird_tf.inference import ensembles, saved_model

# batches decoded ahead: enough that a slow file does not stall the models, little enough to stay in tens of megabytes
_AHEAD = 8
# batches that the models work on at once: where one leaves a core or the device idle, another goes on
_AT_ONCE = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoredRecording:
    """One recording's scores, or the reason why there are none."""

    recording_id: str
    path: str
    scores: ensembles.RecordingScores | None
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class _Chunks:
    """Samples [n, chunk_samples] of recording `index` for the models of front-end `group`."""

    index: int
    group: int
    samples: np.ndarray


@dataclasses.dataclass(frozen=True)
class _End:
    """Recording `index` has no more chunks: one front-end's sample count, or the reason why it cannot be read."""

    index: int
    group: int
    num_samples: int = 0
    reason: str = ""


class _Decoder:
    """Decodes recordings in a thread of its own; iterating gives their chunks in order, and an `_End` for each."""

    def __init__(self, paths: Sequence[str], front_ends: Sequence[frontend.FrontendConfig],
                 chunking: decode.ChunkingConfig, batch_size: int) -> None:  # fmt: skip
        self._arguments = paths, front_ends, chunking, batch_size
        self._queue: queue.Queue[_Chunks | _End | BaseException | None] = queue.Queue(_AHEAD)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="decoder", daemon=True)

    def __enter__(self) -> _Decoder:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stopped.set()
        self._thread.join()

    def __iter__(self) -> Iterator[_Chunks | _End]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def _put(self, item: _Chunks | _End | BaseException | None) -> None:
        while not self._stopped.is_set():
            try:
                return self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue

    def _run(self) -> None:
        try:
            for item in self._items():
                if self._stopped.is_set():
                    return
                self._put(item)
            self._put(None)
        except BaseException as error:  # noqa: BLE001, raised again where the chunks are used
            self._put(error)

    def _items(self) -> Iterator[_Chunks | _End]:
        paths, front_ends, chunking, batch_size = self._arguments
        for index, path in enumerate(paths):
            for group, front_end in enumerate(front_ends):
                stream = decode.ChunkStream(path, front_end, chunking, batch_size)
                try:
                    for samples in stream:
                        yield _Chunks(index, group, samples)
                except decode.UnreadableError as error:
                    yield _End(index, group, reason=str(error))
                    break
                yield _End(index, group, num_samples=stream.num_samples)


class _Recording:
    """What is known so far of one recording."""

    def __init__(self, num_models: int, num_groups: int) -> None:
        self.answers: list[list[saved_model.Outputs]] = [[] for _ in range(num_models)]
        self.embeddings: list[np.ndarray] = []
        self.num_samples = [0] * num_groups
        self.waiting = 0  # chunks that no model has seen yet
        self.open = set(range(num_groups))
        self.reason = ""

    @property
    def complete(self) -> bool:
        return bool(self.reason) or (not self.open and not self.waiting)


# what the members say of a batch, and the first model's embeddings if they are wanted
_BatchOutputs = tuple[list[saved_model.Outputs], np.ndarray | None]


class _Group:
    """Models with equal front-ends, the batch that waits for them, and those that they work on."""

    def __init__(self, ensemble: ensembles.Ensemble, members: list[int], embeddings: bool,
                 workers: futures.Executor) -> None:  # fmt: skip
        self._ensemble, self._members, self._workers = ensemble, members, workers
        self._embeds = embeddings and 0 in members
        self._batch_size = ensemble.models[0].batch_size
        self._waiting: list[np.ndarray] = []
        self._owners: list[_Recording] = []
        self._at_work: collections.deque[tuple[list[_Recording], futures.Future[_BatchOutputs]]] = collections.deque()

    def add(self, samples: np.ndarray, owner: _Recording) -> None:
        """Puts chunks into the batch, and sends it to the models each time that it is full."""
        while len(samples):
            taken = samples[: self._batch_size - len(self._owners)]
            self._waiting.append(taken)
            self._owners += [owner] * len(taken)
            owner.waiting += len(taken)
            samples = samples[len(taken) :]
            if len(self._owners) == self._batch_size:
                self._send()

    def _send(self) -> None:
        if len(self._at_work) == _AT_ONCE:
            self._receive()
        self._at_work.append((self._owners, self._workers.submit(self._ask, np.concatenate(self._waiting))))
        self._waiting, self._owners = [], []

    def _ask(self, batch: np.ndarray) -> _BatchOutputs:
        models = self._ensemble.models
        answers = [self._ensemble.in_order(member, models[member].predict_samples(batch)) for member in self._members]
        return answers, models[0].embed(batch) if self._embeds else None

    def _receive(self) -> None:
        """Hands the rows of the batch sent first to the recordings that they are of."""
        owners, answer = self._at_work.popleft()
        answers, features = answer.result()
        # the chunks of one recording lie together
        bounds = [0, *(i for i in range(1, len(owners)) if owners[i] is not owners[i - 1]), len(owners)]
        for begin, end in itertools.pairwise(bounds):
            owner = owners[begin]
            for member, said in zip(self._members, answers, strict=True):
                owner.answers[member].append(saved_model.Outputs(*(part[begin:end] for part in said)))
            if features is not None:
                owner.embeddings.append(features[begin:end])
            owner.waiting -= end - begin

    def finish(self) -> None:
        """Has the models answer all that is left."""
        if self._owners:
            self._send()
        while self._at_work:
            self._receive()


def score_recordings(
    ensemble: ensembles.Ensemble,
    recordings: Sequence[tuple[str, str]],
    chunking: decode.ChunkingConfig,
    *,
    embeddings: bool = False,
) -> Iterator[ScoredRecording]:
    """Scores recordings, with a progress bar in seconds of sound that tells when it will be done.

    Args:
        ensemble: members with other chunks than the first are averaged over the time that chunks share.
        recordings: (id, path).
        chunking: how they are cut.
        embeddings: whether the first model's embeddings are wanted.

    Yields:
        What came of each recording, in their order.
    """
    front_ends = list(dict.fromkeys(model.front_end for model in ensemble.models))
    hop_seconds = chunking.hop_samples(front_ends[0]) / front_ends[0].sample_rate_hz
    ends = list(itertools.accumulate(decode.duration_seconds(path) for _, path in recordings))
    pending = {i: _Recording(len(ensemble.models), len(front_ends)) for i in range(len(recordings))}
    paths = [path for _, path in recordings]
    batch_size = ensemble.models[0].batch_size
    with (
        config.progress(round(ends[-1] if ends else 0), "s", "scoring") as progress,
        _Decoder(paths, front_ends, chunking, batch_size) as decoder,
        futures.ThreadPoolExecutor(_AT_ONCE) as workers,
    ):
        groups = [
            _Group(ensemble, [i for i, m in enumerate(ensemble.models) if m.front_end == f], embeddings, workers)
            for f in front_ends
        ]
        next_index, heard = 0, 0.0
        for item in decoder:
            recording = pending[item.index]
            if isinstance(item, _Chunks):
                groups[item.group].add(item.samples, recording)
                heard += len(item.samples) * hop_seconds * (item.group == 0)
            else:
                recording.open.discard(item.group)
                recording.num_samples[item.group] = item.num_samples
                recording.reason = item.reason
                if item.reason or not recording.open:
                    heard = ends[item.index]
            progress.update(max(0, int(heard) - progress.n))
            while next_index in pending and pending[next_index].complete:
                yield _scored_recording(
                    ensemble, front_ends, chunking, *recordings[next_index], pending.pop(next_index)
                )
                next_index += 1
        for group in groups:
            group.finish()
        for index in sorted(pending):
            yield _scored_recording(ensemble, front_ends, chunking, *recordings[index], pending.pop(index))


def _scored_recording(
    ensemble: ensembles.Ensemble, front_ends: Sequence[frontend.FrontendConfig], chunking: decode.ChunkingConfig,
    recording_id: str, path: str, recording: _Recording,
) -> ScoredRecording:  # fmt: skip
    """Puts together what the models said of a recording."""
    if recording.reason:
        return ScoredRecording(recording_id=recording_id, path=path, scores=None, reason=recording.reason)
    times: list[tuple[np.ndarray, np.ndarray]] = []
    members: list[saved_model.Outputs] = []
    for number, model in enumerate(ensemble.models):
        group = front_ends.index(model.front_end)
        rate = model.front_end.sample_rate_hz
        answer = saved_model.Outputs(*map(np.concatenate, zip(*recording.answers[number], strict=True)))
        recording.answers[number] = []  # a day of scores is large: no two copies for longer than needed
        start = np.arange(len(answer.attention)) * chunking.hop_samples(model.front_end) / rate
        end = np.minimum(start + model.front_end.chunk_seconds, recording.num_samples[group] / rate)
        times.append((start, end))
        members.append(saved_model.Outputs(*(ensembles.align(part, start, end, *times[0]) for part in answer)))
    stacked, attentions = (np.stack(p) if len(p) > 1 else p[0][None] for p in zip(*members, strict=True))
    scores = ensembles.RecordingScores(
        path=path,
        duration_seconds=recording.num_samples[0] / ensemble.models[0].front_end.sample_rate_hz,
        start_seconds=times[0][0],
        end_seconds=times[0][1],
        members=stacked,
        probabilities=ensemble.mix(stacked),
        attentions=attentions,
        attention=ensemble.mix(attentions),
        embeddings=np.concatenate(recording.embeddings) if recording.embeddings else np.zeros((0, 0), np.float32),
    )
    return ScoredRecording(recording_id=recording_id, path=path, scores=scores)

"""Recordings → scores, as a stream. One thread decodes while the models work on batches that cross recordings.

Memory does not grow with the length of a recording, except for its scores. What follows from the scores belongs
elsewhere.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent import futures
from typing import Any

import numpy as np
from absl import logging

from bird_tf import config
from bird_tf.audio import decode, hearing, reports
from bird_tf.inference import ensembles, saved_model

# Batches decoded in advance: enough that a slow file does not stall the models, and only tens of megabytes.
_QUEUE_SIZE = 8
# Batches in work at once: while one leaves a core or the device idle, another one uses it.
_MAX_RUNNING = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoredRecording:
    """One recording's scores; None, with the reason, if it cannot be read."""

    recording_id: str
    path: str
    scores: ensembles.RecordingScores | None
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class _Chunks:
    """Spans [n, span_samples] of recording `index`, for the models that hear alike, `group`."""

    index: int
    group: int
    samples: np.ndarray


@dataclasses.dataclass(frozen=True)
class _End:
    """The end of recording `index` for `group`: its number of samples and what was noticed, or why it is unreadable."""

    index: int
    group: int
    num_samples: int = 0
    report: reports.Report | None = None
    reason: str = ""


class _Decoder:
    """Decodes recordings in its own thread. Iterating gives their chunks in order, and an `_End` after each."""

    def __init__(self, paths: Sequence[str], hearings: Sequence[hearing.Hearing],
                 chunking: decode.ChunkingConfig, batch_size: int) -> None:  # fmt: skip
        self._arguments = paths, hearings, chunking, batch_size
        self._queue: queue.Queue[_Chunks | _End | BaseException | None] = queue.Queue(_QUEUE_SIZE)
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
        except BaseException as error:  # noqa: BLE001, raised again in the thread that iterates
            self._put(error)

    def _items(self) -> Iterator[_Chunks | _End]:
        paths, hearings, chunking, batch_size = self._arguments
        for index, path in enumerate(paths):
            for group, hears in enumerate(hearings):
                stream = decode.ChunkStream(path, hears, chunking, batch_size)
                try:
                    for samples in stream:
                        yield _Chunks(index, group, samples)
                except decode.UnreadableError as error:
                    yield _End(index, group, reason=str(error))
                    break
                yield _End(index, group, num_samples=stream.num_samples, report=stream.report)


class _Recording:
    """The outputs for one recording so far."""

    def __init__(self, num_models: int, num_groups: int) -> None:
        self.outputs: list[list[saved_model.Outputs]] = [[] for _ in range(num_models)]
        self.num_samples = [0] * num_groups
        self.num_waiting = 0  # chunks without outputs
        self.open_groups = set(range(num_groups))  # for which more chunks may come
        self.report = reports.Report()
        self.reason = ""

    @property
    def complete(self) -> bool:
        return bool(self.reason) or (not self.open_groups and not self.num_waiting)


class _Group:
    """Models that hear alike, the batch that is being filled for them, and the batches in work."""

    def __init__(self, ensemble: ensembles.Ensemble, members: list[int], embeddings: bool,
                 workers: futures.Executor) -> None:  # fmt: skip
        self._ensemble, self._members, self._embeddings, self._workers = ensemble, members, embeddings, workers
        self._batch_size = ensemble.models[0].batch_size
        self._samples: list[np.ndarray] = []  # the batch that is being filled
        self._recordings: list[_Recording] = []  # the recording of each of its chunks
        self._running: collections.deque[tuple[list[_Recording], futures.Future[list[saved_model.Outputs]]]] = (
            collections.deque()
        )

    def add(self, samples: np.ndarray, recording: _Recording) -> None:
        """Adds chunks to the batch. A full batch goes to the models."""
        while len(samples):
            taken = samples[: self._batch_size - len(self._recordings)]
            self._samples.append(taken)
            self._recordings += [recording] * len(taken)
            recording.num_waiting += len(taken)
            samples = samples[len(taken) :]
            if len(self._recordings) == self._batch_size:
                self._send()

    def _send(self) -> None:
        if len(self._running) == _MAX_RUNNING:
            self._collect()
        self._running.append((self._recordings, self._workers.submit(self._predict, np.concatenate(self._samples))))
        self._samples, self._recordings = [], []

    def _predict(self, batch: np.ndarray) -> list[saved_model.Outputs]:
        """Outputs of each member; embeddings only of the ensemble's first model."""
        return [
            self._ensemble.predict_samples(member, batch, embeddings=self._embeddings and member == 0)
            for member in self._members
        ]

    def _collect(self) -> None:
        """Waits for the oldest batch in work, and gives its outputs to their recordings."""
        recordings, future = self._running.popleft()
        batch_outputs = future.result()
        # the chunks of one recording lie together
        changes = [i for i in range(1, len(recordings)) if recordings[i] is not recordings[i - 1]]
        for begin, end in itertools.pairwise([0, *changes, len(recordings)]):
            recording = recordings[begin]
            for member, outputs in zip(self._members, batch_outputs, strict=True):
                recording.outputs[member].append(saved_model.Outputs(*(part[begin:end] for part in outputs)))
            recording.num_waiting -= end - begin

    def finish(self) -> None:
        """Predicts what is left."""
        if self._recordings:
            self._send()
        while self._running:
            self._collect()


def score_recordings(
    ensemble: ensembles.Ensemble,
    recordings: Sequence[tuple[str, str]],
    chunking: decode.ChunkingConfig,
    *,
    embeddings: bool = False,
) -> Generator[ScoredRecording, None, None]:
    """Scores recordings, with a progress bar in seconds of sound.

    Args:
        ensemble: the models. Scores of a model whose chunks differ from the first model's are aligned to those chunks.
        recordings: (id, path) of each.
        chunking: how recordings are cut into chunks.
        embeddings: whether to add the first model's embeddings.

    Yields:
        Each recording, in the given order. What was noticed of a file is logged.
    """
    hearings = list(dict.fromkeys(model.hearing for model in ensemble.models))
    hop_seconds = chunking.hop_samples(hearings[0]) / hearings[0].sample_rate_hz
    ends = list(itertools.accumulate(decode.durations([path for _, path in recordings])))
    pending = {i: _Recording(len(ensemble.models), len(hearings)) for i in range(len(recordings))}
    paths = [path for _, path in recordings]
    batch_size = ensemble.models[0].batch_size
    with (
        config.progress(round(ends[-1] if ends else 0), "s of sound", "scoring") as progress,
        _Decoder(paths, hearings, chunking, batch_size) as decoder,
        futures.ThreadPoolExecutor(_MAX_RUNNING) as workers,
    ):
        groups = [
            _Group(ensemble, [i for i, m in enumerate(ensemble.models) if m.hearing == hears], embeddings, workers)
            for hears in hearings
        ]
        next_index, decoded_seconds = 0, 0.0
        for item in decoder:
            recording = pending[item.index]
            if isinstance(item, _Chunks):
                groups[item.group].add(item.samples, recording)
                decoded_seconds += len(item.samples) * hop_seconds * (item.group == 0)
            else:
                recording.open_groups.discard(item.group)
                recording.num_samples[item.group] = item.num_samples
                recording.reason = item.reason
                recording.report = item.report or recording.report
                if item.reason or not recording.open_groups:
                    decoded_seconds = ends[item.index]
            progress.update(max(0, int(decoded_seconds) - progress.n))
            while next_index in pending and pending[next_index].complete:
                yield _scored_recording(ensemble, hearings, chunking, *recordings[next_index], pending.pop(next_index))
                next_index += 1
        for group in groups:
            group.finish()
        for index in sorted(pending):
            yield _scored_recording(ensemble, hearings, chunking, *recordings[index], pending.pop(index))


def _scored_recording(
    ensemble: ensembles.Ensemble, hearings: Sequence[hearing.Hearing], chunking: decode.ChunkingConfig,
    recording_id: str, path: str, recording: _Recording,
) -> ScoredRecording:  # fmt: skip
    """Joins the models' outputs for a recording."""
    if recording.reason:
        return ScoredRecording(recording_id=recording_id, path=path, scores=None, reason=recording.reason)
    times: list[tuple[np.ndarray, np.ndarray]] = []
    probabilities, attention_logits = [], []
    embeddings = np.zeros((0, 0), np.float32)
    for member, model in enumerate(ensemble.models):
        group = hearings.index(model.hearing)
        rate = model.hearing.sample_rate_hz
        outputs = saved_model.Outputs(*map(np.concatenate, zip(*recording.outputs[member], strict=True)))
        recording.outputs[member] = []  # the scores of a day are large: keep no second copy
        start = np.arange(len(outputs.probabilities)) * chunking.hop_samples(model.hearing) / rate
        end = np.minimum(start + model.hearing.chunk_seconds, recording.num_samples[group] / rate)
        times.append((start, end))
        probabilities.append(ensembles.align(outputs.probabilities, start, end, *times[0]))
        attention_logits.append(ensembles.align(outputs.attention_logits, start, end, *times[0]))
        if member == 0:
            embeddings = outputs.embeddings
    # [models, chunks, …]; of a single model without a copy
    stacked, logits = (np.stack(p) if len(p) > 1 else p[0][None] for p in (probabilities, attention_logits))
    scores = ensembles.RecordingScores(
        path=path,
        duration_seconds=recording.num_samples[0] / hearings[0].sample_rate_hz,
        start_seconds=times[0][0],
        end_seconds=times[0][1],
        member_probabilities=stacked,
        probabilities=ensemble.mix(stacked),
        member_attention_logits=logits,
        attention_logits=ensemble.mix(logits),
        embeddings=embeddings,
        lost_seconds=recording.report.lost_seconds,
        note=recording.report.note,
    )
    if scores.note:
        logging.warning("%s: %s", path, scores.note)
    return ScoredRecording(recording_id=recording_id, path=path, scores=scores)

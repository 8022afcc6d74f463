"""A few recordings that are scored together: decoding, batches that cross them, and each one's scores.

Which chunks share a batch depends on these recordings alone. So units can be scored at once, in threads or on other
machines, and the scores keep their bytes.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import itertools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures

import numpy as np

from bird_tf.audio import decode, decoder, hearing, reports
from bird_tf.inference import audio_files, ensembles, saved_model, strangeness

# A unit ends with its batch nearly full after the first number of batches, in any case after the second one: the more
# batches, the less is lost in the last one, and the fewer units there are to share.
_FULL_BATCHES, _MOST_BATCHES = 4, 8
_NEARLY_FULL = 0.75


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoredRecording:
    """One recording's scores; None, with the reason, if it cannot be read.

    Attributes:
        seconds: its length with what was lost, also at its end; 0 if that is not known.
    """

    recording_id: str
    path: str
    scores: ensembles.RecordingScores | None
    reason: str = ""
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unit:
    """Recordings that are scored together.

    Attributes:
        recordings: (id, path) of each.
        seconds: length of each by its header.
    """

    recordings: tuple[tuple[str, str], ...]
    seconds: tuple[float, ...]

    def alone(self) -> list[Unit]:
        """A unit for each recording."""
        pairs = zip(self.recordings, self.seconds, strict=True)
        return [Unit(recordings=(recording,), seconds=(seconds,)) for recording, seconds in pairs]


def divide(
    recordings: Sequence[tuple[str, str]], seconds: Sequence[float], hop_seconds: float, batch_size: int
) -> list[Unit]:
    """Neighbouring recordings together, until a unit has enough chunks; nothing depends on who will score them.

    Args:
        recordings: (id, path) of each.
        seconds: length of each by its header.
        hop_seconds: from chunk to chunk.
        batch_size: chunks in a batch.
    """
    units, first, chunks = [], 0, 0
    for last, length in enumerate(seconds, 1):
        chunks += max(1, math.ceil(length / hop_seconds))
        nearly_full = (chunks - 1) % batch_size + 1 >= _NEARLY_FULL * batch_size
        enough = _FULL_BATCHES if nearly_full else _MOST_BATCHES
        if chunks >= enough * batch_size or last == len(seconds):
            units.append(Unit(recordings=tuple(recordings[first:last]), seconds=tuple(seconds[first:last])))
            first, chunks = last, 0
    return units


class StoppedError(Exception):
    """The scores are no longer wanted."""


class Batches:
    """Computes batches in threads, a limited number of them at once, so that memory does not grow. A context manager.

    Attributes:
        stopped: set when the results are no longer wanted. What is in work then ends with StoppedError.
    """

    def __init__(self, threads: int) -> None:
        self.stopped = threading.Event()
        self._workers = futures.ThreadPoolExecutor(threads, "batch")
        # for each thread one batch in work, and one that waits for it
        self._free = threading.Semaphore(2 * threads)

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.shutdown()

    def submit(
        self, predict: Callable[[np.ndarray], list[saved_model.Outputs]], samples: np.ndarray
    ) -> futures.Future[list[saved_model.Outputs]]:
        """Computes a batch, as soon as there is a place for it."""
        self._free.acquire()

        def compute() -> list[saved_model.Outputs]:
            try:
                if self.stopped.is_set():
                    raise StoppedError
                return predict(samples)
            finally:
                self._free.release()

        return self._workers.submit(compute)


class _Recording:
    """The outputs for one recording so far."""

    def __init__(self, source: str, num_models: int, num_groups: int) -> None:
        self.source = source  # from before it is opened: a file that changes later is another one
        self.outputs: list[list[saved_model.Outputs]] = [[] for _ in range(num_models)]
        self.num_samples = [0] * num_groups
        self.num_waiting = 0  # chunks without outputs
        self.decoded = False
        self.report = reports.Report()
        self.reason = ""

    @property
    def complete(self) -> bool:
        return bool(self.reason) or (self.decoded and not self.num_waiting)


class _Group:
    """Models that hear alike, the batch that is being filled for them, and the batches in work."""

    def __init__(self, ensemble: ensembles.Ensemble, heard: hearing.Hearing, embeddings: bool,
                 batches: Batches) -> None:  # fmt: skip
        self._ensemble, self._embeddings, self._batches = ensemble, embeddings, batches
        self._members = [i for i, model in enumerate(ensemble.models) if model.hearing == heard]
        self.batch_size = ensemble.models[0].batch_size
        self._samples: list[np.ndarray] = []  # the batch that is being filled
        self._recordings: list[_Recording] = []  # the recording of each of its chunks
        self._running: collections.deque[tuple[list[_Recording], futures.Future[list[saved_model.Outputs]]]] = (
            collections.deque()
        )

    def add(self, samples: np.ndarray, recording: _Recording) -> None:
        """Adds chunks to the batch. A full batch goes to the models."""
        while len(samples):
            taken = samples[: self.batch_size - len(self._recordings)]
            self._samples.append(taken)
            self._recordings += [recording] * len(taken)
            recording.num_waiting += len(taken)
            samples = samples[len(taken) :]
            if len(self._recordings) == self.batch_size:
                self._send()
        self._collect(wait=False)

    def _send(self) -> None:
        samples = self._samples[0] if len(self._samples) == 1 else np.concatenate(self._samples)
        self._running.append((self._recordings, self._batches.submit(self._predict, samples)))
        self._samples, self._recordings = [], []

    def _predict(self, batch: np.ndarray) -> list[saved_model.Outputs]:
        """Outputs of each member; embeddings only of the ensemble's first model."""
        return [
            self._ensemble.predict_samples(member, batch, embeddings=self._embeddings and member == 0)
            for member in self._members
        ]

    def _collect(self, *, wait: bool) -> None:
        """Gives the outputs of batches to their recordings, the oldest batch first."""
        while self._running and (wait or self._running[0][1].done()):
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
        self._collect(wait=True)


def score(
    unit: Unit, ensemble: ensembles.Ensemble, chunking: decode.ChunkingConfig, *, embeddings: bool, batches: Batches,
    heard: Callable[[float], object] = lambda _: None,
    reading: Callable[[str], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
) -> Iterator[ScoredRecording]:  # fmt: skip
    """Yields the recordings of a unit, in their order, each as soon as its scores are complete.

    Args:
        unit: the recordings.
        ensemble: the models. Scores of a model whose chunks differ from the first model's are aligned to those chunks.
        chunking: how recordings are cut into chunks.
        embeddings: whether to add the first model's embeddings.
        batches: computes the batches.
        heard: is told of further seconds of sound that were decoded.
        reading: a context in which a recording, named by its id, is decoded.

    Raises:
        StoppedError: the batches were stopped.
    """
    hearings = list(dict.fromkeys(model.hearing for model in ensemble.models))
    groups = [_Group(ensemble, hears, embeddings, batches) for hears in hearings]
    waiting: collections.deque[tuple[tuple[str, str], _Recording]] = collections.deque()

    def complete() -> Iterator[ScoredRecording]:
        while waiting and waiting[0][1].complete:
            yield _joined(ensemble, hearings, chunking, *waiting.popleft())

    for (recording_id, path), seconds in zip(unit.recordings, unit.seconds, strict=True):
        recording = _Recording(audio_files.source(path), len(ensemble.models), len(hearings))
        waiting.append(((recording_id, path), recording))
        told = 0.0
        with reading(recording_id):
            ahead = seconds >= decoder.BLOCK_SECONDS  # a single block has nothing to be decoded ahead of it
            for duration in _decode(path, recording, hearings, groups, chunking, ahead=ahead):
                told += duration
                heard(duration)
                yield from complete()
        heard(seconds - told)
        yield from complete()
    for group in groups:
        group.finish()
    yield from complete()


def _decode(
    path: str, recording: _Recording, hearings: Sequence[hearing.Hearing], groups: Sequence[_Group],
    chunking: decode.ChunkingConfig, *, ahead: bool,
) -> Iterator[float]:  # fmt: skip
    """Decodes a recording into the groups' batches. Yields the seconds of chunks after each step of the first group."""
    for number, (hears, group) in enumerate(zip(hearings, groups, strict=True)):
        stream = decode.ChunkStream(path, hears, chunking, group.batch_size, ahead=ahead)
        recording.report, hop_seconds = stream.report, chunking.hop_seconds(hears)
        try:
            for samples in stream:
                group.add(samples, recording)
                yield len(samples) * hop_seconds * (number == 0)
        except decode.UnreadableError as error:
            recording.reason = str(error)
            return
        recording.num_samples[number] = stream.num_samples
    recording.decoded = True


def _joined(
    ensemble: ensembles.Ensemble, hearings: Sequence[hearing.Hearing], chunking: decode.ChunkingConfig,
    named: tuple[str, str], recording: _Recording,
) -> ScoredRecording:  # fmt: skip
    """Joins the models' outputs for a recording, (id, path)."""
    recording_id, path = named
    seconds = recording.report.seconds
    if recording.reason:
        return ScoredRecording(
            recording_id=recording_id, path=path, scores=None, reason=recording.reason, seconds=seconds
        )
    times: list[tuple[np.ndarray, np.ndarray]] = []
    probabilities, attention_logits = [], []
    embeddings, strange = np.zeros((0, 0), np.float32), np.zeros(0, np.float32)
    for member, model in enumerate(ensemble.models):
        group = hearings.index(model.hearing)
        rate = model.hearing.sample_rate_hz
        outputs = saved_model.Outputs(*map(np.concatenate, zip(*recording.outputs[member], strict=True)))
        recording.outputs[member] = []  # the scores of a day are large: keep no second copy
        start = np.arange(len(outputs.probabilities)) * chunking.hop_samples(model.hearing) // chunking.steps / rate
        end = np.minimum(start + model.hearing.chunk_seconds, recording.num_samples[group] / rate)
        times.append((start, end))
        probabilities.append(ensembles.align(outputs.probabilities, start, end, *times[0]))
        attention_logits.append(ensembles.align(outputs.attention_logits, start, end, *times[0]))
        if member == 0:
            embeddings, strange = outputs.embeddings, outputs.strangeness
    if audio_files.was_written(recording.source, path):
        recording.report.warnings.append("the file changed while it was read: score it again")
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
        strangeness=strangeness.of_recording(strange),
        lost_seconds=recording.report.lost_seconds,
        note=recording.report.note,
        source=recording.source,
        sample_rate_hz=recording.report.sample_rate_hz,
    )
    return ScoredRecording(recording_id=recording_id, path=path, scores=scores, seconds=seconds)

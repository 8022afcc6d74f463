"""Recordings → scores, as a stream in the order of the recordings, on all cores or on a cluster.

Memory does not grow with the length of a recording, except for its scores. What follows from the scores belongs
elsewhere.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import copy
import dataclasses
import functools
import itertools
import queue
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent import futures

from absl import logging

from bird_tf import config, executor, progress_bars, skips
from bird_tf.audio import decode
from bird_tf.inference import ensembles, saved_model, suspects, units
from bird_tf.scores import decisions

ScoredRecording = units.ScoredRecording

# so many units for each thread may be complete, or in work, before the first of them is: their scores are in memory
_MOST_AHEAD = 4
# time after which the progress bar is moved
_REPORT_SECONDS = 0.2


def readable(
    scored: Iterable[ScoredRecording], skipped: list[skips.Skip]
) -> Iterator[tuple[str, ensembles.RecordingScores]]:
    """Yields (id, scores) of what can be read. Of the rest, it warns, and adds (path, reason) to `skipped`."""
    for recording in scored:
        if recording.scores is None:
            skipped.append((recording.path, recording.reason))
            skips.log(skipped[-1])
        else:
            log_note(recording.path, recording.scores)
            yield recording.recording_id, recording.scores


def log_note(name: str, scores: ensembles.RecordingScores) -> None:
    """Warns of what was noticed of a recording while it was read, if anything was."""
    if scores.note:
        logging.warning("%s: %s", name, scores.note)


def score_recordings(
    ensemble: ensembles.Ensemble,
    recordings: Sequence[tuple[str, str]],
    chunking: decode.ChunkingConfig,
    *,
    embeddings: bool = False,
    place: executor.PlaceConfig | None = None,
    progress: Progress | None = None,
    notes: str = "",
) -> Generator[ScoredRecording, None, None]:
    """Scores recordings, with a progress bar in seconds of sound. The scores do not depend on the place.

    What was being decoded when an earlier command was killed may have killed it, by damage that crashes a decoder: it
    is scored in a worker process.

    Args:
        ensemble: the models. Scores of a model whose chunks differ from the first model's are aligned to those chunks.
        recordings: (id, path) of each.
        chunking: how recordings are cut into chunks.
        embeddings: whether to add the first model's embeddings.
        place: where the work runs; by default in threads of this process, one for each core.
        progress: tells how far the work is.
        notes: folder for notes of what this process decodes; by default that of the user.

    Yields:
        Each recording, in the given order. Nothing is logged of them, see `readable` and `log_note`.

    Raises:
        InputError: as `executor.start`.
    """
    place, heard = place or executor.PlaceConfig(), ensemble.models[0].hearing
    seconds = decode.durations([path for _, path in recordings])
    hop_seconds = chunking.hop_seconds(heard)
    todo = units.divide(recordings, seconds, hop_seconds, ensemble.models[0].batch_size)
    progress = progress or Progress()
    progress.start(sum(seconds))
    if place.is_this_process:
        scored = _in_this_process(ensemble, todo, chunking, embeddings, place.num_threads, progress, notes)
    else:
        scored = _elsewhere(ensemble, todo, chunking, embeddings, place, progress)
    with contextlib.closing(progress), contextlib.closing(scored):
        yield from scored


class Progress:
    """How far a scoring is, as a progress bar and as a number.

    Attributes:
        seconds: of sound that have been decoded, also of recordings that are not complete.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._told: queue.SimpleQueue[float] = queue.SimpleQueue()

    def start(self, seconds: float) -> None:
        """Shows the bar, for so many seconds of sound in all."""
        self._bar = progress_bars.start(round(seconds), "s of sound", "scoring")

    def add(self, seconds: float) -> None:
        """Adds seconds of sound; any thread may call it."""
        self._told.put(seconds)

    def show(self) -> None:
        """Moves the bar."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.seconds += self._told.get_nowait()
        self._bar.update(max(0, round(self.seconds) - self._bar.n))

    def close(self) -> None:
        """Leaves the bar as it is now."""
        self.show()
        self._bar.close()


# what a thread tells of its unit: a recording, what went wrong, or None at the end
_Told = ScoredRecording | BaseException | None


def _in_this_process(
    ensemble: ensembles.Ensemble, todo: Sequence[units.Unit], chunking: decode.ChunkingConfig, embeddings: bool,
    threads: int, progress: Progress, notes: str,
) -> Generator[ScoredRecording, None, None]:  # fmt: skip
    """Scores units in threads, but for those with a suspect, which may kill this process."""
    with contextlib.closing(suspects.Notes(notes)) as noted:
        doubtful = noted.suspects([path for unit in todo for _, path in unit.recordings])
        if doubtful:
            logging.info(
                "%d recordings were being read when an earlier command was killed: they are scored in a process of "
                "their own", len(doubtful),
            )  # fmt: skip

        def holds_suspect(unit: units.Unit) -> bool:
            return any(path in doubtful for _, path in unit.recordings)

        divided = [part for unit in todo for part in (unit.alone() if holds_suspect(unit) else [unit])]
        for apart, some in itertools.groupby(divided, holds_suspect):
            if not apart:
                yield from _in_threads(ensemble, list(some), chunking, embeddings, threads, progress, noted)
                continue
            place = executor.PlaceConfig(workers=1)
            for scored in _elsewhere(ensemble, list(some), chunking, embeddings, place, progress):
                yield scored
                if scored.scores:
                    noted.acquit(scored.path)


def _in_threads(
    ensemble: ensembles.Ensemble, todo: Sequence[units.Unit], chunking: decode.ChunkingConfig, embeddings: bool,
    threads: int, progress: Progress, noted: suspects.Notes,
) -> Generator[ScoredRecording, None, None]:  # fmt: skip
    """Scores several units at once in threads: libsndfile, soxr and the models release Python's lock."""
    paths = {recording_id: path for unit in todo for recording_id, path in unit.recordings}
    with units.Batches(threads) as batches, futures.ThreadPoolExecutor(threads, "unit") as pool:

        def run(unit: units.Unit, told: queue.SimpleQueue[_Told]) -> None:
            try:
                for recording in units.score(
                    unit, ensemble, chunking, embeddings=embeddings, batches=batches, heard=progress.add,
                    reading=lambda recording_id: noted.reading(paths[recording_id]),
                ):  # fmt: skip
                    told.put(recording)
                told.put(None)
            except BaseException as error:  # noqa: BLE001, raised again in the thread that iterates
                told.put(error)

        left, ahead = collections.deque(todo), collections.deque[queue.SimpleQueue[_Told]]()
        try:
            while left or ahead:
                while left and len(ahead) < _MOST_AHEAD * threads:
                    ahead.append(queue.SimpleQueue())
                    pool.submit(run, left.popleft(), ahead[-1])
                yield from _told_by(ahead.popleft(), progress)
        finally:
            batches.stopped.set()


def _told_by(told: queue.SimpleQueue[_Told], progress: Progress) -> Iterator[ScoredRecording]:
    """Yields the recordings of a unit as they become complete. Raises what its thread raised."""
    while True:
        progress.show()
        with contextlib.suppress(queue.Empty):
            item = told.get(timeout=_REPORT_SECONDS)
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Task:
    """A unit for another process, with everything that it needs.

    Attributes:
        models: paths of the models.
        fingerprints: of the models: a worker that has loaded others at these paths loads them again.
        batch_size: chunks in each call.
        decided: weights of the models.
        unit, chunking, embeddings: as in `units.score`.
    """

    models: tuple[str, ...]
    fingerprints: tuple[str, ...]
    batch_size: int
    decided: decisions.Decisions
    unit: units.Unit
    chunking: decode.ChunkingConfig
    embeddings: bool


@functools.lru_cache(maxsize=2)
def _loaded(models: tuple[str, ...], batch_size: int, fingerprints: tuple[str, ...]) -> ensembles.Ensemble:
    """The models, loaded once in a process."""
    atexit.register(_loaded.cache_clear)  # a graph that still exists when the interpreter ends prints a traceback
    with saved_model.without_warnings():  # the command has told them
        ensemble = ensembles.Ensemble(models, "none", batch_size)
    found = tuple(model.fingerprint for model in ensemble.models)
    if found != fingerprints:
        raise config.InputError(f"{', '.join(models)}: a worker finds other models there than the command; copy them")
    return ensemble


def _run(task: _Task) -> list[ScoredRecording]:
    """Scores a unit in this process, with one thread for its batches."""
    ensemble = copy.copy(_loaded(task.models, task.batch_size, task.fingerprints))
    ensemble.decisions = task.decided
    with units.Batches(1) as batches:
        return list(units.score(task.unit, ensemble, task.chunking, embeddings=task.embeddings, batches=batches))


def _elsewhere(
    ensemble: ensembles.Ensemble, todo: Sequence[units.Unit], chunking: decode.ChunkingConfig, embeddings: bool,
    place: executor.PlaceConfig, progress: Progress,
) -> Generator[ScoredRecording, None, None]:  # fmt: skip
    """Scores units in other processes or on a cluster. A recording whose process dies twice is told as unreadable."""
    task = _Task(
        models=tuple(model.folder for model in ensemble.models),
        fingerprints=tuple(model.fingerprint for model in ensemble.models),
        batch_size=ensemble.models[0].batch_size,
        decided=ensemble.decisions,
        unit=units.Unit(recordings=(), seconds=()),
        chunking=chunking,
        embeddings=embeddings,
    )
    tasks = [dataclasses.replace(task, unit=unit) for unit in todo]
    with contextlib.closing(executor.results(_run, tasks, place, progress.show)) as found:
        for unit, scored in zip(todo, found, strict=True):
            yield from _one_by_one(dataclasses.replace(task, unit=unit)) if scored is None else scored
            progress.add(sum(unit.seconds))


def _one_by_one(task: _Task) -> Iterator[ScoredRecording]:
    """Scores the recordings of a unit whose process died twice, each in a process of its own; a single one no more."""
    alone = task.unit.alone()
    for unit in alone:
        again = executor.alone_or_none(_run, dataclasses.replace(task, unit=unit)) if len(alone) > 1 else None
        yield from again or [_died(unit)]


def _died(unit: units.Unit) -> ScoredRecording:
    """What is said of the only recording of a unit."""
    [(recording_id, path)] = unit.recordings
    reason = f"{path}: the worker process died twice while reading it"
    return ScoredRecording(recording_id=recording_id, path=path, scores=None, reason=reason)

"""Shard tasks → their results: on cores or a cluster, after a kill, and past recordings that kill their worker.

What a task does belongs to `worker`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from concurrent import futures

from absl import logging

from bird_tf import config, executor, progress_bars
from bird_tf.conversion import shard_tasks, state, worker

# worker processes may die so often, one time after the other, without having begun a recording
_MOST_TRIES = 3
# time after which the progress bar looks again at what the workers do
_REPORT_SECONDS = 1.0


class _Progress:
    """The results so far, the tasks that are left, and a progress bar."""

    def __init__(self, tasks: Sequence[shard_tasks.ShardTask]) -> None:
        finished = {task.name: state.finished(task) for task in tasks}
        self.results = {name: result for name, result in finished.items() if result is not None}
        self.left = [task for task in tasks if task.name not in self.results]
        if self.results:
            logging.info(
                "going on with an unfinished conversion: %d of %d shards are finished", len(self.results), len(tasks)
            )
        self._bar = progress_bars.start(sum(len(t.recordings) for t in self.left), "recording", "converting")
        self._bar.set_postfix_str("starting workers")
        self._seconds, self._skipped, self._num_converted = 0.0, 0, 0
        for result in self.results.values():
            self._count(result)

    def add(self, task: shard_tasks.ShardTask, result: shard_tasks.ShardResult) -> None:
        """Adds the result of a task."""
        self.results[task.name] = result
        self.left.remove(task)
        self._count(result)
        self._bar.set_postfix_str(f"{self._seconds / 3600:.2f} h of audio, {self._skipped} skipped")
        self._num_converted += len(task.recordings)
        self._show(self._num_converted)

    def show_recordings_in_work(self, tasks: Iterable[shard_tasks.ShardTask]) -> None:
        """Counts the recordings too that are converted but whose shard is not finished yet."""
        in_work = [(task, state.recording_in_work(task)) for task in tasks]
        places = [[r.recording_id for r in task.recordings].index(now) for task, now in in_work if now]
        self._show(self._num_converted + sum(places))

    def _show(self, count: int) -> None:
        if not self._bar.n and count:
            self._bar.set_postfix_str("")
        # a worker that died begins its shard again
        self._bar.update(max(0, count - self._bar.n))

    def _count(self, result: shard_tasks.ShardResult) -> None:
        self._seconds += sum(converted.seconds for converted in result.recordings)
        self._skipped += sum(bool(converted.reason) for converted in result.recordings)

    def close(self) -> None:
        """Closes the bar."""
        self._bar.close()


def run(tasks: Sequence[shard_tasks.ShardTask], workers: int, scheduler: str) -> dict[str, shard_tasks.ShardResult]:
    """Runs the tasks that are not finished, as `executor.start` does.

    Returns:
        {shard name: result} of all tasks.

    Raises:
        InputError: as `executor.start`; or worker processes die, and not of a recording.
    """
    progress, tries = _Progress(tasks), 0
    # what was being read when a command was killed may have killed it: then worker processes die of it in its place
    was_killed = any(map(state.has_recording_in_work, progress.left))
    try:
        while progress.left:
            before = len(progress.left)
            for task in progress.left:
                state.clear_recording_in_work(task)
            # a worker process has one thread; with several a SavedModel may sum in another order
            one_thread = any(task.backbone and task.backbone.is_saved_model for task in tasks)
            with executor.start(
                workers, scheduler, len(progress.left), in_process=not (one_thread or was_killed)
            ) as pool:
                pending = {pool.submit(worker.write_shard, task): task for task in progress.left}
                while pending:
                    progress.show_recordings_in_work(pending.values())
                    for future in futures.wait(pending, _REPORT_SECONDS, futures.FIRST_COMPLETED).done:
                        task = pending.pop(future)
                        if not executor.worker_died(future.exception()):
                            progress.add(task, future.result())
            # a process has died, which ends its whole pool: each task that was in work is repeated alone
            for task in [task for task in progress.left if state.recording_in_work(task)]:
                progress.add(task, _run_alone(task))
            tries = tries + 1 if len(progress.left) == before else 0
            if tries == _MOST_TRIES:
                raise config.InputError(
                    f"{progress.left[0].name}: {tries} times all worker processes died before they read a recording; "
                    "is there enough memory? fewer --workers need less"
                )
    finally:
        progress.close()
    return progress.results


def _run_alone(task: shard_tasks.ShardTask) -> shard_tasks.ShardResult:
    """Runs a task in a process of its own. If that dies, the task is repeated without the recording in work."""
    unusable: list[str] = []
    while True:
        state.clear_recording_in_work(task)  # the process may die before it reads another
        with executor.alone() as pool:
            future = pool.submit(worker.write_shard, dataclasses.replace(task, unusable=tuple(unusable)))
            if not executor.worker_died(future.exception()):
                return future.result()
        recording_id = state.recording_in_work(task)
        if not recording_id or recording_id in unusable:
            raise config.InputError(
                f"{task.name}: its worker process died, but not while reading a recording; is there enough memory?"
            )
        logging.warning("a worker process died while reading recording %s: it is skipped", recording_id)
        unusable.append(recording_id)

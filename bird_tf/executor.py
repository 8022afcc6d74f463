"""Where work runs: in this process, in a pool of processes, or on a Dask cluster.

All three are a `concurrent.futures.Executor`, so the code that submits work need not know which one it has.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import threading
import types
from collections.abc import Iterator
from concurrent import futures
from multiprocessing import connection, context
from typing import Any

from bird_tf import config, stderr_filter

# held until the process ends
_OF_PROCESS = contextlib.ExitStack()


def _prepare_process(filters: bool) -> None:
    """Prepares a worker process, before TensorFlow starts its threads. Remarks are filtered here or by the parent."""
    if filters:
        _OF_PROCESS.enter_context(stderr_filter.filtered())
    # one thread each: the other cores belong to the other workers
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = "1"
    # no GPU: each process would reserve the whole memory of it
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when its parent is gone. A parent that is killed cannot end its workers itself."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def worker_died(error: BaseException | None) -> bool:
    """Whether a future failed because its process, or another one of the same pool, died."""
    # Dask's exception is recognised by its name, since Dask may not be installed
    return isinstance(error, futures.BrokenExecutor) or type(error).__name__ == "KilledWorker"


class _Process(context.SpawnProcess):
    """A process that does not import the program that starts it, and so does not run it a second time.

    No function that we send to processes lies there. Programs that call `bird_tf.convert` need no
    `if __name__ == "__main__"`.
    """

    @staticmethod
    def _Popen(process: Any) -> Any:
        program = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            return context.SpawnProcess._Popen(process)
        finally:
            sys.modules["__main__"] = program


class _Context(context.SpawnContext):
    """Spawn, not fork: a forked TensorFlow may deadlock."""

    Process = _Process


def _pool(workers: int) -> futures.Executor:
    return futures.ProcessPoolExecutor(
        workers, mp_context=_Context(), initializer=_prepare_process, initargs=(not stderr_filter.is_active(),)
    )


def alone() -> futures.Executor:
    """A pool of one process, for work that may crash. It is a context manager."""
    return _pool(1)


@contextlib.contextmanager
def start(
    workers: int, scheduler: str = "", num_tasks: int | None = None, *, in_process: bool = True
) -> Iterator[futures.Executor]:
    """Yields an executor, and shuts it down when the block ends.

    Args:
        workers: number of processes; 0 means as many as there are cores, 1 means a thread of this process.
        scheduler: address of a Dask scheduler (`tcp://host:8786`); it overrides `workers`.
        num_tasks: number of tasks, if known; not more processes than that are started.
        in_process: whether a single worker may be this process, which computes with threads on all cores.

    Raises:
        InputError: a negative number, Dask is not installed, or no scheduler answers at the address.
    """
    if workers < 0:
        raise config.InputError(f"--workers={workers}: must be 0 (all cores) or more")
    if scheduler:
        with _dask(scheduler) as cluster:
            yield cluster
        return
    workers = workers or len(os.sched_getaffinity(0))
    workers = workers if num_tasks is None else max(1, min(workers, num_tasks))
    before = set(multiprocessing.active_children())
    pool = futures.ThreadPoolExecutor(1) if workers == 1 and in_process else _pool(workers)
    try:
        yield pool
    except (KeyboardInterrupt, SystemExit):
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()  # it would end its task first, and the command waits for it
            process.join()
        raise
    except BaseException:
        pool.shutdown(cancel_futures=True)  # what is in work is completed, or cleaned up, before the caller goes on
        raise
    pool.shutdown()


@contextlib.contextmanager
def _dask(scheduler: str) -> Iterator[futures.Executor]:
    try:
        import distributed
    except ImportError as error:
        raise config.InputError("--scheduler needs Dask: pip install 'bird-tf[cluster]'") from error
    try:
        client = distributed.Client(scheduler, timeout="10s")
    except (OSError, ValueError) as error:
        raise config.InputError(f"--scheduler={scheduler}: no Dask scheduler answers there ({error})") from error
    with client:
        yield client.get_executor()

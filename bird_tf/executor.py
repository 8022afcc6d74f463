"""The one place that says where work runs: in this process, in a pool of processes, or on a Dask cluster.

All three are a `concurrent.futures.Executor`, so the code that hands out work does not know which it has.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent import futures
from multiprocessing import connection

from bird_tf import config, stderr_filter, tf


@functools.cache
def start_compiler() -> None:
    """Starts XLA, which remarks on that once a process, before what it compiles does it in the midst of work."""
    with stderr_filter.filtered(), tf.device("CPU"):
        tf.function(lambda: tf.constant(0), jit_compile=True)()


def _prepare_process() -> None:
    """What a worker process does first, before TensorFlow starts its threads."""
    # it leaves the other cores to the other workers
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = "1"
    # each process would take the whole memory of a GPU, which none of them uses
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when the one that started it is gone: killed, it could not tell, and a next run is waiting."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def worker_died(error: BaseException | None) -> bool:
    """Whether a future failed because the process that worked on it (or, in a pool, beside it) is gone."""
    # Dask's exception is told by its name, since Dask need not be installed
    return isinstance(error, futures.BrokenExecutor) or type(error).__name__ == "KilledWorker"


def _pool(workers: int) -> futures.Executor:
    # spawn, not fork: a forked TensorFlow may deadlock
    context = multiprocessing.get_context("spawn")
    return futures.ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare_process)


def alone() -> futures.Executor:
    """One process for work that may end it; a context manager."""
    return _pool(1)


@contextlib.contextmanager
def start(
    workers: int, scheduler: str = "", num_tasks: int | None = None, *, in_process: bool = True
) -> Iterator[futures.Executor]:
    """Yields an executor and shuts it down at the end.

    Args:
        workers: number of processes; 0 means as many as there are cores, 1 means a thread of this process.
        scheduler: address of a Dask scheduler (`tcp://host:8786`); it overrides `workers`.
        num_tasks: how much there is to do, if known; more processes than that are not started.
        in_process: whether a single worker may be this process, which computes with threads on all cores.

    Raises:
        InputError: a negative number, Dask not installed, or nobody at the address.
    """
    if workers < 0:
        raise config.InputError(f"--workers={workers}: must be 0 (all cores) or more")
    if scheduler:
        with _dask(scheduler) as cluster:
            yield cluster
        return
    workers = workers or len(os.sched_getaffinity(0))
    workers = workers if num_tasks is None else max(1, min(workers, num_tasks))
    pool = futures.ThreadPoolExecutor(1) if workers == 1 and in_process else _pool(workers)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
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

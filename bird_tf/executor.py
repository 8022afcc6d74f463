"""The one place that says where work runs: in this process, in a pool of processes, or on a Dask cluster.

All three are a `concurrent.futures.Executor`, so the code that hands out work does not know which it has.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Iterator
from concurrent import futures

from bird_tf import config


def _one_thread() -> None:
    """A worker leaves the other cores to the other workers; it must run before TensorFlow starts its threads."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = "1"


@contextlib.contextmanager
def start(workers: int, scheduler: str = "") -> Iterator[futures.Executor]:
    """Yields an executor and shuts it down at the end.

    Args:
        workers: number of processes; 0 means as many as there are cores, 1 means a thread of this process.
        scheduler: address of a Dask scheduler (`tcp://host:8786`); it overrides `workers`.

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
    pool: futures.Executor
    if workers == 1:
        pool = futures.ThreadPoolExecutor(1)
    else:
        # spawn, not fork: a forked TensorFlow may deadlock
        context = multiprocessing.get_context("spawn")
        pool = futures.ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread)
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

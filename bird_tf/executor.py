"""Where work runs: in this process, in a pool of processes, or on a Dask cluster.

All three are a `concurrent.futures.Executor`, so the code that submits work need not know which one it has.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import multiprocessing
import os
import sys
import threading
import types
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent import futures
from multiprocessing import connection, context
from typing import Any, TypeVar

from bird_tf import config, stderr_filter, tf

# tasks that are submitted before the result of the first of them is taken: all cores of a cluster have some
_MOST_AHEAD = 256
# time after which `results` says that it still waits
_REPORT_SECONDS = 0.5
Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlaceConfig:
    """Where recordings are scored."""

    threads: int = config.option(
        0, "recordings in work at once, in threads of this process; 0: one for each core; scores do not depend on it"
    )
    workers: int = config.option(
        1, "worker processes; 1: this process alone; 0: one for each GPU, or without a GPU one for each core"
    )
    scheduler: str = config.option("", "address of a Dask scheduler that runs the work instead, as tcp://host:8786")

    def __post_init__(self) -> None:
        for name in ("threads", "workers"):
            if getattr(self, name) < 0:
                raise config.InputError(f"--{name}={getattr(self, name)}: must be 0 or more")
        config.refuse_without_effect(
            {"--threads with --workers or --scheduler": self.threads and not self.is_this_process}
        )

    @property
    def is_this_process(self) -> bool:
        """Whether the work runs in threads of this process."""
        return self.workers == 1 and not self.scheduler

    @property
    def num_threads(self) -> int:
        """Number of threads of this process."""
        return self.threads or num_cores()

    def prepare(self) -> None:
        """Leaves the GPUs to the worker processes, if there are any. To be called before a model is loaded."""
        if not self.is_this_process:
            with contextlib.suppress(RuntimeError):  # this process already uses them
                tf.config.set_visible_devices([], "GPU")


def num_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _gpus() -> list[str]:
    """The GPUs of this machine, as CUDA_VISIBLE_DEVICES names them."""
    count = len(tf.config.list_physical_devices("GPU"))
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return (named.split(",") if named else [str(number) for number in range(count)])[:count]


# held until the process ends
_OF_PROCESS = contextlib.ExitStack()


def _prepare_process(filters: bool, gpus: multiprocessing.SimpleQueue[str] | None = None) -> None:
    """Prepares a worker process, before TensorFlow starts its threads. Remarks are filtered here or by the parent.

    Args:
        filters: whether this process filters them.
        gpus: gives each process one GPU; None: it has none, for TensorFlow would reserve the whole memory of it.
    """
    if filters:
        _OF_PROCESS.enter_context(stderr_filter.filtered())
    # one thread each: the other cores belong to the other workers
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = "1"
    os.environ["CUDA_VISIBLE_DEVICES"] = gpus.get() if gpus else "-1"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when its parent is gone. A parent that is killed cannot end its workers itself."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def survives(function: Callable[..., object], *arguments: object, seconds: float) -> bool:
    """Whether a process that calls a function comes to its end, within a time: it neither crashes nor hangs.

    It may raise what it wants; whoever calls it in this process then meets the same error.
    """
    process = _Context().Process(target=_call, args=(function, arguments))
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
    return process.exitcode == 0


def _call(function: Callable[..., object], arguments: Sequence[object]) -> None:
    _prepare_process(filters=False)
    with contextlib.suppress(Exception), open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)  # what libraries say before they crash
        function(*arguments)
    os._exit(0)


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


def _pool(workers: int, gpus: Sequence[str] = ()) -> futures.Executor:
    shared, started = None, _Context()
    if gpus:
        shared = started.SimpleQueue()
        for number in range(workers):
            shared.put(gpus[number % len(gpus)])
    arguments = not stderr_filter.is_active(), shared
    return futures.ProcessPoolExecutor(workers, mp_context=started, initializer=_prepare_process, initargs=arguments)


def alone() -> futures.Executor:
    """A pool of one process, for work that may crash. It is a context manager."""
    return _pool(1)


@contextlib.contextmanager
def start(
    workers: int, scheduler: str = "", num_tasks: int | None = None, *, in_process: bool = True, on_gpus: bool = False
) -> Iterator[futures.Executor]:
    """Yields an executor, and shuts it down when the block ends.

    Args:
        workers: number of processes; 0 means as many as there are cores, 1 means a thread of this process.
        scheduler: address of a Dask scheduler (`tcp://host:8786`); it overrides `workers`.
        num_tasks: number of tasks, if known; not more processes than that are started.
        in_process: whether a single worker may be this process, which computes with threads on all cores.
        on_gpus: whether each process gets a GPU, if there are some; 0 workers then means as many as there are GPUs.

    Raises:
        InputError: a negative number, Dask is not installed, or no scheduler answers at the address.
    """
    if workers < 0:
        raise config.InputError(f"--workers={workers}: must be 0 (all cores) or more")
    if scheduler:
        with _dask(scheduler) as cluster:
            yield cluster
        return
    gpus = _gpus() if on_gpus else []
    workers = workers or len(gpus) or num_cores()
    workers = workers if num_tasks is None else max(1, min(workers, num_tasks))
    before = set(multiprocessing.active_children())
    pool = futures.ThreadPoolExecutor(1) if workers == 1 and in_process else _pool(workers, gpus)
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


def results(
    function: Callable[[Task], Result], tasks: Sequence[Task], place: PlaceConfig, waiting: Callable[[], None]
) -> Generator[Result | None, None, None]:
    """Yields the results of tasks in worker processes or on a cluster, in the order of the tasks.

    When a process dies, the tasks in work are repeated. If that happens again before a further result is there, the
    first task is repeated alone; None stands for its result if that process dies too.

    Args:
        function: of one task.
        tasks: can be sent to other processes.
        place: where they run.
        waiting: is called now and then.

    Raises:
        InputError: as `start`.
    """
    done, died_at = 0, -1
    while done < len(tasks):
        with start(place.workers, place.scheduler, len(tasks) - done, in_process=False, on_gpus=True) as pool:
            ahead: collections.deque[futures.Future[Result]] = collections.deque()
            while done < len(tasks):
                try:
                    while len(ahead) < min(_MOST_AHEAD, len(tasks) - done):
                        ahead.append(pool.submit(function, tasks[done + len(ahead)]))
                except futures.BrokenExecutor:
                    break
                while not futures.wait([ahead[0]], _REPORT_SECONDS).done:
                    waiting()
                if worker_died(ahead[0].exception()):
                    break
                done += 1
                yield ahead.popleft().result()
        if done < len(tasks) and died_at == done:
            yield alone_or_none(function, tasks[done])
            done += 1
        died_at = done


def alone_or_none(function: Callable[[Task], Result], task: Task) -> Result | None:
    """The result of a task in a process of its own; None if the process dies."""
    with alone() as pool:
        future = pool.submit(function, task)
        return None if worker_died(future.exception()) else future.result()

import multiprocessing
import os
import pathlib
import signal
import sys
import time
from concurrent import futures

import pytest

from bird_tf import config, executor, stderr_filter


def _divide(a, b):
    return a / b


def test_one_worker_is_this_process():
    with executor.start(1) as pool:
        assert pool.submit(os.getpid).result() == os.getpid()


def test_one_worker_is_another_process_where_threads_would_count():
    with executor.start(1, in_process=False) as pool:
        assert pool.submit(os.getpid).result() != os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_results_and_exceptions_travel_in_the_future(workers):
    with executor.start(workers) as pool:
        assert pool.submit(_divide, 6, 3).result() == 2
        assert isinstance(pool.submit(_divide, 1, 0).exception(), ZeroDivisionError)


def test_no_more_processes_than_tasks():
    with executor.start(8, num_tasks=1) as pool:
        assert pool.submit(os.getpid).result() == os.getpid()


def test_a_pool_runs_elsewhere():
    with executor.start(2) as pool:
        assert pool.submit(os.getpid).result() != os.getpid()


def _at_work(pool, seconds):
    """The future of work that has begun."""
    working = pool.submit(time.sleep, seconds)
    while not working.running():
        time.sleep(0.01)
    return working


def _left(seconds):
    """The processes that are left after some seconds; a thread of the pool may be noting the end of one."""
    until = time.monotonic() + seconds
    while (children := multiprocessing.active_children()) and time.monotonic() < until:
        time.sleep(0.01)
    return children


def test_a_stopped_command_does_not_wait_for_its_workers():
    with pytest.raises(SystemExit), executor.start(2) as pool:
        working = _at_work(pool, 60)
        raise SystemExit
    assert executor.worker_died(working.exception(20)) and not _left(10)


def test_an_error_lets_the_work_that_has_begun_be_completed():
    with pytest.raises(ZeroDivisionError), executor.start(1) as pool:
        working = _at_work(pool, 0.2)
        raise ZeroDivisionError
    assert working.done()


def test_negative_workers_are_refused():
    with pytest.raises(config.InputError, match="--workers=-1"), executor.start(-1):
        pass


def test_dask_runs_the_same_calls():
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None)
    with cluster, executor.start(0, cluster.scheduler_address) as pool:
        assert pool.submit(_divide, 6, 3).result() == 2
        assert isinstance(pool.submit(_divide, 1, 0).exception(), ZeroDivisionError)


def _speak():
    os.write(2, b"Note: Trying to resync...\n")
    print("a word of Python's", file=sys.stderr)
    return os.environ["CUDA_VISIBLE_DEVICES"], os.environ["TF_NUM_INTRAOP_THREADS"]


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_is_sifted_with_its_parent_and_leaves_the_gpu_alone(capfd):
    with stderr_filter.filtered(), executor.alone() as pool:
        assert pool.submit(_speak).result() == ("-1", "1")
    assert capfd.readouterr().err == "a word of Python's\n"


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [(_divide, (1, 1), True), (_divide, (1, 0), True), (_die, (), False), (time.sleep, (60,), False)],
)
def test_what_crashes_or_hangs_does_not_survive(function, arguments, expected):
    seconds = 0.1 if function is time.sleep else 100
    assert executor.survives(function, *arguments, seconds=seconds) is expected
    assert not multiprocessing.active_children()


def test_a_process_that_dies_is_told_from_an_exception():
    with executor.alone() as pool:
        assert not executor.worker_died(pool.submit(_divide, 1, 0).exception())
        assert executor.worker_died(pool.submit(_die).exception())
    assert not executor.worker_died(None)
    assert executor.worker_died(futures.BrokenExecutor())


def test_dasks_word_for_a_dead_worker_is_known():
    distributed = pytest.importorskip("distributed")
    assert executor.worker_died(distributed.scheduler.KilledWorker("task", None, 3))


def _die_once(path):
    """Dies if the file is not there, after it made it."""
    if not os.path.exists(path):
        with open(path, "w"):
            os.kill(os.getpid(), signal.SIGKILL)
    return path


@pytest.fixture
def no_gpus(monkeypatch):
    """TensorFlow, which would be asked for them, takes seconds to load."""
    monkeypatch.setattr(executor, "_gpus", list)


def _results(function, tasks, **place):
    return list(executor.results(function, tasks, executor.PlaceConfig(**place), lambda: None))


def test_results_come_in_order_and_a_killed_process_costs_a_retry(tmp_path, no_gpus):
    paths = [str(tmp_path / str(number)) for number in range(5)]
    for path in paths[:2] + paths[3:]:
        pathlib.Path(path).touch()
    assert _results(_die_once, paths, workers=2) == paths


def _die_of(number):
    return _die() if number == 1 else number


def test_a_task_that_kills_its_process_again_and_again_has_no_result(no_gpus):
    assert _results(_die_of, [0, 1, 2], workers=1) == [0, None, 2]


def _gpu(_):
    return os.environ["CUDA_VISIBLE_DEVICES"]


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(executor, "_gpus", lambda: ["4", "7"])
    with executor.start(0, on_gpus=True) as pool:
        assert {pool.submit(_gpu, number).result() for number in range(2)} <= {"4", "7"}
        assert pool._max_workers == 2


@pytest.mark.parametrize("flags", [{"threads": -1}, {"workers": -1}, {"threads": 2, "workers": 2}])
def test_places_that_cannot_be_are_refused(flags):
    with pytest.raises(config.InputError, match=f"--{next(iter(flags))}"):
        executor.PlaceConfig(**flags)

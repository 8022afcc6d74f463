import multiprocessing
import os
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


def test_a_stopped_command_does_not_wait_for_its_workers():
    with pytest.raises(SystemExit), executor.start(2) as pool:
        working = _at_work(pool, 60)
        raise SystemExit
    assert executor.worker_died(working.exception(20)) and not multiprocessing.active_children()


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


def test_a_process_that_dies_is_told_from_an_exception():
    with executor.alone() as pool:
        assert not executor.worker_died(pool.submit(_divide, 1, 0).exception())
        assert executor.worker_died(pool.submit(_die).exception())
    assert not executor.worker_died(None)
    assert executor.worker_died(futures.BrokenExecutor())


def test_dasks_word_for_a_dead_worker_is_known():
    distributed = pytest.importorskip("distributed")
    assert executor.worker_died(distributed.scheduler.KilledWorker("task", None, 3))

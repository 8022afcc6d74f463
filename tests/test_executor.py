import os

import pytest

from bird_tf import config, executor


def _divide(a, b):
    return a / b


def test_one_worker_is_this_process():
    with executor.start(1) as pool:
        assert pool.submit(os.getpid).result() == os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_results_and_exceptions_travel_in_the_future(workers):
    with executor.start(workers) as pool:
        assert pool.submit(_divide, 6, 3).result() == 2
        assert isinstance(pool.submit(_divide, 1, 0).exception(), ZeroDivisionError)


def test_a_pool_runs_elsewhere():
    with executor.start(2) as pool:
        assert pool.submit(os.getpid).result() != os.getpid()


def test_negative_workers_are_refused():
    with pytest.raises(config.InputError, match="--workers=-1"), executor.start(-1):
        pass


def test_dask_runs_the_same_calls():
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None)
    with cluster, executor.start(0, cluster.scheduler_address) as pool:
        assert pool.submit(_divide, 6, 3).result() == 2
        assert isinstance(pool.submit(_divide, 1, 0).exception(), ZeroDivisionError)

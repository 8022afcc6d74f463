"""The input graph on a tf.data service, on loopback."""

import dataclasses
import itertools
import signal
import types

import numpy as np
import pytest

from bird_tf import config, endings
from bird_tf.input import dataset, streams
from bird_tf.input.augment import augmentations
from tools import data_service

SETTINGS = dataset.DatasetConfig(batch_size=4, shuffle_buffer=64)
VARIED = augmentations.AugmentConfig(roll_time=0.5, add_noise=True, or_mixup=0.3)


@pytest.fixture
def dispatcher():
    return data_service.start(data_service.ServiceConfig(role="dispatcher"))


def _worker(dispatcher):
    address = dispatcher.target.removeprefix("grpc://")
    return data_service.start(data_service.ServiceConfig(role="worker", dispatcher=address))


def _batches(manifest, settings, count):
    stream = dataset.training(manifest, settings, VARIED, seed=1)
    return [batch["spectrogram"].numpy().tobytes() for batch in itertools.islice(stream, count)]


def test_one_worker_gives_the_batches_that_a_run_without_service_sees(manifest, dispatcher):
    worker = _worker(dispatcher)
    served = dataclasses.replace(SETTINGS, data_service=dispatcher.target)
    count = streams.steps_per_epoch(manifest, SETTINGS) + 2
    assert _batches(manifest, served, count) == _batches(manifest, SETTINGS, count)
    worker.stop()


def test_two_workers_share_the_epochs(manifest, dispatcher):
    workers = [_worker(dispatcher), _worker(dispatcher)]
    served = dataclasses.replace(SETTINGS, data_service=dispatcher.target)
    steps = streams.steps_per_epoch(manifest, SETTINGS)
    seen = _batches(manifest, served, 4 * steps)
    assert len(set(seen)) == len(seen)  # nothing twice
    assert set(seen) <= set(_batches(manifest, SETTINGS, 40 * steps))
    for worker in workers:
        worker.stop()


@pytest.mark.parametrize("given", ["", "localhost", "http://localhost:5050", "grpc://localhost"])
def test_a_worker_without_dispatcher_is_refused(given):
    with pytest.raises(config.InputError, match=f"--dispatcher{f'={given}: not of' if given else ' is missing'}"):
        data_service.ServiceConfig(role="worker", dispatcher=given)


def test_the_address_of_a_training_and_of_ipv6_will_do():
    addresses = "grpc://localhost:5050", "[::1]:5050"
    found = [data_service.ServiceConfig(dispatcher=given).dispatcher_address for given in addresses]
    assert found == ["localhost:5050", "[::1]:5050"]


def test_signals_end_it_while_tensorflow_waits(monkeypatch, capsys):
    def waits(_):
        assert {signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)} == {signal.SIG_DFL}
        assert "waits for the dispatcher at localhost:5050" in capsys.readouterr().out
        return types.SimpleNamespace(join=lambda: None)

    monkeypatch.setattr(data_service, "start", waits)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it may be ignored
    try:
        with endings.stopping_on_signals():
            data_service.main(data_service.ServiceConfig(dispatcher="localhost:5050"))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_service_starts_where_it_is_told_to(manifest, dispatcher):
    worker = _worker(dispatcher)
    served = dataclasses.replace(SETTINGS, data_service=dispatcher.target)
    local, remote = (
        next(iter(dataset.training(manifest, settings, VARIED, 1, streams.Start(epoch=2, step=1))))
        for settings in (SETTINGS, served)
    )
    np.testing.assert_array_equal(local["targets"], remote["targets"])
    worker.stop()

import dataclasses
import os
import signal
import threading

import numpy as np
import pytest

from bird_tf.training import checkpoints


def test_a_checkpoint_is_read_as_it_was_written(tmp_path, generator):
    state = {
        "network/conv2d_0/kernel": generator.random((3, 2)).astype(np.float32),
        "optimiser/adam/iteration": np.array(7, np.int64),
        "network/dropout_0/seed_generator_state": np.array([1, 2], np.uint32),
    }
    progress = checkpoints.Progress(
        steps=11, epochs=1, epoch_loss=0.1 + 0.2, best_metrics={"mlrap": 1 / 3}, best_epoch=1,
        best_weights={"conv2d_0/kernel": generator.random(4)},
    )  # fmt: skip
    checkpoints.save(str(tmp_path), progress, state)
    loaded, arrays = checkpoints.load(str(tmp_path))
    assert loaded.best_weights.keys() == progress.best_weights.keys()
    np.testing.assert_array_equal(loaded.best_weights["conv2d_0/kernel"], progress.best_weights["conv2d_0/kernel"])
    assert dataclasses.replace(loaded, best_weights={}) == dataclasses.replace(progress, best_weights={})
    assert arrays.keys() == state.keys()
    for name, array in state.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_without_a_checkpoint_there_is_nothing_to_load(tmp_path):
    assert checkpoints.load(str(tmp_path)) is None


def test_an_interrupted_write_leaves_the_earlier_checkpoint(tmp_path, monkeypatch):
    checkpoints.save(str(tmp_path), checkpoints.Progress(steps=1), {})
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("killed")))
    with pytest.raises(OSError, match="killed"):
        checkpoints.save(str(tmp_path), checkpoints.Progress(steps=2), {})
    assert checkpoints.load(str(tmp_path))[0].steps == 1


def test_the_first_signal_is_noted_and_the_second_acts():
    # a shell starts background processes with this signal ignored
    before = signal.default_int_handler
    signal.signal(signal.SIGINT, before)
    with checkpoints.catching_signals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert signals == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            signal.pause()
    assert signal.getsignal(signal.SIGINT) is before


def test_threads_other_than_the_main_thread_receive_no_signals():
    received = []

    def work():
        with checkpoints.catching_signals() as signals:
            received.append(signals)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert received == [[]]

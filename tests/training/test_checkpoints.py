import os
import signal
import threading

import numpy as np
import pytest

from bird_tf import config
from bird_tf.training import checkpoints


@pytest.fixture
def run_dir(tmp_path):
    path = str(tmp_path / "run")
    checkpoints.prepare_run_dir(path, "--epochs=3\n--teacher=a\n--teacher=b\n--run_dir=x\n", overwrite=False)
    return path


def test_a_checkpoint_comes_back_as_it_was(run_dir, generator):
    state = [generator.random((3, 2)).astype(np.float32), np.array(7, np.int64), np.array([1, 2], np.uint32)]
    progress = checkpoints.Progress(steps=11, epochs=1, epoch_loss=0.1 + 0.2, best={"mlrap": 1 / 3}, best_epoch=1)
    progress.best_weights = [generator.random(4)]
    checkpoints.save(run_dir, progress, state, "digest")
    loaded, arrays = checkpoints.load(run_dir, "digest")
    np.testing.assert_array_equal(loaded.best_weights[0], progress.best_weights[0])
    loaded.best_weights = progress.best_weights
    assert loaded == progress
    for a, b in zip(arrays, state, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_without_a_checkpoint_there_is_nothing_to_load(run_dir):
    assert checkpoints.load(run_dir, "digest") is None
    assert checkpoints.finished(run_dir) is None


def test_a_checkpoint_cut_short_leaves_the_one_before(run_dir, monkeypatch):
    checkpoints.save(run_dir, checkpoints.Progress(steps=1), [], "digest")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("killed")))
    with pytest.raises(OSError, match="killed"):
        checkpoints.save(run_dir, checkpoints.Progress(steps=2), [], "digest")
    assert checkpoints.load(run_dir, "digest")[0].steps == 1


def test_changed_records_are_refused(run_dir):
    checkpoints.save(run_dir, checkpoints.Progress(), [], "digest")
    with pytest.raises(config.InputError, match="records have changed"):
        checkpoints.load(run_dir, "another")


def test_the_digest_tells_records_apart(manifest):
    import dataclasses

    other = dataclasses.replace(manifest, shards={**manifest.shards, "noise": ()})
    elsewhere = dataclasses.replace(manifest, directory="/elsewhere")
    assert checkpoints.digest(elsewhere) == checkpoints.digest(manifest) != checkpoints.digest(other)


def test_the_same_flags_may_go_on(run_dir):
    flags = "--teacher=a\n--teacher=b\n--epochs=3\n--run_dir=elsewhere\n--checkpoint_minutes=9\n"
    checkpoints.check_run_dir(run_dir, flags, overwrite=False)


@pytest.mark.parametrize(
    ("flags", "difference"),
    [
        ("--epochs=4\n--teacher=a\n--teacher=b\n", "--epochs=3 there, 4 here"),
        ("--epochs=3\n--teacher=b\n--teacher=a\n", "--teacher=a,b there, b,a here"),
        ("--epochs=3\n--teacher=a\n--teacher=b\n--l2=1\n", "--l2=unset there, 1 here"),
    ],
)
def test_other_flags_are_refused_and_named(run_dir, flags, difference):
    with pytest.raises(config.InputError, match=difference):
        checkpoints.check_run_dir(run_dir, flags, overwrite=False)
    checkpoints.check_run_dir(run_dir, flags, overwrite=True)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    (tmp_path / "thesis.doc").write_text("precious")
    with pytest.raises(config.InputError, match="no run"):
        checkpoints.check_run_dir(str(tmp_path), "", overwrite=False)


def test_overwriting_leaves_nothing_of_the_run_before(run_dir):
    checkpoints.save(run_dir, checkpoints.Progress(), [], "digest")
    checkpoints.prepare_run_dir(run_dir, "--epochs=5\n", overwrite=True)
    assert os.listdir(run_dir) == [checkpoints.FLAGS]


def test_the_first_signal_is_noted_and_the_second_acts():
    # a shell starts what it puts into the background with this signal ignored
    before = signal.default_int_handler
    signal.signal(signal.SIGINT, before)
    with checkpoints.catching_signals() as caught:
        os.kill(os.getpid(), signal.SIGINT)
        assert caught == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            signal.pause()
    assert signal.getsignal(signal.SIGINT) is before


def test_threads_other_than_the_main_one_are_let_be():
    seen = []

    def work():
        with checkpoints.catching_signals() as caught:
            seen.append(caught)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [[]]

"""A training that is killed or stopped, and started again by the same command."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from bird_tf import config, tf, train
from bird_tf.training import checkpoints, run_directory, tensorboard
from tests.conftest import train_settings


def _start(manifest, run_dir):
    """Averaged weights, dropout and Adam's state all have to survive; batches of two make for many steps."""
    settings = train_settings(
        manifest, run_dir, batch_size=2, epochs=3, patience=9, dropout=0.2, ema=0.9, roll_time=0.5,
        checkpoint_minutes=0.0, deterministic=True,
    )  # fmt: skip
    flags = config.to_flagfile(settings).split("\n")[:-1]
    return subprocess.Popen([sys.executable, "-m", "bird_tf.train", *flags], stderr=subprocess.PIPE, text=True)


def _wait_for_step(process, run_dir, step):
    while process.poll() is None:
        if (run_dir / checkpoints.CHECKPOINT).exists():
            with np.load(run_dir / checkpoints.CHECKPOINT) as arrays:
                if json.loads(str(arrays["told"]))["progress"]["steps"] >= step:
                    return
        time.sleep(0.005)
    pytest.fail(f"the training ended before step {step}: {process.stderr.read()}")


@pytest.fixture(scope="module")
def undisturbed(manifest, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("undisturbed") / "run"
    process = _start(manifest, run_dir)
    _, told = process.communicate()
    assert process.returncode == 0, told
    return run_dir


def _training_losses(run_dir):
    events = [
        event
        for path in sorted((run_dir / "logs").iterdir())
        for event in tf.compat.v1.train.summary_iterator(str(path))
    ]
    return {
        event.step: float(tf.make_ndarray(value.tensor))
        for event in events for value in event.summary.value if value.tag == "training/loss"
    }  # fmt: skip


def test_a_killed_training_ends_as_an_undisturbed_one(manifest, undisturbed, tmp_path):
    run_dir = tmp_path / "run"
    process = _start(manifest, run_dir)
    _wait_for_step(process, run_dir, 23)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (run_dir / "summary.json").exists()

    process = _start(manifest, run_dir)
    _, told = process.communicate()
    assert process.returncode == 0, told
    assert "goes on after step" in told

    whole, pieced = run_directory.load(str(undisturbed)), run_directory.load(str(run_dir))
    assert pieced[0].metrics == whole[0].metrics
    for a, b in zip(pieced[1], whole[1], strict=True):
        np.testing.assert_array_equal(a, b)
    with np.load(run_dir / checkpoints.CHECKPOINT) as a, np.load(undisturbed / checkpoints.CHECKPOINT) as b:
        for name in set(a.files) - {"told"}:
            np.testing.assert_array_equal(a[name], b[name])
    assert _training_losses(run_dir) == _training_losses(undisturbed)


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_saves_and_leaves_and_the_same_flags_finish(manifest, tmp_path, monkeypatch, number, error):
    settings = train_settings(manifest, tmp_path / "run", epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr(tensorboard.EventWriter, "step", lambda self: os.kill(os.getpid(), number))
        with pytest.raises(error) as stopped:
            train.train(settings)
    assert number != signal.SIGTERM or stopped.value.code == 128 + signal.SIGTERM
    assert {"run.flags", "checkpoint.npz", "logs"} == {path.name for path in (tmp_path / "run").iterdir()}
    assert train.train(settings)["epochs"] == 1

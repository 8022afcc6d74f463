"""A training that is killed or stopped, and continued by the same command."""

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

# a checkpoint after each step, and no model at the end
_PROGRAM = """
from bird_tf import train
train.experiments.CHECKPOINT_SECONDS = 0.0
train.exporter.export = str
train.run()
"""


def _start(manifest, run_dir):
    """Starts a training with averaged weights, dropout and Adam. Batches of two give many steps."""
    settings = train_settings(
        manifest, run_dir, batch_size=2, epochs=3, patience=9, dropout=0.2, ema=0.9, roll_time=0.5,
        deterministic=True,
    )  # fmt: skip
    flags = config.to_flagfile(settings).split("\n")[:-1]
    return subprocess.Popen([sys.executable, "-c", _PROGRAM, *flags], stderr=subprocess.PIPE, text=True)


def _wait_for_step(process, run_dir, step):
    while process.poll() is None:
        if (run_dir / checkpoints.CHECKPOINT).exists():
            with np.load(run_dir / checkpoints.CHECKPOINT) as arrays:
                if json.loads(str(arrays[checkpoints.PROGRESS]))["steps"] >= step:
                    return
        time.sleep(0.005)
    pytest.fail(f"the training ended before step {step}: {process.stderr.read()}")


@pytest.fixture(scope="module")
def uninterrupted(manifest, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("uninterrupted") / "run"
    process = _start(manifest, run_dir)
    _, log = process.communicate()
    assert process.returncode == 0, log
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


def test_a_killed_training_ends_with_the_weights_of_an_uninterrupted_one(manifest, uninterrupted, tmp_path):
    run_dir = tmp_path / "run"
    process = _start(manifest, run_dir)
    _wait_for_step(process, run_dir, 23)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (run_dir / "summary.json").exists()

    process = _start(manifest, run_dir)
    _, log = process.communicate()
    assert process.returncode == 0, log
    assert "goes on after step" in log

    expected, resumed = run_directory.load(str(uninterrupted)), run_directory.load(str(run_dir))
    assert resumed[0].metrics == expected[0].metrics
    for a, b in zip(resumed[1].get_weights(), expected[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with np.load(run_dir / checkpoints.CHECKPOINT) as a, np.load(uninterrupted / checkpoints.CHECKPOINT) as b:
        assert a.files == b.files and {name.split("/")[0] for name in a.files} == {
            "progress", "network", "optimiser", "average", "best",
        }  # fmt: skip
        for name in set(a.files) - {checkpoints.PROGRESS}:
            np.testing.assert_array_equal(a[name], b[name])
    assert _training_losses(run_dir) == _training_losses(uninterrupted)


@pytest.mark.usefixtures("bare_trainings")
@pytest.mark.parametrize(
    ("number", "error", "moment"),
    # the second one comes when the last epoch has ended
    [(signal.SIGINT, KeyboardInterrupt, "after_step"), (signal.SIGTERM, SystemExit, "write_validation")],
)
def test_a_signal_saves_and_stops_and_the_same_flags_continue(manifest, tmp_path, monkeypatch, number, error, moment):
    settings = train_settings(manifest, tmp_path / "run", epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr(tensorboard.EventWriter, moment, lambda *_, **__: os.kill(os.getpid(), number))
        with pytest.raises(error) as stopped:
            train.train(settings)
    assert number != signal.SIGTERM or stopped.value.code == 128 + signal.SIGTERM
    assert {"plan.json", "run.flags", "checkpoint.npz", "logs"} == {path.name for path in (tmp_path / "run").iterdir()}
    with pytest.raises(config.InputError, match="--batch_size was 8, is 4"):
        train.train(train_settings(manifest, tmp_path / "run", epochs=1, batch_size=4))
    assert train.train(settings)["epochs"] == 1

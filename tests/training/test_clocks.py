import dataclasses

import pytest

from bird_tf.training import checkpoints, clocks
from tests.conftest import train_settings


def test_position_follows_epochs_and_budget(manifest, tmp_path):
    settings = train_settings(manifest, tmp_path, epochs=10)
    assert clocks.Clock(settings, 20, checkpoints.Progress(steps=30)).position() == 1.5
    budgeted = dataclasses.replace(settings, max_minutes=1.0)
    # 20 seconds of the minute are reserved for the export
    earlier = checkpoints.Progress(steps=0, elapsed_seconds=20.0)
    assert clocks.Clock(budgeted, 20, earlier).position() == pytest.approx(5.0, abs=0.2)


def test_the_time_left_is_that_of_the_epochs_after_the_first(manifest, tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr(clocks.time, "monotonic", lambda: now)
    progress = checkpoints.Progress(steps=0)
    clock = clocks.Clock(train_settings(manifest, tmp_path, epochs=10), 20, progress)
    left = []
    for seconds in (50.0, 10.0, 14.0, 12.0):  # the first epoch prepares the network
        left.append(clock.begin_epoch())
        now += seconds
        progress.steps += 20
    assert left == [None, None, 80.0, 84.0]

import dataclasses

import numpy as np
import pytest

from bird_tf import config, keras
from bird_tf.training import checkpoints, distribution, experiments
from tests.conftest import train_settings


@pytest.fixture
def policy():
    """Restores the Keras policy that a test changes."""
    yield
    keras.config.set_dtype_policy("float32")


def _experiment(manifest, settings):
    return experiments.Experiment(settings, manifest, distribution.strategy("none", 8))


def test_position_follows_epochs_and_budget(manifest, tmp_path):
    settings = train_settings(manifest, tmp_path, epochs=10)
    assert experiments.Clock(settings, 20, checkpoints.Progress(steps=30)).position() == 1.5
    budgeted = dataclasses.replace(settings, max_minutes=1.0)
    # of the minute 20 seconds are kept for the export
    earlier = checkpoints.Progress(steps=0, elapsed_seconds=20.0)
    assert experiments.Clock(budgeted, 20, earlier).position() == pytest.approx(5.0, abs=0.2)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "nesterov"])
def test_every_optimiser_lowers_the_loss_on_a_fixed_batch(manifest, tmp_path, optimizer):
    _learns(manifest, train_settings(manifest, tmp_path, optimizer=optimizer, learning_rate=1e-2, l2=1e-4))


@pytest.mark.parametrize("name", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_learns_and_keeps_float32_weights(manifest, tmp_path, name, policy):
    state = _learns(manifest, train_settings(manifest, tmp_path, dtype_policy=name, learning_rate=1e-2))
    assert {variable.dtype for variable in state.network.trainable_variables} == {"float32"}


def _learns(manifest, settings):
    state = _experiment(manifest, settings).state
    batch = next(iter(_experiment(manifest, settings).batches()))
    losses = [state.step(batch)[0] for _ in range(30)]
    assert losses[-1] < 0.8 * losses[0]
    return state


@pytest.mark.parametrize("changes", [{}, {"dtype_policy": "mixed_float16"}, {"ema": 0.9, "dropout": 0.3}])
def test_an_experiment_goes_on_from_its_checkpoint_as_if_nothing_had_been(manifest, tmp_path, changes, policy):
    settings = train_settings(manifest, tmp_path, batch_size=4, **changes)
    first = _experiment(manifest, settings)
    batches = iter(first.batches())
    for _ in range(3):
        first.state.step(next(batches))
        first.progress.steps += 1
    first.save()
    second = _experiment(manifest, settings)
    assert second.progress.steps == 3
    for a, b in zip(second.batches().take(2), batches, strict=False):
        np.testing.assert_array_equal(a["spectrogram"], b["spectrogram"])
        # sums of floats may be taken in another order by other threads
        assert second.state.step(a) == pytest.approx(first.state.step(b), rel=1e-5)


def test_a_checkpoint_is_written_when_the_last_is_old_enough(manifest, tmp_path):
    experiment = _experiment(manifest, train_settings(manifest, tmp_path, checkpoint_minutes=1.0))
    experiment.save_if_due()
    assert not (tmp_path / checkpoints.CHECKPOINT).exists()
    experiment._saved -= 60.0
    experiment.save_if_due()
    assert (tmp_path / checkpoints.CHECKPOINT).exists()


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"epochs": 0}, "--epochs"),
        ({"patience": 0}, "--patience"),
        ({"distribute": "multiworker", "max_minutes": 1.0}, "--max_minutes"),
    ],
)
def test_impossible_options_are_refused(manifest, tmp_path, changes, flag):
    with pytest.raises(config.InputError, match=flag):
        train_settings(manifest, tmp_path, **changes)

import types

import numpy as np
import pytest

from bird_tf import keras, tf
from bird_tf.input import dataset
from bird_tf.records import recordings_table
from bird_tf.training import checkpoints, distribution, experiments
from tests.conftest import train_settings


@pytest.fixture
def policy():
    """Restores the Keras policy that a test changes."""
    yield
    keras.config.set_dtype_policy("float32")


def _experiment(manifest, settings):
    return experiments.Experiment(settings, manifest, distribution.strategy("none", 8))


@pytest.mark.parametrize(("asked", "deterministic", "gpu"), list(np.ndindex(2, 2, 2)))
def test_a_step_is_compiled_on_one_gpu_if_its_bits_may_differ(monkeypatch, asked, deterministic, gpu):
    monkeypatch.setattr(distribution, "is_one_gpu", lambda strategy: bool(gpu))
    settings = types.SimpleNamespace(jit_compile=bool(asked), deterministic=bool(deterministic))
    experiment = types.SimpleNamespace(settings=settings, strategy=None)
    assert experiments.Experiment.is_compiled.fget(experiment) == ((asked, deterministic, gpu) == (1, 0, 1))


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "nesterov"])
def test_every_optimiser_lowers_the_loss_on_a_fixed_batch(manifest, tmp_path, optimizer):
    _lowers_the_loss(manifest, train_settings(manifest, tmp_path, optimizer=optimizer, learning_rate=1e-2, l2=1e-4))


@pytest.mark.parametrize("name", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains_with_float32_weights(manifest, tmp_path, name, policy):
    state = _lowers_the_loss(manifest, train_settings(manifest, tmp_path, dtype_policy=name, learning_rate=1e-2))
    assert {variable.dtype for variable in state.network.trainable_variables} == {"float32"}


def _lowers_the_loss(manifest, settings):
    experiment = _experiment(manifest, settings)
    state, batch = experiment.state, next(iter(experiment.batches()))
    losses = [state.step(batch)[0] for _ in range(30)]
    assert losses[-1] < 0.8 * losses[0]
    return state


@pytest.mark.parametrize("changes", [{"dtype_policy": "mixed_float16"}, {"ema": 0.9, "dropout": 0.3}])
def test_an_experiment_continues_from_its_checkpoint_as_without_an_interruption(manifest, tmp_path, changes, policy):
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
        # threads may sum floats in another order
        assert second.state.step(a) == pytest.approx(first.state.step(b), rel=1e-5)


def test_the_recordings_of_a_batch_are_those_that_are_trained_on(manifest, tmp_path, monkeypatch):
    experiment, asked = _experiment(manifest, train_settings(manifest, tmp_path, no_call_share=0.5)), []
    training = dataset.training
    monkeypatch.setattr(dataset, "training", lambda *arguments: asked.append(arguments) or training(*arguments))
    answers = types.SimpleNamespace(features=(), probabilities=lambda _: tf.zeros([4, 6]), weight=0.5)
    experiment._answers, experiment.progress.steps = answers, 3
    experiment.batches()
    found = experiment.recordings_of_batch()
    assert found and {*found} <= {r.recording_id for r in recordings_table.training(manifest)}
    assert asked[0] == asked[1] and asked[0][-1].answers is answers


@pytest.mark.parametrize(
    ("epochs", "best_epoch", "position", "expected"),
    [(0, 0, 0.0, True), (4, 2, 4.0, True), (5, 2, 5.0, False), (4, 2, 9.9, True), (4, 4, 10.0, False)],
)
def test_patience_epochs_and_time_are_used_up(epochs, best_epoch, position, expected):
    """With --patience=3 and --epochs=10; the position of the clock tells of the time too."""
    experiment = types.SimpleNamespace(
        progress=checkpoints.Progress(epochs=epochs, best_epoch=best_epoch),
        settings=types.SimpleNamespace(patience=3, epochs=10),
        clock=types.SimpleNamespace(position=lambda: position),
    )
    assert experiments.Experiment.has_next_epoch(experiment) == expected


def test_a_checkpoint_is_written_when_the_last_is_old_enough(manifest, tmp_path):
    experiment = _experiment(manifest, train_settings(manifest, tmp_path))
    experiment.save_if_due()
    assert not (tmp_path / checkpoints.CHECKPOINT).exists()
    experiment._saved_at -= experiments.CHECKPOINT_SECONDS
    experiment.save_if_due()
    assert (tmp_path / checkpoints.CHECKPOINT).exists()

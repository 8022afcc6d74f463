import numpy as np
import pytest

from bird_tf import config, keras, tf
from bird_tf.models import losses
from bird_tf.training import optimizers, train_step


@pytest.fixture
def network():
    inputs = keras.Input((4, 5), name="spectrogram")
    logits = keras.layers.Dense(3, name="logits")(keras.layers.Dropout(0.5, seed=1)(keras.layers.Flatten()(inputs)))
    return keras.Model(inputs, {"logits": logits})


@pytest.fixture
def batch(generator):
    return {
        "spectrogram": tf.constant(generator.random((6, 4, 5)), tf.float32),
        "targets": tf.one_hot(generator.integers(0, 3, 6), 3),
        "weights": tf.ones((6, 3)),
    }


def _state(network, **changes):
    settings = optimizers.OptimizerConfig(**{"optimizer": "sgd", **changes})
    return train_step.TrainState(network, settings, losses.LossConfig(), 0.1)


def test_a_step_is_plain_gradient_descent(network, batch):
    network.layers[2].rate = 0.0
    kernel, bias = network.get_weights()
    flat, targets = batch["spectrogram"].numpy().reshape(6, 20), batch["targets"].numpy()
    logits = flat @ kernel + bias
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    slope = (probabilities - targets) / 6
    loss, norm = _state(network, l2=0.01).step(batch)
    expected = -np.mean(np.log((probabilities * targets).sum(axis=1))) + 0.01 * np.sum(kernel**2)
    assert loss == pytest.approx(expected, rel=1e-4)
    kernel_slope = flat.T @ slope + 0.02 * kernel
    assert norm == pytest.approx(np.sqrt(np.sum(kernel_slope**2) + np.sum(slope.sum(axis=0) ** 2)), rel=1e-4)
    np.testing.assert_allclose(network.get_weights()[0], kernel - 0.1 * kernel_slope, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(network.get_weights()[1], bias - 0.1 * slope.sum(axis=0), rtol=1e-4, atol=1e-6)


def test_l2_counts_the_kernels_of_separable_convolutions_too(batch):
    inputs = keras.Input((4, 5), name="spectrogram")
    convolved = keras.layers.SeparableConv2D(2, 3)(keras.layers.Reshape((4, 5, 1))(inputs))
    network = keras.Model(inputs, {"logits": keras.layers.Dense(3)(keras.layers.Flatten()(convolved))})
    weights = network.get_weights()
    penalised, _ = _state(network, l2=0.01).step(batch)
    network.set_weights(weights)
    expected = 0.01 * sum(np.sum(w**2) for w in weights if w.ndim > 1)  # all but the biases
    assert penalised - _state(network).step(batch)[0] == pytest.approx(expected, rel=1e-3)


def test_the_norm_is_that_before_clipping(network, batch):
    network.layers[2].rate = 0.0
    before = network.get_weights()
    _, norm = _state(network, clip_norm=0.01).step(batch)
    moved = np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(network.get_weights(), before, strict=True)))
    assert norm > 0.05
    assert moved == pytest.approx(0.1 * 0.01, rel=1e-3)


def test_a_compiled_step_is_the_same_step(network, batch):
    network.layers[2].rate = 0.0
    settings = optimizers.OptimizerConfig(optimizer="adamw", clip_norm=0.5, ema=0.9, l2=0.01)
    before, steps, weights = network.get_weights(), [], []
    for jit_compile in (False, True):
        network.set_weights(before)
        state = train_step.TrainState(network, settings, losses.LossConfig(), 0.1, jit_compile=jit_compile)
        steps.append([state.step(batch) for _ in range(3)])
        weights.append([*network.get_weights(), *state.average.variables["dense_0/kernel"].numpy()])
    assert np.ptp(np.array(steps[0])[:, 0]) > 0.01
    np.testing.assert_allclose(steps[1], steps[0], rtol=1e-5)
    for plain, compiled in zip(*weights, strict=True):
        np.testing.assert_allclose(compiled, plain, atol=1e-5)


def test_restoring_repeats_steps_dropout_included(network, batch):
    state = _state(network, optimizer="adam", ema=0.9)
    state.step(batch)
    arrays = state.arrays()
    first = [state.step(batch)[0] for _ in range(3)]
    state.restore(arrays, "checkpoint")
    assert [state.step(batch)[0] for _ in range(3)] == pytest.approx(first, rel=1e-6)
    assert len(set(first)) == 3


def test_a_state_of_another_network_does_not_fit(network):
    state = _state(network)
    arrays = state.arrays()
    del arrays["network/dense_0/kernel"]
    with pytest.raises(
        config.InputError, match="checkpoint does not fit the network: it has no network/dense_0/kernel"
    ):
        state.restore(arrays, "checkpoint")

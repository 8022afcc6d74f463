import numpy as np
import pytest

from bird_tf import config, keras, tf
from bird_tf.training import optimizers


@pytest.fixture
def network():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])


def test_the_average_follows_its_formula(network):
    average = optimizers.MovingAverage(network, 0.3)
    expected = [w.numpy() for w in network.weights]
    for step in range(6):
        for weight in network.weights:
            weight.assign(weight.value + step)
        average.update()
        decay = min(0.3, (1 + step) / (10 + step))
        expected = [decay * e + (1 - decay) * w.numpy() for e, w in zip(expected, network.weights, strict=True)]
    with average.in_place():
        for weight, value in zip(network.get_weights(), expected, strict=True):
            np.testing.assert_allclose(weight, value, rtol=1e-5)


def test_after_the_block_the_trained_weights_are_back(network):
    average = optimizers.MovingAverage(network, 0.9)
    network.weights[0].assign(network.weights[0].value + 5.0)
    trained = network.get_weights()
    with average.in_place():
        assert not np.allclose(network.get_weights()[0], trained[0])
    np.testing.assert_array_equal(network.get_weights()[0], trained[0])


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "nesterov"])
def test_gradients_are_clipped_by_their_global_norm(name):
    weights = [keras.Variable([0.0, 0.0]), keras.Variable([0.0])]
    gradients = [tf.constant([30.0, 0.0]), tf.constant([40.0])]  # the norm is 50
    settings = optimizers.OptimizerConfig(optimizer=name, clip_norm=5.0)
    clipped = optimizers.build(settings, 0.1, scale_loss=False)
    clipped.apply(gradients, weights)
    got = [w.numpy().copy() for w in weights]
    for weight in weights:
        weight.assign(np.zeros_like(weight))
    plain = optimizers.build(optimizers.OptimizerConfig(optimizer=name), 0.1, scale_loss=False)
    plain.apply([gradient / 10 for gradient in gradients], weights)
    for a, b in zip(got, weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize("changes", [{"ema": 1.0}, {"l2": -1.0}, {"clip_norm": -0.1}, {"weight_decay": -0.1}])
def test_impossible_options_are_refused(changes):
    with pytest.raises(config.InputError, match=f"--{next(iter(changes))}"):
        optimizers.OptimizerConfig(**changes)


def test_weight_decay_shrinks_all_weights_by_its_share_of_the_learning_rate():
    weight = keras.Variable([2.0])
    settings = optimizers.OptimizerConfig(optimizer="adamw", weight_decay=0.2)
    optimizers.build(settings, 0.1, scale_loss=False).apply([tf.zeros(1)], [weight])
    np.testing.assert_allclose(weight, [2.0 * (1 - 0.1 * 0.2)], rtol=1e-6)


def test_weight_decay_is_refused_where_it_has_no_effect():
    with pytest.raises(config.InputError, match="--weight_decay without --optimizer=adamw has no effect"):
        optimizers.OptimizerConfig(optimizer="adam", weight_decay=0.2)


@pytest.mark.parametrize("scale_loss", [False, True])
@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "nesterov"])
def test_names_of_the_state_do_not_depend_on_networks_built_before(name, scale_loss):
    names = []
    for _ in range(2):
        network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(2)])
        optimiser = optimizers.build(optimizers.OptimizerConfig(optimizer=name), 0.1, scale_loss=scale_loss)
        optimiser.build(network.trainable_variables)
        found = optimizers.variables(optimiser, network)
        assert [id(v) for v in found.values()] == [id(v) for v in optimiser.variables]
        names.append(list(found))
    assert names[0] == names[1]
    assert name == "sgd" or any(found.endswith("/dense_1/kernel/momentum") for found in names[0])

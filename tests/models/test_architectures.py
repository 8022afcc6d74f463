import dataclasses

import numpy as np
import pytest

from bird_tf import config, keras, tf
from bird_tf.models import architectures, layers

# the networks of keras.applications are slow to build, and do not have our options
OWN = [name for name in architectures.OF_SPECTROGRAMS if name != "application"]


@pytest.fixture
def policy():
    """Restores the Keras policy that a test changes."""
    yield
    keras.config.set_dtype_policy("float32")


def _weighted_layers(network):
    return [layer for layer in network.layers if hasattr(layer, "kernel")]


def test_resnet_of_2018_has_the_layers_and_parameters_of_2018():
    network = architectures.build(architectures.ModelConfig(architecture="resnet"), {"spectrogram": (128, 256)}, 10)
    assert len(_weighted_layers(network)) == 22
    assert network.count_params() == 2796698


def test_baseline_parameters_follow_from_its_layers():
    network = architectures.build(
        architectures.ModelConfig(architecture="baseline", filters=(4, 8)), {"spectrogram": (32, 64)}, 5
    )
    convolutions = (9 * 1 * 4 + 4 * 4) + (9 * 4 * 8 + 4 * 8)  # kernels without bias, four weights a normalised channel
    assert network.count_params() == convolutions + (8 * 16 + 4 * 16) + (16 * 5 + 5)


def test_pi_parameters_follow_from_its_layers():
    settings = architectures.ModelConfig(architecture="pi", filters=(4, 8), dense_units=10)
    network = architectures.build(settings, {"spectrogram": (32, 64)}, 5)
    convolutions = (9 * 1 * 4 + 4 * 4) + (9 * 4 * 8 + 4 * 8)
    assert network.count_params() == convolutions + (8 * 16 * 8 * 10 + 10) + (10 * 10 + 10) + (10 * 5 + 5)


def test_attention_parameters_follow_from_its_layers():
    settings = architectures.ModelConfig(
        architecture="attention", filters=(4, 8), max_pooling=False, stage_convolutions=2
    )
    network = architectures.build(settings, {"spectrogram": (32, 64)}, 5)
    stem = 25 * 1 * 4 + 4 * 4
    stages = (9 * 4 * 4 + 4 * 4) * 2 + (9 * 4 * 8 + 4 * 8) + (9 * 8 * 8 + 4 * 8)
    assert network.count_params() == stem + stages + (8 * 8 + 8) + (8 * 5 + 5)


def test_attention_starts_as_the_mean_over_time(generator):
    """Its weights start at zero: all time steps count the same, and a reversed chunk has the same features."""
    settings = architectures.ModelConfig(architecture="attention", filters=(4,), kernel_sizes=(1,))
    network = architectures.build(settings, {"spectrogram": (16, 32)}, 3)
    last = [layer for layer in network.layers if isinstance(layer, keras.layers.ReLU)][-1]
    spectrograms = generator.random((2, 16, 32)).astype(np.float32)
    images = keras.Model(network.inputs[0], last.output)(spectrograms)
    pooled = network(spectrograms, training=False)["embeddings"]
    np.testing.assert_allclose(pooled, np.mean(images, axis=(1, 2)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_normalisation_equals_that_of_keras(name, policy, generator):
    """In training, with gradients and statistics, and in evaluation."""
    keras.config.set_dtype_policy(name)
    coarse = {} if name == "float32" else {"rtol": 2e-2, "atol": 2e-2}
    spectrograms = generator.normal(3, 2, (4, 5, 6, 7)).astype(np.float32)
    inputs = keras.Input((5, 6, 7))
    theirs = keras.Model(inputs, keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-4)(inputs))
    ours = keras.Model(inputs, layers.normalise(inputs, architectures.ModelConfig()))
    weights = [generator.uniform(0.5, 2, 7).astype(np.float32) for _ in theirs.weights]
    found = []
    for network in (ours, theirs):
        network.set_weights(weights)
        with tf.GradientTape() as tape:
            outputs = network(spectrograms, training=True)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32) ** 3)
        gradients = tape.gradient(loss, [weight.value for weight in network.trainable_weights])
        evaluated = network(spectrograms, training=False)
        assert outputs.dtype == evaluated.dtype == keras.config.dtype_policy().compute_dtype
        arrays = [np.asarray(tf.cast(x, tf.float32)) for x in (outputs, evaluated, *gradients)]
        found.append(arrays + network.get_weights())
    for own, other in zip(*found, strict=True):
        np.testing.assert_allclose(own, other, **{"rtol": 1e-4, "atol": 1e-5, **coarse})


def test_the_attention_logit_of_a_chunk_follows_from_the_scores_of_its_time_steps(generator):
    """log(mean over time of exp(scores)), mean over channels: it does not depend on the length of the chunk."""
    settings = architectures.ModelConfig(architecture="attention", filters=(4, 6), batch_norm=False)
    network = architectures.build(settings, {"spectrogram": (16, 64)}, 3)
    layer = network.get_layer("attention")
    layer.kernel.assign(generator.normal(0, 3, layer.kernel.shape))
    scores = keras.Model(network.inputs[0], layer.output)
    spectrograms = generator.random((3, 16, 64)).astype(np.float32)
    by_time_step = np.reshape(scores(spectrograms), (3, -1, layer.units))
    expected = np.log(np.mean(np.exp(by_time_step), axis=1)).mean(axis=1)
    outputs = network(spectrograms, training=False)
    assert outputs["attention_logits"].dtype == "float32" and np.ptp(expected) > 0.01
    np.testing.assert_allclose(outputs["attention_logits"], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.sum(outputs["time_steps"], axis=1), outputs["embeddings"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", OWN)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"max_pooling": False, "nonlinearity": "elu"},
        {"batch_norm": False, "nonlinearity": "lrelu", "dropout": 0.2, "dropout_type": "location"},
        {"kernel_sizes": (5, 2), "nonlinearity": "vlrelu", "dropout": 0.2, "dropout_type": "channel"},
        {"nonlinearity": "identity", "dropout": 0.2},
        {"groups": 2, "stage_convolutions": 2},
    ],
)
def test_every_option_builds_trains_and_gives_float32_outputs(architecture, changes, generator):
    settings = architectures.ModelConfig(
        architecture=architecture, filters=(4, 6), resnet_k=1, dense_units=8, **changes
    )
    network = architectures.build(settings, {"spectrogram": (16, 20)}, 3)
    spectrograms = generator.random((2, 16, 20)).astype(np.float32)
    for training in (False, True):
        outputs = network(spectrograms, training=training)
        assert outputs["logits"].shape == (2, 3)
        assert outputs["logits"].dtype == outputs["embeddings"].dtype == "float32"
        assert np.isfinite(outputs["logits"]).all()


@pytest.mark.parametrize("architecture", OWN)
@pytest.mark.parametrize("name", ["mixed_float16", "mixed_bfloat16"])
def test_logits_stay_float32_under_mixed_precision(architecture, name, generator, policy):
    keras.config.set_dtype_policy(name)
    network = architectures.build(
        architectures.ModelConfig(architecture=architecture, filters=(4, 8)), {"spectrogram": (16, 16)}, 3
    )
    outputs = network(generator.random((2, 16, 16)).astype(np.float32))
    assert outputs["logits"].dtype == outputs["embeddings"].dtype == "float32"
    assert {v.dtype for v in network.trainable_variables} == {"float32"}


@pytest.mark.parametrize("architecture", OWN)
@pytest.mark.parametrize("sizes", [(5, 2), (7,)])
def test_each_group_has_kernels_of_its_size(architecture, sizes):
    settings = architectures.ModelConfig(architecture=architecture, filters=(4, 6), kernel_sizes=sizes, resnet_k=1)
    layers = architectures.build(settings, {"spectrogram": (16, 16)}, 3).layers
    sides = [layer.kernel_size[0] for layer in layers if isinstance(layer, keras.layers.Conv2D)]
    first, last = sizes[0], sizes[-1]
    expected = {
        "baseline": [first, last, 1],
        "pi": [first, last],
        "attention": [5, first, last],
        "resnet": [first, *[first] * 4, *[last] * 4],
    }[architecture]
    # shortcuts of the resnet change the number of channels with 1 × 1 convolutions
    assert [side for side in sides if architecture != "resnet" or side > 1] == expected


def test_groups_use_only_their_own_channels():
    kernels = _weighted_layers(
        architectures.build(
            architectures.ModelConfig(architecture="baseline", filters=(8, 16), groups=4), {"spectrogram": (16, 16)}, 3
        )
    )
    assert [tuple(layer.kernel.shape) for layer in kernels[:2]] == [(3, 3, 1, 8), (3, 3, 2, 16)]


def test_a_network_of_keras_applications_has_the_outputs_of_the_others(generator):
    settings = architectures.ModelConfig(architecture="application", application="MobileNetV2", dropout=0.1)
    network = architectures.build(settings, {"spectrogram": (32, 64)}, 3)
    alone = keras.applications.MobileNetV2(include_top=False, weights=None)
    assert network.count_params() == alone.count_params() + 1280 * 3 + 3
    outputs = network(generator.random((2, 32, 64)).astype(np.float32), training=True)
    assert outputs["logits"].shape == (2, 3) and np.isfinite(outputs["logits"]).all()
    # it gets the spectrograms in [-1, 1], in three equal channels
    spectrograms = generator.random((2, 32, 64)).astype(np.float32)
    alone.set_weights(network.get_weights()[:-2])
    expected = alone(np.repeat(2 * spectrograms[..., None] - 1, 3, axis=-1), training=False).numpy().mean(axis=(1, 2))
    np.testing.assert_allclose(network(spectrograms, training=False)["embeddings"], expected, rtol=1e-3, atol=1e-5)


def test_a_chunk_does_not_depend_on_the_batch_outside_training(generator):
    network = architectures.build(architectures.ModelConfig(filters=(4, 8)), {"spectrogram": (16, 16)}, 3)
    spectrograms = generator.random((4, 16, 16)).astype(np.float32)
    batched = network(spectrograms, training=False)["logits"].numpy()
    single = np.concatenate([network(s[None], training=False)["logits"].numpy() for s in spectrograms])
    np.testing.assert_allclose(batched, single, atol=1e-5)


def test_batch_normalisation_has_the_constants_of_2018():
    network = architectures.build(architectures.ModelConfig(), {"spectrogram": (16, 16)}, 3)
    layers = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(layer.momentum, layer.epsilon) for layer in layers} == {(0.9, 1e-4)}


@pytest.mark.parametrize(
    ("nonlinearity", "gain"), [("relu", 2.0), ("elu", 1.0), ("vlrelu", 2 / (1 + 0.33**2)), ("identity", 2.0)]
)
def test_initialisation_is_hes_with_the_gain_of_the_nonlinearity(nonlinearity, gain):
    settings = architectures.ModelConfig(architecture="baseline", filters=(64, 64), nonlinearity=nonlinearity)
    kernel = _weighted_layers(architectures.build(settings, {"spectrogram": (16, 16)}, 3))[1].kernel.numpy()
    # 36 864 random numbers: the standard error of the deviation is 0.4 %
    assert kernel.std() == pytest.approx(np.sqrt(gain / (9 * 64)), rel=0.02)


def test_too_many_halvings_are_refused():
    with pytest.raises(config.InputError, match="--filters=16,32,64,128"):
        architectures.build(architectures.ModelConfig(), {"spectrogram": (8, 256)}, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"filters": ()},
        {"filters": (0,)},
        {"dropout": 1.0},
        {"kernel_sizes": (0,)},
        {"kernel_sizes": (3, 3)},
        {"kernel_sizes": ()},
        {"resnet_n": 0},
        {"groups": 3},
    ],
)
def test_impossible_options_are_refused(changes):
    with pytest.raises(config.InputError, match=f"--{next(iter(changes))}"):
        dataclasses.replace(architectures.ModelConfig(), **changes)


def test_with_subtract_mean_the_level_of_a_band_has_no_effect(generator):
    settings = architectures.ModelConfig(architecture="attention", filters=(4, 8), subtract_mean=True)
    network = architectures.build(settings, {"spectrogram": (16, 32)}, 3)
    spectrograms = generator.random((2, 16, 32)).astype(np.float32) / 2
    louder = spectrograms + generator.random((2, 16, 1)).astype(np.float32) / 2
    inputs = (spectrograms, louder, spectrograms[:, :, ::-1])
    logits = [network(x, training=False)["logits"].numpy() for x in inputs]
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-4)
    assert np.abs(logits[0] - logits[2]).max() > 1e-3

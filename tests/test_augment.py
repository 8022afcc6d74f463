import dataclasses

import numpy as np
import pytest

from bird_tf import augment, config, tf

SEED = tf.constant([3, 5])


@pytest.fixture
def pictures(generator):
    return tf.constant(generator.random((64, 16, 24)), tf.float32)


@pytest.mark.parametrize(("operation", "axis"), [(augment.roll_time, 2), (augment.roll_frequency, 1)])
def test_rolls_are_rolls(pictures, operation, axis):
    rolled = operation(pictures, 0.5, SEED).numpy()
    shifts = set()
    for before, after in zip(pictures.numpy(), rolled, strict=True):
        fits = [s for s in range(before.shape[axis - 1]) if np.array_equal(np.roll(before, s, axis - 1), after)]
        assert len(fits) == 1
        shifts.add(fits[0])
    assert len(shifts) > 5


@pytest.mark.parametrize("share", [0.1, 0.25])
def test_rolls_stay_within_their_share(share):
    pictures = tf.eye(40)[None] * tf.ones([500, 1, 1])
    rows = np.argmax(augment.roll_frequency(pictures, share, SEED).numpy()[:, :, 0], axis=1)
    shifts = np.where(rows > 20, rows - 40, rows)
    assert np.abs(shifts).max() == round(40 * share)


@pytest.mark.parametrize("operation", [augment.roll_time, augment.roll_frequency, augment.gaussian_noise])
def test_strength_zero_is_the_identity(pictures, operation):
    np.testing.assert_array_equal(operation(pictures, 0.0, SEED), pictures)


def test_gaussian_noise_has_its_deviation():
    grey = tf.fill([50, 20, 20], 0.5)
    noise = augment.gaussian_noise(grey, 0.05, SEED).numpy() - 0.5
    assert noise.std() == pytest.approx(0.05, rel=0.02)  # 20 000 draws: standard error 0.5 %


def test_noise_is_blended_with_weights_between_a_third_and_two_thirds(pictures):
    share = augment.add_noise(tf.ones_like(pictures), tf.zeros_like(pictures), SEED).numpy()
    assert np.ptp(share, axis=(1, 2)).max() == 0  # one weight a picture
    assert 1 / 3 < share.min() < 0.4 and 0.6 < share.max() < 2 / 3


def _everything(**changes):
    return dataclasses.replace(
        augment.AugmentConfig(roll_time=0.5, roll_frequency=0.2, gaussian_noise=0.1, add_noise=True), **changes
    )


def test_probability_and_count_zero_are_the_identity(pictures):
    noise = tf.zeros_like(pictures)
    for changes in ({"augment_probability": 0.0}, {"augment_count": 0}):
        np.testing.assert_array_equal(augment.apply(pictures, noise, _everything(**changes), SEED), pictures)
    np.testing.assert_array_equal(augment.apply(pictures, noise, augment.AugmentConfig(), SEED), pictures)


def test_equal_seeds_give_equal_pictures_eagerly_and_in_a_dataset(pictures):
    noise = tf.zeros_like(pictures)
    eager = augment.apply(pictures, noise, _everything(), SEED)
    dataset = tf.data.Dataset.from_tensors((pictures, noise)).map(lambda p, n: augment.apply(p, n, _everything(), SEED))
    np.testing.assert_allclose(next(iter(dataset)), eager, atol=1e-6)
    other = augment.apply(pictures, noise, _everything(), tf.constant([3, 6]))
    assert not np.array_equal(other, eager)


def test_values_stay_in_range(pictures):
    varied = augment.apply(pictures, pictures[::-1], _everything(augment_probability=1.0), SEED).numpy()
    assert varied.min() >= 0 and varied.max() <= 1


@pytest.mark.parametrize(("probability", "count"), [(0.5, 4), (0.5, 1), (1.0, 2), (0.2, 4)])
def test_choice_follows_probability_and_count(probability, count):
    settings = augment.AugmentConfig(augment_probability=probability, augment_count=count)
    chosen = augment.choose(tf.constant(20000), 4, settings, SEED).numpy()
    draws = np.random.default_rng(0).binomial(4, probability, 200000)
    assert chosen.sum(axis=1).max() <= count
    # 20 000 draws of a mean below 4: standard error below 0.01
    assert chosen.sum(axis=1).mean() == pytest.approx(np.minimum(draws, count).mean(), abs=0.03)
    np.testing.assert_allclose(chosen.mean(axis=0), chosen.mean(), atol=0.02)  # none is preferred


@pytest.mark.parametrize("changes", [{"augment_probability": 2.0}, {"roll_time": -0.1}, {"gaussian_noise": -1.0}])
def test_impossible_settings_are_refused(changes):
    with pytest.raises(config.InputError, match=f"--{next(iter(changes))}"):
        _everything(**changes)

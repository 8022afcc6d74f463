import numpy as np
import pytest
import scipy.ndimage

from bird_tf import config, tf
from bird_tf.audio import activity


def _by_scipy(spectrogram):
    """The 2018 baseline's definition, computed with SciPy."""
    binary = (spectrogram >= 1.25 * np.median(spectrogram, axis=1, keepdims=True)) & (
        spectrogram >= 1.15 * np.median(spectrogram, axis=0, keepdims=True)
    )
    binary &= spectrogram > 0
    cleaned = scipy.ndimage.median_filter(binary.astype(np.uint8), 3, mode="nearest")
    return scipy.ndimage.grey_closing(cleaned, (3, 3), mode="nearest").mean()


def test_activity_matches_scipy(generator):
    # more than eight, so that not all share the bits of one image; an odd number of bands
    spectrograms = scipy.ndimage.gaussian_filter(generator.random((11, 41, 256)), (0, 1.5, 1.5)).astype(np.float32)
    np.testing.assert_allclose(activity.active_share(spectrograms), [_by_scipy(p) for p in spectrograms], atol=1e-12)
    assert activity.active_share(spectrograms).max() > 0


def test_silence_has_no_activity():
    assert activity.active_share(np.zeros((2, 16, 16), np.float32)).tolist() == [0, 0]


def test_the_activity_of_a_block_is_its_share():
    spectrogram = np.full((1, 40, 60), 0.1, np.float32)
    spectrogram[0, 10:20, 10:30] = 1.0
    # a median filter removes the four corner pixels of a block, and the closing does not restore them
    np.testing.assert_allclose(activity.active_share(spectrogram), (10 * 20 - 4) / (40 * 60))


def test_a_chunk_does_not_depend_on_the_batch(generator):
    spectrograms = generator.random((3, 20, 20)).astype(np.float32)
    alone = [activity.active_share(p[None])[0] for p in spectrograms]
    np.testing.assert_array_equal(activity.active_share(spectrograms), alone)


@pytest.mark.parametrize("interval", [(0.5,), (0.5, 0.1), (0.1, 0.2, 0.3)])
def test_an_interval_is_two_rising_numbers(interval):
    with pytest.raises(config.InputError, match="--signal_interval"):
        activity.ActivityInterval(signal_interval=interval)


def test_an_interval_contains_its_limits():
    interval = activity.ActivityInterval(signal_interval=(0.2, 0.4))
    assert [interval.contains(value) for value in (0.1, 0.2, 0.3, 0.4, 0.5)] == [False, True, True, True, False]
    np.testing.assert_array_equal(interval.contains(np.array([0.3, 0.5])), [True, False])
    assert interval.is_limited and not activity.ActivityInterval().is_limited


@pytest.mark.parametrize("count", [1, 2, 3, 128, 129, 256, 1023, 1024, 3001])
def test_medians_equal_numpys(generator, count):
    values = generator.random((4, 5, count)).astype(np.float32)
    values[1] = np.round(values[1], 1)  # with equal values
    values[2, 0] = 0
    values[2, 1] = 1
    values[2, 2, : count // 2] = 0
    compiled = tf.function(activity.medians, jit_compile=True)
    for function in (activity.medians, compiled):
        np.testing.assert_array_equal(function(tf.constant(values)), np.median(values, axis=-1))


def test_silence_constants_rounding_and_a_click_are_no_sound(generator):
    rate, n = 22050, 22050
    silent = np.zeros((6, n), np.float32)
    silent[1] = 0.4
    silent[2] = generator.integers(-1, 2, n) / 32768
    silent[3, : n // 3] = 0.5  # a constant that ends
    silent[4, 700:760] = 0.8 * generator.normal(size=60)
    silent[5] = -1.0 + generator.integers(0, 2, n) / 32768
    assert not activity.has_sound(silent, rate).numpy().any()
    t = np.arange(n) / rate
    faint = np.stack([1e-4 * np.sin(2 * np.pi * 3000 * t), 1e-3 * generator.normal(size=n), np.zeros(n)])
    faint[2, 5000:7000] = 0.1 * np.sin(2 * np.pi * 4000 * t[:2000])
    assert activity.has_sound(faint.astype(np.float32), rate).numpy().all()

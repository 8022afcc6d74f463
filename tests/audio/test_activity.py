import numpy as np
import pytest
import scipy.ndimage

from bird_tf import config
from bird_tf.audio import activity


def _by_scipy(picture):
    """The definition of BirdCLEF 2018's measure in SciPy's words."""
    binary = (picture >= 1.25 * np.median(picture, axis=1, keepdims=True)) & (
        picture >= 1.15 * np.median(picture, axis=0, keepdims=True)
    )
    binary &= picture > 0
    cleaned = scipy.ndimage.median_filter(binary.astype(np.uint8), 3, mode="nearest")
    return scipy.ndimage.grey_closing(cleaned, (3, 3), mode="nearest").mean()


def test_signal_to_noise_matches_scipy(generator):
    pictures = scipy.ndimage.gaussian_filter(generator.random((5, 40, 64)), (0, 1.5, 1.5)).astype(np.float32)
    np.testing.assert_allclose(activity.active_share(pictures), [_by_scipy(p) for p in pictures], atol=1e-12)
    assert activity.active_share(pictures).max() > 0


def test_silence_scores_nothing():
    assert activity.active_share(np.zeros((2, 16, 16), np.float32)).tolist() == [0, 0]


def test_a_block_scores_its_share():
    picture = np.full((1, 40, 60), 0.1, np.float32)
    picture[0, 10:20, 10:30] = 1.0
    # a median filter takes the four corner pixels of a block, and closing does not bring them back
    np.testing.assert_allclose(activity.active_share(picture), (10 * 20 - 4) / (40 * 60))


def test_a_chunk_does_not_depend_on_the_batch(generator):
    pictures = generator.random((3, 20, 20)).astype(np.float32)
    alone = [activity.active_share(p[None])[0] for p in pictures]
    np.testing.assert_array_equal(activity.active_share(pictures), alone)


@pytest.mark.parametrize("interval", [(0.5,), (0.5, 0.1), (0.1, 0.2, 0.3)])
def test_an_interval_is_two_rising_numbers(interval):
    with pytest.raises(config.InputError, match="--signal_interval"):
        activity.ActivityConfig(signal_interval=interval)


@pytest.mark.parametrize("shape", [(7, 9), (8, 10), (1, 2)])
def test_a_median_by_sorting_is_numpys(generator, shape):
    pictures = generator.random((3, *shape)).astype(np.float32)
    for axis in (1, 2):
        np.testing.assert_array_equal(activity._median(pictures, axis), np.median(pictures, axis=axis, keepdims=True))

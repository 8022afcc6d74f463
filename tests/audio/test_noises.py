import numpy as np
import pytest

from bird_tf.audio import noises


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_noise_has_the_promised_shape_and_level(rate):
    noise = noises.synthesise(12, rate, rate, seed=3)
    assert noise.shape == (12, rate) and noise.dtype == np.float32
    np.testing.assert_allclose(np.abs(noise).max(axis=1), 0.5, rtol=1e-5)


def test_each_chunk_follows_from_seed_and_number():
    noise = noises.synthesise(4, 8000, 4000, seed=5)
    np.testing.assert_array_equal(noises.synthesise(2, 8000, 4000, seed=5, first=2), noise[2:])
    assert not np.array_equal(noises.synthesise(1, 8000, 4000, seed=6)[0], noise[0])


@pytest.mark.parametrize("kind", noises.KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_is_finite_and_its_chunks_differ(kind):
    generator = np.random.default_rng(0)
    first, second = kind(generator, 6000, 8000), kind(generator, 6000, 8000)
    assert first.shape == (6000,) and np.isfinite(first).all() and not np.array_equal(first, second)


def test_added_noise_has_the_ratio_that_is_asked_for():
    samples = np.float32(0.1 * np.sin(np.arange(4000)))
    for ratio_db in (0.0, 20.0):
        noise = noises.added(samples, 8000, ratio_db, 7) - samples
        assert 10 * np.log10(np.mean(samples**2) / np.mean(noise**2)) == pytest.approx(ratio_db, abs=0.1)
    first, shifted, other = (noises.added(samples, 8000, 0.0, number) for number in (7, 7 + 64, 8))
    assert not np.array_equal(first, shifted) and not np.array_equal(first, other)


def test_added_noise_stays_in_the_range_and_silence_stays_silence():
    loud = noises.added(np.ones(4000, np.float32), 8000, -20.0, 0)
    assert np.abs(loud).max() == pytest.approx(1.0) and loud.dtype == np.float32
    assert not noises.added(np.zeros(4000, np.float32), 8000, 0.0, 0).any()

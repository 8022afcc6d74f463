import numpy as np
import pytest

from bird_tf.audio import frontend
from bird_tf.conversion import compiled_frontend


@pytest.mark.parametrize("count", [1, 4, 5, 8])
def test_any_number_of_chunks_gives_the_spectrograms_of_the_front_end(generator, small_front_end, count):
    samples = generator.normal(0, 0.1, (count, small_front_end.chunk_samples)).astype(np.float32)
    exact, quantised = compiled_frontend.spectrograms(samples, small_front_end)
    assert len(exact) == len(quantised) == count
    # XLA may sum in another order
    np.testing.assert_allclose(exact, frontend.spectrograms(samples, small_front_end), atol=1e-4)
    np.testing.assert_array_equal(quantised, frontend.quantise(exact))


def test_a_chunk_does_not_depend_on_the_others_in_its_block(generator, small_front_end):
    samples = generator.normal(0, 0.1, (8, small_front_end.chunk_samples)).astype(np.float32)
    whole, _ = compiled_frontend.spectrograms(samples, small_front_end)
    louder, _ = compiled_frontend.spectrograms(np.concatenate([samples[:1], 9 * samples[1:]]), small_front_end)
    np.testing.assert_array_equal(whole[0], louder[0])

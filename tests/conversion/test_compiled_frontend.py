import numpy as np
import pytest

from bird_tf.audio import activity, frontend
from bird_tf.conversion import compiled_frontend


@pytest.fixture
def samples(generator, small_front_end):
    return generator.normal(0, 0.1, (8, small_front_end.chunk_samples)).astype(np.float32)


def test_a_block_gives_the_spectrograms_of_the_front_end(samples, small_front_end):
    exact, quantised = compiled_frontend.spectrograms(samples, small_front_end)
    # XLA may sum in another order
    np.testing.assert_allclose(exact, frontend.spectrograms(samples, small_front_end), atol=1e-4)
    np.testing.assert_array_equal(quantised, frontend.quantise(exact))


def test_a_chunk_does_not_depend_on_its_place_in_a_block_nor_on_the_others(samples, small_front_end):
    whole, _ = compiled_frontend.spectrograms(samples, small_front_end)
    for shift in range(1, 8):
        moved = np.roll(np.concatenate([samples[:1], shift * samples[1:]]), shift, axis=0)
        found, _ = compiled_frontend.spectrograms(moved, small_front_end)
        np.testing.assert_array_equal(found[shift], whole[0])


@pytest.mark.parametrize("counts", [(1, 1, 1), (3, 8, 0, 2), (16,), (0,)])
def test_a_queue_gives_back_the_chunks_of_recordings_in_order(generator, small_front_end, counts):
    total, events = sum(counts), []
    samples = generator.normal(0, 0.1, (total, small_front_end.chunk_samples)).astype(np.float32)
    queue, left = compiled_frontend.Queue(small_front_end), iter(samples)
    for recording, count in enumerate(counts):
        for _ in range(count):
            queue.add(next(left), lambda spectrogram, share: events.append((spectrogram, share)))
        queue.then(lambda recording=recording: events.append(recording))
    assert len(events) <= total // 8 * 8 + len(counts)
    queue.finish()
    ends = np.cumsum(counts) + np.arange(len(counts))
    assert [i for i, event in enumerate(events) if isinstance(event, int)] == ends.tolist()
    received = [event for event in events if not isinstance(event, int)]
    exact = frontend.spectrograms(samples, small_front_end).numpy() if total else np.zeros((0, 1, 1))
    for (spectrogram, share), expected in zip(received, exact, strict=True):
        np.testing.assert_allclose(spectrogram, 255 * expected, atol=0.6)
        np.testing.assert_allclose(share, activity.active_share(expected[None])[0], atol=0.01)

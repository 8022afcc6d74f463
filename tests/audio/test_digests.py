import numpy as np
import pytest

from bird_tf.audio import digests

RATE = 100


def _digest(samples, sizes):
    found = digests.Digest(RATE)
    for block in np.split(samples, np.cumsum(sizes)):
        found.update(block)
    return found


@pytest.fixture
def samples(generator):
    return generator.normal(0, 1, 15 * RATE).astype(np.float32)


def test_a_digest_does_not_depend_on_the_blocks(samples):
    assert len({str(_digest(samples, sizes)) for sizes in ([], [1, 1, 999], [1000], [1001], [400, 400, 400])}) == 1


def test_the_first_part_is_that_of_the_first_ten_seconds(samples):
    whole, first = _digest(samples, []), _digest(samples[: 10 * RATE], [])
    assert whole.head == first.head == str(whole)[: digests.HEAD_LENGTH] and str(whole) != str(first)
    assert first.has_head and not _digest(samples[:-501], []).has_head
    assert _digest(np.roll(samples, 1), []).head != whole.head

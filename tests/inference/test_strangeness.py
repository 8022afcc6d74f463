import math

import numpy as np
import pytest

from bird_tf.inference import strangeness


def test_a_recording_is_as_strange_as_its_middle_chunk():
    assert strangeness.of_recording(np.float32([0.5, 9.0, 0.0, 0.7])) == pytest.approx(0.7)
    assert math.isnan(strangeness.of_recording(np.float32([0.0])))
    assert math.isnan(strangeness.of_recording(np.zeros(0, np.float32)))


def test_what_is_unknown_is_not_counted():
    assert strangeness.counts([0.5, 1.5, math.nan]) == (1, 2)
    assert "1 of 2 recordings" in strangeness.sentence([0.5, 1.5, math.nan])
    assert strangeness.sentence([math.nan]) == "" == strangeness.sentence([])
    assert not strangeness.is_unlike(math.nan)


CASES = [(0, 1, False), (1, 1, True), (1, 5, False), (2, 5, True), (5, 66, False), (9, 66, True)]


@pytest.mark.parametrize(("unlike", "known", "warns"), CASES)
def test_no_more_than_the_usual_share_is_chance(unlike, known, warns):
    assert strangeness.are_unlike([2.0] * unlike + [0.5] * (known - unlike)) == warns

import numpy as np
import pytest

from bird_tf import config
from bird_tf.scores import context

ALL = context.Context(smoothing=0.4, best_chunk=0.5, shifted=True)


def _answers(scores, hops=1.0, step=1, **values):
    return context.Context(**values).answers(scores, hops, np.arange(0, len(scores), step))


def test_all_off_gives_the_scores_to_the_bit(generator):
    scores = generator.random((7, 3)).astype(np.float32)
    np.testing.assert_array_equal(_answers(scores), scores)
    np.testing.assert_array_equal(_answers(scores, 2.0, 2), scores[::2])
    assert not context.Context().active and context.Context().describe() == ""


def test_smoothing_takes_a_share_of_the_chunks_that_touch():
    scores = np.array([[0.2], [0.8], [0.4]])
    expected = [[0.6 * 0.2 + 0.2 * (0.2 + 0.8)], [0.6 * 0.8 + 0.2 * (0.2 + 0.4)], [0.6 * 0.4 + 0.2 * (0.8 + 0.4)]]
    np.testing.assert_allclose(_answers(scores, smoothing=0.4), expected)
    # with chunks that overlap by half, those that touch are two steps away
    half = np.array([[0.2], [0.99], [0.8], [0.01], [0.4]])
    np.testing.assert_allclose(_answers(half, 2.0, 2, smoothing=0.4), expected)


def test_scaling_multiplies_by_a_power_of_the_best_chunk():
    scores = np.array([[0.25, 0.5], [0.1, 1.0]])
    np.testing.assert_allclose(_answers(scores, best_chunk=0.5), scores * [0.5, 1.0])


def test_shifted_chunks_count_by_the_time_that_they_share():
    scores = np.array([[0.4], [0.8], [0.6], [0.2], [0.9]])
    middle = (0.6 + 0.5 * (0.8 + 0.2)) / 2
    expected = [[(0.4 + 0.5 * 0.8) / 1.5], [middle], [(0.9 + 0.5 * 0.2) / 1.5]]
    np.testing.assert_allclose(_answers(scores, 2.0, 2, shifted=True), np.minimum(expected, scores.max()))


@pytest.mark.parametrize("num_chunks", [1, 2, 9])
def test_no_answer_is_above_the_best_chunk_and_silence_stays_silent(generator, num_chunks):
    scores = generator.random((num_chunks, 4)).astype(np.float32)
    scores[num_chunks // 2] = 0
    found = ALL.answers(scores, 2.0, np.arange(num_chunks))
    assert found.dtype == np.float32 and (found <= scores.max(axis=0)).all() and (found >= 0).all()
    assert not found[num_chunks // 2].any()
    constant = np.full((num_chunks, 2), 0.3, np.float32)  # rounding must not lift a mean of equal scores
    assert (ALL.answers(constant, 2.0, np.arange(num_chunks)) <= 0.3 + 1e-9).all()


@pytest.mark.parametrize("values", [{"smoothing": 1.0}, {"smoothing": -0.1}, {"best_chunk": float("nan")}])
def test_what_is_no_context_is_refused(values):
    with pytest.raises(config.InputError, match=next(iter(values))):
        context.Context(**values)


def test_it_is_described_in_words():
    assert ALL.describe() == "smoothing 0.4, best chunk 0.5, shifted chunks"

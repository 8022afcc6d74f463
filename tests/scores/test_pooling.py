import numpy as np
import pytest
import scipy.special

from bird_tf import config
from bird_tf.scores import pooling


def test_median_filtered_by_hand():
    scores = np.array([[0.8, 0.1, 0.1, 0.1, 0.4], [0.2, 0.1, 0.1, 0.1, 0.1]])
    # the medians are 0.1, so 0.1 is dropped: the mean squares are (0.64 + 0.04) / 2 and 0.16 / 2
    np.testing.assert_allclose(pooling.pool(scores, "median_filtered"), np.sqrt([0.34, 0, 0, 0, 0.08]))


def test_median_filtered_ranks_as_the_baseline_of_2018(generator):
    """Its formula: the mean of (2p)² of what is kept, minus the minimum, divided by the maximum above 1."""
    scores = generator.random((9, 30)) ** 3
    kept = np.where(scores < 1.5 * np.median(scores, axis=1, keepdims=True), 0.0, scores)
    of_2018 = np.mean((2 * kept) ** 2, axis=0)
    of_2018 = (of_2018 - of_2018.min()) / max(1.0, of_2018.max() - of_2018.min())
    np.testing.assert_array_equal(np.argsort(pooling.pool(scores, "median_filtered")), np.argsort(of_2018))


@pytest.mark.parametrize("method", pooling.METHODS)
def test_no_score_is_above_the_best_chunk_or_falls_when_a_chunk_rises(method, generator):
    scores, logits = generator.random((5, 12)) ** 2, generator.normal(0, 3, 5)
    pooled = pooling.pool(scores, method, logits)
    assert (pooled <= scores.max(axis=0)).all()
    for chunk in range(5):
        raised = scores.copy()
        raised[chunk, 3] = min(1.0, raised[chunk, 3] + 0.2)
        assert pooling.pool(raised, method, logits)[3] >= pooled[3]
    for constant in (0.0, 0.56, 1.0):
        assert (pooling.pool(np.full((4, 12), constant), method, logits[:4]) <= constant).all()


def test_the_other_methods_by_hand():
    scores = np.array([[0.9, 0.2], [0.1, 0.4]])
    np.testing.assert_allclose(pooling.pool(scores, "mean"), [0.5, 0.3])
    np.testing.assert_allclose(pooling.pool(scores, "max"), [0.9, 0.4])
    np.testing.assert_allclose(pooling.pool(scores, "mean_exponential"), np.sqrt([0.41, 0.1]))


def test_log_sum_exp_equals_scipys_and_lies_between_mean_and_max(generator):
    scores = generator.random((7, 12))
    pooled = pooling.pool(scores, "log_sum_exp")
    np.testing.assert_allclose(pooled, (scipy.special.logsumexp(8 * scores, axis=0) - np.log(7)) / 8)
    assert (scores.mean(axis=0) < pooled).all() and (pooled < scores.max(axis=0)).all()


@pytest.mark.parametrize("method", pooling.METHODS)
def test_results_are_probabilities_and_do_not_depend_on_the_order_of_chunks(method, generator):
    scores, logits = generator.random((9, 12)), generator.normal(0, 1, 9)
    pooled = pooling.pool(scores, method, logits)
    assert pooled.shape == (12,) and pooled.min() >= 0 and pooled.max() <= 1
    np.testing.assert_allclose(pooling.pool(scores[::-1], method, logits[::-1]), pooled)


def test_attention_weights_are_the_softmax_of_the_logits(generator):
    scores = np.array([[0.9, 0.2], [0.1, 0.4]])
    np.testing.assert_allclose(pooling.pool(scores, "attention", np.log([3.0, 1.0])), [0.7, 0.25])
    scores, logits = generator.random((7, 12)), generator.normal(0, 1, 7).astype(np.float32)
    expected = scipy.special.softmax(logits.astype(np.float64)) @ scores
    # a constant, such as the bias of the layer, changes nothing, and large logits do not overflow
    for constant in (0, 1000):
        np.testing.assert_allclose(pooling.pool(scores, "attention", logits + constant), expected, rtol=1e-4)
    np.testing.assert_allclose(pooling.pool(scores, "attention", np.zeros(7)), scores.mean(axis=0))


def test_pooling_by_attention_without_attention_logits_is_refused():
    for logits in (None, np.full(3, np.nan)):
        with pytest.raises(ValueError, match="the model gives no attention"):
            pooling.pool(np.zeros((3, 2)), "attention", logits)


def test_the_default_for_few_classes_is_another_one():
    assert pooling.default(1500) == "median_filtered"
    assert pooling.default(2) != "median_filtered"
    assert pooling.pool(np.array([[0.7, 0.3]]), pooling.default(2))[0] > 0


def test_chunks_are_grouped_by_recording(generator):
    scores, ids = generator.random((6, 3)), ["b", "a", "b", "c", "a", "b"]
    unique, chunks = pooling.by_recording(ids, scores)
    assert unique == ["a", "b", "c"]
    for found, expected in zip(chunks, ([1, 4], [0, 2, 5], [3]), strict=True):
        np.testing.assert_array_equal(found, scores[expected])


@pytest.mark.parametrize(("duration", "segments"), [(0.3, 1), (5.0, 1), (5.00001, 1), (5.2, 2), (12.5, 3), (60.0, 12)])
@pytest.mark.parametrize(("chunk", "hop"), [(1.0, 1.0), (1.0, 0.75), (3.0, 3.0), (7.0, 3.5)])
def test_no_segment_is_missing(duration, segments, chunk, hop):
    start = np.arange(0, max(duration - chunk, 0) + 1e-9, hop)
    end = np.minimum(start + chunk, duration)
    scores = np.linspace(0, 1, len(start))[:, None]
    pooled = pooling.by_segment(start, end, scores, duration, 5.0, "mean")
    assert pooled.shape == (segments, 1) and np.isfinite(pooled).all()


def test_a_chunk_counts_in_each_segment_that_it_overlaps():
    start, end = np.array([0.0, 4.0, 5.0, 12.0]), np.array([1.0, 6.0, 8.0, 14.0])
    scores = np.array([[0.2], [0.4], [0.6], [1.0]])
    pooled = pooling.by_segment(start, end, scores, 20.0, 5.0, "mean")
    np.testing.assert_allclose(pooled[:, 0], [0.3, 0.5, 1.0, 1.0])  # the last segment gets the nearest chunk
    logits = np.log([3.0, 1.0, 4.0, 1.0])
    pooled = pooling.by_segment(start, end, scores, 20.0, 5.0, "attention", logits)
    np.testing.assert_allclose(pooled[:, 0], [0.25, 0.56, 1.0, 1.0])


def test_less_than_a_millisecond_of_a_chunk_counts_in_no_segment():
    start, end = np.array([0.0, 3.0, 5.0]), np.array([3.0, 5.0005, 8.0])
    for share in (0.0, 0.5):
        [first, second] = pooling.chunks_of_segments(start, end, 8.0, 5.0, share)
        assert first.tolist() == [True, True, False] and second.tolist() == [False, False, True]


def test_bad_scores_and_methods_are_refused():
    with pytest.raises(ValueError, match="at least one chunk"):
        pooling.pool(np.zeros((0, 3)), "mean")
    with pytest.raises(ValueError, match="chunks, classes"):
        pooling.pool(np.zeros(3), "mean")
    with pytest.raises(config.InputError, match="--pooling=median"):
        pooling.pool(np.zeros((1, 3)), "median")


def test_each_recording_is_pooled_by_itself(generator):
    chunks = [generator.random((n, 4)) for n in (1, 3)]
    pooled = pooling.pool_each(chunks, "mean")
    np.testing.assert_array_equal(pooled, [pooling.pool(own, "mean") for own in chunks])
    logits = [generator.random(n) for n in (1, 3)]
    pooled = pooling.pool_each(chunks, "attention", logits)
    np.testing.assert_array_equal(pooled[1], pooling.pool(chunks[1], "attention", logits[1]))

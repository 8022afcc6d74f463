import math

import numpy as np
import pytest
import sklearn.metrics

from bird_tf.scores import metrics


@pytest.fixture
def case(generator):
    """Scores with ties, several labels a recording, every class present."""
    scores = generator.integers(0, 10, (60, 12)) / 10
    labels = np.arange(60) % 12
    truth = generator.random((60, 12)) < 0.15
    truth[np.arange(60), labels] = True
    return scores, truth, labels


def test_metrics_equal_scikit_learns(case):
    scores, truth, labels = case
    ours = metrics.headline(scores, truth, labels)
    assert ours["mlrap"] == pytest.approx(sklearn.metrics.label_ranking_average_precision_score(truth, scores))
    assert ours["cmap"] == pytest.approx(sklearn.metrics.average_precision_score(truth, scores))
    assert ours["auroc"] == pytest.approx(sklearn.metrics.roc_auc_score(truth, scores))
    assert ours["map"] == ours["mlrap"]


def test_top_k_equals_scikit_learns_without_ties(generator):
    scores, labels = generator.random((50, 8)), generator.integers(0, 8, 50)
    for k in (1, 5):
        expected = sklearn.metrics.top_k_accuracy_score(labels, scores, k=k, labels=range(8))
        ours = metrics.headline(scores, np.eye(8, dtype=bool)[labels], labels)
        assert ours[f"top{k}"] == pytest.approx(expected)


def test_mrr_by_hand():
    scores = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.5, 0.5, 0.1]])
    labels = np.array([0, 2, 0])
    assert metrics.headline(scores, np.eye(3, dtype=bool)[labels], labels)["mrr"] == pytest.approx(
        (1 + 1 / 3 + 1 / 2) / 3
    )


def test_map_lists_a_hundred_classes():
    scores = np.arange(150, 0, -1)[None] / 150.0
    truth = np.zeros((1, 150), bool)
    truth[0, [1, 120]] = True
    assert metrics.headline(scores, truth, np.array([1]))["map"] == pytest.approx((1 / 2) / 2)
    assert metrics.mlrap(scores, truth) == pytest.approx((1 / 2 + 2 / 121) / 2)


def test_undefined_values_are_left_out():
    scores, truth = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[True, False], [False, False]])
    assert metrics.mlrap(scores, truth) == 1.0
    assert math.isnan(metrics.class_average_precisions(scores, truth)[1])
    assert metrics.class_mean_average_precision(scores, truth) == 1.0
    assert math.isnan(metrics.mlrap(scores, np.zeros((2, 2), bool)))


def test_truth_holds_label_and_background_without_padding():
    truth = metrics.truth(np.array([0, 2]), [[1, -1], [-1, -1]], 3)
    assert truth.tolist() == [[True, True, False], [False, False, True]]


def test_chance_is_the_mlrap_of_random_rankings():
    truth = np.eye(4, dtype=bool)
    # one label of four: the mean of 1, 1/2, 1/3, 1/4
    expected = np.mean([1, 1 / 2, 1 / 3, 1 / 4])
    assert metrics.chance_mlrap(truth) == pytest.approx(expected, abs=0.03)  # 800 scores: 3 standard errors
    # of many recordings few draws suffice: here 2 of 10,000
    assert metrics.chance_mlrap(np.tile(truth, (2500, 1))) == pytest.approx(expected, abs=0.006)


def test_a_recording_that_is_drawn_twice_has_twice_the_weight(case):
    """The bootstrap's weighted formulas equal scikit-learn's with sample weights."""
    scores, truth, _ = case
    counts = np.random.default_rng(1).integers(0, 4, (3, len(scores))).astype(np.float32)
    for ours, theirs in (
        (metrics._average_precisions, sklearn.metrics.average_precision_score),
        (metrics._areas, sklearn.metrics.roc_auc_score),
    ):
        expected = [theirs(truth[:, 0], scores[:, 0], sample_weight=c) for c in counts]
        np.testing.assert_allclose(ours(scores[:, 0], truth[:, 0], counts), expected, rtol=1e-5)


def test_intervals_contain_the_metric_and_equal_those_of_a_plain_bootstrap(case):
    scores, truth, labels = case
    found, point = metrics.intervals(scores, truth, labels), metrics.headline(scores, truth, labels)
    assert set(found) == set(point) - {"num_recordings"}
    assert all(low < point[name] < high for name, (low, high) in found.items())
    generator = np.random.default_rng(5)
    draws = [generator.integers(0, 60, 60) for _ in range(400)]
    ranks = metrics.ranks(scores, labels)
    for name, values in (("mrr", 1 / ranks), ("top5", ranks <= 5)):
        plain = np.percentile([values[d].mean() for d in draws], [2.5, 97.5])
        np.testing.assert_allclose(found[name], plain, atol=0.03)  # two independent sets of draws
    assert metrics.intervals(scores, truth, labels) == found


def test_operating_points_equal_scikit_learns_curve(case):
    scores, truth = case[0][:, 0], case[1][:, 0]
    values, hits, called = metrics.operating_points(scores, truth)
    precision, recall, thresholds = sklearn.metrics.precision_recall_curve(truth, scores)
    np.testing.assert_array_equal(values, thresholds[::-1])
    np.testing.assert_allclose(hits / called, precision[-2::-1])
    np.testing.assert_allclose(hits / hits[-1], recall[-2::-1])


def test_reliability_by_hand():
    probabilities, truth = np.array([0.05, 0.15, 0.11, 0.95, 1.0]), np.array([False, True, False, True, True])
    confidence, frequency, counts = metrics.reliability(probabilities, truth)
    np.testing.assert_allclose(confidence, [0.05, 0.13, 0.975])
    np.testing.assert_allclose(frequency, [0.0, 0.5, 1.0])
    assert counts.tolist() == [1, 2, 2]
    expected = (1 * 0.05 + 2 * 0.37 + 2 * 0.025) / 5
    assert metrics.expected_calibration_error(probabilities, truth) == pytest.approx(expected)


def test_a_call_counts_in_each_segment_that_it_overlaps():
    truth = metrics.segment_truth([(1.0, 2.0, 0), (4.0, 10.0, 1), (14.9, 99.0, 0)], 4, 5.0, 2)
    assert truth.tolist() == [[True, True], [False, True], [True, False], [True, False]]
    moments = metrics.segment_truth([(0.0, 0.0, 0), (5.0, 5.0, 0), (12.0, 12.0, 0)], 4, 5.0, 1)
    assert moments[:, 0].tolist() == [True, True, True, False]


def test_blocks_of_positives_give_the_same_metrics(case, monkeypatch):
    whole, intervals = metrics.headline(*case), metrics.intervals(*case, num_draws=50)
    monkeypatch.setattr(metrics, "_POSITIVES_AT_ONCE", 2)
    assert metrics.headline(*case) == pytest.approx(whole, rel=1e-12)
    parts = metrics.intervals(*case, num_draws=50)
    for name, pair in intervals.items():
        assert parts[name] == pytest.approx(pair, rel=1e-5), name


def test_one_class_has_no_ranking_metrics_but_an_average_precision():
    scores, truth = np.array([[0.9], [0.2], [0.4]]), np.array([[True], [False], [True]])
    found = metrics.headline(scores, truth, np.zeros(3, int))
    assert found["cmap"] == 1.0 and all(np.isnan(found[name]) for name in ("mlrap", "mrr", "map", "top1", "top5"))
    assert np.isnan(metrics.mlrap(scores, truth))
    assert np.isnan(metrics.chance_mlrap(truth)) and np.isnan(
        metrics.intervals(scores, truth, np.zeros(3, int))["mlrap"][0]
    )


def test_where_all_recordings_have_the_one_class_no_metric_is_certain_success():
    case = np.array([[0.9], [0.2]]), np.ones((2, 1), bool), np.zeros(2, int)
    assert np.isnan(metrics.headline(*case)["cmap"]) and np.isnan(metrics.intervals(*case)["cmap"][0])

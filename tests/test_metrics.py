import math

import numpy as np
import pytest
import sklearn.metrics

from bird_tf import metrics


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
        assert metrics.top_k(scores, labels, k) == pytest.approx(expected)


def test_mrr_by_hand():
    scores = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.5, 0.5, 0.1]])
    assert metrics.mean_reciprocal_rank(scores, np.array([0, 2, 0])) == pytest.approx((1 + 1 / 3 + 1 / 2) / 3)


def test_map_stops_at_a_hundred_answers():
    scores = np.arange(150, 0, -1)[None] / 150.0
    truth = np.zeros((1, 150), bool)
    truth[0, [1, 120]] = True
    assert metrics.mean_average_precision(scores, truth) == pytest.approx((1 / 2) / 2)
    assert metrics.mlrap(scores, truth) == pytest.approx((1 / 2 + 2 / 121) / 2)


def test_what_is_not_defined_is_left_out():
    scores, truth = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[True, False], [False, False]])
    assert metrics.mlrap(scores, truth) == 1.0
    assert math.isnan(metrics.class_average_precisions(scores, truth)[1])
    assert metrics.class_mean_average_precision(scores, truth) == 1.0
    assert math.isnan(metrics.mlrap(scores, np.zeros((2, 2), bool)))


def test_truth_holds_label_and_background_without_fillers():
    truth = metrics.truth(np.array([0, 2]), [[1, -1], [-1, -1]], 3)
    assert truth.tolist() == [[True, True, False], [False, False, True]]


def test_chance_is_that_of_random_ranking():
    truth = np.eye(4, dtype=bool)
    # one label of four: the mean of 1, 1/2, 1/3, 1/4
    assert metrics.chance_mlrap(truth, num_draws=4000) == pytest.approx(np.mean([1, 1 / 2, 1 / 3, 1 / 4]), abs=0.01)

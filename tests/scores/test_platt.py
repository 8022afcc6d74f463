import numpy as np
import pytest
import scipy.special
import sklearn.linear_model

from bird_tf.scores import platt


def test_fit_equals_scikit_learns_logistic_regression(generator):
    """Scores that are too extreme: the true logits are half of theirs, minus 1."""
    logits = generator.normal(0, 3, (400, 3))
    scores, truth = scipy.special.expit(logits), generator.random((400, 3)) < scipy.special.expit(0.5 * logits - 1)
    model = sklearn.linear_model.LogisticRegression(C=1e9, tol=1e-9)
    model.fit(scipy.special.logit(scores).reshape(-1, 1), truth.ravel())
    slope, intercept = platt.fit(scores, truth)
    assert slope == pytest.approx(model.coef_[0, 0], rel=1e-3)
    assert intercept == pytest.approx(model.intercept_[0], rel=1e-3)
    assert (slope, intercept) == (pytest.approx(0.5, abs=0.1), pytest.approx(-1, abs=0.2))


def test_the_slope_is_positive_even_for_wrong_scores(generator):
    scores = generator.random((50, 3))
    slope, _ = platt.fit(scores, scores < 0.3)
    assert slope > 0
    assert platt.fit(scores, np.zeros((50, 3), bool)) == (1.0, 0.0)


def test_scores_that_tell_all_apart_give_a_steep_map_without_a_warning():
    scores = np.array([1e-9, 1e-6, 0.5, 0.9, 1.0])
    slope, intercept = platt.fit(scores, scores >= 0.9)
    assert slope > 5 and np.isfinite(intercept)


def test_weights_count_as_copies_and_targets_as_shares(generator):
    scores, truth = generator.random(60), generator.random(60) < 0.4
    copies = generator.integers(1, 4, 60)
    repeated = platt.fit(np.repeat(scores, copies), np.repeat(truth, copies))
    assert platt.fit(scores, truth, copies) == pytest.approx(repeated, rel=1e-4)
    both = platt.fit(np.tile(scores, 2), np.concatenate([truth, ~truth]), np.repeat([3.0, 1.0], 60))
    assert platt.fit(scores, np.where(truth, 0.75, 0.25)) == pytest.approx(both, rel=1e-4)

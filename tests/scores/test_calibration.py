import numpy as np
import pytest
import scipy.special

from bird_tf.scores import calibration, metrics


@pytest.fixture
def case(generator):
    """Scores that are too extreme: the true logits are half of theirs, minus 1."""
    logits = generator.normal(0, 3, (400, 3))
    truth = generator.random((400, 3)) < scipy.special.expit(0.5 * logits - 1)
    return scipy.special.expit(logits), truth


def test_calibration_reduces_the_calibration_error_and_keeps_the_ranking(case):
    scores, truth = case
    calibrated = calibration.cross_fitted(scores, truth)
    before, after = (metrics.expected_calibration_error(p, truth) for p in (scores, calibrated))
    assert after < before / 2
    fitted = calibration.fit(scores[:, None], truth, 0.9).probabilities(scores)
    np.testing.assert_array_equal(np.argsort(fitted, axis=None), np.argsort(scores, axis=None))


def test_a_recording_counts_once_however_many_chunks_it_has(case):
    scores, truth = case
    once = calibration.fit_map(scores[:, None], truth)
    quiet = np.full((20, 3), scores.min())
    with_more = calibration.fit_map([np.concatenate([own[None], quiet]) for own in scores], truth)
    assert (with_more.slope, with_more.intercept) == (once.slope, once.intercept)


def test_cross_fitted_probabilities_do_not_depend_on_the_own_label(case):
    scores, truth = case
    flipped = truth.copy()
    flipped[0] = ~flipped[0]
    original, after = calibration.cross_fitted(scores, truth), calibration.cross_fitted(scores, flipped)
    np.testing.assert_array_equal(original[0], after[0])
    assert not np.array_equal(original[1], after[1])


def test_zero_stays_zero_and_the_order_of_small_probabilities_is_kept():
    fitted = calibration.Calibration(slope=0.1, intercept=3.0, thresholds={})
    scores = np.array([0.0, 1e-30, 1e-9, 1e-8, 1e-3, 0.5, 1 - 2.0**-23, 1 - 2.0**-24], np.float32)
    calibrated = fitted.probabilities(scores)
    assert calibrated[0] == 0
    assert (np.diff(calibrated) > 0).all() and fitted.probabilities(np.ones(1, np.float32))[0] <= 1


@pytest.mark.parametrize(("slope", "intercept"), [(1.0001, 0.5), (2.0, 0.0), (5.0, 3.0), (400.0, -2.0), (0.01, 9.0)])
def test_scores_that_float32_tells_apart_have_different_probabilities(slope, intercept):
    above = 1 - np.geomspace(2.0**-24, 0.5, 500)
    scores = np.unique(np.concatenate([[0], np.geomspace(1e-30, 0.5, 500), above, [1]]).astype(np.float32))
    fitted = calibration.Calibration(slope=slope, intercept=intercept, thresholds={})
    calibrated = fitted.probabilities(scores)
    assert (np.diff(calibrated) > 0).all() and calibrated.min() >= 0 and calibrated.max() <= 1


def test_noise_changes_thresholds_but_not_the_map(case):
    scores, truth = case
    plain = calibration.fit(scores[:, None], truth, 0.6)
    noisy = calibration.fit(scores[:, None], truth, 0.6, np.full((500, 3), 0.9), 1.0)
    assert (plain.slope, plain.intercept) == (noisy.slope, noisy.intercept)
    assert (noisy.thresholds["precision"] > plain.probabilities(np.float64(0.9))).all()
    assert (noisy.thresholds["f1"] > plain.thresholds["f1"]).all()

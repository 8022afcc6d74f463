import numpy as np
import pytest
import scipy.special
import sklearn.linear_model
import sklearn.metrics

from bird_tf.scores import calibration, metrics, pooling


@pytest.fixture
def case(generator):
    """Scores that are too extreme: the true logits are half of theirs, minus 1."""
    logits = generator.normal(0, 3, (400, 3))
    truth = generator.random((400, 3)) < scipy.special.expit(0.5 * logits - 1)
    return scipy.special.expit(logits), truth


def test_platt_equals_scikit_learns_logistic_regression(case):
    scores, truth = case
    model = sklearn.linear_model.LogisticRegression(C=1e9, tol=1e-9)
    model.fit(scipy.special.logit(scores).reshape(-1, 1), truth.ravel())
    slope, intercept = calibration.fit_platt(scores, truth)
    assert slope == pytest.approx(model.coef_[0, 0], rel=1e-3)
    assert intercept == pytest.approx(model.intercept_[0], rel=1e-3)
    assert (slope, intercept) == (pytest.approx(0.5, abs=0.1), pytest.approx(-1, abs=0.2))


def test_calibration_reduces_the_calibration_error_and_keeps_the_ranking(case):
    scores, truth = case
    calibrated = calibration.cross_fitted(scores, truth)
    before, after = (metrics.expected_calibration_error(p, truth) for p in (scores, calibrated))
    assert after < before / 2
    fitted = calibration.fit(scores[:, None], truth, 0.9).probabilities(scores)
    np.testing.assert_array_equal(np.argsort(fitted, axis=None), np.argsort(scores, axis=None))


def test_cross_fitted_probabilities_do_not_depend_on_the_own_label(case):
    scores, truth = case
    flipped = truth.copy()
    flipped[0] = ~flipped[0]
    original, after = calibration.cross_fitted(scores, truth), calibration.cross_fitted(scores, flipped)
    np.testing.assert_array_equal(original[0], after[0])
    assert not np.array_equal(original[1], after[1])


def test_the_slope_is_positive_even_for_wrong_scores(generator):
    scores = generator.random((50, 3))
    slope, _ = calibration.fit_platt(scores, scores < 0.3)
    assert slope > 0
    assert calibration.fit_platt(scores, np.zeros((50, 3), bool)) == (1.0, 0.0)


def test_thresholds_equal_the_best_points_of_scikit_learns_curve(case):
    scores, truth = np.round(case[0][:, 0], 2), case[1][:, 0]
    precision, recall, values = sklearn.metrics.precision_recall_curve(truth, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = calibration.best_f1_threshold(scores, truth)
    assert sklearn.metrics.f1_score(truth, scores >= best) == pytest.approx(f1.max())
    for target in (0.5, 0.6):
        threshold = calibration.precision_threshold(scores, truth, target)
        assert threshold == pytest.approx(values[precision[:-1] >= target].min())
    assert calibration.precision_threshold(np.array([0.9, 0.1]), np.array([False, True]), 0.9) > 1
    assert np.isnan(calibration.best_f1_threshold(scores, np.zeros(400, bool)))


def test_a_class_with_few_positives_gets_the_common_thresholds(case):
    scores, truth = case
    truth[:, 2] = False
    truth[:4, 2] = True
    fitted = calibration.fit(scores[:, None], truth, 0.9)
    calibrated = fitted.probabilities(scores)
    assert fitted.thresholds["f1"][2] == calibration.best_f1_threshold(calibrated.ravel(), truth.ravel())
    assert fitted.thresholds["f1"][0] == calibration.best_f1_threshold(calibrated[:, 0], truth[:, 0])


def test_thresholds_of_chunks_by_hand():
    """The best chunk counts of recordings with the species, and all chunks of recordings without it."""
    chunks = [np.array(column)[:, None] for column in ([0.9, 0.05], [0.4, 0.7], [0.8, 0.6, 0.6], [0.2])]
    truth = np.array([[True], [True], [False], [False]])
    scores, present, counts = calibration._weakly_labelled(chunks, truth)
    np.testing.assert_array_equal(scores[counts], [0.9, 0.7, 0.8, 0.6, 0.6, 0.2])
    np.testing.assert_array_equal(present[counts], [True, True, False, False, False, False])
    fitted = calibration.fit(chunks, truth, 0.6)
    # F1 at 0.9: 2/3, at 0.8: 2/4, at 0.7: 4/5; precision at 0.7: 2/3, at 0.6: 2/5
    expected = fitted.probabilities(np.array([[0.7]]))[0]
    np.testing.assert_allclose(fitted.thresholds["f1"], expected)
    np.testing.assert_allclose(fitted.thresholds["precision"], expected)


def test_many_chunks_without_the_species_raise_the_thresholds_of_chunks(generator):
    """12 faint calls (0.45), 8 loud calls (0.9), and 20 recordings without the species with scores up to 0.5."""
    truth = np.arange(40)[:, None] < 20
    chunks = [generator.random((100, 1)) * (0.4 if present else 0.5) for present in truth[:, 0]]
    for i in range(20):
        chunks[i][0] = 0.45 if i < 12 else 0.9
    by_best = calibration.fit(pooling.pool_each(chunks, "max")[:, None], truth, 0.9)
    by_chunk = calibration.fit(chunks, truth, 0.9)
    # half of the recordings have the species: the lowest threshold is best; hundreds of chunks would be false alarms
    for fitted, score in ((by_best, 0.45), (by_chunk, 0.9)):
        np.testing.assert_allclose(fitted.thresholds["f1"], fitted.probabilities(np.array([score])))

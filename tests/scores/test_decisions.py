import json

import numpy as np
import pytest
import scipy.special
import sklearn.linear_model
import sklearn.metrics

from bird_tf import config
from bird_tf.labels import taxonomy
from bird_tf.scores import calibration, decisions, metrics, pooling

CLASSES = taxonomy.Taxonomy(("aa", "bb", "cc"), ("A", "B", "C"))


@pytest.fixture
def case(generator):
    """Scores that are too sure of themselves: the true logits are half of theirs, and 1 lower."""
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


def test_calibration_brings_probabilities_nearer_to_frequencies_and_keeps_the_ranking(case):
    scores, truth = case
    calibrated = calibration.cross_fitted(scores, truth)
    before, after = (metrics.expected_calibration_error(p, truth) for p in (scores, calibrated))
    assert after < before / 2
    fitted = calibration.fit(scores[:, None], truth, 0.9).probabilities(scores)
    np.testing.assert_array_equal(np.argsort(fitted, axis=None), np.argsort(scores, axis=None))


def test_each_recording_is_judged_by_a_map_fitted_without_it(case):
    scores, truth = case
    flipped = truth.copy()
    flipped[0] = ~flipped[0]
    ours, theirs = calibration.cross_fitted(scores, truth), calibration.cross_fitted(scores, flipped)
    np.testing.assert_array_equal(ours[0], theirs[0])
    assert not np.array_equal(ours[1], theirs[1])


def test_even_a_useless_model_keeps_its_ranking(generator):
    scores = generator.random((50, 3))
    slope, _ = calibration.fit_platt(scores, scores < 0.3)
    assert slope > 0
    assert calibration.fit_platt(scores, np.zeros((50, 3), bool)) == (1.0, 0.0)


def test_thresholds_are_the_best_of_scikit_learns_curve(case):
    scores, truth = np.round(case[0][:, 0], 2), case[1][:, 0]
    precision, recall, values = sklearn.metrics.precision_recall_curve(truth, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = calibration.best_f1_threshold(scores, truth)
    assert sklearn.metrics.f1_score(truth, scores >= best) == pytest.approx(f1.max())
    for wanted in (0.5, 0.6):
        threshold = calibration.precision_threshold(scores, truth, wanted)
        assert threshold == pytest.approx(values[precision[:-1] >= wanted].min())
    assert calibration.precision_threshold(np.array([0.9, 0.1]), np.array([False, True]), 0.9) > 1
    assert np.isnan(calibration.best_f1_threshold(scores, np.zeros(400, bool)))


def test_a_class_with_few_positives_takes_the_common_thresholds(case):
    scores, truth = case
    truth[:, 2] = False
    truth[:4, 2] = True
    fitted = calibration.fit(scores[:, None], truth, 0.9)
    calibrated = fitted.probabilities(scores)
    assert fitted.thresholds["f1"][2] == calibration.best_f1_threshold(calibrated.ravel(), truth.ravel())
    assert fitted.thresholds["f1"][0] == calibration.best_f1_threshold(calibrated[:, 0], truth[:, 0])


def test_thresholds_of_chunks_by_hand():
    """Recordings with species 0 count by their best chunk, those without by every chunk."""
    chunks = [np.array(column)[:, None] for column in ([0.9, 0.05], [0.4, 0.7], [0.8, 0.6, 0.6], [0.2])]
    truth = np.array([[True], [True], [False], [False]])
    scores, present, counts = calibration._weakly_labelled(chunks, truth)
    np.testing.assert_array_equal(scores[counts], [0.9, 0.7, 0.8, 0.6, 0.6, 0.2])
    np.testing.assert_array_equal(present[counts], [True, True, False, False, False, False])
    fitted = calibration.fit(chunks, truth, 0.6)
    # F1 from 0.9 on 2/3, from 0.8 on 2/4, from 0.7 on 4/5; precision from 0.7 on 2/3, from 0.6 on 2/5
    expected = fitted.probabilities(np.array([[0.7]]))[0]
    np.testing.assert_allclose(fitted.thresholds["f1"], expected)
    np.testing.assert_allclose(fitted.thresholds["precision"], expected)


def test_many_chunks_without_the_species_raise_the_thresholds_of_chunks(generator):
    """12 faint calls (0.45) and 8 loud ones (0.9), beside 20 recordings whose noise scores up to 0.5."""
    truth = np.arange(40)[:, None] < 20
    chunks = [generator.random((100, 1)) * (0.4 if present else 0.5) for present in truth[:, 0]]
    for i in range(20):
        chunks[i][0] = 0.45 if i < 12 else 0.9
    by_best = calibration.fit(pooling.pool_each(chunks, "max")[:, None], truth, 0.9)
    by_chunk = calibration.fit(chunks, truth, 0.9)
    # of recordings half hold it, and to call all is best; of chunks hundreds would be false alarms
    for fitted, least in ((by_best, 0.45), (by_chunk, 0.9)):
        np.testing.assert_allclose(fitted.thresholds["f1"], fitted.probabilities(np.array([least])))


def test_the_best_pooling_is_chosen(generator):
    truth = np.eye(3, dtype=bool)[np.arange(30) % 3]
    chunks = [generator.random((20, 3)) * 0.8 for _ in range(30)]
    for scores, present in zip(chunks, truth, strict=True):
        scores[0, present] = 0.9  # one loud call: only the maximum finds it for sure
    method, tried = decisions.choose_pooling(chunks, truth)
    assert method == "max" and tried["max"] == 1.0 and set(tried) == {*pooling.METHODS} - {"attention"}
    assert tried["mean"] == metrics.mlrap(np.stack([c.mean(axis=0) for c in chunks]), truth)


def test_attention_is_chosen_where_it_knows_best(generator):
    truth = np.eye(3, dtype=bool)[np.arange(30) % 3]
    chunks, attention = [generator.random((20, 3)) for _ in range(30)], [np.zeros(20) for _ in range(30)]
    for i, (scores, present, claimed) in enumerate(zip(chunks, truth, attention, strict=True)):
        scores[i % 20] = 0.1 + 0.1 * present  # faint, but nothing else is worth listening to
        claimed[i % 20] = 20.0
    method, tried = decisions.choose_pooling(chunks, truth, attention)
    assert method == "attention" and tried["attention"] == 1.0 and set(tried) == set(pooling.METHODS)
    # an ensemble's attention is mixed as its scores are: the second model's is worth more
    members = [np.stack([own, own]) for own in chunks]
    claims = [np.stack([generator.normal(0, 20, 20), own]) for own in attention]
    weights = decisions.search_weights(members, truth, "attention", claims)
    assert weights[1] > 0.8


def test_weights_prefer_the_model_that_knows(generator):
    truth = np.eye(3, dtype=bool)[np.arange(30) % 3]
    good, bad = truth * 0.5 + 0.3 * generator.random((30, 3)), generator.random((30, 3))
    chunks = [np.stack([b[None], g[None]]) for g, b in zip(good, bad, strict=True)]
    weights = decisions.search_weights(chunks, truth, "mean")
    assert sum(weights) == pytest.approx(1) and weights[1] > 0.8
    assert decisions.search_weights([c[:1] for c in chunks], truth, "mean") == (1.0,)


def test_they_come_back_from_disk_in_the_order_of_the_classes(tmp_path, case):
    fitted = calibration.fit(case[0][:, None], case[1], 0.9)
    decided = decisions.Decisions(
        pooling="max", weights=(0.3, 0.7), recording=fitted, chunk=fitted, precision=0.9, fitted_on="these"
    )
    path = str(tmp_path / "decisions.json")
    decisions.save(path, decided, CLASSES)
    turned = taxonomy.Taxonomy(CLASSES.class_ids[::-1], CLASSES.names[::-1])
    back = decisions.load(path, turned, 2)
    assert (back.pooling, back.weights, back.fitted_on) == ("max", (0.3, 0.7), "these")
    for rule in calibration.RULES:
        np.testing.assert_array_equal(back.chunk.thresholds[rule], fitted.thresholds[rule][::-1])
    assert (back.chunk.slope, back.chunk.intercept) == (fitted.slope, fitted.intercept)


def test_decisions_that_do_not_fit_are_refused(tmp_path):
    path = str(tmp_path / "decisions.json")
    with pytest.raises(config.InputError, match="no such file"):
        decisions.load(path, CLASSES, 1)
    decisions.save(path, decisions.neutral(CLASSES, 1, "mean"), CLASSES)
    with pytest.raises(config.InputError, match="for 1 models, not 2"):
        decisions.load(path, CLASSES, 2)
    with pytest.raises(config.InputError, match="other classes"):
        decisions.load(path, taxonomy.Taxonomy(("xx",), ("X",)), 1)
    (tmp_path / "decisions.json").write_text(json.dumps({"format_version": 99}))
    with pytest.raises(config.InputError, match="no decisions of format"):
        decisions.load(path, CLASSES, 1)


def test_undecided_scores_stay_as_they_are(generator):
    scores = generator.random((4, 3)).astype(np.float32)
    assert decisions.neutral(CLASSES, 1, "mean").recording.probabilities(scores) is scores

import numpy as np
import pytest
import sklearn.metrics

from bird_tf.scores import pooling, thresholds


def _examples(chunks, truth, noise=None, noise_hours=0.0):
    noise = np.zeros((0, truth.shape[1])) if noise is None else noise
    return thresholds.Examples(chunks=chunks, truth=truth, noise=noise, noise_hours=noise_hours)


@pytest.fixture
def case(generator):
    """100 recordings of 10 chunks, 4 classes; a class is present in every fourth. Its best chunks are mostly higher."""
    truth = np.eye(4, dtype=bool)[np.arange(100) % 4]
    chunks = [generator.random((10, 4)) * 0.7 for _ in range(100)]
    for own, present in zip(chunks, truth, strict=True):
        own[:4, present] = 0.4 + 0.6 * generator.random((4, 1))
    return chunks, truth


def test_best_f1_equals_the_best_point_of_scikit_learns_curve(generator):
    scores = np.round(generator.random(400), 2)
    truth = generator.random(400) < scores**2
    precision, recall, _ = sklearn.metrics.precision_recall_curve(truth, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    assert sklearn.metrics.f1_score(truth, scores >= thresholds.best_f1(scores, truth)) == pytest.approx(f1.max())
    assert thresholds.best_f1(scores, np.zeros(400, bool)) == thresholds.NEVER


def test_weak_labels_by_hand():
    """The best chunk counts of recordings with the species, and all chunks of recordings without it."""
    chunks = [np.array(column)[:, None] for column in ([0.9, 0.05], [0.4, 0.7], [0.8, 0.6, 0.6], [0.2])]
    truth = np.array([[True], [True], [False], [False]])
    scores, present, counts = thresholds.weakly_labelled(chunks, truth)
    np.testing.assert_array_equal(scores[counts], [0.9, 0.7, 0.8, 0.6, 0.6, 0.2])
    np.testing.assert_array_equal(present[counts], [True, True, False, False, False, False])
    # F1 at 0.9: 2/3, at 0.8: 2/4, at 0.7: 4/5
    examples = _examples(chunks, truth, noise=np.array([[0.1]]), noise_hours=1.0)
    assert thresholds.fit(examples, 0.6)["f1"] == [0.7]


def test_many_chunks_without_the_species_raise_the_threshold_f1(generator):
    """12 faint calls (0.45), 8 loud calls (0.9), and 20 recordings without the species with scores up to 0.5."""
    truth = np.arange(40)[:, None] < 20
    chunks = [generator.random((100, 1)) * (0.4 if present else 0.5) for present in truth[:, 0]]
    for i in range(20):
        chunks[i][0] = 0.45 if i < 12 else 0.9
    by_best = thresholds.fit(_examples(list(pooling.pool_each(chunks, "max")[:, None]), truth), 0.9)
    by_chunk = thresholds.fit(_examples(chunks, truth), 0.9)
    # half of the recordings have the species: the lowest threshold is best; hundreds of chunks would be false alarms
    assert (by_best["f1"], by_chunk["f1"]) == ([0.45], [0.9])


@pytest.mark.parametrize("precision", [0.5, 0.9])
def test_f1_finds_what_nearly_always_is_right_also_where_another_class_is_called_on_noise(generator, precision):
    """Six classes of eight recordings. Scores of 0.6 and more are right, but one class has them on noise, too."""
    truth = np.eye(6, dtype=bool)[np.arange(48) % 6]
    best = np.where(truth, 0.6 + 0.39 * generator.random((48, 6)), 0.4 * generator.random((48, 6)))
    noise = 0.3 * generator.random((1500, 6))
    noise[:, 0] = 0.5 + 0.49 * generator.random(1500)
    fitted = thresholds.fit(_examples(list(best[:, None]), truth, noise, noise_hours=1.0), precision)
    called, right = (best >= fitted["f1"])[:, 1:], truth[:, 1:]
    assert called[right].mean() > 0.9 and right[called].mean() >= 0.9
    assert fitted["f1"][0] > 0.9
    assert precision < 0.9 or (fitted["f1"] <= fitted["precision"]).all()


def test_the_threshold_reaches_the_precision_on_other_recordings(case, generator):
    chunks, truth = case
    fitted = thresholds.fit(_examples(chunks, truth), 0.9)["precision"]
    others = [generator.random((10, 4)) * 0.7 for _ in range(400)]
    present = np.eye(4, dtype=bool)[np.arange(400) % 4]
    for own, has in zip(others, present, strict=True):
        own[:4, has] = 0.4 + 0.6 * generator.random((4, 1))
    called = np.stack([own.max(axis=0) for own in others]) >= fitted
    assert (called & present).sum() >= 0.85 * called.sum() > 50


def test_a_species_without_recordings_gets_the_threshold_of_all_and_stays_above_its_false_alarms(case):
    chunks, truth = case
    wrong = [np.full((10, 1), 0.99 if i < 3 else 0.01) for i in range(100)]
    chunks = [np.column_stack([own, np.full(10, 0.01), false]) for own, false in zip(chunks, wrong, strict=True)]
    truth = np.column_stack([truth, np.zeros((100, 2), bool)])
    fitted = thresholds.fit(_examples(chunks, truth), 0.8)["precision"]
    assert 0.01 < fitted[4] < 0.99 < fitted[5] < 1


def _few_recordings(generator, num_recordings, num_classes=20):
    """Best chunks of recordings with one species each: a logit of +3 where it sings, -3 elsewhere, both ± 2.

    Recordings differ, their chunks hardly do.
    """
    truth = np.eye(num_classes, dtype=bool)[generator.integers(num_classes, size=num_recordings)]
    logits = np.where(truth, 3.0, -3.0) + generator.normal(0, 2, truth.shape)
    spread = generator.normal(0, 0.2, (num_recordings, 5, num_classes))
    return list(1 / (1 + np.exp(-logits[:, None] - spread))), truth


def test_a_few_dozen_recordings_keep_the_precision_on_others():
    """The mean over ten fits, on two recordings of each species; no species has enough of its own."""
    generator = np.random.default_rng(5)
    others, present = _few_recordings(generator, 1000)
    best, counts = np.stack([own.max(axis=0) for own in others]), np.zeros(3)
    for _ in range(10):
        called = best >= thresholds.fit(_examples(*_few_recordings(generator, 40)), 0.9)["precision"]
        counts += (called & present).sum(), called.sum(), present.sum()
    assert 0.88 <= counts[0] / counts[1] < 0.96 and counts[0] / counts[2] > 0.3


def test_two_hits_lower_a_threshold_little_and_two_false_alarms_raise_it(generator):
    chunks, truth = _few_recordings(generator, 200)
    common = thresholds.CommonCurve(np.stack([own.max(axis=0) for own in chunks]), truth)
    shared = common.values[common.precisions >= 0.85].min()
    scores = np.array([0.01] * 8 + [0.999, 0.999])

    def fitted(own, truth):
        return thresholds.for_precision(own, truth, 0.85, common)

    assert common.at(np.array([fitted(scores, scores > 0.5)]))[0] > 0.82 and fitted(scores, scores > 0.5) <= shared
    assert fitted(scores, scores > 1) > 0.999
    assert shared <= fitted(scores[:-1], scores[:-1] > 1) <= 0.999  # a single one may be a bird without a label
    low = np.full(200, shared / 2)
    assert fitted(low, low > 0) <= low[0]  # 200 recordings of its own tell more than all species


def test_the_common_threshold_f1_of_few_recordings_varies_less_than_a_count():
    generator = np.random.default_rng(6)
    curves, counts = [], []
    for _ in range(20):
        chunks, truth = _few_recordings(generator, 40)
        best = np.stack([own.max(axis=0) for own in chunks]).ravel()
        curves.append(thresholds.CommonCurve(best, truth.ravel()).best_f1())
        counts.append(thresholds.best_f1(best, truth.ravel()))
    assert np.std(curves) < 0.7 * np.std(counts) and abs(np.mean(curves) - np.mean(counts)) < 0.05
    assert thresholds.CommonCurve(best, np.zeros(best.shape, bool)).best_f1() == thresholds.NEVER


def test_carried_thresholds_call_as_many(generator):
    before = generator.random((50, 4))
    after = np.sqrt(before) * generator.uniform(0.8, 1, (50, 4))
    least = np.array([0.3, 0.9, thresholds.NEVER, 1.0])
    carried = thresholds.carried(least, before, after)
    assert [(after >= own).sum() for own in carried] == [(before >= own).sum() for own in least]
    assert carried[2] == thresholds.NEVER and after.max() < carried[3] < 1
    tied = np.where(after < np.median(after), 0.1, 0.8)
    assert [(tied >= own).sum() for own in thresholds.carried(np.array([0.0, 0.01, 0.9]), before, tied)] == [
        200,
        100,
        0,
    ]


def test_above_a_probability_of_1_there_is_no_threshold():
    ones = np.ones((8, 1))
    assert thresholds.carried(np.array([0.9]), np.linspace(0, 1, 8)[:, None], ones).tolist() == [thresholds.NEVER]


def test_no_evidence_at_all_means_never():
    chunks, truth = [np.array([[0.9]]), np.array([[0.8]])], np.array([[True], [False]])
    assert thresholds.fit(_examples(chunks, truth), 0.9)["precision"] == [thresholds.NEVER]


def test_the_noise_floor_reaches_the_rate_on_an_exponential_tail():
    """20 hours of chunks of 3 s with exponential logits: the true threshold is known."""
    generator = np.random.default_rng(1)
    hours, per_hour = 20, 1200
    logits = generator.exponential(1.5, (hours * per_hour, 2)) - 6
    floors = thresholds.noise_floors(1 / (1 + np.exp(-logits)), hours)
    exact = -6 + 1.5 * np.log(per_hour * 4)  # a quarter of a call an hour each
    np.testing.assert_allclose(np.log(floors / (1 - floors)), exact, atol=0.4)
    fewer = thresholds.noise_floors(1 / (1 + np.exp(-logits[:1200])), 1)
    longer = generator.exponential(1.5, (200 * per_hour, 2)) - 6
    assert (1 / (1 + np.exp(-longer)) >= fewer).sum() / 200 <= 2


def test_silent_noise_raises_no_threshold():
    np.testing.assert_array_equal(thresholds.noise_floors(np.zeros((0, 3)), 0.0), 0)
    assert (thresholds.noise_floors(np.zeros((40, 3)), 0.1) < 1e-6).all()


def test_a_score_of_one_in_float32_leaves_the_other_floors_as_they_are():
    noise = np.random.default_rng(0).uniform(0.01, 0.2, (400, 3)).astype(np.float32)
    noise[7, 1] = 1.0
    floors = thresholds.noise_floors(noise, 0.5)
    assert np.isfinite(floors).all() and floors[1] > floors[0]


def test_a_floor_that_float32_cannot_tell_from_1_means_never():
    noise = 1 / (1 + np.exp(-np.random.default_rng(0).normal(0, 9, (400, 2)) * [1, 0.1]))
    floors = thresholds.noise_floors(noise, 0.1)
    assert floors[0] == thresholds.NEVER and floors[1] < 1


def test_a_probability_in_float32_reaches_the_threshold_that_was_fitted_to_it(generator):
    chunks, truth = list(generator.random((40, 1, 3))), generator.random((40, 3)) < 0.5
    fitted = thresholds.fit(_examples(chunks, truth), 0.5)
    exact = np.concatenate(chunks)
    for least in (exact, *fitted.values()):
        rounded = thresholds.reached(exact.astype(np.float32), least)
        np.testing.assert_array_equal(rounded, thresholds.reached(exact, least))
        np.testing.assert_array_equal(rounded, exact >= least)
    assert not thresholds.reached(np.zeros(3), np.zeros(3)).any()


def test_words_say_what_a_threshold_rests_on():
    assert "never called" in thresholds.in_words(thresholds.NEVER, 9, 0.9)
    assert "2 recordings are too few" in thresholds.in_words(0.7, 2, 0.9)
    assert thresholds.in_words(0.7, thresholds.MIN_POSITIVES, 0.9) == ""


def _lowest_of_all(scores, truth, precision, common, weights):
    """The lowest score of any class, or one above the class's own, that reaches the precision; each is tried."""
    for threshold in sorted([*common.values, float(np.nextafter(np.float32(scores.max()), np.float32(np.inf)))]):
        called = scores >= threshold
        own_hits, own_calls = (weights * truth)[called].sum(), weights[called].sum()
        shared = common.at(np.array([threshold]))[0]
        shrunk = [(own_hits + n * shared) / (own_calls + n) for n in (10, thresholds.MIN_POSITIVES)]
        if min(shrunk) >= precision:
            return threshold
    return thresholds.NEVER


@pytest.mark.parametrize("precision", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("decimals", [1, 3])
def test_the_threshold_for_a_precision_is_the_lowest_that_reaches_it(generator, precision, decimals):
    found = []
    for count in range(1, 30, 4):
        scores = np.round(generator.random((count, 3)), decimals)
        truth, weights = generator.random((count, 3)) < scores, generator.integers(1, 4, count).astype(float)
        common = thresholds.CommonCurve(scores, truth)
        own = scores[:, 0], truth[:, 0], precision, common, weights
        found.append((thresholds.for_precision(*own), _lowest_of_all(*own)))
    assert all(ours == expected for ours, expected in found)
    assert len(set(found)) > 1

import itertools

import numpy as np
import pytest

from bird_tf import config, keras, tf
from bird_tf.models import losses


@pytest.fixture
def batch(generator):
    logits = tf.constant(generator.normal(size=(6, 5)), tf.float32)
    targets = tf.one_hot(generator.integers(0, 5, 6), 5)
    return logits, targets, tf.ones((6, 5))


def test_softmax_equals_keras(batch):
    logits, targets, weights = batch
    expected = keras.losses.CategoricalCrossentropy(from_logits=True)(targets, logits)
    ours = losses.loss(logits, targets, weights, losses.LossConfig(loss="softmax"))
    assert float(ours) == pytest.approx(float(expected), rel=1e-5)


def test_softmax_smoothing_equals_keras(batch):
    logits, targets, weights = batch
    expected = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)(targets, logits)
    ours = losses.loss(logits, targets, weights, losses.LossConfig(loss="softmax", label_smoothing=0.1))
    assert float(ours) == pytest.approx(float(expected), rel=1e-5)


def test_sigmoid_equals_keras(batch):
    logits, targets, weights = batch
    expected = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2)(targets, logits)
    ours = losses.loss(logits, targets, weights, losses.LossConfig(loss="sigmoid", label_smoothing=0.2))
    assert float(ours) == pytest.approx(float(expected), rel=1e-5)


def test_focal_equals_keras(batch):
    logits, targets, weights = batch
    expected = keras.losses.BinaryFocalCrossentropy(from_logits=True, gamma=1.5)(targets, logits)
    ours = losses.loss(logits, targets, weights, losses.LossConfig(loss="focal", focal_gamma=1.5))
    assert float(ours) == pytest.approx(float(expected), rel=1e-5)


def test_focal_with_gamma_zero_is_sigmoid(batch):
    focal = losses.loss(*batch, losses.LossConfig(loss="focal", focal_gamma=0.0, label_smoothing=0.1))
    plain = losses.loss(*batch, losses.LossConfig(loss="sigmoid", label_smoothing=0.1))
    assert float(focal) == pytest.approx(float(plain), rel=1e-6)


@pytest.mark.parametrize("changes", [{"label_smoothing": 1.0}, {"focal_gamma": -1.0}])
def test_impossible_options_are_refused(changes):
    with pytest.raises(config.InputError, match=f"--{next(iter(changes))}"):
        losses.LossConfig(**changes)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid", "focal"])
def test_classes_with_weight_zero_do_not_matter(batch, kind):
    logits, _, _ = batch
    targets = tf.one_hot([0] * 6, 5)
    weights = tf.constant([[1.0, 1.0, 1.0, 1.0, 0.0]] * 6)
    settings = losses.LossConfig(loss=kind)
    changed = tf.concat([logits[:, :4], logits[:, 4:] + 9.0], axis=1)
    known = losses.loss(logits[:, :4], targets[:, :4], weights[:, :4], settings)
    assert float(losses.loss(logits, targets, weights, settings)) == pytest.approx(float(known), rel=1e-5)
    assert float(losses.loss(changed, targets, weights, settings)) == pytest.approx(float(known), rel=1e-5)


def test_softmax_normalises_weak_positives_to_a_distribution():
    logits = tf.constant([[1.0, 2.0, 0.5]])
    loss = losses.loss(logits, tf.constant([[1.0, 0.5, 0.0]]), tf.ones((1, 3)), losses.LossConfig())
    log_p = np.log(np.exp([1.0, 2.0, 0.5]) / np.exp([1.0, 2.0, 0.5]).sum())
    assert float(loss) == pytest.approx(-(2 / 3 * log_p[0] + 1 / 3 * log_p[1]), rel=1e-5)


def test_softmax_has_equal_targets_where_no_class_is_present():
    logits = tf.constant([[1.0, 2.0, 0.5]])
    loss = losses.loss(logits, tf.zeros((1, 3)), tf.ones((1, 3)), losses.LossConfig())
    log_p = np.log(np.exp([1.0, 2.0, 0.5]) / np.exp([1.0, 2.0, 0.5]).sum())
    assert float(loss) == pytest.approx(-log_p.mean(), rel=1e-5)


def test_logits_for_another_loss_say_the_same(batch):
    logits = batch[0]
    meant = losses.logits_for(logits, "softmax", "focal")
    np.testing.assert_allclose(tf.sigmoid(meant), tf.nn.softmax(logits), rtol=1e-4)
    certain = losses.logits_for(tf.constant([[200.0, 0.0, -200.0]]), "softmax", "sigmoid")
    np.testing.assert_allclose(tf.sigmoid(certain), [[1.0, 0.0, 0.0]], atol=1e-6)
    # of two independent classes, the first is present and the other is not: p1 (1 - p2), or the other way round
    p = 1 / (1 + np.exp(-logits.numpy()[:, :2]))
    only = np.stack([p[:, 0] * (1 - p[:, 1]), p[:, 1] * (1 - p[:, 0])], axis=1)
    found = tf.nn.softmax(losses.logits_for(logits[:, :2], "sigmoid", "softmax"))
    np.testing.assert_allclose(found, only / only.sum(axis=1, keepdims=True), rtol=1e-4)


def test_probabilities_follow_from_the_loss(batch):
    logits, _, _ = batch
    np.testing.assert_allclose(np.sum(losses.probabilities(logits, "softmax"), axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(losses.probabilities(logits, "focal"), 1 / (1 + np.exp(-logits.numpy())), rtol=1e-5)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid", "focal"])
def test_parts_of_a_batch_add_up_to_the_whole(batch, generator, kind):
    logits, targets, _ = batch
    weights = tf.constant(generator.random((6, 5)) < 0.6, tf.float32)
    settings = losses.LossConfig(loss=kind, label_smoothing=0.1)
    parts = [losses.loss_and_weight(logits[p], targets[p], weights[p], settings) for p in (slice(0, 2), slice(2, 6))]
    total, weight = (sum(float(part[i]) for part in parts) for i in (0, 1))
    assert total / weight == pytest.approx(float(losses.loss(logits, targets, weights, settings)), rel=1e-5)


def test_softmax_leaves_out_chunks_that_teach_nothing(batch):
    """Only the label is known; no class is known; the class that is present is not known, as after mixup."""
    logits, settings = batch[0][:4], losses.LossConfig()
    targets = tf.constant([[1.0, 0, 0, 0, 0]] * 4)
    weights = tf.constant([[1.0, 0, 0, 0, 0], [0.0] * 5, [0.0, 1, 1, 1, 1], [1.0, 1, 0, 0, 0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        found = losses.loss(logits, targets, weights, settings)
    slopes = tape.gradient(found, logits).numpy()
    alone = losses.loss(logits[3:], targets[3:], weights[3:], settings)
    assert float(found) == pytest.approx(float(alone), rel=1e-5)
    assert (slopes[:3] == 0).all() and np.isfinite(slopes).all() and abs(slopes[3, 0]) > 0
    assert float(losses.loss(logits[:3], targets[:3], weights[:3], settings)) == 0


def test_the_cosine_distance_counts_chunks_with_an_embedding():
    projections = tf.constant([[1.0, 0.0], [0.0, 3.0], [2.0, 2.0]])
    embeddings = tf.constant([[4.0, 0.0], [0.0, -1.0], [np.nan, 1.0]])
    with tf.GradientTape() as tape:
        tape.watch(projections)
        total, count = losses.cosine_distance(projections, embeddings)
    assert (float(total), float(count)) == (2.0, 2.0)
    assert np.isfinite(tape.gradient(total, projections)).all()


def test_soft_auc_compares_all_pairs_of_a_class_by_how_far_their_targets_lie_apart(batch, generator):
    logits, _, _ = batch
    targets = generator.random((6, 5)).astype(np.float32)
    weights = (generator.random((6, 5)) < 0.7).astype(np.float32)
    total = count = 0.0
    for c, i, j in itertools.product(range(5), range(6), range(6)):
        if targets[i, c] > targets[j, c]:
            apart = (targets[i, c] - targets[j, c]) * weights[i, c] * weights[j, c]
            total += apart * np.log1p(np.exp(logits.numpy()[j, c] - logits.numpy()[i, c]))
            count += apart
    found = losses.soft_auc_loss(logits, tf.constant(targets), tf.constant(weights))
    assert float(found) == pytest.approx(total / count, rel=1e-5)
    both = losses.loss(logits, tf.constant(targets), tf.constant(weights), losses.LossConfig(loss="sigmoid_auc"))
    alone = losses.loss(logits, tf.constant(targets), tf.constant(weights), losses.LossConfig(loss="sigmoid"))
    assert float(both) == pytest.approx(float(alone + found), rel=1e-5)


def test_soft_auc_falls_as_the_ranking_improves_and_is_0_without_pairs():
    targets, ones = tf.constant([[1.0], [0.0], [0.4]]), tf.ones((3, 1))
    right, wrong = tf.constant([[3.0], [-3.0], [0.0]]), tf.constant([[-3.0], [3.0], [0.0]])
    assert float(losses.soft_auc_loss(right, targets, ones)) < 0.1 < float(losses.soft_auc_loss(wrong, targets, ones))
    assert float(losses.soft_auc_loss(wrong, tf.fill((3, 1), 0.4), ones)) == 0

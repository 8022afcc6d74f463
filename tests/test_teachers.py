import dataclasses

import numpy as np
import pytest

from bird_tf import config, dataset, learning, losses, models, optimizers, taxonomy, teachers, tf


def _committee(manifest, model_path, classes=None, **changes):
    settings = teachers.TeacherConfig(teacher=(model_path,), **changes)
    return teachers.Committee(settings, manifest.front_end, classes or manifest.classes, "softmax")


@pytest.fixture
def pictures(manifest):
    return next(iter(dataset.evaluation(manifest, dataset.DatasetConfig())))["spectrogram"]


def _logits(model_path, pictures):
    return tf.saved_model.load(model_path).signatures["spectrogram"](spectrogram=pictures)["logits"].numpy()


def test_targets_are_the_softened_answers(manifest, model_path, pictures):
    scaled = np.exp(_logits(model_path, pictures) / 3.0)
    expected = scaled / scaled.sum(axis=1, keepdims=True)
    targets = _committee(manifest, model_path, temperature=3.0).targets(pictures)
    np.testing.assert_allclose(targets, expected, rtol=1e-4, atol=1e-6)


def test_several_teachers_are_averaged(manifest, model_path, pictures):
    one = _committee(manifest, model_path)
    settings = teachers.TeacherConfig(teacher=(model_path, model_path))
    two = teachers.Committee(settings, manifest.front_end, manifest.classes, "softmax")
    np.testing.assert_allclose(two.targets(pictures), one.targets(pictures), rtol=1e-6)


def test_classes_in_another_order_are_mapped(manifest, model_path, pictures):
    turned = taxonomy.Taxonomy(manifest.classes.class_ids[::-1], manifest.classes.names[::-1])
    targets = _committee(manifest, model_path, turned).targets(pictures).numpy()
    np.testing.assert_allclose(targets[:, ::-1], _committee(manifest, model_path).targets(pictures), rtol=1e-6)


def test_the_loss_is_mixed_as_hinton_has_it(manifest, model_path):
    committee = _committee(manifest, model_path, temperature=2.0, teacher_weight=0.25)
    logits, soft = tf.constant([[1.0, 3.0]]), tf.constant([[0.4, 0.6]])
    log_p = np.log(np.exp([0.5, 1.5]) / np.exp([0.5, 1.5]).sum())
    expected = 0.75 * 7.0 + 0.25 * 4.0 * -(0.4 * log_p[0] + 0.6 * log_p[1])
    mixed = committee.mix(tf.constant(7.0), logits, soft, losses.LossConfig(label_smoothing=0.3))
    assert float(mixed) == pytest.approx(expected, rel=1e-5)


def test_the_student_follows_the_teacher(manifest, model_path, pictures):
    """Against the true labels: they are all said to be class 0."""
    network = models.build(models.ModelConfig(architecture="pi", filters=(4, 8), dense_units=32), 32, 32, 6)
    committee = _committee(manifest, model_path, teacher_weight=1.0, temperature=1.0)
    learner = learning.Learner(
        network, optimizers.OptimizerConfig(), losses.LossConfig(), 3e-3, committee=committee
    )  # fmt: skip
    wanted = committee.targets(pictures).numpy()
    batch = {"spectrogram": pictures, "targets": tf.one_hot([0] * len(wanted), 6), "weights": tf.ones((len(wanted), 6))}

    def distance():
        answers = losses.probabilities(network(pictures, training=False)["logits"], "softmax").numpy()
        return np.mean(np.sum(wanted * np.log(wanted / answers), axis=1))

    before = distance()
    for _ in range(80):
        learner.step(batch)
    assert distance() < 0.2 * before


def test_teachers_that_do_not_fit_are_refused(manifest, model_path, tmp_path):
    with pytest.raises(config.InputError, match="not an exported model"):
        _committee(manifest, str(tmp_path))
    more = taxonomy.Taxonomy((*manifest.classes.class_ids, "zzz"), (*manifest.classes.names, "Zzz"))
    with pytest.raises(config.InputError, match="does not know 1 classes: zzz"):
        _committee(manifest, model_path, more)
    other = dataclasses.replace(manifest, front_end=dataclasses.replace(manifest.front_end, fmax_hz=9000.0))
    with pytest.raises(config.InputError, match=r"fmax_hz 10000.0 / 9000.0"):
        _committee(other, model_path)


@pytest.mark.parametrize("changes", [{"teacher_weight": 1.5}, {"temperature": 0.0}])
def test_impossible_options_are_refused(changes):
    with pytest.raises(config.InputError, match=f"--{next(iter(changes))}"):
        teachers.TeacherConfig(**changes)

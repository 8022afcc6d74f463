import dataclasses

import numpy as np
import pytest

from bird_tf import config, tf
from bird_tf.input import dataset
from bird_tf.labels import taxonomy
from bird_tf.models import architectures, losses
from bird_tf.training import distillation, optimizers, train_step


def _ensemble(settings, manifest, **loss):
    models = distillation.load(settings, manifest)
    return distillation.TeacherEnsemble(settings, models, manifest.classes, losses.LossConfig(**loss))


def _teachers(manifest, model_path, classes=None, **changes):
    settings = distillation.DistillationConfig(teacher=(model_path,), **changes)
    return _ensemble(settings, dataclasses.replace(manifest, classes=classes or manifest.classes))


@pytest.fixture
def spectrograms(manifest):
    return next(iter(dataset.evaluation(manifest, dataset.DatasetConfig())))["spectrogram"]


def _logits(model_path, spectrograms):
    return tf.saved_model.load(model_path).signatures["spectrogram"](spectrogram=spectrograms)["logits"].numpy()


def test_targets_are_the_probabilities_at_the_temperature(manifest, model_path, spectrograms):
    scaled = np.exp(_logits(model_path, spectrograms) / 3.0)
    expected = scaled / scaled.sum(axis=1, keepdims=True)
    targets = _teachers(manifest, model_path, distil_temperature=3.0).targets({"spectrogram": spectrograms})
    np.testing.assert_allclose(targets, expected, rtol=1e-4, atol=1e-6)


def test_a_teacher_means_its_probabilities_whatever_the_loss_of_the_student(manifest, model_path, spectrograms):
    """The teacher was trained with softmax: its probabilities have the sum 1, of all classes that it knows."""
    some = manifest.classes.subset(range(4))
    settings = distillation.DistillationConfig(teacher=(model_path,), distil_temperature=1.0)
    models = distillation.load(settings, manifest)
    assert models[0].description.loss == "softmax"
    logits = _logits(model_path, spectrograms)
    for said, expected in (("softmax", tf.nn.softmax(logits)), ("", tf.sigmoid(logits)), ("focal", tf.sigmoid(logits))):
        models[0].description = dataclasses.replace(models[0].description, loss=said)
        teachers = distillation.TeacherEnsemble(settings, models, some, losses.LossConfig(loss="sigmoid"))
        targets = teachers.targets({"spectrogram": spectrograms})
        np.testing.assert_allclose(targets, expected[:, :4], rtol=1e-4, atol=1e-6)


def test_several_teachers_are_averaged(manifest, model_path, spectrograms):
    one = _teachers(manifest, model_path)
    settings = distillation.DistillationConfig(teacher=(model_path, model_path))
    two = _ensemble(settings, manifest)
    np.testing.assert_allclose(
        two.targets({"spectrogram": spectrograms}), one.targets({"spectrogram": spectrograms}), rtol=1e-6
    )


def test_classes_in_another_order_are_mapped(manifest, model_path, spectrograms):
    reversed_classes = taxonomy.Taxonomy(manifest.classes.class_ids[::-1], manifest.classes.names[::-1])
    targets = _teachers(manifest, model_path, reversed_classes).targets({"spectrogram": spectrograms}).numpy()
    np.testing.assert_allclose(
        targets[:, ::-1], _teachers(manifest, model_path).targets({"spectrogram": spectrograms}), rtol=1e-6
    )


def test_the_loss_is_mixed_by_hintons_formula(manifest, model_path):
    settings = distillation.DistillationConfig(teacher=(model_path,), distil_temperature=2.0, teacher_weight=0.25)
    teachers = _ensemble(settings, manifest, label_smoothing=0.3)
    logits, soft = tf.constant([[1.0, 3.0]]), tf.constant([[0.4, 0.6]])
    log_p = np.log(np.exp([0.5, 1.5]) / np.exp([0.5, 1.5]).sum())
    expected = 0.75 * 7.0 + 0.25 * 4.0 * -(0.4 * log_p[0] + 0.6 * log_p[1])
    total, weight = teachers.loss_and_weight(logits, soft)
    mixed = teachers.mix(tf.constant(7.0), total / weight)
    assert float(mixed) == pytest.approx(expected, rel=1e-5)


def test_the_student_follows_the_teacher(manifest, model_path, spectrograms):
    """The labels, which are all class 0, have no weight."""
    network = architectures.build(
        architectures.ModelConfig(architecture="pi", filters=(4, 8), dense_units=32), {"spectrogram": (32, 32)}, 6
    )
    teachers = _teachers(manifest, model_path, teacher_weight=1.0, distil_temperature=1.0)
    state = train_step.TrainState(network, optimizers.OptimizerConfig(), losses.LossConfig(), 3e-3, soft=[teachers])
    targets = teachers.targets({"spectrogram": spectrograms}).numpy()
    batch = {
        "spectrogram": spectrograms,
        "targets": tf.one_hot([0] * len(targets), 6),
        "weights": tf.ones((len(targets), 6)),
    }

    def distance():
        predictions = losses.probabilities(network(spectrograms, training=False)["logits"], "softmax").numpy()
        return np.mean(np.sum(targets * np.log(targets / predictions), axis=1))

    before = distance()
    for _ in range(80):
        state.step(batch)
    assert distance() < 0.2 * before


def test_teachers_that_do_not_fit_are_refused(manifest, model_path, tmp_path):
    with pytest.raises(config.InputError, match="not an exported model"):
        _teachers(manifest, str(tmp_path))
    more = taxonomy.Taxonomy((*manifest.classes.class_ids, "zzz"), (*manifest.classes.names, "Zzz"))
    with pytest.raises(config.InputError, match="does not know 1 classes: zzz"):
        _teachers(manifest, model_path, more)
    other = dataclasses.replace(manifest, front_end=dataclasses.replace(manifest.front_end, fmax_hz=9000.0))
    with pytest.raises(config.InputError, match=r"fmax_hz 10000.0 / 9000.0"):
        _teachers(other, model_path)
    with pytest.raises(config.InputError, match="hears spectrograms, and the network takes embedding and backbone_ans"):
        distillation.load(
            distillation.DistillationConfig(teacher=(model_path,)), manifest, ("embedding", "backbone_answers")
        )


@pytest.mark.parametrize("changes", [{"teacher_weight": 1.5}, {"distil_temperature": 0.0}])
def test_impossible_options_are_refused(changes):
    with pytest.raises(config.InputError, match=f"--{next(iter(changes))}"):
        distillation.DistillationConfig(**changes)

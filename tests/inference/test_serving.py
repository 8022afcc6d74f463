import shutil

import numpy as np
import pytest

from bird_tf import tf
from bird_tf.inference import ensembles, saved_model, serving
from bird_tf.scores import calibration, thresholds


@pytest.fixture
def fitted():
    least = {rule: np.linspace(0.1, 0.3 + i / 10, 6) for i, rule in enumerate(thresholds.RULES)}
    return calibration.Calibration(slope=0.6, intercept=-0.4, thresholds=least)


@pytest.fixture
def samples(manifest, generator):
    front_end = manifest.front_end
    sound = generator.normal(0, 0.1, (4, front_end.chunk_samples)).astype(np.float32)
    sound[1:] = [[0.0], [0.3], [-1.0]]  # silence and constants
    return sound


def test_signatures_give_the_calibrated_probabilities_of_predict(model_path, fitted, samples, tmp_path):
    path = str(shutil.copytree(model_path, tmp_path / "export"))
    before = saved_model.Model(path).predict_samples(samples).probabilities
    assert serving.store(path, fitted)
    served = tf.saved_model.load(path).signatures["serving_default"](samples=tf.constant(samples))
    np.testing.assert_allclose(served["probabilities"], fitted.probabilities(before), atol=1e-5)
    np.testing.assert_allclose(served["scores"], before, atol=1e-5)  # the front-end is compiled where bird_tf predicts
    for rule in thresholds.RULES:
        expected = (served["probabilities"].numpy() >= fitted.thresholds[rule]) & (before > 0)
        np.testing.assert_array_equal(served[f"present_{rule}"], expected)
    # bird_tf itself goes on reading raw scores
    np.testing.assert_array_equal(saved_model.Model(path).predict_samples(samples).probabilities, before)


def test_chunks_without_sound_give_no_call(model_path, samples):
    served = tf.saved_model.load(model_path).signatures["serving_default"](samples=tf.constant(samples))
    assert (served["probabilities"].numpy()[1:] == 0).all() and not served["present_f1"].numpy()[1:].any()
    assert served["probabilities"].numpy()[0].max() > 0


def test_models_of_earlier_versions_give_no_call_in_silence_either(model_path, samples, monkeypatch):
    ensemble = ensembles.Ensemble([model_path])
    sure = saved_model.without_embeddings(np.full((4, 6), 0.9, np.float32), None)
    monkeypatch.setattr(saved_model.Model, "predict_samples", lambda *_, **__: sure)
    np.testing.assert_array_equal(ensemble.predict_samples(0, samples).probabilities[:, 0] > 0, [True, *[False] * 3])


def test_a_model_without_the_variables_stays_as_it_is(fitted, tmp_path):
    module = tf.Module()
    module.weight = tf.Variable(3.0)
    tf.saved_model.save(module, str(tmp_path / "old"))
    assert not serving.store(str(tmp_path / "old"), fitted)
    assert float(tf.saved_model.load(str(tmp_path / "old")).weight) == 3.0


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.3, -2.0), (4.0, 1.0)])
def test_graph_and_numpy_have_the_same_map(slope, intercept, generator):
    least = dict.fromkeys(thresholds.RULES, np.full(3, 0.5))
    plain = calibration.Calibration(slope=slope, intercept=intercept, thresholds=least)
    decided = serving.Decisions(3)
    decided.assign(plain)
    scores = generator.random((50, 3)).astype(np.float32) ** 4
    scores[:2] = [[0.0, 1.0, 1e-20], [1 - 2.0**-24, 1e-7, 0.5]]
    np.testing.assert_allclose(
        decided.outputs(tf.constant(scores))["probabilities"], plain.probabilities(scores), atol=2e-5
    )

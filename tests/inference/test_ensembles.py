import dataclasses
import shutil

import numpy as np
import pytest

from bird_tf import config
from bird_tf.inference import ensembles, saved_model
from bird_tf.scores import decisions


def test_what_is_no_model_is_refused_with_a_hint(tmp_path, run_dir):
    with pytest.raises(config.InputError, match=r"did you mean .*/export\?"):
        saved_model.Model(str(run_dir))
    with pytest.raises(config.InputError, match="not an exported model"):
        saved_model.Model(str(tmp_path))


def test_models_of_other_classes_cannot_vote_together(tmp_path, model_path):
    other = shutil.copytree(model_path, tmp_path / "other")
    table = other / "assets" / "classes.csv"
    table.write_text(table.read_text().replace("fistul", "strang"))
    with pytest.raises(config.InputError, match="cannot vote together"):
        ensembles.Ensemble([model_path, str(other)])


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_answers_do_not_depend_on_the_batch_size(attending_path, generator, batch_size):
    usual = saved_model.Model(attending_path)
    samples = generator.normal(0, 0.1, (5, usual.front_end.chunk_samples)).astype(np.float32)
    other = saved_model.Model(attending_path, batch_size)
    for answer in ("embed", "spectrograms"):
        # sums in another order: float32
        np.testing.assert_allclose(getattr(other, answer)(samples), getattr(usual, answer)(samples), atol=1e-5)
    for answers in (other.predict_samples(samples), usual.predict_spectrograms(usual.spectrograms(samples))):
        for ours, theirs in zip(answers, usual.predict_samples(samples), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_model_without_attention_is_not_pooled_by_it(model_path, attending_path, generator):
    samples = generator.normal(0, 0.1, (2, saved_model.Model(model_path).front_end.chunk_samples)).astype(np.float32)
    assert np.isnan(saved_model.Model(model_path).predict_samples(samples).attention).all()
    assert np.isfinite(saved_model.Model(attending_path).predict_samples(samples).attention).all()
    assert ensembles.Ensemble([attending_path, attending_path]).check_pooling("attention") == "attention"
    mixed = ensembles.Ensemble([attending_path, model_path])
    assert mixed.check_pooling("mean") == "mean"
    with pytest.raises(config.InputError, match=f"--pooling=attention: {model_path} gives none"):
        mixed.check_pooling("attention")


def test_the_fingerprint_is_of_graph_and_weights(tmp_path, model_path):
    other = saved_model.Model(str(shutil.copytree(model_path, tmp_path / "other")))
    usual = saved_model.Model(model_path).fingerprint
    assert other.fingerprint == usual
    weights = tmp_path / "other" / "variables" / "variables.data-00000-of-00001"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    assert other.fingerprint != usual


def test_weights_and_thresholds_come_out_of_the_model_unless_told_otherwise(tmp_path, model_path):
    model = str(shutil.copytree(model_path, tmp_path / "model"))
    plain = ensembles.Ensemble([model])
    assert plain.decisions.fitted_on == ""
    fitted = decisions.neutral(plain.classes, 1, "max")
    decisions.save(f"{model}/{decisions.ASSET}", fitted, plain.classes)
    assert ensembles.Ensemble([model]).decisions.pooling == "max"
    assert ensembles.Ensemble([model], "none").decisions.pooling == plain.decisions.pooling
    both = decisions.neutral(plain.classes, 2, "mean")
    decisions.save(str(tmp_path / "both.json"), both, plain.classes)
    assert ensembles.Ensemble([model, model], str(tmp_path / "both.json")).decisions.pooling == "mean"
    with pytest.raises(config.InputError, match="made for 2 models, not 1"):
        ensembles.Ensemble([model], str(tmp_path / "both.json"))


def test_an_ensemble_mixes_by_its_weights(tmp_path, model_path, generator):
    ensemble = ensembles.Ensemble([model_path, model_path])
    members = generator.random((2, 4, len(ensemble.classes))).astype(np.float32)
    np.testing.assert_allclose(ensemble.mix(members), members.mean(axis=0), rtol=1e-6)
    weighted = decisions.neutral(ensemble.classes, 2, "mean")
    ensemble.decisions = dataclasses.replace(weighted, weights=(0.25, 0.75))
    for part in (members, members[:, :, 0]):
        np.testing.assert_allclose(ensemble.mix(part), 0.25 * part[0] + 0.75 * part[1], rtol=1e-6)


def test_chunk_scores_on_other_times_are_weighted_by_what_they_share():
    own_start, own_end = np.array([0.0, 2.0]), np.array([2.0, 4.0])
    probabilities = np.array([[0.2], [0.8]])
    start, end = np.array([0.0, 1.0, 1.5, 9.0]), np.array([1.0, 3.0, 4.0, 10.0])
    aligned = ensembles.align(probabilities, own_start, own_end, start, end)
    np.testing.assert_allclose(aligned[:, 0], [0.2, 0.5, 0.2 * 0.2 + 0.8 * 0.8, 0.8])
    np.testing.assert_allclose(ensembles.align(probabilities, own_start, own_end, own_start, own_end), probabilities)
    one_axis = ensembles.align(probabilities[:, 0], own_start, own_end, start, end)  # attention has no classes
    np.testing.assert_allclose(one_axis, aligned[:, 0])


def test_a_mean_is_never_above_its_members(model_path):
    ensemble = ensembles.Ensemble([model_path] * 10)
    sure = np.ones((10, 3, len(ensemble.classes)), np.float32)
    assert ensemble.mix(sure).max() == 1.0


def test_a_damaged_model_is_named(tmp_path, model_path):
    other = shutil.copytree(model_path, tmp_path / "other")
    (other / "variables" / "variables.index").write_bytes(b"")
    with pytest.raises(config.InputError, match="other is damaged"):
        saved_model.Model(str(other))
    (other / "saved_model.pb").write_bytes(b"")
    with pytest.raises(config.InputError, match="other is damaged"):
        saved_model.Model(str(other))

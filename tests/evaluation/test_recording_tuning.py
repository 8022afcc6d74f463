import pytest

from bird_tf import config
from bird_tf.evaluation import recording_tuning
from bird_tf.inference import ensembles, labelled
from bird_tf.scores import metrics, pooling
from tests.test_evaluate import _evaluate


def test_the_weights_of_an_ensemble_are_searched_and_stored_beside_the_results(model_path, manifest, tmp_path):
    summary = _evaluate(
        tmp_path, [model_path, model_path], records=manifest.directory, tune=True, pooling="mean", synthetic_noise=0
    )
    assert summary["pooling"] == "mean" and sum(summary["weights"]) == pytest.approx(1)
    again = _evaluate(
        tmp_path / "again", [model_path, model_path], records=manifest.directory,
        decisions=tmp_path / "evaluation" / "decisions.json",
    )  # fmt: skip
    assert again["weights"] == summary["weights"] and again["mlrap"] == pytest.approx(summary["mlrap"])


def test_pooling_auto_takes_the_best_method(model_path, manifest, tmp_path):
    auto = _evaluate(tmp_path, model_path, records=manifest.directory, pooling="auto")
    one = _evaluate(tmp_path, model_path, records=manifest.directory, pooling=auto["pooling"])
    assert one["mlrap"] == pytest.approx(auto["mlrap"]) == max(auto["pooling_mlrap"].values())


def test_attention_is_tried_and_used_if_every_model_has_it(attention_model_path, model_path, manifest, tmp_path):
    auto = _evaluate(tmp_path, attention_model_path, records=manifest.directory, pooling="auto")
    assert set(auto["pooling_mlrap"]) == set(pooling.METHODS)
    both = [attention_model_path, attention_model_path]
    alone, twice = (
        _evaluate(tmp_path, models, records=manifest.directory, pooling="attention")
        for models in (attention_model_path, both)
    )
    assert alone["mlrap"] == pytest.approx(auto["pooling_mlrap"]["attention"]) == pytest.approx(twice["mlrap"])
    tuned = _evaluate(tmp_path, both, records=manifest.directory, pooling="attention", tune=True, synthetic_noise=2)
    assert tuned["pooling"] == "attention"
    one_without = [attention_model_path, model_path]
    tuned = _evaluate(tmp_path, one_without, records=manifest.directory, tune=True, synthetic_noise=2)
    assert "attention" not in tuned["pooling_mlrap"]
    with pytest.raises(config.InputError, match=f"--pooling=attention: {model_path} gives no attention"):
        _evaluate(tmp_path, one_without, records=manifest.directory, pooling="attention")


def test_thresholds_of_recordings_are_of_the_probabilities_that_are_told(model_path, manifest):
    ensemble = ensembles.Ensemble([model_path])
    scored = labelled.score_records(ensemble, manifest)
    truth = metrics.truth(scored.labels, scored.backgrounds, len(ensemble.classes))
    settings = recording_tuning.TuningConfig(tune=True, synthetic_noise=0)
    recording_tuning.decide(settings, ensemble, scored, truth, None, "these")
    told = ensemble.decisions.of_recordings(scored.pooled(ensemble), scored.best_chunks(ensemble))
    assert set(ensemble.decisions.recording.thresholds["f1"]) <= set(told.ravel())
    assert (told <= ensemble.decisions.chunk.probabilities(scored.best_chunks(ensemble))).all()

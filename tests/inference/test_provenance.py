import dataclasses

import bird_tf
from bird_tf import predict
from bird_tf.inference import ensembles, provenance
from bird_tf.scores import decisions
from tests.conftest import settings


def test_flags_that_decide_results_are_told_and_those_of_the_place_are_not():
    given = settings(
        predict.PredictConfig, model=["m"], audio="a", output="o", workers=2, merge_seconds=float("inf"), batch_size=3
    )
    told = provenance.of_command(given)
    assert {"model": ["m"], "audio": "a", "merge_seconds": "inf", "threshold": "f1"}.items() <= told["flags"].items()
    assert not told["flags"].keys() & {"output", "workers", "threads", "scheduler", "batch_size", "overwrite"}
    assert told["versions"]["bird_tf"] == bird_tf.__version__


def test_other_decisions_of_a_model_have_another_digest(model_path, tmp_path):
    ensemble = ensembles.Ensemble([model_path])
    before = provenance.of_models(ensemble)
    assert before["fingerprints"] == [ensemble.models[0].fingerprint]
    ensemble.decisions = dataclasses.replace(ensemble.decisions, fitted_on="others", models=(("x",),))
    path = str(tmp_path / "decisions.json")
    decisions.save(path, ensemble.decisions, ensemble.classes)
    after = provenance.of_models(ensemble)
    assert after["fingerprints"] == before["fingerprints"] and after["decisions_digest"] != before["decisions_digest"]
    assert provenance.of_models(ensembles.Ensemble([model_path], "none")) == before
    stored = decisions.load(path, ensemble.classes, 1)
    assert decisions.digest(stored, ensemble.classes) == after["decisions_digest"]

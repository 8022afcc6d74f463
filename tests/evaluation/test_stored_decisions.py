import dataclasses
import shutil

from bird_tf.evaluation import stored_decisions
from bird_tf.inference import ensembles
from bird_tf.scores import context


def test_a_single_model_keeps_its_decisions_and_an_ensemble_only_in_the_output(model_path, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(model_path, tmp_path / name)
    alone = ensembles.Ensemble([str(tmp_path / "a")])
    alone.decisions = dataclasses.replace(alone.decisions, context=context.Context(smoothing=0.2), fitted_on="here")
    stored_decisions.store(alone, str(tmp_path / "out"), [str(tmp_path / "a")])
    assert ensembles.Ensemble([str(tmp_path / "a")]).decisions.context == context.Context(smoothing=0.2)

    both = ensembles.Ensemble([str(tmp_path / "a"), str(tmp_path / "b")])
    both.decisions = dataclasses.replace(both.decisions, fitted_on="both")
    stored_decisions.store(both, str(tmp_path / "out2"), [model.path for model in both.models])
    assert ensembles.Ensemble([str(tmp_path / "a")]).decisions.fitted_on == "here"
    again = ensembles.Ensemble([str(tmp_path / "a"), str(tmp_path / "b")], str(tmp_path / "out2" / "decisions.json"))
    assert again.decisions.fitted_on == "both"

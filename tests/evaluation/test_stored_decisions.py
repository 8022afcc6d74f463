import dataclasses
import json
import shutil

import numpy as np
import pytest

from bird_tf import config
from bird_tf.evaluation import stored_decisions
from bird_tf.inference import ensembles, model_files
from bird_tf.scores import context, thresholds
from tests import conftest


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


def test_species_without_a_threshold_are_told(model_path, tmp_path, caplog):
    ensemble = ensembles.Ensemble([str(shutil.copytree(model_path, tmp_path / "a"))])
    least = np.where(np.arange(len(ensemble.classes)) < 2, thresholds.NEVER, 0.5)
    fitted = dataclasses.replace(ensemble.decisions.chunk, thresholds={"f1": least * 0, "precision": least})
    ensemble.decisions = dataclasses.replace(ensemble.decisions, chunk=fitted, precision=0.9)
    stored_decisions.store(ensemble, str(tmp_path / "out"), [str(tmp_path / "a")], "verdicts")
    [line] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "with these verdicts; more of them help, or" in line
    assert line.startswith(
        "--threshold=precision will find nothing of 2 of 6 species: no threshold reaches a precision"
    )


def test_files_for_small_computers_with_the_calibration_from_before_are_told(model_path, tmp_path, caplog):
    run = tmp_path / "run"
    shutil.copytree(model_path, run / "export")
    ensemble = ensembles.Ensemble([str(run / "export")])

    def told():
        caplog.clear()
        stored_decisions.store(ensemble, str(tmp_path / "out"), [str(run / "export")])
        return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]

    (run / "onnx").mkdir()
    assert not told()  # a folder of something else, as there is no run
    (run / model_files.RUN_DESCRIPTION).write_text("{}")
    [line] = told()
    assert line.startswith(f"{run}/onnx: the calibration there is the one from before; write it again: ")
    assert line.endswith(f"--run_dir={run} --onnx")
    (run / "tflite").mkdir()
    assert told()[0].endswith(f"--run_dir={run} --tflite --onnx")
    shutil.rmtree(run / "tflite")
    (run / "onnx").rmdir()
    assert not told()


def test_decisions_are_for_their_models_in_their_order(model_path, attention_model_path, tmp_path):
    refitted, other = str(tmp_path / "run" / "export"), str(tmp_path / "other")
    shutil.copytree(model_path, refitted)
    shutil.copytree(attention_model_path, tmp_path / "run" / "validated" / "export")
    conftest.with_free_classes(shutil.copytree(model_path, other))
    classes = tmp_path / "other" / "assets" / "classes.csv"
    header, *lines = classes.read_text().splitlines()
    names = [line.split(",", 1)[1] for line in lines][::-1]
    classes.write_text("\n".join([header, *(f"{i},{name}" for i, name in enumerate(names))]) + "\n")

    def refusal(models, path):
        with pytest.raises(config.InputError, match=f"--decisions={path} was made for") as caught:
            ensembles.Ensemble(models, str(path))
        return str(caught.value)

    one, both = ensembles.Ensemble([refitted]), ensembles.Ensemble([refitted, other])
    stored_decisions.store(one, str(tmp_path), [refitted])  # that changes the calibration in the model, too
    stored_decisions.store(both, str(tmp_path / "both"), [refitted, other])
    alone, together = tmp_path / "decisions.json", tmp_path / "both" / "decisions.json"
    one.decisions = dataclasses.replace(one.decisions, chunk=dataclasses.replace(one.decisions.chunk, slope=2.0))
    stored_decisions.store(one, str(tmp_path / "later"), [refitted])
    for path in (refitted, model_path, str(tmp_path / "run" / "validated" / "export")):
        assert ensembles.Ensemble([path], str(alone)).decisions.models
    assert ensembles.Ensemble([model_path, other], str(together)).decisions.models
    assert f"other models than {other}; run" in refusal([other], alone)
    assert f"another order: write --model={model_path} --model={other}" in refusal([other, model_path], together)
    alone.write_text(json.dumps({k: v for k, v in json.loads(alone.read_text()).items() if k != "models"}))
    assert not ensembles.Ensemble([other], str(alone)).decisions.models  # as earlier versions wrote it

"""Two commands with one output: the second is refused, told who is at work, and ends with an exit code of its own."""

import os
import shutil
import subprocess
import sys

import pytest

from bird_tf import config, convert, endings, evaluate, export, locks, predict, review, search, train
from tests.conftest import SMALL, settings, train_settings


def _held(folder):
    return locks.held(str(folder), work="other work", flag="--x")


def _refused(command):
    with pytest.raises(locks.InUseError, match=f"other work, process {os.getpid()} on "):
        command()


def test_the_second_is_refused(tmp_path, data, manifest):
    out, sound = tmp_path / "out", data / "wav"
    nowhere = {"model": ["nowhere"], "audio": sound, "output": out}
    flags = {"audio": sound, "metadata": data / "xml", "workers": 1, **SMALL}
    with _held(out):
        _refused(lambda: convert.convert(settings(convert.ConvertConfig, output=out, **flags)))
        _refused(lambda: train.train(train_settings(manifest, out)))
        _refused(lambda: export.main(settings(export.ExportConfig, run_dir=out)))
        _refused(lambda: predict.predict(settings(predict.PredictConfig, **nowhere)))
        _refused(lambda: evaluate.evaluate(settings(evaluate.EvaluateConfig, metadata=data / "xml", **nowhere)))
        _refused(lambda: evaluate.evaluate(settings(evaluate.EvaluateConfig, segments="x.csv", **nowhere)))
        _refused(lambda: review.review(settings(review.ReviewConfig, predictions=data, output=out)))
        _refused(lambda: search.search(settings(search.SearchConfig, query="x", embeddings=data, output=out)))
        assert [path.name for path in out.iterdir()] == [locks.NAME]


def test_tuning_keeps_training_and_export_out_of_the_run_of_its_model(run_dir, manifest, tmp_path):
    run = shutil.copytree(run_dir, tmp_path / "run")
    values = {"model": [run / "export"], "records": manifest.directory, "output": tmp_path / "out"}
    tuning = settings(evaluate.EvaluateConfig, tune=True, synthetic_noise=0, **values)
    with _held(run):
        _refused(lambda: evaluate.evaluate(tuning))
        evaluate.evaluate(settings(evaluate.EvaluateConfig, **values))  # it changes nothing there


def test_tuning_into_the_run_itself_neither_keeps_itself_out_nor_replaces_the_run(run_dir, manifest, tmp_path):
    run = shutil.copytree(run_dir, tmp_path / "run")
    values = {"model": [run / "export"], "records": manifest.directory, "tune": True, "synthetic_noise": 0}
    with pytest.raises(config.InputError, match=r"run/summary\.json is there already, and is not of an evaluation"):
        evaluate.evaluate(settings(evaluate.EvaluateConfig, output=run, **values))
    (run / "summary.json").rename(tmp_path / "summary.json")
    evaluate.evaluate(settings(evaluate.EvaluateConfig, output=run, **values))
    assert (run / "decisions.json").exists() and not (run / locks.NAME).exists()


def test_the_exit_code_tells_it_from_other_errors(tmp_path, data):
    command = [sys.executable, "-m", "bird_tf.predict", "--model=nowhere", f"--audio={data}", f"--output={tmp_path}"]
    with _held(tmp_path):
        second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == endings.IN_USE and second.stderr.count("\n") == 1
    assert subprocess.run(command, capture_output=True, check=False).returncode == endings.ERROR

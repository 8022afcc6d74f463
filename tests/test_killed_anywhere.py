"""Each command, killed at any file operation and then repeated, ends with the result of an undisturbed one."""

import functools
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from bird_tf import (
    convert,
    evaluate,
    executor,
    export,
    files,
    predict,
    review,
    search,
    selftrain,
    submission,
    tf,
    train,
)
from tests import kills
from tests.conftest import SMALL, settings, train_settings


@pytest.fixture(scope="module")
def few(data, tmp_path_factory):
    """Two recordings."""
    folder = tmp_path_factory.mktemp("few") / "audio"
    folder.mkdir()
    for path in sorted((data / "wav").iterdir())[:2]:
        shutil.copy(path, folder)
    return folder


@pytest.fixture
def loaded_once(monkeypatch):
    """Models are loaded once; they do not change here. What may have killed a command is scored in this process."""
    monkeypatch.setattr(tf.saved_model, "load", functools.cache(tf.saved_model.load))
    monkeypatch.setattr(executor, "results", lambda function, tasks, *_: (function(task) for task in tasks))


@kills.few_or_all
def test_predict(monkeypatch, tmp_path, model_path, few, loaded_once, every):
    flags = {"format": "csv,audacity", "embeddings": True, "summary": True}
    command = settings(predict.PredictConfig, model=[model_path], audio=few, output=tmp_path / "out", **flags)
    kills.check(monkeypatch, tmp_path / "out", lambda: predict.predict(command), every=every)


@kills.few_or_all
def test_predict_into_a_folder_with_other_tables(monkeypatch, tmp_path, model_path, few, loaded_once, every):
    given = {"model": [model_path], "audio": few, "output": tmp_path / "out"}
    first, second = (settings(predict.PredictConfig, format=name, **given) for name in ("audacity,raven", "csv"))
    kills.check(
        monkeypatch, tmp_path / "out", lambda: predict.predict(second), lambda: predict.predict(first), every=every
    )


@kills.few_or_all
def test_submission(monkeypatch, tmp_path, model_path, few, loaded_once, every):
    command = settings(
        submission.SubmissionConfig, task="soundscape", model=[model_path], audio=few,
        output=tmp_path / "out" / "run.txt",
    )  # fmt: skip
    kills.check(monkeypatch, tmp_path / "out", lambda: submission.write_run(command), every=every)


@pytest.fixture(scope="module")
def predicted(model_path, few, tmp_path_factory):
    """A prediction with embeddings."""
    output = tmp_path_factory.mktemp("predicted") / "out"
    flags = {"embeddings": True, "min_probability": "0.0", "merge_seconds": -1.0, "top": 2}
    predict.predict(settings(predict.PredictConfig, model=[model_path], audio=few, output=output, **flags))
    return output


@kills.few_or_all
def test_review(monkeypatch, tmp_path, predicted, every):
    command = settings(review.ReviewConfig, predictions=predicted, output=tmp_path / "out", num_clips=2)
    kills.check(monkeypatch, tmp_path / "out", lambda: review.review(command), every=every)


@kills.few_or_all
def test_search(monkeypatch, tmp_path, predicted, few, every):
    query = sorted(few.iterdir())[0]
    command = settings(
        search.SearchConfig, query=query, at=0.0, embeddings=predicted, output=tmp_path / "out", num_results=2
    )
    kills.check(monkeypatch, tmp_path / "out", lambda: search.search(command), every=every)


@kills.few_or_all
def test_convert(monkeypatch, tmp_path, data, every):
    flags = {"workers": 1, "val_share": 0.3, "shard_minutes": 1.0, "max_chunks_per_class": 2, **SMALL}
    command = settings(
        convert.ConvertConfig, audio=data / "wav", metadata=data / "xml", output=tmp_path / "out", **flags
    )

    def run():
        kills.unless_finished(lambda: convert.convert(command), "holds finished records")

    kills.check(monkeypatch, tmp_path / "out", run, every=every)


@pytest.mark.slow
def test_train(monkeypatch, tmp_path, manifest):
    command = train_settings(manifest, tmp_path / "run", epochs=1)
    kills.check(monkeypatch, tmp_path / "run", lambda: train.train(command), every=True)


@pytest.mark.slow
def test_overwriting_a_finished_training(monkeypatch, tmp_path, manifest):
    run, finished = tmp_path / "run", tmp_path / "finished"
    train.train(train_settings(manifest, finished, epochs=1))
    command = train_settings(manifest, run, epochs=1, overwrite=True)
    prepare = functools.partial(shutil.copytree, finished, run)
    kills.check(monkeypatch, run, lambda: train.train(command), prepare, every=True)


@pytest.mark.slow
def test_selftrain(monkeypatch, tmp_path, manifest, model_path, few):
    run = tmp_path / "run"
    command = settings(
        selftrain.SelfTrainConfig, records=manifest.directory, run_dir=run, teacher=[model_path], unlabelled=few,
        threads=1, workers=1, rounds=1, epochs=1, batch_size=8, architecture="baseline", filters=[4, 8],
        least_total_label=0.01, num_mixtures=1,
    )  # fmt: skip
    kills.check(monkeypatch, run, lambda: selftrain.selftrain(command), every=False)


def _tuned(run_dir, manifest):
    return settings(
        evaluate.EvaluateConfig, model=[run_dir / "export"], records=manifest.directory, tune=True, synthetic_noise=2
    )


@pytest.mark.slow
def test_export(monkeypatch, tmp_path, run_dir, manifest):
    run = tmp_path / "run"
    tuned = shutil.copytree(run_dir, tmp_path / "tuned")
    evaluate.evaluate(_tuned(tuned, manifest))
    command = settings(export.ExportConfig, run_dir=run)
    kills.check(monkeypatch, run, lambda: export.main(command), lambda: shutil.copytree(tuned, run), every=True)
    assert files.exists(str(run / "export" / "assets" / "decisions.json"))


@pytest.mark.slow
def test_tune(monkeypatch, tmp_path, run_dir, manifest):
    run = tmp_path / "run"
    command = _tuned(run, manifest)
    kills.check(monkeypatch, run, lambda: evaluate.evaluate(command), lambda: shutil.copytree(run_dir, run), every=True)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_prediction_that_the_system_ends_at_random_moments(tmp_path, model_path, data, number):
    flags = [f"--model={model_path}", f"--audio={data / 'wav'}", "--format=csv,audacity", "--embeddings"]
    command = [sys.executable, "-m", "bird_tf.predict", *flags, "--output=out"]
    for name in ("whole", "ended"):
        (tmp_path / name).mkdir()
    subprocess.run(command, cwd=tmp_path / "whole", check=True)
    moments, output = random.Random(int(number)), tmp_path / "ended" / "out"
    ends = []
    for _ in range(8):
        shutil.rmtree(output, ignore_errors=True)
        process = subprocess.Popen(command, cwd=tmp_path / "ended")
        while not output.exists():
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 3))
        process.send_signal(number)
        ends.append(process.wait())
        subprocess.run(command, cwd=tmp_path / "ended", check=True)
        assert kills.snapshot(output) == kills.snapshot(tmp_path / "whole" / "out")
    assert {-signal.SIGKILL, 128 + signal.SIGTERM} & set(ends)


def _workers(process):
    """The numbers of the worker processes of a command: they are spawned, as multiprocessing's tracker is not."""
    own = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in own if b"spawn_main" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()]


def _wait(condition):
    end = time.monotonic() + 300
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.005)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["command", "worker"])
def test_a_prediction_in_processes_of_which_one_is_killed(tmp_path, model_path, data, victim):
    audio = tmp_path / "audio"
    audio.mkdir()
    for path in sorted((data / "wav").iterdir()):
        for number in range(4):  # several units
            shutil.copy(path, audio / f"{number}{path.name}")
    flags = [f"--model={model_path}", f"--audio={audio}", "--format=csv,audacity", "--embeddings", "--workers=2"]
    command = [sys.executable, "-m", "bird_tf.predict", *flags, "--batch_size=4", "--output=out"]
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    subprocess.run(command, cwd=tmp_path / "whole", check=True)
    output = tmp_path / "killed" / "out"
    process = subprocess.Popen(command, cwd=tmp_path / "killed")
    workers = _wait(lambda: len(found := _workers(process)) == 2 and found)
    if victim == "command":
        _wait(lambda: list(output.glob("scores/*.npz")))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        _wait(lambda: not any(pathlib.Path(f"/proc/{pid}/cmdline").exists() for pid in workers))
        before = {path: path.stat().st_mtime_ns for path in output.glob("scores/*.npz")}
        subprocess.run(command, cwd=tmp_path / "killed", check=True)
        assert {path: path.stat().st_mtime_ns for path in before} == before  # what was scored is not scored again
    else:
        _wait(lambda: list(output.glob("scores/*.npz")))
        os.kill(workers[0], signal.SIGKILL)
        assert process.wait() == 0
    assert kills.snapshot(output) == kills.snapshot(tmp_path / "whole" / "out")

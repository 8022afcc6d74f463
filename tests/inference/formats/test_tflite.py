import dataclasses
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import scipy.signal
import soundfile

from bird_tf import export
from bird_tf.audio import decode
from bird_tf.inference import saved_model, serving
from bird_tf.inference.formats import tflite
from bird_tf.scores import calibration, decisions
from tools import small_computer

TOOL = pathlib.Path(__file__).parent.parent.parent.parent / "tools" / "small_computer.py"


@pytest.fixture(scope="module")
def folder(run_dir, tmp_path_factory):
    """A run exported with its TensorFlow Lite files."""
    run = shutil.copytree(run_dir, tmp_path_factory.mktemp("tflite") / "run")
    export.main(export.ExportConfig(run_dir=str(run), tflite=True))
    return run / "tflite"


def test_the_export_writes_all_files(folder):
    assert {p.name for p in folder.iterdir()} == {
        "frontend.tflite", "frontend.json", "classes.csv", "model.json", *map(tflite.network_name, tflite.TOLERANCES),
    }  # fmt: skip


@pytest.mark.parametrize("kind", tflite.TOLERANCES)
def test_the_tool_gives_the_predictions_of_the_saved_model(folder, model_path, data, kind, capsys):
    path = sorted((data / "wav").iterdir())[0]
    small_computer.main(str(folder), str(path), kind)
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    model = saved_model.Model(model_path)
    chunks = np.concatenate(list(decode.ChunkStream(str(path), model.front_end, decode.ChunkingConfig(), 9)))
    expected = model.predict_samples(chunks).probabilities
    assert [float(line[0]) for line in lines] == list(range(len(expected)))
    for (_, _, name, probability, _), row in zip(lines, expected, strict=True):
        tolerance = tflite.TOLERANCES[kind]
        assert float(probability) == pytest.approx(row[model.classes.names.index(name)], abs=tolerance)
        assert float(probability) >= row.max() - tolerance


def test_the_tool_resamples(folder, model_path, data, tmp_path, capsys):
    path = sorted((data / "wav").iterdir())[0]
    samples, rate = soundfile.read(path)
    soundfile.write(tmp_path / "fast.wav", scipy.signal.resample_poly(samples, 2, 1), 2 * rate)
    for recording in (path, tmp_path / "fast.wav"):
        small_computer.main(str(folder), str(recording))
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    slow, fast = lines[: len(lines) // 2], lines[len(lines) // 2 :]
    assert [line[:3] for line in slow] == [line[:3] for line in fast]
    np.testing.assert_allclose([float(line[3]) for line in slow], [float(line[3]) for line in fast], atol=0.05)


def test_the_tool_says_nothing_of_its_own(folder, data):
    path = sorted((data / "wav").iterdir())[0]
    done = subprocess.run([sys.executable, TOOL, folder, path], capture_output=True, text=True, check=True)
    assert done.stderr == "" and done.stdout.count("\t") >= 4


@pytest.fixture
def float32_alone(monkeypatch):
    """Only the network with weights of float32 is written."""
    monkeypatch.setattr(tflite, "FORMAT", dataclasses.replace(tflite.FORMAT, tolerances={"float32": 1e-4}))


def test_calibration_and_thresholds_travel_to_the_small_computer(float32_alone, model_path, data, tmp_path, capsys):
    path = str(shutil.copytree(model_path, tmp_path / "model"))
    model = saved_model.Model(path)
    least = {"f1": np.full(6, 0.05), "precision": np.full(6, 2.0)}
    fitted = calibration.Calibration(slope=0.5, intercept=-1.5, thresholds=least)
    decided = decisions.Decisions(pooling="mean", weights=(1.0,), recording=fitted, chunk=fitted)
    decisions.save(f"{path}/{decisions.ASSET}", decided, model.classes)
    assert serving.store(path, fitted)
    tflite.convert(path, str(tmp_path / "tflite"))
    assert (tmp_path / "tflite" / "decisions.json").exists()
    path = sorted((data / "wav").iterdir())[0]
    small_computer.main(str(tmp_path / "tflite"), str(path))
    [line, *_] = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    chunks = next(iter(decode.ChunkStream(str(path), model.front_end, decode.ChunkingConfig(), 1)))
    expected = fitted.probabilities(model.predict_samples(chunks).probabilities)[0]
    assert float(line[3]) == pytest.approx(expected.max(), abs=2e-4) and expected.max() > 0.05
    assert line[4] == "f1"


def test_the_pi_network_gives_the_same_predictions_with_all_types_of_weights(untrained, small_front_end, tmp_path):
    path = untrained(small_front_end, architecture="pi", dense_units=16)
    tflite.convert(path, str(tmp_path / "tflite"))  # compares the predictions
    sizes = [(tmp_path / "tflite" / tflite.network_name(kind)).stat().st_size for kind in tflite.TOLERANCES]
    assert sizes == sorted(sizes, reverse=True)


def test_the_attention_network_gives_the_same_attention_logits(float32_alone, attention_model_path, tmp_path):
    tflite.convert(attention_model_path, str(tmp_path / "tflite"))  # compares the predictions
    network = str(tmp_path / "tflite" / tflite.network_name("float32"))
    model = saved_model.Model(attention_model_path)
    samples = np.random.default_rng(0).normal(0, 0.1, (1, model.front_end.chunk_samples)).astype(np.float32)
    spectrograms = model.spectrograms(samples)
    np.testing.assert_allclose(
        tflite.FORMAT.run(network, {"spectrogram": spectrograms})["attention"],
        model.predict_features({"spectrogram": spectrograms}).attention_logits,
        atol=1e-3,
    )

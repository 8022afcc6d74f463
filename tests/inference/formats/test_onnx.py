import dataclasses
import importlib
import shutil
import sys

import numpy as np
import pytest

from bird_tf import config, export, tf
from bird_tf.audio import decode, frontend
from bird_tf.inference import saved_model
from bird_tf.inference.formats import onnx
from tools import small_computer

# The rounding of float32 changes pixels near the floor, 80 dB below the peak: there, TensorFlow itself differs by 5e-5
# from a transform in float64. All other pixels differ much less; the mean shows that.
LARGEST, MEAN = 2e-4, 2e-6


@pytest.fixture
def _packages():
    """Skips the test if the packages are missing; `make setup` installs them."""
    try:
        importlib.import_module("tf2onnx.convert")
        importlib.import_module("onnxruntime")
    except ImportError as error:
        pytest.skip(f"the packages of the extra onnx are missing: {error}")


def _chirps(generator, front_end):
    """[3, chunk_samples]: sweeps in strong and in weak noise, and silence."""
    t = np.arange(front_end.chunk_samples) / front_end.sample_rate_hz
    sweep = 0.5 * np.sin(2 * np.pi * (2000 + 1500 * t) * t) * (np.sin(10 * np.pi * t) > 0)
    noisy = [sweep + 10.0**-k * generator.normal(size=len(t)) for k in (1, 3)]
    return np.stack([*noisy, np.zeros_like(t)]).astype(np.float32)


@pytest.mark.usefixtures("_packages")
def test_the_files_of_an_export_give_the_predictions_of_the_saved_model(run_dir, tmp_path, generator, data, capsys):
    run = shutil.copytree(run_dir, tmp_path / "run")
    export.main(export.ExportConfig(run_dir=str(run), onnx=True))
    assert {p.name for p in (run / "onnx").iterdir()} == {
        "frontend.onnx", "network.onnx", "frontend.json", "classes.csv", "model.json",
    }  # fmt: skip
    model = saved_model.Model(str(run / "export"))
    front_end, network = (onnx._session(str(run / "onnx" / name)) for name in (onnx.FRONTEND, onnx.NETWORK))
    samples = _chirps(generator, model.front_end)
    for batch in (samples[:1], samples):
        [spectrograms] = front_end.run(["spectrogram"], {"samples": batch})
        [probabilities] = network.run(["probabilities"], {"spectrogram": spectrograms})
        np.testing.assert_allclose(probabilities, model.predict_samples(batch).probabilities, atol=1e-4)
    path = str(sorted((data / "wav").iterdir())[0])
    capsys.readouterr()
    small_computer.main(str(run / "onnx"), path)
    found = [float(line.split("\t")[3]) for line in capsys.readouterr().out.splitlines()]
    chunks = np.concatenate(list(decode.ChunkStream(path, model.front_end, decode.ChunkingConfig(), 9)))
    np.testing.assert_allclose(found, model.predict_samples(chunks).probabilities.max(axis=1), atol=2e-4)


@pytest.mark.usefixtures("_packages")
@pytest.mark.parametrize(
    "changes",
    [
        {"n_fft": 1000, "num_frames": 128},
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param({"chunk_seconds": 3.0, "sample_rate_hz": 32000, "n_fft": 2048}, marks=pytest.mark.slow),
    ],
)
def test_the_front_end_gives_the_same_spectrograms(generator, changes, tmp_path):
    front_end = dataclasses.replace(frontend.FrontendConfig(), **changes)
    spec = tf.TensorSpec([None, front_end.chunk_samples], tf.float32, "samples")
    convert_to_spectrograms = tf.function(lambda *, samples: {"spectrogram": frontend.spectrograms(samples, front_end)})
    onnx._convert(convert_to_spectrograms.get_concrete_function(samples=spec), str(tmp_path / "frontend.onnx"))
    samples = _chirps(generator, front_end)
    [spectrograms] = onnx._session(str(tmp_path / "frontend.onnx")).run(["spectrogram"], {"samples": samples})
    differences = np.abs(spectrograms - frontend.spectrograms(samples, front_end))
    assert differences.max() < LARGEST and differences.mean() < MEAN


@pytest.mark.usefixtures("_packages")
def test_the_attention_network_gives_the_same_attention_logits(attention_model_path, generator, tmp_path):
    onnx.convert(attention_model_path, str(tmp_path / "onnx"))  # compares the predictions
    model = saved_model.Model(attention_model_path)
    spectrograms = model.spectrograms(_chirps(generator, model.front_end))
    network = onnx._session(str(tmp_path / "onnx" / onnx.NETWORK))
    [attention_logits] = network.run(["attention"], {"spectrogram": np.asarray(spectrograms)})
    np.testing.assert_allclose(
        attention_logits, model.predict_features({"spectrogram": spectrograms}).attention_logits, atol=1e-4
    )


@pytest.mark.parametrize("missing", ["tf2onnx.convert", "onnxruntime"])
def test_the_error_for_missing_packages_says_what_to_install(monkeypatch, tmp_path, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(config.InputError, match=r'--onnx needs .*pip install "bird-tf\[onnx\]"'):
        onnx.convert("model", str(tmp_path / "onnx"))
    assert list(tmp_path.iterdir()) == []

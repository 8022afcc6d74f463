import pathlib
import shutil

import numpy as np
import pytest

from bird_tf import export
from bird_tf.audio import decode
from bird_tf.inference import saved_model
from bird_tf.inference.formats import tflite
from tools import tflite_predict

TOOL = pathlib.Path(__file__).parent.parent.parent.parent / "tools" / "tflite_predict.py"


@pytest.fixture(scope="module")
def folder(run_dir, tmp_path_factory):
    """A run exported with its TensorFlow Lite files."""
    run = shutil.copytree(run_dir, tmp_path_factory.mktemp("tflite") / "run")
    export.main(export.ExportConfig(run_dir=str(run), tflite=True))
    return run / "tflite"


def test_everything_promised_is_there(folder):
    assert {p.name for p in folder.iterdir()} == {
        "frontend.tflite", "frontend.json", "classes.csv", *map(tflite.network_name, tflite.TOLERANCES),
    }  # fmt: skip


@pytest.mark.parametrize("kind", tflite.TOLERANCES)
def test_the_tool_gives_the_saved_models_answers(folder, model_path, data, kind, capsys):
    path = sorted((data / "wav").iterdir())[0]
    tflite_predict.main(str(folder), str(path), kind)
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    model = saved_model.Model(model_path)
    chunks = np.concatenate(
        list(decode.ChunkStream(str(path), model.front_end, decode.ChunkingConfig(minimum_seconds=0), 9))
    )
    expected = model.predict_samples(chunks).probabilities
    assert [float(line[0]) for line in lines] == list(range(len(expected)))
    for (_, _, name, probability), row in zip(lines, expected, strict=True):
        tolerance = tflite.TOLERANCES[kind]
        assert float(probability) == pytest.approx(row[model.classes.names.index(name)], abs=tolerance)
        assert float(probability) >= row.max() - tolerance


def test_the_pi_network_answers_alike_however_its_weights_are_stored(untrained, small_front_end, tmp_path):
    path = untrained(small_front_end, architecture="pi", dense_units=16)
    tflite.convert(path, str(tmp_path / "tflite"))  # compares them
    sizes = [(tmp_path / "tflite" / tflite.network_name(kind)).stat().st_size for kind in tflite.TOLERANCES]
    assert sizes == sorted(sizes, reverse=True)


def test_the_attention_network_answers_alike_and_says_its_attention(attending_path, tmp_path):
    tflite.convert(attending_path, str(tmp_path / "tflite"))  # compares them
    network = tflite._runner(str(tmp_path / "tflite" / tflite.network_name("float32")), "spectrogram")
    model = saved_model.Model(attending_path)
    samples = np.random.default_rng(0).normal(0, 0.1, (1, model.front_end.chunk_samples)).astype(np.float32)
    pictures = model.spectrograms(samples)
    np.testing.assert_allclose(
        network(spectrogram=pictures)["attention"], model.predict_spectrograms(pictures).attention, atol=1e-3
    )


def test_the_tool_stays_small_and_needs_nothing_of_ours():
    text = TOOL.read_text()
    assert len([line for line in text.split('"""', 2)[2].splitlines() if line.strip()]) <= 40
    assert "bird_tf" not in text.split('"""', 2)[2]

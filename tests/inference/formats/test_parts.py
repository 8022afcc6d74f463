"""Heads in other formats: their files, run by the script for small computers, say what `predict` says."""

import csv
import json
import pathlib

import numpy as np
import pytest
import soundfile

from bird_tf import config, predict, tf
from bird_tf.audio import frontend
from bird_tf.backbones import backbone, sources
from bird_tf.inference import model_files, saved_model
from bird_tf.inference.formats import compare, onnx, parts, tflite
from bird_tf.models import architectures, head
from bird_tf.records import schema
from bird_tf.scores import calibration, decisions, prior
from bird_tf.training import exporter, run_directory
from tests.backbones import conftest as toys
from tests.conftest import settings
from tools import small_computer

FITTED = calibration.Calibration(
    slope=0.8, intercept=0.3, thresholds={"f1": np.full(3, 0.2), "precision": np.full(3, 0.9)}
)


class WithEmbedding(toys.Loudness):
    """Says probabilities, as `gives_logits=False` means it, and its embedding."""

    def probabilities(self, inputs):
        return {"probabilities": tf.sigmoid(self(inputs)["scores"]), "embedding": self(inputs)["features"]}


def _backbone(folder, suffix, *, gives_logits):
    """The files of a backbone: a SavedModel without a suffix."""
    (folder / "labels.txt").write_text("\n".join(toys.LABELS))
    module, path = WithEmbedding(), folder / f"toy{suffix}"
    signature = [tf.TensorSpec([1 if suffix == ".tflite" else None, toys.WINDOW], tf.float32, "inputs")]
    said = tf.function(module.__call__ if gives_logits else module.probabilities, input_signature=signature)
    if suffix == ".tflite" and gives_logits:  # as BirdNET: the embedding is no output
        toys.write_tflite(path, outputs=("scores",))
    elif suffix == ".tflite":
        converter = tf.lite.TFLiteConverter.from_concrete_functions([said.get_concrete_function()], module)
        path.write_bytes(converter.convert())
    elif suffix == ".onnx":
        tf2onnx = pytest.importorskip("tf2onnx")
        tf2onnx.convert.from_function(said, signature, opset=15, output_path=str(path))
    else:
        tf.saved_model.save(module, str(path), signatures=said)
    return toys.make_source(path, folder / "labels.txt", gives_logits=gives_logits)


def _export(folder, source, chunk_seconds, generator):
    """Exports a tuned head with random weights."""
    described = dict(backbone.describe(source, toys.CLASSES))
    known = {"producer": source.title, "fingerprint": described["fingerprint"], "dtype": "float16"}
    features = (
        schema.Feature(name=schema.EMBEDDING, shape=(toys.SIZE,), **known),
        schema.Feature(name=schema.BACKBONE_ANSWERS, shape=(3,), **known),
    )
    model = architectures.ModelConfig(architecture="head")
    network = architectures.build(model, {f.name: f.shape for f in features}, 3)
    network.get_layer("logits").kernel.assign(generator.normal(0, 1, (toys.SIZE, 3)))
    head.set_statistics(network, np.full(toys.SIZE, 0.2), np.full(toys.SIZE, 0.05))
    run = run_directory.Run(
        model=model, loss="sigmoid", pooling="mean", front_end=frontend.FrontendConfig(chunk_seconds=chunk_seconds),
        classes=toys.CLASSES, prior=prior.fit([], toys.CLASSES), training={"records": ""}, metrics={}, versions={},
        features=features, backbone=described, backbones=(sources.credit(described),),
    )  # fmt: skip
    run_directory.save(str(folder / "run"), run, network)
    (folder / "run" / "export" / "assets").mkdir(parents=True)
    decided = decisions.Decisions(pooling="mean", weights=(1.0,), recording=FITTED, chunk=FITTED)
    decisions.save(str(folder / "run" / "export" / decisions.ASSET), decided, toys.CLASSES)
    return exporter.export(str(folder / "run"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A head on a TFLite file; a chunk has three windows."""
    folder = tmp_path_factory.mktemp("head")
    return _export(folder, _backbone(folder, ".tflite", gives_logits=True), 1.25, np.random.default_rng(0))


@pytest.fixture
def recording(generator, tmp_path):
    """3.8 s of noise that swells, with a silent second."""
    samples = generator.normal(0, 0.1, 30400) * np.linspace(0, 1, 30400)
    samples[12000:20000] = 0
    (tmp_path / "audio").mkdir()
    soundfile.write(tmp_path / "audio" / "a.wav", samples, toys.RATE, subtype="FLOAT")
    return tmp_path / "audio" / "a.wav"


def _rows(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize(
    ("suffix", "form", "chunk_seconds", "gives_logits", "needed"),
    [
        (".tflite", tflite, 0.25, True, {"network_float32.tflite", "backbone"}),  # windows are longer than chunks
        (".onnx", onnx, 1.25, False, {"network.onnx", "backbone"}),  # a chunk has several windows
        ("", tflite, 0.5, True, {"network_float32.tflite"}),
    ],
)
def test_a_head_says_the_same_in_other_formats(
    recording, generator, tmp_path, capsys, suffix, form, chunk_seconds, gives_logits, needed
):
    if form is onnx:
        pytest.importorskip("tf2onnx")
    source = _backbone(tmp_path, suffix, gives_logits=gives_logits)
    path = _export(tmp_path, source, chunk_seconds, generator)
    form.convert(path, str(tmp_path / "small"))
    assert {p.name for p in (tmp_path / "small").iterdir()} == needed | {"model.json", "classes.csv", "decisions.json"}
    predict.predict(settings(predict.PredictConfig, model=(path,), audio=recording.parent, output=tmp_path / "said"))
    capsys.readouterr()
    small_computer.main(str(tmp_path / "small"), str(recording), table=str(tmp_path / "small.csv"))
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    expected, found = _rows(tmp_path / "said" / "chunks.csv"), _rows(tmp_path / "small.csv")
    assert [row[:3] for row in found] == [row[:3] for row in expected] and len(found) == len(lines) + 1
    assert found[0] == expected[0]
    probabilities = np.array([row[3:] for row in expected[1:]], float)
    np.testing.assert_allclose(np.array([row[3:] for row in found[1:]], float), probabilities, atol=1e-4)
    assert np.ptp(probabilities, axis=0).min() > 0.02
    silent = ~probabilities.any(axis=1)
    assert silent.any() == (chunk_seconds < 1.0)
    for line, best in zip(lines, probabilities.max(axis=1), strict=True):
        assert float(line[3]) == pytest.approx(best, abs=2e-4)
        assert line[4] == ("f1,precision" if best >= 0.9 else "f1" if best >= 0.2 else "")


def test_the_description_tells_what_the_script_needs_and_whose_the_backbone_is(exported, tmp_path):
    with parts.of(exported) as found:
        found.describe(str(tmp_path))
    described = json.loads((tmp_path / "model.json").read_text())
    assert (described["sample_rate_hz"], described["chunk_seconds"], described["channel"]) == (8000, 1.25, "mix")
    assert described["has_learnt_from"] == [saved_model.Model(exported).description.backbones[0]]
    heard = described["backbone"]
    assert (heard["window_shape"], heard["starts"]) == ([1, 4000], [0, 3000, 6000])
    assert (tmp_path / heard["file"]).read_bytes() == pathlib.Path(
        exported, model_files.BACKBONE, "toy.tflite"
    ).read_bytes()


def test_a_model_that_a_format_cannot_hold_is_refused_in_one_line(exported, tmp_path):
    def write(*_):
        raise ValueError("\nno operation FFT3\nmore")

    form = compare.Format(
        title="STONE", front_end="a", network=str, tolerances={"float32": 1.0}, write=write, run=lambda *_: {}
    )
    with pytest.raises(config.InputError, match=r"STONE cannot hold this model \(no operation FFT3\)") as caught:
        compare.convert(exported, str(tmp_path / "stone"), form)
    assert "\n" not in str(caught.value) and not (tmp_path / "stone").exists()

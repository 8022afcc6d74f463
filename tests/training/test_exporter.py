import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from bird_tf import keras, tf
from bird_tf.audio import frontend
from bird_tf.inference import saved_model
from bird_tf.models import architectures, losses
from bird_tf.scores import prior
from bird_tf.training import exporter, run_directory


@pytest.fixture(scope="module")
def loaded(model_path):
    return tf.saved_model.load(model_path)


@pytest.fixture
def samples(generator, manifest):
    return generator.normal(0, 0.1, (3, manifest.front_end.chunk_samples)).astype(np.float32)


def test_signatures_have_the_shapes_of_the_contract(loaded, samples, manifest):
    front_end, classes = manifest.front_end, len(manifest.classes)
    call = loaded.signatures
    served = call["serving_default"](samples=tf.constant(samples))
    decided = {"probabilities", "scores", "present_f1", "present_precision"}
    assert {name: tuple(value.shape) for name, value in served.items()} == dict.fromkeys(
        {*decided, "logits"}, (3, classes)
    )
    spectrograms = call["frontend"](samples=tf.constant(samples))["spectrogram"]
    assert tuple(spectrograms.shape) == (3, front_end.num_bands, front_end.num_frames)
    assert set(call["spectrogram"](spectrogram=spectrograms)) == {*decided, "logits"}
    assert call["embed"](samples=tf.constant(samples))["embeddings"].shape[0] == 3
    numbers = [value for name, value in served.items() if not name.startswith("present")]
    assert {value.dtype for value in [*numbers, spectrograms]} == {tf.float32}
    assert served["present_f1"].dtype == tf.bool


def test_inputs_of_another_shape_are_refused(loaded, samples):
    for name in ("serving_default", "frontend", "embed", "predict_and_embed"):
        for wrong in (np.tile(samples, 3), samples[:, :-1], np.pad(samples, ((0, 0), (0, 1)))):
            with pytest.raises(tf.errors.InvalidArgumentError, match=r"Shape of tensor samples .* is not compatible"):
                loaded.signatures[name](samples=tf.constant(wrong))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Shape of tensor spectrogram .* is not compatible"):
        loaded.signatures["spectrogram"](spectrogram=tf.zeros([1, 9, 9]))


def test_the_attention_network_adds_its_outputs_to_both_signatures(attention_model_path, samples, manifest):
    call = tf.saved_model.load(attention_model_path).signatures
    served = call["serving_default"](samples=tf.constant(samples))
    second = call["spectrogram"](spectrogram=call["frontend"](samples=tf.constant(samples))["spectrogram"])
    assert set(served) == set(second) and {"probabilities", "logits", "time_steps", "attention"} < set(served)
    assert served["attention"].shape == (3,) and served["attention"].dtype == tf.float32
    np.testing.assert_allclose(served["attention"], second["attention"], atol=1e-4)
    assert np.ptp(served["attention"]) > 1e-3


def test_predict_and_embed_has_the_outputs_of_two_signatures(attention_model_path, samples):
    call = tf.saved_model.load(attention_model_path).signatures
    both = call["predict_and_embed"](samples=tf.constant(samples))
    single = {**call["serving_default"](samples=tf.constant(samples)), **call["embed"](samples=tf.constant(samples))}
    assert both.keys() == single.keys()
    for name, output in both.items():
        np.testing.assert_allclose(output, single[name], atol=1e-5)


def test_signatures_agree_with_each_other_and_with_the_network(loaded, samples, run_dir):
    call = loaded.signatures
    served = call["serving_default"](samples=tf.constant(samples))
    spectrograms = call["frontend"](samples=tf.constant(samples))["spectrogram"]
    second = call["spectrogram"](spectrogram=spectrograms)
    np.testing.assert_allclose(served["logits"], second["logits"], atol=1e-5)
    run, network = run_directory.load(str(run_dir))
    expected = network(frontend.spectrograms(samples, run.front_end), training=False)
    np.testing.assert_allclose(served["logits"], expected["logits"], atol=1e-4)
    np.testing.assert_allclose(served["probabilities"], losses.probabilities(served["logits"], run.loss), atol=1e-5)


def test_assets_describe_the_model(model_path, manifest):
    def read(name):
        with open(f"{model_path}/assets/{name}") as file:
            return file.read()

    assert frontend.from_description(json.loads(read("frontend.json")), "assets") == manifest.front_end
    training = json.loads(read("train.json"))
    assert {"loss", "pooling", "training", "metrics", "versions"} <= set(training)
    origin = {"digest": manifest.digest, "converter": dict(manifest.converter), "versions": dict(manifest.versions)}
    assert training["records"] == json.loads(json.dumps(origin))
    assert read("classes.csv").count("\n") == len(manifest.classes) + 1


def test_the_model_runs_without_bird_tf(model_path, manifest):
    program = f"""
import sys, numpy as np, tensorflow as tf
outputs = tf.saved_model.load({model_path!r}).signatures["serving_default"](
    samples=tf.zeros([2, {manifest.front_end.chunk_samples}]))
assert not [name for name in sys.modules if name.startswith("bird_tf")]
print(outputs["probabilities"].shape)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd="/", check=False)
    assert done.stdout.strip() == f"(2, {len(manifest.classes)})", done.stderr


@pytest.mark.parametrize("half", [0, 1])
def test_time_steps_show_when_a_sound_occurs(manifest, half):
    """A network whose weights are set by hand: the logit of class 1 is the loudness."""
    model = architectures.ModelConfig(architecture="attention", filters=(2, 2), batch_norm=False, max_pooling=False)
    front_end, classes = manifest.front_end, manifest.classes
    network = architectures.build(model, {"spectrogram": (front_end.num_bands, front_end.num_frames)}, len(classes))
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.kernel.assign(np.full(layer.kernel.shape, 1 / np.prod(layer.kernel.shape[:3])))
    stem = next(layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D))
    stem.bias.assign([1.0, 1.0])  # spectrograms are zero-centred: silence is -1
    last = network.get_layer("logits")
    last.kernel.assign(np.eye(len(classes))[1] * np.ones((2, 1)))
    last.bias.assign(np.arange(len(classes)) / 10)
    run = run_directory.Run(
        model=model, loss="sigmoid", pooling="mean", front_end=front_end, classes=classes,
        prior=prior.fit([], classes), training={}, metrics={}, versions={},
    )  # fmt: skip
    _, signatures = exporter.serving_module(run, network)
    time = np.arange(front_end.chunk_samples) / front_end.sample_rate_hz
    burst = np.abs(time / front_end.chunk_seconds - 0.25 - 0.5 * half) < 0.1
    samples = (0.5 * np.sin(2 * np.pi * 3000 * time) * burst).astype(np.float32)[None]
    outputs = signatures["serving_default"](samples)
    time_steps = outputs["time_steps"].numpy()[0]  # [time_steps, classes]
    assert time_steps.shape[1] == len(classes)
    np.testing.assert_allclose(time_steps.mean(axis=0), outputs["logits"][0], atol=1e-5)
    assert int(2 * np.argmax(time_steps[:, 1]) / len(time_steps)) == half
    evidence = time_steps[:, 1] - time_steps[:, 1].min()
    first, second = evidence[: len(time_steps) // 2].sum(), evidence[-(len(time_steps) // 2) :].sum()
    assert (second > 1.5 * first) if half else (first > 1.5 * second)
    assert np.ptp(np.delete(time_steps, 1, axis=1), axis=0).max() < 1e-5


def test_there_is_no_custom_operation(loaded):
    graph = loaded.signatures["serving_default"].graph
    known = {"RFFT", "Conv2D", "MatMul"}
    operations = {operation.type for operation in graph.get_operations()} | {
        node.op for function in graph.as_graph_def().library.function for node in function.node_def
    }
    assert known <= operations
    assert not [name for name in operations if name.startswith(("IO>", "EagerPyFunc", "PyFunc"))]


def test_a_difference_after_reloading_is_an_error(run_dir, tmp_path, monkeypatch):
    copy = shutil.copytree(run_dir, tmp_path / "run")
    shutil.rmtree(copy / "export")
    monkeypatch.setattr(exporter, "_largest_difference", lambda *_: 0.1)
    with pytest.raises(RuntimeError, match=r"differ from the network's by 0\.1"):
        exporter.export(str(copy))
    assert not (copy / "export").exists() and not list(copy.glob("*.partial"))


def test_the_backbones_that_it_has_learnt_from_are_kept_and_named(run_dir, tmp_path, monkeypatch):
    copy = shutil.copytree(run_dir, tmp_path / "run")
    described = json.loads((copy / "run.json").read_text())
    credit = {"title": "Toy 1", "licence": "CC0", "origin": "x", "fingerprint": "1"}
    (copy / "run.json").write_text(json.dumps({**described, "backbones": [credit]}))
    said = []
    monkeypatch.setattr(exporter.logging, "info", lambda text, *arguments: said.append(text % arguments))
    path = exporter.export(str(copy))
    assert "it has learnt from Toy 1, whose licence is CC0; see to what that asks of you" in said
    assert saved_model.Model(path).description.backbones == (credit,)

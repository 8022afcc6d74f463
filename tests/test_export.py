import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from bird_tf import config, keras, tf
from bird_tf.audio import frontend
from bird_tf.models import architectures, losses
from bird_tf.scores import decisions, prior
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
    assert {name: tuple(value.shape) for name, value in served.items()} == {
        "probabilities": (3, classes), "logits": (3, classes),
    }  # fmt: skip
    spectrograms = call["frontend"](samples=tf.constant(samples))["spectrogram"]
    assert tuple(spectrograms.shape) == (3, front_end.num_bands, front_end.num_frames)
    assert set(call["spectrogram"](spectrogram=spectrograms)) == {"probabilities", "logits"}
    assert call["embed"](samples=tf.constant(samples))["embeddings"].shape[0] == 3
    everything = [*served.values(), spectrograms]
    assert {value.dtype for value in everything} == {tf.float32}


def test_attention_is_said_by_both_signatures_of_the_network_that_has_it(attending_path, samples, manifest):
    call = tf.saved_model.load(attending_path).signatures
    served = call["serving_default"](samples=tf.constant(samples))
    seen = call["spectrogram"](spectrogram=call["frontend"](samples=tf.constant(samples))["spectrogram"])
    assert set(served) == set(seen) == {"probabilities", "logits", "moments", "attention"}
    assert served["attention"].shape == (3,) and served["attention"].dtype == tf.float32
    np.testing.assert_allclose(served["attention"], seen["attention"], atol=1e-4)
    assert np.ptp(served["attention"]) > 1e-3


def test_signatures_agree_with_each_other_and_with_the_network(loaded, samples, run_dir):
    call = loaded.signatures
    served = call["serving_default"](samples=tf.constant(samples))
    spectrograms = call["frontend"](samples=tf.constant(samples))["spectrogram"]
    seen = call["spectrogram"](spectrogram=spectrograms)
    np.testing.assert_allclose(served["logits"], seen["logits"], atol=1e-5)
    run, weights = run_directory.load(str(run_dir))
    expected = exporter._float32_network(run, weights)(frontend.spectrograms(samples, run.front_end), training=False)
    np.testing.assert_allclose(served["logits"], expected["logits"], atol=1e-4)
    np.testing.assert_allclose(served["probabilities"], losses.probabilities(served["logits"], run.loss), atol=1e-5)


def test_assets_say_what_the_model_is(model_path, manifest):
    def read(name):
        with open(f"{model_path}/assets/{name}") as file:
            return file.read()

    assert frontend.from_description(json.loads(read("frontend.json")), "assets") == manifest.front_end
    training = json.loads(read("train.json"))
    assert {"loss", "pooling", "training", "metrics", "versions"} <= set(training)
    assert read("classes.csv").count("\n") == len(manifest.classes) + 1


def test_it_runs_where_bird_tf_is_never_imported(model_path, manifest):
    program = f"""
import sys, numpy as np, tensorflow as tf
answer = tf.saved_model.load({model_path!r}).signatures["serving_default"](
    samples=tf.zeros([2, {manifest.front_end.chunk_samples}]))
assert not [name for name in sys.modules if name.startswith("bird_tf")]
print(answer["probabilities"].shape)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd="/", check=False)
    assert done.stdout.strip() == f"(2, {len(manifest.classes)})", done.stderr


@pytest.mark.parametrize("half", [0, 1])
def test_moments_say_when(manifest, half):
    """A network whose weights are set by hand: class 1 is loudness, wherever it is."""
    model = architectures.ModelConfig(architecture="attention", filters=(2, 2), batch_norm=False, max_pooling=False)
    front_end, classes = manifest.front_end, manifest.classes
    network = architectures.build(model, front_end.num_bands, front_end.num_frames, len(classes))
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.kernel.assign(np.full(layer.kernel.shape, 1 / np.prod(layer.kernel.shape[:3])))
    stem = next(layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D))
    stem.bias.assign([1.0, 1.0])  # spectrograms are zero-centred: silence is -1
    last = network.get_layer("logits")
    last.kernel.assign(np.eye(len(classes))[1] * np.ones((2, 1)))
    last.bias.assign(np.arange(len(classes)) / 10)
    run = run_directory.Run(model=model, loss="sigmoid", pooling="mean", front_end=front_end, classes=classes,
                     prior=prior.fit([], classes), training={}, metrics={}, versions={})  # fmt: skip
    _, signatures = exporter.serving_module(run, network)
    time = np.arange(front_end.chunk_samples) / front_end.sample_rate_hz
    burst = np.abs(time / front_end.chunk_seconds - 0.25 - 0.5 * half) < 0.1
    samples = (0.5 * np.sin(2 * np.pi * 3000 * time) * burst).astype(np.float32)[None]
    said = signatures["serving_default"](samples)
    moments = said["moments"].numpy()[0]  # [moments, classes]
    assert moments.shape[1] == len(classes)
    np.testing.assert_allclose(moments.mean(axis=0), said["logits"][0], atol=1e-5)
    assert int(2 * np.argmax(moments[:, 1]) / len(moments)) == half
    evidence = moments[:, 1] - moments[:, 1].min()
    first, second = evidence[: len(moments) // 2].sum(), evidence[-(len(moments) // 2) :].sum()
    assert (second > 1.5 * first) if half else (first > 1.5 * second)
    assert np.ptp(np.delete(moments, 1, axis=1), axis=0).max() < 1e-5


def test_no_custom_operation_is_inside(loaded):
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
    with pytest.raises(RuntimeError, match="answers differently"):
        exporter.export(str(copy))
    assert not (copy / "export").exists() and not list(copy.glob("*.partial"))


def test_exporting_again_gives_the_same_answers_and_keeps_decisions(run_dir, loaded, samples, tmp_path):
    copy = shutil.copytree(run_dir, tmp_path / "run")
    kept = copy / "export" / decisions.ASSET
    kept.write_text("decided on validation")
    again = tf.saved_model.load(exporter.export(str(copy)))
    for first, second in zip(
        loaded.signatures["serving_default"](samples=tf.constant(samples)).values(),
        again.signatures["serving_default"](samples=tf.constant(samples)).values(),
        strict=True,
    ):
        np.testing.assert_allclose(first, second, atol=1e-6)
    assert kept.read_text() == "decided on validation"  # what --tune decided stays with the model


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(config.InputError, match="not a finished run"):
        run_directory.load(str(tmp_path))


def test_the_training_prior_travels_with_the_model_or_is_learned_anew(run_dir, model_path, manifest, tmp_path):
    ours = prior.load(f"{model_path}/{prior.ASSET}")
    assert (
        ours.num_recordings.sum() == manifest.num_recordings["train"] and ours.class_ids == manifest.classes.class_ids
    )
    copy = shutil.copytree(run_dir, tmp_path / "run")
    (copy / run_directory.PRIOR).unlink()  # as runs of earlier versions are
    np.testing.assert_array_equal(run_directory.load(str(copy))[0].prior.observations, ours.observations)

"""A backbone made for the tests. Its outputs depend on the loudness of the first and the second half of a window."""

import numpy as np
import pytest

from bird_tf import tf
from bird_tf.backbones import backbone, sources
from bird_tf.inference import serving
from bird_tf.labels import taxonomy
from bird_tf.scores import calibration, thresholds

RATE, WINDOW = 8000, 4000
LABELS = ("Parus major_Great Tit", "engine", "Turdus merula_Common Blackbird")
CLASSES = taxonomy.Taxonomy(("blackb", "dodo", "gretit"), ("Turdus merula", "Raphus cucullatus", "Parus Major"))


# numbers in the embedding
SIZE = 7


class Loudness(tf.Module):
    """Logits of three labels: loudness of the first half, a constant, and loudness of the second half.

    They are computed by a dense layer from the embedding, whose first numbers are the two loudnesses.
    """

    def __init__(self, window=WINDOW, gain=1.0):
        kernel = np.zeros((SIZE, 3), np.float32)
        kernel[0, 0] = kernel[1, 2] = 8
        self.kernel = tf.Variable(kernel)
        self.window, self.gain = window, gain

    def probabilities(self, inputs):
        return {"probabilities": tf.sigmoid(self(inputs)["scores"])}

    def __call__(self, inputs):
        halves = [self.gain * tf.reduce_max(tf.abs(half), axis=1) for half in tf.split(inputs, 2, axis=1)]
        features = tf.pad(tf.stack(halves, axis=1), [[0, 0], [0, SIZE - 2]])
        return {"scores": features @ self.kernel + [-4.0, -5.0, -4.0], "features": features}

    def function(self, batch=None, *, outputs=("scores", "features")):
        @tf.function(input_signature=[tf.TensorSpec([batch, self.window], tf.float32, name="inputs")])
        def call(inputs):
            found = self(inputs)
            return {name: found[name] for name in outputs}

        return call


def window(first=0.0, second=0.0):
    """[WINDOW] float32 with one click in each half."""
    samples = np.zeros(WINDOW, np.float32)
    samples[10], samples[-10] = first, second
    return samples


def embedding(first=0.0, second=0.0):
    """What a backbone says of `window`."""
    return np.float32([first, second] + [0] * (SIZE - 2))


def make_source(model, labels=None, **values):
    """A backbone's files."""
    defaults = {"sample_rate_hz": RATE, "gives_logits": True}
    return sources.Source(name=str(model), model=str(model), labels=str(labels or model), **{**defaults, **values})


def write_tflite(path, *, outputs=("scores", "features"), gain=1.0):
    module = Loudness(gain=gain)
    function = module.function(batch=1, outputs=outputs)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], module)
    path.write_bytes(converter.convert())
    return path


def tune(path, num_classes=6):
    """Gives a copy of the session's model another calibration."""
    least = {rule: np.full(num_classes, 0.3) for rule in thresholds.RULES}
    assert serving.store(str(path), calibration.Calibration(slope=2.0, intercept=-1.0, thresholds=least))


@pytest.fixture(scope="session")
def labels(tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "labels.txt"
    path.write_text("\n".join(LABELS))
    return path


@pytest.fixture(scope="session")
def saved_model_path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved_model")
    module = Loudness()
    tf.saved_model.save(module, str(folder), signatures=module.function())
    return folder


@pytest.fixture(scope="session")
def tflite_path(tmp_path_factory):
    """As BirdNET: the embedding is no output."""
    return write_tflite(tmp_path_factory.mktemp("tflite") / "backbone.tflite", outputs=("scores",))


@pytest.fixture(scope="session")
def onnx_path(tmp_path_factory):
    """As Perch in ONNX: the outputs have names, and the batch any size."""
    path = tmp_path_factory.mktemp("onnx") / "backbone.onnx"
    tf2onnx = pytest.importorskip("tf2onnx")
    module = Loudness()
    function = module.function()
    tf2onnx.convert.from_function(function, function.input_signature, opset=15, output_path=str(path))
    return path


@pytest.fixture(scope="module", params=["saved_model", "tflite", "onnx"])
def model(request):
    return request.getfixturevalue(f"{request.param}_path")


@pytest.fixture
def loaded(model, labels):
    return backbone.Backbone(make_source(model, labels), CLASSES)

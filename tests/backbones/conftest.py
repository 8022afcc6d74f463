"""A backbone made for the tests. Its outputs depend on the loudness of the first and the second half of a window."""

import numpy as np
import pytest

from bird_tf import tf
from bird_tf.backbones import backbone
from bird_tf.labels import taxonomy
from tests.conftest import settings

RATE, WINDOW = 8000, 4000
LABELS = ("Parus major_Great Tit", "engine", "Turdus merula_Common Blackbird")
CLASSES = taxonomy.Taxonomy(("blackb", "dodo", "gretit"), ("Turdus merula", "Raphus cucullatus", "Parus Major"))


class Loudness(tf.Module):
    """Logits of three labels: loudness of the first half, a constant, and loudness of the second half."""

    def __init__(self, window=WINDOW):
        self.gain = tf.Variable(8.0)
        self.window = window

    def __call__(self, inputs):
        first, second = (tf.reduce_max(tf.abs(half), axis=1) for half in tf.split(inputs, 2, axis=1))
        return {"scores": self.gain * tf.stack([first, 0 * first - 1, second], axis=1) - 4, "features": inputs[:, :7]}

    def function(self, batch=None):
        return tf.function(self, input_signature=[tf.TensorSpec([batch, self.window], tf.float32, name="inputs")])


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def make_config(model, labels, **values):
    """A backbone's flags."""
    defaults = {"backbone_sample_rate_hz": RATE, "backbone_logits": True}
    return settings(backbone.BackboneConfig, backbone=model, backbone_labels=labels, **{**defaults, **values})


@pytest.fixture(scope="module")
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
    module = Loudness()
    function = module.function(batch=1)
    path = tmp_path_factory.mktemp("tflite") / "backbone.tflite"
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], module)
    path.write_bytes(converter.convert())
    return path


@pytest.fixture(scope="module", params=["saved_model", "tflite"])
def model(request):
    return request.getfixturevalue(f"{request.param}_path")


@pytest.fixture
def loaded(model, labels):
    return backbone.Backbone(make_config(model, labels), CLASSES)

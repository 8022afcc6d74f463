import numpy as np
import pytest

from bird_tf import tf
from bird_tf.backbones import backbone, graph, windows
from tests.backbones.conftest import CLASSES, RATE, WINDOW, Loudness, make_source


@pytest.mark.parametrize("gives_logits", [True, False])
@pytest.mark.parametrize("batch", [None, 1])
@pytest.mark.parametrize("chunk_seconds", [0.25, 1.25])
def test_the_graph_says_what_the_backbone_says(labels, generator, tmp_path, batch, gives_logits, chunk_seconds):
    module = Loudness()

    @tf.function(input_signature=[tf.TensorSpec([batch, WINDOW], tf.float32)])
    def call(inputs):
        found = module(inputs)
        scores = {"logits": found["scores"]} if gives_logits else module.probabilities(inputs)
        return {**scores, "embedding": found["features"]}

    tf.saved_model.save(module, str(tmp_path), signatures=call)
    source = make_source(tmp_path, labels, gives_logits=gives_logits)
    loaded = backbone.Backbone(source, CLASSES)
    heard = windows.hears(loaded, chunk_seconds)
    spans = generator.normal(0, 0.3, (3, heard.span_samples)).astype(np.float32)
    assert (heard.span_samples > WINDOW) == (chunk_seconds * RATE > WINDOW)
    found = tf.function(graph.Graph(source, CLASSES, heard).answers)(tf.constant(spans))
    for ours, expected in zip(found, windows.answers(loaded, heard, spans), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-4)

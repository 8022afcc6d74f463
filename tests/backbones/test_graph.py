import dataclasses
import shutil

import numpy as np
import pytest

from bird_tf import tf
from bird_tf.backbones import backbone, graph, signatures, sources, windows
from tests.backbones.conftest import CLASSES, RATE, WINDOW, Loudness, make_source, tune


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


@pytest.mark.parametrize("gives_logits", [True, False])
def test_a_backbone_that_divides_by_the_loudness_is_not_asked_about_silence(labels, tmp_path, gives_logits):
    module = Loudness()

    @tf.function(input_signature=[tf.TensorSpec([None, WINDOW], tf.float32)])
    def call(inputs):
        found = module(inputs / tf.reduce_max(tf.abs(inputs), axis=1, keepdims=True))
        scores = found["scores"] if gives_logits else tf.sigmoid(found["scores"])
        return {"scores": scores, "embedding": found["features"]}

    tf.saved_model.save(module, str(tmp_path), signatures=call)
    source = make_source(tmp_path, labels, gives_logits=gives_logits)
    loaded = backbone.Backbone(source, CLASSES)
    heard = windows.hears(loaded, 1.0)
    spans = np.zeros((2, heard.span_samples), np.float32)
    spans[0, 10] = 0.5  # in the first of two windows
    answers, embeddings = windows.answers(loaded, heard, spans)
    np.testing.assert_allclose(answers[:, 2], [4, -16.118], atol=1e-3)
    np.testing.assert_allclose(embeddings[:, 0], [0.5, 0])
    for ours, expected in zip(
        graph.Graph(source, CLASSES, heard).answers(tf.constant(spans)), (answers, embeddings), strict=True
    ):
        np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_probabilities_near_0_and_1_have_the_logits_of_the_backbone(labels):
    sure = np.float32([0, 1e-9, 1e-6, 0.5, 1 - 2**-22, 1 - 2**-23, 1 - 2**-24, 1])[:, None]
    cut, nothing = tf.constant([[0.0, 1.0]] * 8), tf.zeros([8, 0])
    found, _ = graph.joined(cut, tf.constant(sure), nothing, np.zeros(1, int), 1, gives_logits=False)
    np.testing.assert_allclose(found, signatures.logits(sure), atol=1e-5)


def test_the_assets_of_a_model_of_ours_do_not_mix_with_those_of_the_model_around_it(labels, tmp_path):
    def with_assets(module, owner, *names):
        for name in names:
            (tmp_path / owner).mkdir(exist_ok=True)
            (tmp_path / owner / name).write_text(owner)
        module.assets = [tf.saved_model.Asset(str(tmp_path / owner / name)) for name in names]
        return module

    inner = with_assets(Loudness(), "backbone", "classes.csv", "frontend.json")
    tf.saved_model.save(inner, str(tmp_path / "inner"), signatures=inner.function())
    source = make_source(tmp_path / "inner", labels)
    heard = windows.hears(backbone.Backbone(source, CLASSES), 0.25)
    part = graph.Graph(source, CLASSES, heard)
    module = with_assets(tf.Module(), "head", "classes.csv")
    module.backbone = part.model
    spans = tf.TensorSpec([None, heard.span_samples], tf.float32)
    answers = tf.function(lambda x: {"logits": part.answers(x)[0]}, input_signature=[spans])
    tf.saved_model.save(module, str(tmp_path / "outer"), signatures=answers)
    assets = {path.name: path.read_text() for path in (tmp_path / "outer" / "assets").iterdir()}
    assert assets == {"classes.csv": "head"}


def test_the_calibration_of_a_model_of_ours_changes_neither_its_answers_nor_the_model_around_it(
    model_path, manifest, generator, tmp_path
):
    path = str(shutil.copytree(model_path, tmp_path / "export"))
    source = sources.from_flags(sources.BackboneConfig(backbone=path))
    before = backbone.Backbone(source, manifest.classes)
    heard = windows.hears(before, manifest.front_end.chunk_seconds)
    spans = generator.normal(0, 0.1, (2, heard.span_samples)).astype(np.float32)
    expected, _ = windows.answers(before, heard, spans)
    tune(path)
    answers, _ = windows.answers(backbone.Backbone(source, manifest.classes), heard, spans)
    np.testing.assert_array_equal(answers, expected)
    earlier = backbone.Backbone(dataclasses.replace(source, uncalibrated=False), manifest.classes)
    np.testing.assert_allclose(windows.answers(earlier, heard, spans)[0], 2 * expected - 1, atol=1e-3)
    part = graph.Graph(source, manifest.classes, heard)
    np.testing.assert_allclose(part.answers(tf.constant(spans))[0], expected, atol=1e-4)
    assert float(part.model.decisions.slope) == 0 and not part.model.decisions.thresholds["f1"].numpy().any()

from concurrent import futures

import numpy as np
import pytest

from bird_tf import config, tf
from bird_tf.backbones import tflite
from tests.backbones.conftest import SIZE, WINDOW, Loudness, embedding, make_source, window, write_tflite


def test_whole_numbers_are_no_scores(labels, tmp_path):
    """As the outputs of a model that was quantised with its ends; they are no logits before their scale is applied."""
    module, path = Loudness(), tmp_path / "int8.tflite"
    function = module.function(batch=1, outputs=("scores",))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([window(click)[None]] for click in (0.1, 0.9))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_output_type = tf.int8
    path.write_bytes(converter.convert())
    with pytest.raises(config.InputError, match=r"one float32 output \[batch, 3\].*; its outputs are none of float32"):
        tflite.load(make_source(path, labels), 3)


def test_an_embedding_that_is_an_output_is_read_there(labels, tmp_path):
    path = write_tflite(tmp_path / "both.tflite")
    loaded = tflite.load(make_source(path, labels), 3)
    np.testing.assert_allclose(loaded.predict(window(0.0, 0.5)[None])[1], embedding(0.0, 0.5), atol=1e-6)


def test_the_embedding_is_found_where_an_activation_follows_the_last_layer(labels, tmp_path):
    module, path = Loudness(), tmp_path / "probabilities.tflite"
    function = tf.function(module.probabilities, input_signature=[tf.TensorSpec([1, WINDOW], tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], module)
    path.write_bytes(converter.convert())
    scores, found = tflite.load(make_source(path, labels, gives_logits=False), 3).predict(window(0.0, 0.5)[None])
    np.testing.assert_allclose(found, embedding(0.0, 0.5), atol=1e-6)
    np.testing.assert_allclose(scores, 1 / (1 + np.exp([4, 5, 0])), atol=1e-5)


def test_a_tensor_inside_of_the_graph_can_be_named(tflite_path, labels):
    interpreter = tf.lite.Interpreter(model_path=str(tflite_path))
    interpreter.allocate_tensors()
    [name] = {d["name"] for d in interpreter.get_tensor_details() if list(d["shape"]) == [1, SIZE]}
    loaded = tflite.load(make_source(tflite_path, labels, embedding=name), 3)
    np.testing.assert_allclose(loaded.predict(window(0.0, 0.5)[None])[1], embedding(0.0, 0.5), atol=1e-6)


def test_several_threads_get_the_answers_of_their_own_windows(tflite_path, labels):
    loaded = tflite.load(make_source(tflite_path, labels), 3)
    clicks = np.linspace(0, 1, 64)
    with futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda click: loaded.predict(window(click)[None])[1][0], clicks))
    np.testing.assert_allclose(found, clicks, atol=1e-6)

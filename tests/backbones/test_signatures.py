import numpy as np
import pytest

from bird_tf.backbones import signatures
from tests.backbones.conftest import make_source


@pytest.mark.parametrize(
    ("inputs", "shape"),
    [
        ([((None, 4000), np.float32)], (1, 4000)),
        ([((-1, 4000), np.float32)], (1, 4000)),
        ([((1, 4000), np.float32)], (1, 4000)),
        ([((4000,), np.float32)], (4000,)),
        ([((8, 4000), np.float32)], ()),  # a fixed batch of several windows
        ([((None, None), np.float32)], ()),  # no fixed length
        ([((None, 4000), np.int16)], ()),
        ([((None, 4000, 1), np.float32)], ()),
        ([((None, 4000), np.float32), ((None, 4000), np.float32)], ()),
        ([], ()),
    ],
)
def test_the_only_input_must_be_a_waveform_of_fixed_length(inputs, shape):
    assert signatures.window_shape(inputs) == shape


@pytest.mark.parametrize(
    ("shapes", "name"),
    [
        ({"scores": (None, 3), "features": (None, 7)}, "scores"),
        ({"scores": (3,)}, "scores"),
        ({"logits": (1, 3), "probabilities": (1, 3)}, "probabilities"),
        ({"logits": (1, 3), "scores": (1, 3)}, ""),
        ({"map": (1, 9, 3)}, ""),
        ({"frames": (9, 3)}, ""),
        ({}, ""),
        ({"features": (1, 7)}, ""),
    ],
)
def test_the_scores_have_a_number_for_each_label(shapes, name):
    assert signatures.score_name(shapes, 3, gives_logits=False) == name


def test_of_both_kinds_of_scores_the_right_one_is_chosen():
    shapes = {"logits": (1, 3), "probabilities": (1, 3)}
    assert signatures.score_name(shapes, 3, gives_logits=True) == "logits"
    assert signatures.score_name(shapes, 3, gives_logits=False, uncalibrated=True) == "probabilities"
    shapes["scores"] = (1, 3)
    assert signatures.score_name(shapes, 3, gives_logits=False, uncalibrated=True) == "scores"


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((None, 7), 7),
        ((7,), 7),
        ((-1, 1, 1, 7), 7),
        ((1, 7), 7),
        ((None, 4, 7), 0),
        ((4, 7), 0),
        ((None, None), 0),
        ((), 0),
    ],
)
def test_an_embedding_is_one_vector_for_a_window(shape, size):
    assert signatures.vector_size(shape) == size


@pytest.mark.parametrize(
    ("shapes", "name"),
    [
        ({"scores": (1, 3), "features": (1, 7)}, "features"),
        ({"scores": (1, 3), "map": (1, 4, 7)}, ""),
        ({"scores": (1, 3), "logits": (1, 3)}, ""),
        ({"scores": (1, 3), "a": (1, 7), "b": (1, 8)}, ""),
        ({"scores": (1, 3), "a": (1, 7), "embedding": (1, 8), "spatial_embedding": (1, 4, 8)}, "embedding"),  # Perch's
        ({"scores": (1, 3), "logits": (1, 3), "embeddings": (1, 8)}, "embeddings"),  # ours
    ],
)
def test_the_embedding_is_found_by_name_or_because_it_is_the_only_other_vector(shapes, name):
    assert signatures.embedding_name(shapes, 3) == name


INPUTS = [((None, 100), np.float32)]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [([((None, None), np.float32)], "are [None, None] of float32."), ([((1, 9), np.int16)], "are [1, 9] of int16."),
     ([], "are none.")],
)  # fmt: skip
def test_errors_name_the_inputs_where_these_do_not_fit(inputs, words):
    message = str(signatures.unfit_model(make_source("x.onnx", "labels.txt"), 3, inputs, {"a": (None, 3)}))
    assert "need one input [batch, samples] of float32 and of fixed length; its inputs " + words in message


def test_errors_name_the_outputs_that_there_are():
    source = make_source("x.tflite", "labels.txt", embedding="e")
    message = str(signatures.unfit_model(source, 7, INPUTS, {"a": (None, 3)}))
    assert message.startswith("--backbone=x.tflite: need") and "[batch, 7]" in message and "a [None, 3]" in message
    assert "--backbone_embedding=e: x.tflite has no" in str(signatures.unknown_embedding(source, {}))


def test_errors_tell_of_a_header_and_of_probabilities_that_are_taken_for_logits():
    source = make_source("x.tflite", "labels.txt")
    assert "one line more than an output" in str(signatures.unfit_model(source, 4, INPUTS, {"a": (None, 3)}))
    assert signatures.score_name({"probabilities": (None, 3)}, 3, gives_logits=True) == ""
    message = str(signatures.unfit_model(source, 3, INPUTS, {"probabilities": (None, 3)}))
    assert message.endswith("its output is probabilities: leave out --backbone_logits")


def test_logits_are_those_of_the_probabilities():
    np.testing.assert_allclose(signatures.logits(np.float32([0.5, 0.25, 0.0, 1.0])), [0, -1.0986, -16.118, 16.118],
                               rtol=1e-4)  # fmt: skip
    assert np.isnan(signatures.logits(np.float32([np.nan])))

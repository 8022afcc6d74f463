import numpy as np
import pytest

from bird_tf.backbones import signatures


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
        ({"features": (1, 7)}, ""),
    ],
)
def test_the_output_has_a_number_for_each_label(shapes, name):
    assert signatures.output_name(shapes, 3) == name


def test_the_error_gives_path_and_number_of_labels():
    message = str(signatures.unfit_model("x.tflite", 7))
    assert message.startswith("--backbone=x.tflite: need") and "[batch, 7]" in message

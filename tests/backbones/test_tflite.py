import numpy as np
import pytest

from bird_tf import config
from bird_tf.backbones import tflite
from tests.backbones.conftest import WINDOW


def test_a_window_gives_the_scores_of_the_labels(tflite_path):
    predict, shape = tflite.load(str(tflite_path), 3)
    window = np.zeros(shape, np.float32)
    window[0, 10] = 0.5
    assert shape == (1, WINDOW)
    np.testing.assert_allclose(predict(window), [[0, -12, -4]], atol=1e-5)


def test_models_that_do_not_fit_are_refused(tflite_path, tmp_path):
    with pytest.raises(config.InputError, match=r"--backbone=.*output \[batch, 2\]"):
        tflite.load(str(tflite_path), 2)
    (tmp_path / "text.tflite").write_text("no model")
    with pytest.raises(config.InputError, match="not a TFLite model that can be loaded"):
        tflite.load(str(tmp_path / "text.tflite"), 3)

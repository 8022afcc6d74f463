import numpy as np
import pytest

from bird_tf import config, tf
from bird_tf.backbones import saved_model
from tests.backbones.conftest import WINDOW, Loudness


def test_a_window_gives_the_scores_of_the_labels(saved_model_path):
    predict, shape = saved_model.load(str(saved_model_path), 3)
    window = np.zeros(shape, np.float32)
    window[0, -10] = 0.5
    assert shape == (1, WINDOW)
    np.testing.assert_allclose(predict(window), [[-4, -12, 0]], atol=1e-5)


def test_without_a_default_signature_the_first_that_fits_is_used(tmp_path):
    module = Loudness()

    @tf.function(input_signature=[tf.TensorSpec([None, 5], tf.float32)])
    def other(inputs):
        return {"features": inputs[:, :4]}

    tf.saved_model.save(module, str(tmp_path), signatures={"a": other, "b": module.function()})
    assert saved_model.load(str(tmp_path), 3)[1] == (1, WINDOW)


def test_models_that_do_not_fit_are_refused(saved_model_path, tmp_path):
    with pytest.raises(config.InputError, match=r"--backbone=.*output \[batch, 2\]"):
        saved_model.load(str(saved_model_path), 2)
    with pytest.raises(config.InputError, match="not a SavedModel that can be loaded"):
        saved_model.load(str(tmp_path), 3)

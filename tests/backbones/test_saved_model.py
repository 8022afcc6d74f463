import numpy as np
import pytest

from bird_tf import config, tf
from bird_tf.backbones import saved_model
from tests.backbones.conftest import SIZE, WINDOW, Loudness, embedding, make_source, window


def test_a_window_gives_scores_and_embedding(saved_model_path, labels):
    loaded = saved_model.load(make_source(saved_model_path, labels), 3)
    assert loaded.shape == (1, WINDOW) and loaded.embedding_size == SIZE
    for clicks in ((0.0, 0.5), (0.25, 0.0)):  # an output must not be changed by the next call
        scores, found = loaded.predict(window(*clicks)[None])
        np.testing.assert_allclose(scores, [8 * clicks[0] - 4, -5, 8 * clicks[1] - 4], atol=1e-5)
        np.testing.assert_allclose(found, embedding(*clicks), atol=1e-6)
    before = found.copy()
    loaded.predict(window(1.0, 1.0)[None])
    np.testing.assert_array_equal(found, before)


def test_models_that_do_not_fit_are_refused(saved_model_path, labels, tmp_path):
    with pytest.raises(config.InputError, match=r"--backbone=.*output \[batch, 2\].*its outputs are .*3\]"):
        saved_model.load(make_source(saved_model_path, labels), 2)
    with pytest.raises(config.InputError, match=r"--backbone_embedding=none: .* has no output of this name"):
        saved_model.load(make_source(saved_model_path, labels, embedding="none"), 3)
    (tmp_path / "text.saved_model").write_text("no model")
    with pytest.raises(config.InputError, match=r"not an? SavedModel that can be loaded"):
        saved_model.load(make_source(tmp_path / "text.saved_model", labels), 3)


def test_without_a_default_signature_the_first_that_fits_is_used(labels, tmp_path):
    module = Loudness()

    @tf.function(input_signature=[tf.TensorSpec([None, 5], tf.float32)])
    def other(inputs):
        return {"features": inputs[:, :4]}

    tf.saved_model.save(module, str(tmp_path), signatures={"a": other, "b": module.function()})
    assert saved_model.load(make_source(tmp_path, labels), 3).shape == (1, WINDOW)


def test_a_signature_with_an_embedding_comes_before_the_default_one(labels, tmp_path):
    module = Loudness()
    signatures = {"serving_default": module.function(outputs=("scores",)), "with_features": module.function()}
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)
    assert saved_model.load(make_source(tmp_path, labels), 3).embedding_size == SIZE

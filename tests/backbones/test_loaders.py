"""What the modules that load a kind of model have in common."""

import numpy as np
import pytest

from bird_tf import config
from bird_tf.backbones import onnx, saved_model, tflite
from tests.backbones.conftest import SIZE, WINDOW, embedding, make_source, window


@pytest.fixture(params=[(onnx, "onnx", "ONNX model"), (saved_model, "saved_model", "SavedModel"),
                        (tflite, "tflite", "TFLite model")], ids=lambda param: param[1])  # fmt: skip
def loader(request):
    """The module, a model for it, and what messages call such a model."""
    module, name, kind = request.param
    return module, request.getfixturevalue(f"{name}_path"), kind


def test_a_window_gives_scores_and_embedding(loader, labels):
    module, path, _ = loader
    loaded = module.load(make_source(path, labels), 3)
    assert loaded.shape == (1, WINDOW) and loaded.embedding_size == SIZE
    for clicks in ((0.0, 0.5), (0.25, 0.0)):  # an output must not be changed by the next call
        scores, found = loaded.predict(window(*clicks)[None])
        np.testing.assert_allclose(scores, [8 * clicks[0] - 4, -5, 8 * clicks[1] - 4], atol=1e-5)
        np.testing.assert_allclose(found, embedding(*clicks), atol=1e-6)
    before = found.copy()
    loaded.predict(window(1.0, 1.0)[None])
    np.testing.assert_array_equal(found, before)


def test_models_that_do_not_fit_are_refused(loader, labels, tmp_path):
    module, path, kind = loader
    with pytest.raises(config.InputError, match=r"--backbone=.*output \[batch, 2\].*its outputs are .*3\]"):
        module.load(make_source(path, labels), 2)
    with pytest.raises(config.InputError, match=r"--backbone_embedding=none: .* has no output of this name"):
        module.load(make_source(path, labels, embedding="none"), 3)
    (tmp_path / "text").write_text("no model")
    with pytest.raises(config.InputError, match=f"not an? {kind} that can be loaded"):
        module.load(make_source(tmp_path / "text", labels), 3)

import sys

import numpy as np
import pytest

from bird_tf import config
from bird_tf.backbones import onnx
from tests.backbones.conftest import SIZE, WINDOW, embedding, make_source, window


def test_a_window_gives_scores_and_embedding(onnx_path, labels):
    loaded = onnx.load(make_source(onnx_path, labels), 3)
    assert loaded.shape == (1, WINDOW) and loaded.embedding_size == SIZE
    for clicks in ((0.0, 0.5), (0.25, 0.0)):  # an output must not be changed by the next call
        scores, found = loaded.predict(window(*clicks)[None])
        np.testing.assert_allclose(scores, [8 * clicks[0] - 4, -5, 8 * clicks[1] - 4], atol=1e-5)
        np.testing.assert_allclose(found, embedding(*clicks), atol=1e-6)
    before = found.copy()
    loaded.predict(window(1.0, 1.0)[None])
    np.testing.assert_array_equal(found, before)


def test_models_that_do_not_fit_are_refused(onnx_path, labels, tmp_path):
    with pytest.raises(config.InputError, match=r"--backbone=.*output \[batch, 2\].*its outputs are .*3\]"):
        onnx.load(make_source(onnx_path, labels), 2)
    with pytest.raises(config.InputError, match=r"--backbone_embedding=none: .* has no output of this name"):
        onnx.load(make_source(onnx_path, labels, embedding="none"), 3)
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(config.InputError, match=r"not an? ONNX model that can be loaded"):
        onnx.load(make_source(tmp_path / "text.onnx", labels), 3)


def test_a_missing_package_is_named(onnx_path, labels, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(config.InputError, match=r'needs onnxruntime: pip install "bird-tf\[onnx\]"'):
        onnx.load(make_source(onnx_path, labels), 3)

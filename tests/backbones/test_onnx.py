import sys

import pytest

from bird_tf import config
from bird_tf.backbones import onnx
from tests.backbones.conftest import make_source


def test_a_model_whose_weights_lie_beside_it_is_refused(onnx_path, labels, tmp_path, monkeypatch):
    onnx_package = pytest.importorskip("onnx")
    path = tmp_path / "toy.onnx"
    onnx_package.save_model(
        onnx_package.load(str(onnx_path)), str(path), save_as_external_data=True, location="toy.onnx.data",
        size_threshold=0,
    )  # fmt: skip
    assert (tmp_path / "toy.onnx.data").exists()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(config.InputError, match=r"if its weights lie in a file beside it, .*save it as one file"):
        onnx.load(make_source(path, labels), 3)


def test_a_missing_package_is_named(onnx_path, labels, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(config.InputError, match=r'needs onnxruntime: pip install "bird-tf\[onnx\]"'):
        onnx.load(make_source(onnx_path, labels), 3)

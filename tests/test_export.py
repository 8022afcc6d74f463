import shutil
import subprocess
import sys

import numpy as np
import pytest

import bird_tf
from bird_tf import config, export, tf
from bird_tf.scores import decisions
from tests.conftest import settings


@pytest.fixture
def samples(generator, manifest):
    return generator.normal(0, 0.1, (3, manifest.front_end.chunk_samples)).astype(np.float32)


def test_exporting_again_gives_equal_outputs_and_keeps_decisions(run_dir, model_path, manifest, samples, tmp_path):
    copy = shutil.copytree(run_dir, tmp_path / "run")
    kept = copy / "export" / decisions.ASSET
    decisions.save(str(kept), decisions.neutral(manifest.classes, 1, "max"), manifest.classes)
    tuned = kept.read_text()
    assert bird_tf.export(run_dir=copy) == {"model": str(copy / "export")}
    first, again = (
        tf.saved_model.load(path).signatures["serving_default"](samples=tf.constant(samples))
        for path in (model_path, str(copy / "export"))
    )
    for name in first:
        np.testing.assert_allclose(first[name], again[name], atol=1e-6)
    assert kept.read_text() == tuned  # what --tune decided stays with the model
    assert not (copy / "tflite").exists() and not (copy / "onnx").exists()


def test_a_directory_that_is_no_run_is_refused_in_one_line(tmp_path):
    with pytest.raises(config.InputError, match="not a finished run"):
        export.main(settings(export.ExportConfig, run_dir=tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "bird_tf.export", f"--run_dir={tmp_path}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1

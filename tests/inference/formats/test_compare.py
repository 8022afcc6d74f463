import pathlib

import numpy as np
import pytest

from bird_tf import tf
from bird_tf.inference.formats import compare

TOLERANCES = {"float32": 1e-6, "rough": 0.1}


def _convert(model_path, output, error):
    """A format of text files. Its predictions are those of the SavedModel; those of "rough" differ by `error`."""

    def write(signature, kind, path):
        pathlib.Path(path).write_text(f"{signature.model} {signature.name} {kind}")

    def run(path, inputs):
        model, name, kind = pathlib.Path(path).read_text().split()
        found = tf.saved_model.load(model).signatures[name](**{n: tf.constant(v) for n, v in inputs.items()})
        return {n: v.numpy() + (error if kind == "rough" else 0) for n, v in found.items() if v.dtype == tf.float32}

    form = compare.Format(
        title="text", front_end="frontend.txt", network="{}.txt".format, tolerances=TOLERANCES, write=write, run=run
    )
    compare.convert(model_path, str(output), form)


def test_the_folder_holds_the_network_front_end_and_classes(model_path, tmp_path):
    _convert(model_path, tmp_path / "made", error=0.09)
    assert {p.name for p in (tmp_path / "made").iterdir()} == {
        "frontend.txt", "float32.txt", "rough.txt", "frontend.json", "classes.csv", "model.json",
    }  # fmt: skip


@pytest.mark.parametrize("error", [0.11, np.nan])
def test_a_folder_with_other_predictions_is_not_kept(model_path, tmp_path, error):
    with pytest.raises(RuntimeError, match="made: rough differs"):
        _convert(model_path, tmp_path / "made", error)
    assert list(tmp_path.iterdir()) == []


def test_the_noise_goes_from_white_to_brown_and_is_the_same_each_time():
    noise = compare._coloured_noise(8000)
    np.testing.assert_array_equal(noise, compare._coloured_noise(8000))
    assert noise.shape == (8, 8000) and noise.dtype == np.float32
    np.testing.assert_allclose(np.abs(noise).max(axis=1), 0.5)
    power = np.abs(np.fft.rfft(noise)) ** 2
    low_shares = power[:, 1:1000].sum(axis=1) / power[:, 1:].sum(axis=1)
    assert (np.diff(low_shares) > 0).all() and low_shares[0] < 0.3 and low_shares[-1] > 0.99

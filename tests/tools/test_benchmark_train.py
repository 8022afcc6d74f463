import importlib.util
import pathlib

import numpy as np
import pytest

from bird_tf.audio import frontend
from bird_tf.models import architectures
from bird_tf.records import manifests, shard_files

_PATH = pathlib.Path(__file__).parent.parent.parent / "tools" / "benchmarks" / "train.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_of_training", _PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_operations_are_those_of_the_layers(benchmark):
    settings = architectures.ModelConfig(architecture="pi", filters=(4,), dense_units=8, batch_norm=False)
    flops = architectures.forward_flops(architectures.build(settings, {"spectrogram": (16, 16)}, 3))
    multiply_adds = 8 * 8 * 9 * 4 + 8 * 8 * 4 * 8 + 8 * 8 + 8 * 3
    # biases and rescaling come on top, nonlinearities may
    assert 2 * multiply_adds <= flops <= 2 * multiply_adds * 1.2


def test_its_records_hold_the_arrays(benchmark, generator, tmp_path):
    settings = benchmark.Settings(model=architectures.ModelConfig(), num_bands=16, num_frames=16)
    spectrograms = generator.integers(0, 256, (5, 16, 16), np.uint8)
    benchmark.make_records(str(tmp_path), settings, spectrograms, np.arange(5))
    read = next(iter(shard_files.read(manifests.load(str(tmp_path)), "train", 5)))
    np.testing.assert_array_equal(read["spectrogram"], spectrograms)
    np.testing.assert_array_equal(read["label"], np.arange(5))
    assert frontend.FrontendConfig(num_bands=16, num_frames=16) == manifests.load(str(tmp_path)).front_end

import subprocess
import sys

import pytest

import bird_tf

PROGRAM = """
import os
from bird_tf import command_line, stderr_filter
with stderr_filter.filtered():
    os.write(2, {said!r})
os.write(2, b"after")
"""


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (b"WARNING: All log messages before absl::InitializeLog() ...\nI0000 00:00 port.cc:153] oneDNN\n", b"after"),
        (b"E0000 cuda\nsomething of worth\n", b"something of worth\nafter"),
    ],
)
def test_what_libraries_say_of_themselves_is_sifted(said, kept):
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(said=said)], capture_output=True, check=False)
    assert done.returncode == 0 and done.stderr == kept, done.stderr


def test_the_compiled_input_graph_starts_in_silence_in_a_command(manifest):
    program = f"""
from bird_tf import stderr_filter
from bird_tf.input import dataset
from bird_tf.input.augment import augmentations
from bird_tf.records import manifests
settings = augmentations.AugmentConfig(roll_time=0.5), dataset.DatasetConfig(batch_size=8)
with stderr_filter.filtered():  # as `command_line.run` does
    batches = dataset.training(manifests.load({manifest.directory!r}), settings[1], settings[0], seed=0)
    print(next(iter(batches))["spectrogram"].shape)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(8, 32, 32)\n", "")


def test_the_package_is_imported_at_once_and_its_interface_when_it_is_used():
    program = """
import sys, time
started = time.perf_counter()
import bird_tf
assert time.perf_counter() - started < 0.3
assert not {"tensorflow", "numpy", "bird_tf.config"} & set(sys.modules)
assert issubclass(bird_tf.Error, Exception) and "tensorflow" not in sys.modules
assert all(callable(getattr(bird_tf, name)) for name in bird_tf.__all__)
from bird_tf import train  # the module, which can be called too
assert train is bird_tf.train and train.TrainConfig
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_tensorflow_comes_without_keras_which_comes_when_it_is_used():
    program = """
import sys
from bird_tf import keras, tf
assert tf.constant(1).numpy() == 1 and tf.saved_model.load
assert not {"keras", "matplotlib", "sklearn"} & set(sys.modules)
assert tf.keras.layers.Dense is keras.layers.Dense
import tensorflow.keras.optimizers
assert tensorflow.keras.optimizers.Adam is keras.optimizers.Adam
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_what_it_does_not_have_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'predictions'"):
        bird_tf.predictions  # noqa: B018

import subprocess
import sys

import pytest

PROGRAM = """
import os
from bird_tf import stderr_filter
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


def test_the_compiled_input_graph_starts_in_silence(manifest):
    program = f"""
from bird_tf.input import dataset
from bird_tf.input.augment import augmentations
from bird_tf.records import manifests
settings = augmentations.AugmentConfig(roll_time=0.5), dataset.DatasetConfig(batch_size=8)
batches = dataset.training(manifests.load({manifest.directory!r}), settings[1], settings[0], seed=0)
print(next(iter(batches))["spectrogram"].shape)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(8, 32, 32)\n", "")

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys, types, bird_tf
bird_tf._load.__globals__["importlib"] = types.SimpleNamespace(import_module=lambda name: os.write(2, {said!r}))
bird_tf._load("anything")
os.write(2, b"after")
"""


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (b"WARNING: All log messages before absl::InitializeLog() ...\nI0000 00:00 port.cc:153] oneDNN\n", b"after"),
        (b"E0000 cuda\nsomething of worth\n", b"something of worth\nafter"),
    ],
)
def test_what_libraries_say_while_they_load_is_sifted(said, kept):
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(said=said)], capture_output=True, check=False)
    assert done.returncode == 0 and done.stderr == kept, done.stderr

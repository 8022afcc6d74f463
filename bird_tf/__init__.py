"""bird_tf learns to name birds from sound.

TensorFlow and Keras are loaded at their first use, so that `--help` and a mistyped flag answer at once:
modules write `from bird_tf import keras, tf`. What this asks in return: nothing at a module's top level
may touch them (no subclass of a Keras layer, no decorator of theirs).
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
import tempfile
import threading
import types
import typing

__version__ = "0.1.0"

# Level 3 is needed: TensorFlow 2.16 reports CUDA factories registered twice as errors, on machines without a GPU too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
_LOADING = threading.Lock()
_CHATTER = re.compile(rb"WARNING: All log messages before absl::|[IWE]0000 ")


@contextlib.contextmanager
def without_chatter() -> typing.Iterator[None]:
    """Keeps the remarks that TensorFlow's libraries make on themselves from the user; all else is passed on at the end.

    They come from C++ before there is a log level, so only the file descriptor can be asked.
    """
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            os.write(2, b"".join(line for line in said if not _CHATTER.match(line)))


class _OnFirstUse(types.ModuleType):
    """A stand-in for a module, imported when the first attribute is asked for."""

    def __getattr__(self, name: str) -> typing.Any:
        if self.__name__ not in sys.modules:
            with _LOADING, without_chatter():
                importlib.import_module(self.__name__)
        return getattr(importlib.import_module(self.__name__), name)


if typing.TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    keras = _OnFirstUse("keras")
    tf = _OnFirstUse("tensorflow")

__all__ = ["keras", "tf"]

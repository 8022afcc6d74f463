"""bird_tf learns to name birds from sound.

TensorFlow and Keras are loaded at their first use, so that `--help` and a mistyped flag answer at once:
modules write `from bird_tf import keras, tf`. What this asks in return: nothing at a module's top level
may touch them (no subclass of a Keras layer, no decorator of theirs).
"""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys
import threading
import types
import typing

__version__ = "0.1.0"

# Level 3 is needed: TensorFlow 2.16 reports CUDA factories registered twice as errors, on machines without a GPU too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
_LOADING = threading.Lock()
_SIFTER = os.path.join(os.path.dirname(__file__), "chatter.py")
_SIFTING = threading.Lock()


@contextlib.contextmanager
def without_chatter() -> typing.Iterator[None]:
    """Keeps from the user what libraries in C remark on themselves and on damaged files; all else is passed on at once.

    Such remarks know no log level, so only file descriptor 2 can be asked. A process of its own sifts what comes there,
    since it outlives a crash; Python's own `sys.stderr` goes around it, and child processes with bars of their own are
    to be given that. Inside another such context nothing happens.
    """
    if not _SIFTING.acquire(blocking=False):
        yield
        return
    end, (reading, writing) = os.urandom(16), os.pipe()
    # a session of its own: Ctrl-C is not for it
    command = [sys.executable, "-I", "-S", _SIFTER, end.hex()]
    sifter = subprocess.Popen(command, stdin=reading, start_new_session=True)
    kept, python = os.dup(2), sys.stderr
    if python is sys.__stderr__ and python:
        python.flush()
        sys.stderr = os.fdopen(os.dup(2), "w", 1, python.encoding, python.errors)
    os.dup2(writing, 2)
    os.close(reading)
    os.close(writing)
    try:
        yield
    finally:
        os.write(2, end)  # not only closed: processes started meanwhile may hold it open
        os.dup2(kept, 2)
        os.close(kept)
        sifter.wait()
        sys.stderr = python
        _SIFTING.release()


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

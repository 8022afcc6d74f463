"""bird_tf learns to name birds from sound.

TensorFlow and Keras are loaded at their first use, so that `--help` and a mistyped flag answer at once:
modules write `from bird_tf import keras, tf`. What this asks in return: nothing at a module's top level
may touch them (no subclass of a Keras layer, no decorator of theirs).
"""

from __future__ import annotations

import importlib
import os
import types
import typing

__version__ = "0.1.0"

# Level 3 is needed: TensorFlow 2.16 reports CUDA factories registered twice as errors, on machines without a GPU too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


class _OnFirstUse(types.ModuleType):
    """A stand-in for a module, imported when the first attribute is asked for."""

    def __getattr__(self, name: str) -> typing.Any:
        return getattr(importlib.import_module(self.__name__), name)


if typing.TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    keras = _OnFirstUse("keras")
    tf = _OnFirstUse("tensorflow")

__all__ = ["keras", "tf"]

"""bird_tf learns to name birds from sound.

TensorFlow and Keras are loaded when they are first used, so that `--help` and a mistyped flag answer at once. Modules
write `from bird_tf import keras, tf`. In return, no code at the top level of a module may use them: no subclass of a
Keras layer, none of their decorators.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import types
import typing

__version__ = "0.1.0"

# Level 3 is needed: TensorFlow 2.16 reports CUDA factories registered twice as errors, on machines without a GPU too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
_LOADING = threading.Lock()


class _LazyModule(types.ModuleType):
    """A stand-in for a module, which is imported when its first attribute is used.

    lazy_loader does not work for this pair: it puts its stand-in for Keras into `sys.modules`, where TensorFlow finds
    it while it is being loaded itself; the import of Keras then fails half-way, without an error (lazy_loader 0.6,
    TensorFlow 2.16.2, Keras 3.12).
    """

    def __getattr__(self, name: str) -> typing.Any:
        if self.__name__ not in sys.modules:
            from bird_tf import stderr_filter

            with _LOADING, stderr_filter.filtered():
                importlib.import_module(self.__name__)
        return getattr(importlib.import_module(self.__name__), name)


if typing.TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    keras = _LazyModule("keras")
    tf = _LazyModule("tensorflow")

__all__ = ["keras", "tf"]

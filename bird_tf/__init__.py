"""bird_tf learns to name birds from sound. `__all__` is its stable interface.

TensorFlow, Keras and all modules are loaded when they are first used, so that `--help` and `import bird_tf` answer at
once. Modules write `from bird_tf import keras, tf`. In return, no code at the top level of a module may use them: no
subclass of a Keras layer, none of their decorators.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
import types
import typing

__version__ = "0.3.0.dev0"

# Level 3 is needed: TensorFlow 2.16 reports CUDA factories registered twice as errors, on machines without a GPU too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow uses oneDNN by itself only on processors with AVX-512 VNNI or AMX; on others, trainings are a fifth faster
# with it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# A process would reserve the whole memory of a GPU, and a second command could not use it.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
_LOADING = threading.Lock()
# TensorFlow ends its import with this one, if it can be had: with it come all of Keras, matplotlib and scikit-learn.
_NOT_NEEDED = {"tensorflow": "keras.src.optimizers"}


@contextlib.contextmanager
def _alone(name: str) -> typing.Iterator[None]:
    """Inside the block, a module is imported without the one that it does not need; `tf.keras` comes with its use."""
    other = _NOT_NEEDED.get(name, name)
    if other == name or other in sys.modules:
        yield
        return
    sys.modules[other] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[other]


class _LazyModule(types.ModuleType):
    """A stand-in for a module, which is imported when its first attribute is used.

    lazy_loader does not work for this pair: it puts its stand-in for Keras into `sys.modules`, where TensorFlow finds
    it while it is being loaded itself; the import of Keras then fails half-way, without an error (lazy_loader 0.6,
    TensorFlow 2.16.2, Keras 3.12).
    """

    def __getattr__(self, name: str) -> typing.Any:
        if self.__name__ not in sys.modules:
            with _LOADING, _alone(self.__name__):
                importlib.import_module(self.__name__)
        return getattr(importlib.import_module(self.__name__), name)


# {name of the interface: its module, whose attribute it is; of a command, the module is the name itself}
_INTERFACE = {
    "Error": "config",
    "Model": "api.model",
    "Records": "api.opened_records",
    "load": "api.model",
    "open_records": "api.opened_records",
    **{
        command: command
        for command in (
            "convert",
            "train",
            "selftrain",
            "export",
            "evaluate",
            "predict",
            "submission",
            "review",
            "search",
        )
    },
}

if typing.TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from bird_tf.api.model import Model, load
    from bird_tf.api.opened_records import Records, open_records
    from bird_tf.config import Error

    def convert(**flags: typing.Any) -> dict[str, typing.Any]: ...
    def train(**flags: typing.Any) -> dict[str, typing.Any]: ...
    def selftrain(**flags: typing.Any) -> dict[str, typing.Any]: ...
    def evaluate(**flags: typing.Any) -> dict[str, typing.Any]: ...
    def predict(**flags: typing.Any) -> dict[str, typing.Any]: ...
    def export(**flags: typing.Any) -> dict[str, typing.Any]: ...
    def submission(**flags: typing.Any) -> dict[str, typing.Any]: ...
    def review(**flags: typing.Any) -> dict[str, typing.Any]: ...
    def search(**flags: typing.Any) -> dict[str, typing.Any]: ...

else:
    keras = _LazyModule("keras")
    tf = _LazyModule("tensorflow")


def __getattr__(name: str) -> typing.Any:
    """Loads what is used of the interface."""
    if name not in _INTERFACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_INTERFACE[name]}")
    return module if _INTERFACE[name] == name else getattr(module, name)


__all__ = [
    "Error", "Model", "Records", "convert", "evaluate", "export", "load", "open_records", "predict", "review", "search",
    "selftrain", "submission", "train",
]  # fmt: skip

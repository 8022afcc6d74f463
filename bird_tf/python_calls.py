"""Commands called from Python: `bird_tf.train(records="tfrecords/mine")` is `bird-tf-train --records=tfrecords/mine`.

The module of a command can itself be called, since `bird_tf.train` is its name. What its flags mean belongs to it.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from bird_tf import config, endings

Config = TypeVar("Config")


def configure(config_class: type[Config], flags: Mapping[str, Any]) -> Config:
    """Makes a configuration from {flag: value}; `flagfile` is allowed too.

    A value is a number, a text, a bool, a path, or several of them. None is the default.

    Raises:
        InputError: as `config.parse`.
    """
    return config.parse(config_class, _arguments(config_class, flags))


def _arguments(config_class: type, flags: Mapping[str, Any]) -> list[str]:
    """The command line that says the same."""
    repeated = {*config.repeated(config_class), "flagfile"}
    arguments = []
    for name, value in flags.items():
        if isinstance(value, Iterable) and not isinstance(value, str | os.PathLike):
            items = [_text(item) for item in value]
            arguments += [f"--{name}={item}" for item in (items if name in repeated else [",".join(items)])]
        elif value is not None:
            arguments.append(f"--{name}={_text(value)}")
    return arguments


def _text(value: Any) -> str:
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


@contextlib.contextmanager
def one_family() -> Iterator[None]:
    """Inside the block, errors of the system (no such file, no right to read it, full disk) become `config.Error`."""
    try:
        yield
    except Exception as error:
        if line := None if isinstance(error, config.Error) else endings.line_of(error):
            raise config.Error(line) from error
        raise


class _Command(types.ModuleType):
    """A module that can be called."""

    def __call__(self, **flags: Any) -> dict[str, Any]:
        with one_family():
            result: dict[str, Any] = self.__dict__["_function"](configure(self.__dict__["_flags"], flags))
        return result

    @property
    def __signature__(self) -> inspect.Signature:
        """The flags as keywords, for `help` and notebooks."""
        flags = self.__dict__["_flags"]
        defaults = config.defaults(flags)
        keywords = [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if field.metadata["required"] else defaults[field.name],
                annotation=kind,
            )
            for field, kind in config.leaves(flags)
        ]
        return inspect.Signature(keywords, return_annotation=dict[str, Any])


def make_callable(module: str, function: Callable[[Config], dict[str, Any]], config_class: type[Config]) -> None:
    """Lets a call of the module, with flags as keywords, call the function.

    Args:
        module: its name.
        function: configuration → content of summary.json.
        config_class: the flags.
    """
    command = sys.modules[module]
    vars(command).update(_function=function, _flags=config_class)
    command.__class__ = _Command

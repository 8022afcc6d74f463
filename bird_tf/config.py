"""Frozen dataclass ⇄ absl flags ⇄ flagfile and JSON.

Entry points call `config.run(main, SomeConfig)`. Nothing else in the package reads flags. The meaning of a field
belongs to the dataclass that declares it.
"""

from __future__ import annotations

import dataclasses
import functools
import logging as python_logging
import os
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import tqdm
from absl import app, flags, logging

import bird_tf
from bird_tf import endings, stderr_filter

Config = TypeVar("Config")

_BUILT_IN_HELP = (
    ("help", "print this page"),
    ("version", "print the version of bird_tf"),
    (
        "flagfile",
        "read flags from this file, or from the package's own file of that name; may be repeated; flags on the command "
        "line replace those of the file, repeated ones too",
    ),
)


class Error(Exception):
    """All that a call of bird_tf raises, except for defects of ours. The message says in one line what, and where."""

    exit_code = endings.ERROR


class InputError(Error, ValueError):
    """The user's input cannot be used. The message says in one line what, where, and what to do."""


def refuse_without_effect(given: Mapping[str, object]) -> None:
    """Refuses flags that have no effect beside the other flags: the user expects one.

    Args:
        given: {the flag and why it has no effect, as "--tune with --segments": whether that is the case}.

    Raises:
        InputError: a flag has no effect; the message names the first.
    """
    if refused := [flags for flags, is_given in given.items() if is_given]:
        raise InputError(f"{refused[0]} has no effect; leave it out")


def option(
    default: Any, help: str, *, choices: Sequence[str] = (), required: bool = False, was: Sequence[str] = ()
) -> Any:
    """Declares a dataclass field that is a flag as well.

    Args:
        default: its value when the flag is absent.
        help: one line, with the unit where there is one.
        choices: the values allowed, if they are few.
        required: whether the command refuses to start without it.
        was: its earlier names. As flags they are refused, and the message says the new name; in files that an earlier
            version wrote they are read.
    """
    metadata = {"help": help, "choices": tuple(choices), "required": required, "was": tuple(was)}
    return dataclasses.field(default=default, metadata=metadata)


def leaves(config_class: type) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    """Yields (field, type) of every flag, nested dataclasses flattened."""
    types_of = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        kind = types_of[field.name]
        if dataclasses.is_dataclass(kind):
            yield from leaves(typing.cast(type, kind))
        else:
            yield field, kind


def repeated(config_class: type) -> set[str]:
    """The names of the flags that may be repeated."""
    return {field.name for field, kind in leaves(config_class) if kind == tuple[str, ...]}


def _earlier_names(config_class: type) -> dict[str, str]:
    """{earlier name: today's} of the flags that were renamed."""
    return {name: field.name for field, _ in leaves(config_class) for name in field.metadata["was"]}


def _base_type(kind: Any) -> Any:
    """int of `int | None`; the type itself otherwise."""
    if isinstance(kind, types.UnionType):
        return next(part for part in typing.get_args(kind) if part is not type(None))
    return kind


def define_flags(config_class: type, values: flags.FlagValues) -> None:
    """Defines one flag on `values` for every field of `config_class`, nested dataclasses included."""
    for field, kind in leaves(config_class):
        kind, name, help = _base_type(kind), field.name, field.metadata["help"]
        define: Callable[..., Any]
        if field.metadata["choices"]:
            define = functools.partial(flags.DEFINE_enum, enum_values=list(field.metadata["choices"]))
        elif typing.get_origin(kind) is tuple:
            define = flags.DEFINE_multi_string if typing.get_args(kind)[0] is str else flags.DEFINE_list
        else:
            define = {
                bool: flags.DEFINE_bool,
                int: flags.DEFINE_integer,
                float: flags.DEFINE_float,
                str: flags.DEFINE_string,
            }[kind]
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        define(name=name, default=default, help=help, flag_values=values)


def from_mapping(config_class: type[Config], values: Mapping[str, Any]) -> Config:
    """Builds a configuration from flat {field name: value}; lists become tuples.

    Raises:
        InputError: a name that `config_class` does not have, or a list element that is not a number.
    """
    known = {field.name for field, _ in leaves(config_class)}
    earlier = _earlier_names(config_class)
    values = {earlier.get(name, name) if name not in known else name: value for name, value in values.items()}
    if unknown := sorted(set(values) - known):
        raise InputError(f"{config_class.__name__} has no field {', '.join(unknown)}; written by another version?")
    types_of = typing.get_type_hints(config_class)
    arguments: dict[str, Any] = {}
    for field in dataclasses.fields(typing.cast(Any, config_class)):
        kind = types_of[field.name]
        if dataclasses.is_dataclass(kind):
            inner = {leaf.name for leaf, _ in leaves(typing.cast(type, kind))}
            arguments[field.name] = from_mapping(
                typing.cast(type, kind), {k: v for k, v in values.items() if k in inner}
            )
        elif field.name in values:
            value = values[field.name]
            if typing.get_origin(kind) is tuple and value is not None:
                element = typing.get_args(kind)[0]
                try:
                    value = tuple(element(item) for item in value)
                except ValueError as error:
                    raise InputError(f"--{field.name}={','.join(map(str, value))}: {error}") from error
            arguments[field.name] = value
    return config_class(**arguments)


def to_mapping(config: Any) -> dict[str, Any]:
    """Flat {field name: value} of a configuration, ready for JSON."""
    mapping: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        mapping.update(to_mapping(value) if dataclasses.is_dataclass(value) else {field.name: value})
    return {name: list(value) if isinstance(value, tuple) else value for name, value in mapping.items()}


def to_flagfile(config: Any) -> str:
    """The configuration as a flagfile. Reading it with `--flagfile` gives the same configuration."""
    lines = []
    for field, kind in leaves(type(config)):
        value = to_mapping(config)[field.name]
        if value is None:
            continue
        if typing.get_origin(kind) is tuple and typing.get_args(kind)[0] is str:
            lines += [f"--{field.name}={item}" for item in value]
        else:
            lines.append(f"--{field.name}={','.join(map(str, value)) if isinstance(value, list) else value}")
    return "\n".join(lines) + "\n"


def _flagfile_folders() -> tuple[str, str]:
    """Where the package's own flagfiles are: in the wheel, and in a checkout."""
    package = os.path.dirname(bird_tf.__file__)
    return os.path.join(package, "configs"), os.path.join(os.path.dirname(package), "configs")


def _with_flagfile_found(argument: str) -> str:
    """Replaces the path in `--flagfile=PATH` by the package's own file of that name if there is no file at PATH.

    Raises:
        InputError: neither file exists.
    """
    name, equals, path = argument.partition("=")
    if name.lstrip("-") != "flagfile" or not equals or os.path.exists(path):
        return argument
    shipped = next(filter(os.path.exists, (os.path.join(f, os.path.basename(path)) for f in _flagfile_folders())), "")
    if not shipped:
        raise InputError(f"--flagfile={path}: no such file, and the package has none of that name")
    return f"{name}={shipped}"


def _last_lists(arguments: Sequence[str], values: flags.FlagValues, config_class: type) -> list[str]:
    """Reads the flagfiles, and of each flag that may be repeated keeps only where it is given last.

    A flagfile is one place, and the rest of the command line is another. So a flag on the command line replaces that of
    a flagfile, as it does for flags that are given once.
    """
    lists = repeated(config_class)
    arguments = _joined(arguments, {*lists, "flagfile"})
    given = [
        (place, flag)
        for place, argument in enumerate(arguments)
        for flag in values.read_flags_from_files([argument], force_gnu=True)
    ]
    # place -1: the command line itself
    given = [(place if flag != arguments[place] else -1, flag) for place, flag in given]
    last: dict[str, int] = {}
    for place, flag in given:
        last[_name(flag)] = place
    return [flag for place, flag in given if _name(flag) not in lists or last[_name(flag)] == place]


def _joined(arguments: Sequence[str], names: set[str]) -> list[str]:
    """Writes `--name value` as `--name=value`, for these flags."""
    joined, rest = [], iter(arguments)
    for argument in rest:
        takes_next = argument.startswith("-") and "=" not in argument and _name(argument) in names
        joined.append(f"{argument}={next(rest, '')}" if takes_next else argument)
    return joined


def _name(argument: str) -> str:
    """`x` of `--x=1`; empty if the argument is no flag."""
    return argument.lstrip("-").partition("=")[0] if argument.startswith("-") else ""


def parse(config_class: type[Config], arguments: Sequence[str]) -> Config:
    """Makes the configuration from command-line arguments (without the program's name).

    Raises:
        InputError: unknown flag, bad value, missing required flag, unreadable flagfile, or words that are no flags.
    """
    arguments = [_with_flagfile_found(argument) for argument in arguments]
    values = flags.FlagValues()
    define_flags(config_class, values)
    flags.DEFINE_multi_string("flagfile", [], "", flag_values=values)
    try:
        rest = values(["bird_tf", *_last_lists(arguments, values, config_class)])[1:]
    except flags.UnrecognizedFlagError as error:
        if new := _earlier_names(config_class).get(error.flagname):
            raise InputError(f"--{error.flagname} is now called --{new}: see CHANGELOG.md") from error
        raise InputError(str(error)) from error
    except flags.Error as error:
        raise InputError(str(error)) from error
    if rest:
        raise InputError(f"{' '.join(rest)!r} is not a flag; write flags as --name=value; --help lists them")
    for field, _ in leaves(config_class):
        if field.metadata["required"] and not values[field.name].value:
            raise InputError(f"--{field.name} is missing ({field.metadata['help']})")
    return from_mapping(config_class, {field.name: values[field.name].value for field, _ in leaves(config_class)})


def help_page(config_class: type, purpose: str) -> str:
    """The text of `--help`: the purpose, then every flag with its meaning and default."""
    lines = [purpose.strip(), "", "Flags:"]
    for field, _ in leaves(config_class):
        default = field.default
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
        notes = [f"one of {', '.join(field.metadata['choices'])}"] if field.metadata["choices"] else []
        if field.metadata["required"]:
            notes.append("required")
        elif shown not in (None, ""):
            notes.append(f"default {shown}")
        note = f" ({'; '.join(notes)})" if notes else ""
        lines.append(f"  --{field.name}\n        {field.metadata['help']}{note}")
    lines += [f"  --{name}\n        {help}" for name, help in _BUILT_IN_HELP]
    return "\n".join(lines)


def progress(total: int, unit: str, description: str) -> tqdm.tqdm[Any]:
    """A progress bar on standard error, or in a notebook. In a log, which keeps every line, it comes every 10 s."""
    from tqdm import auto  # a widget in a notebook, where there are widgets

    interval = 0.2 if sys.stderr.isatty() or "ipykernel" in sys.modules else 10.0
    return auto.tqdm(total=total, unit=f" {unit}", desc=description, mininterval=interval, dynamic_ncols=True)


def run(main: Callable[[Config], None], config_class: type[Config]) -> None:
    """Parses the command line, calls `main(config)`, and ends the process.

    Exit codes: 0 on success, 1 on an error, `endings.IN_USE` if another command is at work in the output, and 128 plus
    the number of a signal that ended it. An InputError and an error of a file end in one line on standard error; a
    closed pipe ends in none. Any other exception is a defect of ours and shows its traceback.
    """
    try:
        with endings.stopping_on_signals():
            _run(main, config_class)
    except Error as error:
        endings.leave(error.exit_code, str(error))
    except KeyboardInterrupt:
        endings.leave(endings.INTERRUPTED, at_once=True)
    except endings.Stopped as stopped:
        endings.leave(int(str(stopped.code)), stopped.line, at_once=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            endings.leave(end.code or 0)
        endings.leave(endings.ERROR, str(end.code).removeprefix("error: "))
    except Exception as error:
        if endings.is_closed_pipe(error):
            endings.leave_quietly()
        if line := endings.line_of(error):
            endings.leave(endings.ERROR, line)
        raise
    endings.leave(0)


def _run(main: Callable[[Config], None], config_class: type[Config]) -> None:
    arguments = sys.argv[1:]
    if {"--help", "-help", "-h", "--helpshort"} & set(arguments):
        print(help_page(config_class, sys.modules[main.__module__].__doc__ or ""))  # noqa: T201
        return
    if "--version" in arguments:
        print(f"bird_tf {bird_tf.__version__}")  # noqa: T201
        return
    flags.FLAGS([sys.argv[0]])
    logging.set_verbosity(logging.INFO)
    handler = logging.get_absl_handler().python_handler
    handler.setFormatter(python_logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))

    def called(_: Sequence[str]) -> None:
        settings = parse(config_class, arguments)
        with stderr_filter.filtered():
            kept = handler.setStream(sys.stderr)  # until now it wrote to the stream that is filtered
            try:
                main(settings)
            finally:
                handler.setStream(kept)

    app.run(called, argv=sys.argv[:1])

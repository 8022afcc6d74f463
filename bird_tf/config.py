"""Frozen dataclass ⇄ absl flags ⇄ flagfile and JSON.

The meaning of a field belongs to the dataclass that declares it.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from absl import flags

from bird_tf import endings, flagfiles, typed

Config = TypeVar("Config")

# what Python says of a text that is no number
_NO_WHOLE_NUMBER = re.compile(r"invalid literal for int\(\) with base \d+: .*")
_NO_NUMBER = re.compile(r"could not convert string to float: .*")


class Error(Exception):
    """All that a call of bird_tf raises, except for defects of ours. The message says in one line what, and where."""

    exit_code = endings.ERROR


class InputError(Error, ValueError):
    """The user's input cannot be used. The message says in one line what, where, and what to do."""


def check_seed(name: str, seed: int) -> None:
    """Refuses a seed that NumPy or TensorFlow cannot take.

    Raises:
        InputError: it is negative or has more than 31 bits; the message begins with the flag of this name.
    """
    if not 0 <= seed < 2**31:
        raise InputError(f"--{name}={seed}: must be from 0 to {2**31 - 1}")


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
        default: its value when the flag is absent. That of a new flag does what was done before it: it counts for plans
            of earlier versions, which lack the flag.
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


def from_mapping(config_class: type[Config], values: Mapping[str, Any], origin: str = "") -> Config:
    """Builds a configuration from flat {field name: value}; lists become tuples, and absent fields take their defaults.

    Args:
        config_class: of the configuration.
        values: as `to_mapping` gives them.
        origin: the file that they come from, for messages; empty: the command line.

    Raises:
        InputError: a name that `config_class` does not have, or a value that it cannot have.
    """
    known = {field.name for field, _ in leaves(config_class)}
    earlier = _earlier_names(config_class)
    values = {earlier.get(name, name) if name not in known else name: value for name, value in values.items()}
    beginning = f"{origin}: " if origin else ""
    if unknown := sorted(set(values) - known):
        raise InputError(
            f"{beginning}{config_class.__name__} has no field {', '.join(unknown)[:80]}; written by another version?"
        )
    types_of = typing.get_type_hints(config_class)
    arguments: dict[str, Any] = {}
    for field in dataclasses.fields(typing.cast(Any, config_class)):
        kind = types_of[field.name]
        if dataclasses.is_dataclass(kind):
            inner = {leaf.name for leaf, _ in leaves(typing.cast(type, kind))}
            own = {name: value for name, value in values.items() if name in inner}
            arguments[field.name] = from_mapping(typing.cast(type, kind), own, origin)
        elif field.name in values:
            arguments[field.name] = _value(field, kind, values[field.name], beginning)
    try:
        return config_class(**arguments)
    except InputError as error:
        raise InputError(f"{beginning}{error}") from error


def _value(field: dataclasses.Field[Any], kind: Any, value: Any, beginning: str) -> Any:
    try:
        converted = typed.convert(kind, value)
    except typed.MismatchError as error:
        raise InputError(f"{beginning}{error.within(f'--{field.name}')}") from error
    choices = field.metadata["choices"]
    if choices and converted not in choices:
        raise InputError(f"{beginning}--{field.name}={converted!r:.40}: must be one of {', '.join(choices)}")
    return converted


def to_mapping(config: Any) -> dict[str, Any]:
    """Flat {field name: value} of a configuration, ready for JSON."""
    mapping: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        mapping.update(to_mapping(value) if dataclasses.is_dataclass(value) else {field.name: value})
    return {name: list(value) if isinstance(value, tuple) else value for name, value in mapping.items()}


def declared(config_class: type) -> dict[str, Any]:
    """{flag: its default, whatever the flagfiles say}, as `to_mapping` gives it."""
    defaults = {field.name: field.default for field, _ in leaves(config_class)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}


def given(config: Any) -> list[str]:
    """The names of the flags whose values are not their defaults."""
    plain = declared(type(config))
    return [name for name, value in to_mapping(config).items() if value != plain[name]]


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


def _last_lists(arguments: Sequence[str], config_class: type) -> list[str]:
    """Reads the flagfiles, and of each flag that may be repeated keeps only where it is given last.

    A flagfile is one place, and the rest of the command line is another, the last one, wherever its flags stand. So a
    flag on the command line replaces that of a flagfile.
    """
    lists = repeated(config_class)
    of_files, own = list[tuple[int, str]](), list[tuple[int, str]]()  # (place, flag)
    for place, argument in enumerate(_joined(arguments, {*lists, flagfiles.FLAG})):
        if flagfiles.name_of(argument) == flagfiles.FLAG and "=" in argument:
            of_files += [(place, flag) for flag in flagfiles.read(argument.partition("=")[2])]
        else:
            own.append((len(arguments), argument))
    given = of_files + own
    last = {flagfiles.name_of(flag): place for place, flag in given}
    return [
        flag for place, flag in given if flagfiles.name_of(flag) not in lists or last[flagfiles.name_of(flag)] == place
    ]


def _joined(arguments: Sequence[str], names: set[str]) -> list[str]:
    """Writes `--name value` as `--name=value`, for these flags."""
    joined, rest = [], iter(arguments)
    for argument in rest:
        takes_next = argument.startswith("-") and "=" not in argument and flagfiles.name_of(argument) in names
        value = next(rest, None) if takes_next else None
        joined.append(argument if value is None else f"{argument}={value}")
    return joined


def given_twice(config_class: type, arguments: Sequence[str]) -> dict[str, list[str]]:
    """{flag: its values} of the flags of one value that the command line itself gives different ones; the last counts.

    Those that stand alone, as --fast and --nofast, are not among them, nor are those of flagfiles.
    """
    lists = repeated(config_class)
    once = {field.name for field, kind in leaves(config_class) if kind is not bool and field.name not in lists}
    values: dict[str, list[str]] = {name: [] for name in sorted(once)}
    for argument in _joined(arguments, once):
        if (name := flagfiles.name_of(argument)) in once:
            values[name].append(argument.partition("=")[2])
    return {name: list(given) for name, given in values.items() if len(set(given)) > 1}


def parse(config_class: type[Config], arguments: Sequence[str]) -> Config:
    """Makes the configuration from command-line arguments (without the program's name).

    Without a flagfile among them, a class with a `DEFAULT_FLAGFILE` takes what that file of the package says.

    Raises:
        InputError: unknown flag, bad value, missing required flag, unreadable flagfile, or words that are no flags.
    """
    values = _values(config_class, arguments)
    for field, _ in leaves(config_class):
        if field.metadata["required"] and not values[field.name]:
            raise InputError(f"--{field.name} is missing ({field.metadata['help']})")
    return from_mapping(config_class, values)


def defaults(config_class: type) -> dict[str, Any]:
    """{flag: its value if the command line is empty}, with those of the `DEFAULT_FLAGFILE`."""
    return _values(config_class, [])


def default_flagfile(config_class: type, arguments: Sequence[str]) -> str:
    """The flagfile of the package that counts if none is named; empty if one is, or the class has none."""
    named = any(flagfiles.name_of(argument) == flagfiles.FLAG for argument in arguments)
    return "" if named else getattr(config_class, "DEFAULT_FLAGFILE", "")


def _values(config_class: type, arguments: Sequence[str]) -> dict[str, Any]:
    """{flag: value} of command-line arguments."""
    if default := default_flagfile(config_class, arguments):
        arguments = [f"--{flagfiles.FLAG}={default}", *arguments]
    values = flags.FlagValues()
    define_flags(config_class, values)
    try:
        given = _last_lists(arguments, config_class)
    except flagfiles.FlagfileError as error:
        raise InputError(str(error)) from error
    if broken := next((flag for flag in given if any(sign < " " for sign in flag)), ""):
        raise InputError(f"{broken[:80]!a} holds a line break or another control character; rename what it names")
    longest = 2 * max(map(len, values), default=0)
    if endless := next((name for name in map(flagfiles.name_of, given) if len(name) > longest), ""):
        raise InputError(f"unknown command line flag '{endless[:40]} …'; --help lists them")
    try:
        rest = values(["bird_tf", *given])[1:]
    except flags.UnrecognizedFlagError as error:
        earlier = _earlier_names(config_class)
        if error.flagname in earlier:
            names = dict.fromkeys((error.flagname, *map(flagfiles.name_of, given)))
            renamed = [name for name in names if name in earlier and name not in values]
            told = ", ".join(f"--{name} is now called --{earlier[name]}" for name in renamed)
            raise InputError(f"{told}: see CHANGELOG.md") from error
        raise InputError(str(error)) from error
    except flags.Error as error:
        raise InputError(_told(str(error), config_class)) from error
    if rest:
        raise InputError(f"{' '.join(rest)!r} is not a flag; write flags as --name=value; --help lists them")
    return {field.name: _number(field.name, kind, values[field.name].value) for field, kind in leaves(config_class)}


def _told(error: str, config_class: type) -> str:
    """What absl says of a value, in plain words, with the meaning of a flag of few values."""
    error = _NO_NUMBER.sub("need a number", _NO_WHOLE_NUMBER.sub("need a whole number, as 10", error))
    helps = {field.name: field.metadata["help"] for field, _ in leaves(config_class) if field.metadata["choices"]}
    help = helps.get(error.partition("=")[0].rpartition("--")[2], "")
    return f"{error} ({help})" if help else error


def _number(name: str, kind: Any, value: Any) -> Any:
    """The value of a flag. The numbers of a list are texts yet.

    Raises:
        InputError: it is no number, or NaN.
    """
    if typing.get_origin(kind) is tuple and value is not None:
        element = typing.get_args(kind)[0]
        try:
            value = [element(item) for item in value]
        except ValueError as error:
            told = _NO_NUMBER.sub("need a number", _NO_WHOLE_NUMBER.sub("need a whole number, as 10", str(error)))
            raise InputError(f"--{name}={','.join(map(str, value))}: {told}") from error
    for number in value if isinstance(value, list) else [value]:
        if number != number:
            raise InputError(f"--{name}={number}: must be a number")
    return value

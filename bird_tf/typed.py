"""Values of JSON → the types that dataclasses declare. What does not fit is named by its field.

Which file the values come from belongs to `stored`; flags to `config`.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import json
import math
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")

_DEEPEST = 100  # nested brackets; Python's parser ends at about a thousand
# Python's lists, dictionaries and numbers need at most this number of bytes for each sign of the text that divides them
_BYTES_OF_SIGN = 80
_MOST_BYTES = 900 << 20
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_LARGEST_INTEGER = 2**63
_LONGEST_SHOWN = 40
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


class MismatchError(ValueError):
    """A value is not of the declared type. The message names its field, and says what was expected and what found."""

    def __init__(self, field: str, expected: str, found: str) -> None:
        super().__init__(f"{field.lstrip('.') or 'the content'} must be {expected}, not {found}")
        self._field, self._expected, self._found = field, expected, found

    def within(self, place: str | int) -> MismatchError:
        """The same error, of a value at this place of another one: a name, or the number of an element."""
        if isinstance(place, int):
            return MismatchError(f"[{place}]{self._field}", self._expected, self._found)
        shown = place if re.fullmatch(r"[\w -]{1,40}", place) else ascii(place[:_LONGEST_SHOWN])
        return MismatchError(f".{shown}{self._field}", self._expected, self._found)


def parse_json(text: str, *, finite: bool = True) -> Any:
    """Reads JSON.

    Args:
        text: of any origin.
        finite: whether NaN and infinite numbers are refused. JSON has none, but Python's writer has.

    Raises:
        ValueError: it is not JSON, is nested more than 100 deep, or would need more than 900 MB of memory.
    """
    deepest, signs = _depth(text), sum(map(text.count, "[{:,"))
    if deepest > _DEEPEST:
        raise ValueError(f"brackets nested {deepest} deep")
    if len(text) + signs * _BYTES_OF_SIGN > _MOST_BYTES:
        raise ValueError("too large to be read")
    if not finite:
        return json.loads(text)
    return json.loads(text, parse_float=_finite, parse_constant=_finite)


def _depth(text: str) -> int:
    depth = deepest = 0
    if text.count("[") + text.count("{") > _DEEPEST:
        for found in _STRING_OR_BRACKET.finditer(text):
            depth += (found[0] in "[{") - (found[0] in "]}")
            deepest = max(deepest, depth)
    return deepest


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number of JSON")
    return value


def convert(kind: Any, value: Any, *, partial: bool = False) -> Any:
    """A value of JSON as the type that a dataclass declares.

    Args:
        kind: bool, int, float, str, Any, `X | None`, a dataclass, or a tuple or mapping of these. A dataclass is an
            object with its fields; those with a default may be missing.
        value: as from `parse_json`.
        partial: whether objects may have more fields than their dataclass; these are left out.

    Raises:
        MismatchError: it is of another type, a field is missing, or there is one too many.
    """
    if kind is Any:
        return value
    if isinstance(kind, types.UnionType):
        return None if value is None else convert(typing.get_args(kind)[0], value, partial=partial)
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _object(typing.cast(type, kind), value, partial)
    if origin is tuple:
        return _sequence(parts, value, partial)
    if origin in (dict, collections.abc.Mapping):
        if not isinstance(value, Mapping):
            raise _mismatch("an object", value)
        return {name: _inner(parts[1], item, name, partial) for name, item in value.items()}
    fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
    is_large = isinstance(value, int) and abs(value) >= _LARGEST_INTEGER
    if not fits or is_large or (isinstance(value, bool) and kind is not bool):
        raise _mismatch(_WORDS[kind], value)
    return kind(value)


def _inner(kind: Any, value: Any, place: str | int, partial: bool) -> Any:
    try:
        return convert(kind, value, partial=partial)
    except MismatchError as error:
        raise error.within(place) from None


def _mismatch(expected: str, value: Any) -> MismatchError:
    shown = ascii(value)
    return MismatchError("", expected, shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]} …")


def _object(kind: type[T], value: Any, partial: bool) -> T:
    if not isinstance(value, Mapping):
        raise _mismatch("an object", value)
    kinds, fields = typing.get_type_hints(kind), dataclasses.fields(typing.cast(Any, kind))
    for field in fields:
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and field.name not in value:
            raise MismatchError("", _WORDS.get(kinds[field.name], "there"), "missing").within(field.name)
    unknown = set(value) - {field.name for field in fields}
    if unknown and not partial:
        raise _mismatch("absent, as in files of this version", value[min(unknown)]).within(min(unknown))
    given = {field.name: value[field.name] for field in fields if field.name in value}
    return kind(**{name: _inner(kinds[name], item, name, partial) for name, item in given.items()})


def _sequence(parts: tuple[Any, ...], value: Any, partial: bool) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _mismatch("a list", value)
    if len(parts) == 2 and parts[1] is Ellipsis:
        alternatives = typing.get_args(parts[0]) if isinstance(parts[0], types.UnionType) else parts[:1]
        if set(map(type, value)) <= set(alternatives) - {int}:  # the quick way for long lists
            return tuple(value)
        parts = parts[:1] * len(value)
    if len(parts) != len(value):
        raise _mismatch(f"a list of {len(parts)}", value)
    return tuple(_inner(kind, item, i, partial) for i, (kind, item) in enumerate(zip(parts, value, strict=True)))

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import pytest

from bird_tf import typed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    count: int
    share: float = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    inner: Inner
    pairs: tuple[tuple[str, int], ...] = ()
    numbers: tuple[float | None, ...] = ()
    by_name: Mapping[str, Inner] = dataclasses.field(default_factory=dict)
    flag: bool = False
    rest: Any = None


def test_values_become_the_types_that_are_declared():
    value = {
        "name": "x", "inner": {"count": 3, "share": 1}, "pairs": [["a", 1]], "numbers": [1, None, 2.5],
        "by_name": {"b": {"count": 0}}, "flag": True, "rest": [{"any": 1}],
    }  # fmt: skip
    found = typed.convert(Outer, value)
    assert found == Outer(
        name="x", inner=Inner(count=3, share=1.0), pairs=(("a", 1),), numbers=(1.0, None, 2.5),
        by_name={"b": Inner(count=0)}, flag=True, rest=[{"any": 1}],
    )  # fmt: skip
    assert isinstance(found.inner.share, float)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 1}, "name must be a text, not 1"),
        ({"inner": []}, r"inner must be an object, not \[\]"),
        ({"inner": {}}, "inner.count must be a whole number, not missing"),
        ({"inner": {"count": True}}, "inner.count must be a whole number, not True"),
        ({"inner": {"count": 1.0}}, "inner.count must be a whole number, not 1.0"),
        ({"inner": {"count": 2**63}}, "inner.count must be a whole number"),
        ({"inner": {"count": 1, "share": "1"}}, "inner.share must be a number, not '1'"),
        ({"inner": {"count": 1, "x": 1}}, "inner.x must be absent"),
        ({"pairs": [["a", 1], ["b"]]}, r"pairs\[1\] must be a list of 2"),
        ({"pairs": "ab"}, "pairs must be a list"),
        ({"numbers": [0.5, "x"]}, r"numbers\[1\] must be a number"),
        ({"by_name": {"\n\u202e": 1}}, r"by_name.'\\n\\u202e' must be an object"),
        ({"flag": 0}, "flag must be true or false"),
        ({"name": ["x" * 1000]}, r"name must be a text, not .{41,44}$"),
    ],
)
def test_what_does_not_fit_is_named_by_its_field(change, message):
    with pytest.raises(typed.MismatchError, match=message):
        typed.convert(Outer, {"name": "x", "inner": {"count": 1}, **change})
    with pytest.raises(typed.MismatchError, match="the content must be an object, not None"):
        typed.convert(Outer, None)


def test_only_some_fields_may_be_wanted():
    assert typed.convert(Inner, {"count": 1, "x": 2}, partial=True) == Inner(count=1)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[" * 100_000, '{"a":' * 200 + "1" + "}" * 200, "NaN", "[Infinity]", "-Infinity", "1e999", "9" * 5000,
        '"' + '\\"' * 300_000, "1 2", "\ufeff1", "[1,]",
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused_at_once(text):
    start = time.monotonic()
    with pytest.raises(ValueError):
        typed.parse_json(text)
    assert time.monotonic() - start < 5


def test_brackets_in_texts_are_no_depth():
    assert typed.parse_json('["' + "[" * 200 + '\\"]"]') == ["[" * 200 + '"]']
    assert str(typed.parse_json("[NaN]", finite=False)) == "[nan]"


def test_json_that_would_fill_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(typed, "_MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="too large"):
        typed.parse_json("[" + "[]," * 20 + "[]]")

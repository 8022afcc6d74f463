"""Tables of JSON lines, as of Hugging Face's folders, as cells of text. What they mean belongs to other modules."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from bird_tf import config, typed

SUFFIXES = (".jsonl", ".ndjson")


def rows(path: str, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Yields (0, names of the columns), then (number of the line, its cells); a missing value is an empty cell.

    A list stays one, as `["a", "b"]`.

    Args:
        path: of the file, for messages.
        lines: of its text.

    Raises:
        InputError: a line is no object of JSON.
    """
    objects = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = typed.parse_json(line, finite=False)
        except ValueError as error:
            raise config.InputError(f"{path}, line {number}: not JSON ({error})") from error
        if not isinstance(value, dict):
            raise config.InputError(f"{path}, line {number}: no object of JSON, as of a table")
        objects.append((number, value))
    names = list(dict.fromkeys(name for _, each in objects for name in each))
    if names:
        yield 0, names
    for number, each in objects:
        yield number, [_text(each.get(name)) for name in names]


def _text(value: object) -> str:
    if value is None or value != value:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)

"""Files that are not as they were written: seeded changes of a good file, for the tests of its reader."""

import copy
import json
import random
import string
import struct

import pytest

from bird_tf import config

QUICK, MANY = 40, 2000
# how many damaged files a reader gets, in `make test` and in the slow tests
counts = pytest.mark.parametrize("count", [QUICK, pytest.param(MANY, marks=pytest.mark.slow)])

_VALUES = (
    None, True, -1, 0, 2**63, 10**30, 1e308, "", "x", "\x00", "\u202e", [], {}, [[]], {"": None}, [1, "a"], "9" * 5000,
    float("nan"), float("inf"), 0.5, -(2**62),
)  # fmt: skip
_TEXTS = (
    "\x00", "\ufeff", "\u200b", '"', "'", "[", "]", "{", "}", ",", "\n", "\r", "٣", 300 * ":", 5000 * "9", 5000 * "-",
    "1e999", "NaN", "-1", "\x1a", "=1+1", "../", "/",
)  # fmt: skip
_ENCODINGS = ("utf-8", "utf-8", "utf-8", "utf-16", "utf-16-be", "latin-1")


def _places(value, found=None):
    """Every (container, key) in a value of JSON."""
    found = [] if found is None else found
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        found.append((value, key))
        _places(item, found)
    return found


def _other_values(content, generator):
    """JSON with another value, without one, or with one more."""
    value = json.loads(content)
    for _ in range(generator.randint(1, 2)):
        places = _places(value)
        if not places:
            break
        container, key = generator.choice(places)
        kind = generator.randrange(4)
        if kind == 0:
            del container[key]
        elif kind == 1 and isinstance(container, dict):
            container[generator.choice(("x", "", "\u202e", "a" * 300))] = copy.deepcopy(generator.choice(_VALUES))
        else:
            container[key] = copy.deepcopy(generator.choice(_VALUES))
    return json.dumps(value).encode()


def _other_text(content, generator):
    text = content.decode()
    for _ in range(generator.randint(1, 3)):
        start = generator.randrange(len(text) + 1)
        end = min(len(text), start + generator.choice((0, 1, 5, 50)))
        new = generator.choice((*_TEXTS, generator.choice(string.printable), text[start:end] * 2))
        text = text[:start] + new + text[end:]
    return text.encode(generator.choice(_ENCODINGS), "replace")


def _other_bytes(content, generator):
    changed = bytearray(content)
    for _ in range(generator.choice((1, 1, 3, 20)) if changed else 0):
        place = generator.randrange(len(changed))
        new = generator.choice((bytes([generator.randrange(256)]), b"\xff" * 4, struct.pack("<Q", 2**40), b""))
        changed[place : place + max(1, len(new))] = new
    return bytes(changed)


def _cut(content, generator):
    return content[: generator.randrange(len(content) + 1)]


def damaged(content, generator):
    """The content of a file with a few changes; sometimes with none that matters."""
    kinds = [_cut, _other_bytes]
    try:
        content.decode()
        kinds += [_other_text, _other_text]
        json.loads(content)
        kinds += [_other_values] * 4
    except ValueError:
        pass
    return generator.choice(kinds)(content, generator)


def check_reader(path, read, count, name=None, allowed=(config.InputError,), least=0.2):
    """Damages a file many times: `read` must give a result, or an InputError of one short line that names the file.

    Args:
        path: pathlib.Path of the good file, which is there again at the end.
        read: reads it, without arguments.
        count: how many times.
        name: what must stand in the messages; None: the name of the file.
        allowed: the exceptions that may end the reading.
        least: share of the files that must be refused.
    """
    good, refused = path.read_bytes(), 0
    generator = random.Random(f"{path.name} {count}")
    try:
        for _ in range(count):
            content = damaged(good, generator)
            path.write_bytes(content)
            try:
                read()
            except allowed as error:
                refused += 1
                message = str(error)
                assert (name or path.name) in message and len(message) < 1000, message
            except Exception as error:
                raise AssertionError(f"{error!r} for {content[:2000]!r}") from error
    finally:
        path.write_bytes(good)
    read()
    assert refused >= least * count

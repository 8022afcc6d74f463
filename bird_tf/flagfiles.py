"""Flagfiles: one flag a line, comments, and other flagfiles. What the flags mean belongs to `config`."""

from __future__ import annotations

import os

import bird_tf

FLAG = "flagfile"
_LARGEST = 1 << 20  # bytes
_DEEPEST = 10  # flagfiles that name one another


class FlagfileError(ValueError):
    """A flagfile cannot be read. The message says which line, and what to do."""


def name_of(argument: str) -> str:
    """`x` of `--x=1`; empty if the argument is no flag."""
    return argument.lstrip("-").partition("=")[0] if argument.startswith("-") else ""


def read(given: str, within: tuple[str, ...] = ()) -> list[str]:
    """The flags in a flagfile, those of the flagfiles that it names included.

    Args:
        given: its path; without a file there, the package's own file of that name is read.
        within: the flagfiles that name it.

    Raises:
        FlagfileError: there is no such file, it is no text, has a line that is no flag, or names itself.
    """
    path = _found(given)
    if os.path.realpath(path) in within:
        raise FlagfileError(f"--flagfile={path}: the file names itself; take its own --flagfile out")
    if len(within) == _DEEPEST:
        raise FlagfileError(f"--flagfile={path}: {_DEEPEST} flagfiles name one another; write their flags into one")
    found: list[str] = []
    for number, line in enumerate(map(str.strip, _text(path).split("\n")), 1):
        if line.startswith(("#", "//")) or not line:
            continue
        if not name_of(line):
            raise FlagfileError(f"--flagfile={path}, line {number}: {line[:40]!r} is not a flag; write --name=value")
        if name_of(line) == FLAG:
            found += read(line.partition("=")[2].strip(), (*within, os.path.realpath(path)))
        else:
            found.append(line)
    return found


def _found(given: str) -> str:
    package = os.path.dirname(bird_tf.__file__)  # the own flagfiles are in it, or, in a checkout, beside it
    folders = (package, os.path.dirname(package))
    shipped = [os.path.join(folder, "configs", os.path.basename(given)) for folder in folders]
    if path := given if os.path.exists(given) else next(filter(os.path.isfile, shipped), ""):
        return path
    raise FlagfileError(f"--flagfile={given}: no such file, and the package has none of that name")


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FlagfileError(f"--flagfile={path}: no UTF-8 text that can be read ({error}); save it as UTF-8") from error
    if len(content) > _LARGEST or "\0" in text:
        raise FlagfileError(f"--flagfile={path}: no text of flags; save it as UTF-8, with one flag a line")
    return text

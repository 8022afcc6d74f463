"""Files that bird_tf wrote, read again: JSON and arrays.

A file that is not as it was written ends in one InputError that names the file, the field, and what to do. How files
are written belongs to `files`; texts of other programs to `labels.texts`.
"""

from __future__ import annotations

import io
import math
import re
import struct
import typing
import zipfile
import zlib
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import numpy as np

from bird_tf import config, files, lines, typed

T = TypeVar("T")

REMEDY = "was it cut or edited? Copy it again, or make it anew"
MOST_ROWS = 2_000_000  # with about 600 bytes for what is read of each
LONGEST_PROBLEM = 300  # characters; zipfile repeats what it has read
# what zipfile raises: RuntimeError for an encrypted archive, the last two for one that is cut
_UNREADABLE = (
    ValueError, OverflowError, KeyError, EOFError, RuntimeError, OSError, zipfile.BadZipFile, struct.error, zlib.error,
)  # fmt: skip
_MAGIC = b"\x93NUMPY"
# the header of an array as numpy writes it, for numbers and texts; objects would be pickled
_HEADER = re.compile(
    rb"\{'descr': '([<|][biufU]\d{1,9})', 'fortran_order': (True|False), 'shape': \(([\d, ]{0,200})\), \} *\n"
)


def read_json(path: str, kind: type[T], *, partial: bool = False) -> T:
    """Reads a JSON file.

    Args:
        path: of the file.
        kind: what it holds, as in `typed.convert`.
        partial: whether it may hold more fields than `kind`.

    Raises:
        InputError: it cannot be read, is not JSON, or holds something else; the message names the file and the field.
    """
    return as_type(path, kind, read_any(path), partial=partial)


def read_any(path: str) -> Any:
    """Reads a JSON file of any content, for `version_of` and `as_type`.

    Raises:
        InputError: it cannot be read, or is not JSON.
    """
    text = files.read_text(path)
    try:
        return typed.parse_json(text)
    except ValueError as error:
        raise damaged(path, f"not JSON ({error})") from error


def read_json_lines(path: str, kind: type[T]) -> list[T]:
    """Reads a file with a value of JSON in each line. A last line without its end, which a kill can leave, is left out.

    Args:
        path: of the file.
        kind: what a line holds, as in `typed.convert`.

    Raises:
        InputError: a line is not JSON, or holds something else; the message names it.
    """
    found: list[T] = []
    content = files.read_bytes(path, files.LARGEST_TEXT)
    try:
        for line in lines.each(content[: content.rfind(b"\n") + 1], MOST_ROWS):
            found.append(typing.cast(T, typed.convert(kind, typed.parse_json(line))))
    except ValueError as error:
        raise damaged(f"{path}, line {len(found) + 1}", str(error)) from error
    return found


def version_of(value: Any) -> int:
    """The format version that the content of a JSON file states; 0 if it states none."""
    version = value.get("format_version") if isinstance(value, dict) else None
    return version if isinstance(version, int) else 0


def check_version(path: str, found: int, known: Collection[int], remedy: str) -> None:
    """Refuses a file of a format that cannot be read.

    Args:
        path: of the file.
        found: the version of its format.
        known: the versions that can be read.
        remedy: the message if it is of none of them and not newer.

    Raises:
        InputError: it is of another version. What a newer bird_tf wrote is not to be made anew.
    """
    if found > max(known):
        raise config.InputError(
            f"{path}: a newer bird_tf wrote it (version {found}, and this one reads up to {max(known)}); update bird_tf"
        )
    if found not in known:
        raise config.InputError(remedy)


def as_type(path: str, kind: type[T], value: Any, *, partial: bool = False) -> T:
    """The content of a JSON file as a type; as `read_json`."""
    try:
        return typing.cast(T, typed.convert(kind, value, partial=partial))
    except (typed.MismatchError, config.InputError) as error:  # a dataclass may check its values itself
        raise damaged(path, str(error)) from error


def damaged(path: str, problem: str) -> config.InputError:
    """The error of a file that is not as it was written, for `raise`."""
    return config.InputError(f"{path}: {problem[:LONGEST_PROBLEM]}; {REMEDY}")


def write_arrays(path: str, arrays: Mapping[str, Any], *, durable: bool = False) -> None:
    """Writes {name: array} as `read_arrays` reads them, whole or not at all."""
    content = io.BytesIO()  # an archive that is written onto a full disk complains once more when it is closed
    np.savez(content, **arrays)
    files.write_bytes(path, content.getvalue(), durable=durable)


def read_arrays(
    path: str, kinds: Mapping[str, str] | None = None, optional: Mapping[str, str] | None = None
) -> dict[str, np.ndarray]:
    """Reads the arrays of a file that `numpy.savez` wrote, uncompressed. Nothing is unpickled.

    Args:
        path: of the file, with the suffix .npz.
        kinds: {name: its kind and number of dimensions, as "f2" for a matrix of floats, "U0" for a text} of the arrays
            that are wanted; None: all of any kind.
        optional: those of further arrays, which may be missing.

    Returns:
        {name: array}. Together they are not larger than the file.

    Raises:
        InputError: it cannot be read, is cut or damaged, holds objects, or lacks an array of `kinds`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(files.read_bytes(path)) if files.is_remote(path) else path) as archive:
            sizes = {member.filename.removesuffix(".npy"): member.file_size for member in archive.infolist()}
            if sum(sizes.values()) > (archive.start_dir or 0):
                raise ValueError("it is compressed, or its sizes are wrong")
            wanted = {**(kinds or {}), **(optional or {})}
            names = sizes if kinds is None else wanted
            found = {name: _array(archive.read(f"{name}.npy")) for name in names if name in sizes}
    except _UNREADABLE as error:
        raise damaged(path, f"no arrays that can be read ({error})") from error
    for name, kind in wanted.items():
        if name not in found and name in (optional or {}):
            continue
        if name not in found or f"{found[name].dtype.kind}{found[name].ndim}" != kind:
            raise damaged(path, f"{name} is missing, or is of another type")
    return found


def _array(content: bytes) -> np.ndarray:
    """The array in the format of numpy's .npy, version 1 or 2."""
    length = {1: 2, 2: 4}.get(content[6:7][0] if content[:6] == _MAGIC and len(content) > 12 else 0)
    if length is None:
        raise ValueError("no array of numpy")
    start = 8 + length + int.from_bytes(content[8 : 8 + length], "little")
    header = _HEADER.fullmatch(content[8 + length : start])
    if header is None:
        raise ValueError("not an array of numbers or of text")
    kind = np.dtype(header[1].decode())
    shape = tuple(int(part) for part in header[3].decode().split(",") if part.strip())
    if math.prod(shape) * kind.itemsize != len(content) - start:
        raise ValueError(f"an array of the shape {shape} in {len(content) - start} bytes")
    order: typing.Literal["F", "C"] = "F" if header[2] == b"True" else "C"
    return np.frombuffer(content, kind, offset=start).reshape(shape, order=order).copy()


def text_of(path: str, array: np.ndarray) -> str:
    """The text in an array "U0" of a file.

    Raises:
        InputError: it holds what is no character.
    """
    try:
        return str(array)
    except (ValueError, SystemError) as error:
        raise damaged(path, "a text of it holds what is no character") from error

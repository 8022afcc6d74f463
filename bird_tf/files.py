"""Reading and writing files, on disk or on an S3-compatible server. A file gets its final name when it is complete.

This is the only module that imports tensorflow-io, whose file systems open `s3://` paths.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from absl import logging

from bird_tf import config, endings, temporaries, tf

SUMMARY = "summary.json"  # what a command tells of its results, for programs
LARGEST_TEXT = 256 << 20  # bytes; Python's text has up to four times as many
_END_BYTES = 1 << 16
# folders that Windows, macOS and NAS devices make: of deleted files, previews and the like
_OF_SYSTEMS = frozenset((
    "$recycle.bin", "recycler", "system volume information", "__macosx", "@eadir", "#recycle", "lost+found",
))  # fmt: skip


class DiskFullError(config.InputError):
    """The disk is full. The file does not exist under its final name."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._path = path

    def __str__(self) -> str:
        return f"{self._path}: the disk is full; make room and repeat the command"


def is_remote(path: str) -> bool:
    """Whether the path begins with the scheme of a file system (`s3://…`)."""
    return "://" in path


def enable(path: str) -> str:
    """Returns `path`. For a remote path, loads the file systems of tensorflow-io first.

    Raises:
        InputError: tensorflow-io is not installed, or does not fit the installed TensorFlow.
    """
    if is_remote(path):
        try:
            importlib.import_module("tensorflow_io")
        except (ImportError, NotImplementedError) as error:
            raise config.InputError(
                f"{path} needs tensorflow-io, which does not load beside TensorFlow {tf.__version__} ({error}); "
                "install bird-tf[io] or use a local path"
            ) from error
    return path


def exists(path: str) -> bool:
    """Whether a file or folder exists."""
    return bool(tf.io.gfile.exists(enable(path))) if is_remote(path) else os.path.exists(path)


def find(folder: str, suffixes: tuple[str, ...]) -> list[str]:
    """Sorted paths below a local folder with these suffixes, in upper or lower case.

    Hidden files and folders are left out, and so are the folders of systems, such as a recycle bin. Links to folders
    are followed, but no folder is read twice, so a loop of links ends; a folder that is also there without a link has
    the path without it. A folder that cannot be read is warned of, and so is a pipe or a device.
    """
    found: list[str] = []
    read: set[str] = set()
    left: list[str] = [folder]
    linked: list[str] = []
    top = os.path.realpath(folder)
    while left or linked:
        root = left.pop() if left else linked.pop(0)
        real = os.path.realpath(root)
        if real in read or (root != folder and _contains(real, top)):
            continue
        read.add(real)
        for entry in _entries(root):
            if _is(entry.is_dir):
                (linked if entry.is_symlink() else left).append(entry.path)
            elif not entry.name.lower().endswith(suffixes):
                continue
            elif not _is(entry.is_file) and os.path.exists(entry.path):  # to open a pipe would wait for ever
                logging.warning("%s is neither a file nor a folder: it is left out", entry.path)
            else:
                found.append(entry.path)
    return sorted(found)


def _is(kind: Callable[[], bool]) -> bool:
    """Asks an entry of a folder, which mostly knows without the disk; False for a link to itself, where it raises."""
    try:
        return kind()
    except OSError:
        return False


def _contains(folder: str, path: str) -> bool:
    return os.path.commonpath([folder, path]) == folder


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """What is in a folder, without hidden files and folders, and without the folders of systems."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not _is_hidden(entry.name)), key=lambda entry: entry.name)
    except OSError as error:
        logging.warning("%s cannot be read (%s): what is in it is left out", folder, error.strerror)
        return []


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _OF_SYSTEMS


def below(folder: str, name: str) -> str:
    """The path of a file that a table names by its path below a folder, with `/`."""
    return os.path.join(folder, *name.split("/"))


def name_below(folder: str, path: str) -> str:
    """The path of a file below a folder, with `/`, as tables name it."""
    return os.path.relpath(path, folder).replace(os.sep, "/")


def below_common(paths: Sequence[str]) -> list[str]:
    """The local paths below the folder that all of them lie in. Some may be absolute, and others relative."""
    if not all(map(os.path.isabs, paths)):
        paths = [os.path.relpath(path) for path in paths]
    root = os.path.commonpath(paths) if paths else ""
    return [os.path.relpath(path, root or ".") for path in paths]


def names(folder: str) -> list[str]:
    """Names of the files and folders in a folder, unsorted. Without such a folder the list is empty."""
    if not exists(folder):
        return []
    found = tf.io.gfile.listdir(enable(folder)) if is_remote(folder) else os.listdir(folder)
    return [name.rstrip("/") for name in found if name.rstrip("/")]


def read_text(path: str, largest: int = LARGEST_TEXT) -> str:
    """Reads the whole file as UTF-8 text.

    Raises:
        InputError: the file is not UTF-8 text, or has more bytes than `largest`.
    """
    try:
        return read_bytes(path, largest).decode()
    except UnicodeDecodeError as error:
        raise config.InputError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from error


def make_folder(path: str) -> None:
    """Makes a folder and its parents, if they do not exist yet."""
    if is_remote(path):
        tf.io.gfile.makedirs(enable(path))
    else:
        os.makedirs(path, exist_ok=True)


@contextlib.contextmanager
def replacing(path: str, *, durable: bool = False) -> Iterator[str]:
    """Yields a temporary path for a file or folder. When the block ends, it takes the place of `path` in one step.

    No two processes have the same temporary path, so two copies of one task do not disturb each other. On an exception
    the temporary file or folder is removed, and `path` stays as it was.

    Args:
        path: the file or folder.
        durable: whether the content is on the disk, not only in the system's cache, before it gets its name.

    Raises:
        InputError: the disk is full, or a file would replace a folder.
    """
    path = path.rstrip("/")
    temporary = temporaries.path_for(path)
    make_folder(os.path.dirname(path) or ".")
    try:
        yield temporary
        if is_remote(path):
            tf.io.gfile.rename(temporary, path, overwrite=True)
        else:
            if os.path.isdir(path) and not os.path.isdir(temporary):
                raise config.InputError(f"{path} is a folder; name a file")
            if durable:
                temporaries.synchronise(temporary)
            temporaries.put(temporary, path)
            if durable:
                temporaries.synchronise_names(os.path.dirname(path) or ".")
    except BaseException as error:
        with contextlib.suppress(OSError):  # the first error is the one to tell; `clean_up` removes the rest later
            remove(temporary)
        if isinstance(error, OSError) and error.errno in endings.DISK_FULL:
            raise DiskFullError(path) from error
        if isinstance(error, OSError) and error.filename == temporary:
            error.filename = path
        raise


def clean_up(folder: str) -> None:
    """Removes what processes of this machine that no longer run have left unfinished in a local folder.

    A folder that such a process had set aside gets its name back.
    """
    if not is_remote(folder):
        temporaries.clean_up(folder)


def remove(path: str) -> None:
    """Removes a file, or a folder with all that is in it, if it exists.

    A local folder vanishes from its place in one step.
    """
    if not is_remote(path):
        temporaries.remove(path)
    elif tf.io.gfile.isdir(enable(path)):
        tf.io.gfile.rmtree(path)
    elif tf.io.gfile.exists(path):
        tf.io.gfile.remove(path)


def synchronise(folder: str) -> None:
    """Waits until all that is in a local folder is on the disk, before a file says that it is complete."""
    if not is_remote(folder):
        temporaries.synchronise(folder)


@contextlib.contextmanager
def writing_text(path: str) -> Iterator[Callable[[str], Any]]:
    """Yields a function that appends to a UTF-8 text file. The file appears when the block ends."""
    with replacing(path) as temporary, _open(temporary, "w") as file:
        yield file.write


def write_text(path: str, text: str) -> None:
    """Writes a UTF-8 text file, whole or not at all."""
    with writing_text(path) as write:
        write(text)


def write_bytes(path: str, content: bytes, *, durable: bool = False) -> None:
    """Writes a file of bytes, whole or not at all; `durable` as in `replacing`."""
    with replacing(path, durable=durable) as temporary, _open(temporary, "wb") as file:
        file.write(content)


def append(path: str, content: bytes) -> None:
    """Appends to a local file; it is there in parts if the process is killed. An error of the disk names the file."""
    try:
        with open(path, "ab") as file:
            file.write(content)
    except OSError as error:
        error.filename = path  # the system names it when it opens it, not when it writes
        raise


def read_bytes(path: str, largest: int = 0) -> bytes:
    """Reads the whole file.

    Raises:
        InputError: it has more bytes than `largest`, if that is not 0.
    """
    with _open(path, "rb") as file:
        content = bytes(file.read(largest + 1) if largest else file.read())
    if largest and len(content) > largest:
        raise config.InputError(f"{path}: larger than {largest >> 20} MB; is it the right file?")
    return content


def write_json(path: str, value: Any, *, durable: bool = False) -> None:
    """Writes indented JSON with a newline at the end; `durable` as in `replacing`. NaN is refused: JSON has no NaN."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(path, text.encode("utf-8", "backslashreplace"), durable=durable)


def defined(values: Mapping[str, Any]) -> dict[str, Any]:
    """Replaces NaN by None (null in JSON), in nested mappings too."""
    return {
        name: defined(value) if isinstance(value, Mapping) else None if value != value else value
        for name, value in values.items()
    }


def _open(path: str, mode: str) -> Any:
    """Opens a file of bytes, or of UTF-8 text. Line ends are not changed."""
    if is_remote(path):
        return tf.io.gfile.GFile(enable(path), mode)
    if "b" in mode:
        return open(path, mode)
    # file names may hold bytes that are not UTF-8; a table can still list them
    return open(path, mode, encoding="utf-8", newline="", errors="backslashreplace" if mode == "w" else "strict")


def size(path: str) -> int:
    """The size of a file in bytes."""
    return int(tf.io.gfile.stat(enable(path)).length)


def size_and_change(path: str) -> tuple[int, int] | None:
    """The size of a file in bytes and the time of its change in ns, to know it again; None if it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def checksum(path: str) -> str:
    """md5 of the file's bytes, in hexadecimal. It shows damage; it does not protect against forgery."""
    digest = hashlib.md5(usedforsecurity=False)
    with _open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def ends_digest(path: str) -> str:
    """md5 of the first and last 64 KiB of a file, in hexadecimal; empty for what is no file, or cannot be read.

    Recorders on one schedule write files of one name, size and time. They differ in notes and sound.
    """
    digest = hashlib.md5(usedforsecurity=False)
    try:
        if not os.path.isfile(path):  # a pipe would wait for its writer
            return ""
        with open(path, "rb") as file:
            for position in (0, max(_END_BYTES, os.fstat(file.fileno()).st_size - _END_BYTES)):
                file.seek(position)
                digest.update(file.read(_END_BYTES))
    except OSError:  # the reader of its sound says so
        return ""
    return digest.hexdigest()


def digest(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """md5 of a value's canonical JSON, in hexadecimal. It is the same in every process and on every machine."""
    return hashlib.md5(json.dumps(value, sort_keys=True).encode(), usedforsecurity=False).hexdigest()


def text_digest(text: str) -> str:
    """md5 of a text, in hexadecimal. Unlike `hash()`, it is the same in every process and on every machine."""
    return hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()

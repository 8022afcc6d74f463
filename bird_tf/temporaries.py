"""Temporary files and folders beside those that they replace, on a local disk: their names, the exchange, the rest.

A process that is killed at any moment leaves the old or the new one under the final name. What else it leaves is told
by its name, and removed later.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import hashlib
import itertools
import os
import shutil
import socket
from collections.abc import Callable

SUFFIX = ".partial"
# of an old folder, while the new one takes its name on a file system that cannot exchange two
_SET_ASIDE_SUFFIX = ".replaced"
# of the temporary files of this process; `next` is atomic, so threads get different numbers
_NUMBERS = itertools.count()
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
# the kernel, the C library or the file system does not know the exchange; overlay file systems answer EXDEV
_CANNOT_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EXDEV)


def path_for(path: str) -> str:
    """A path beside `path` that no other process has. It says which process does, for `clean_up`."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f"{_digest(name)}-{_owner()}{SUFFIX}")


def _owner() -> str:
    return f"{_digest(socket.gethostname())}-{os.getpid()}-{next(_NUMBERS)}"


def _digest(text: str) -> str:
    return hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()[:8]


def put(temporary: str, path: str) -> None:
    """Gives a temporary file or folder its final name. What is there is replaced; a folder only by a folder.

    There is no moment in which neither the old nor the new one is there, if the file system can exchange two folders
    (renameat2 on Linux; NFS cannot). Elsewhere `clean_up` puts the old folder back after a kill between the two
    steps.

    Raises:
        IsADirectoryError: a file would replace a folder.
    """
    if not os.path.isdir(path) or not os.path.isdir(temporary):
        os.replace(temporary, path)
        return
    if not exchange(temporary, path):
        set_aside = f"{path}-{_owner()}{_SET_ASIDE_SUFFIX}"
        os.rename(path, set_aside)
        try:
            os.rename(temporary, path)
        except BaseException:
            os.rename(set_aside, path)
            raise
        temporary = set_aside
    remove(temporary)


def exchange(first: str, second: str) -> bool:
    """Exchanges the names of two files or folders in one step. False if the system or the file system cannot."""
    renameat2 = _renameat2()
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), second)


@functools.cache
def _renameat2() -> Callable[..., int] | None:
    """The C library's function; None where there is none."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return function


def clean_up(folder: str) -> None:
    """Removes what processes of this machine that no longer run have left unfinished in a folder.

    A folder that was set aside, and whose place is still empty, gets its name back.
    """
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        stem, suffix = os.path.splitext(name)
        *before, host, process, _ = stem.split("-") if stem.count("-") > 2 else ("", "", "", "")
        if suffix not in (SUFFIX, _SET_ASIDE_SUFFIX) or host != _digest(socket.gethostname()) or _is_alive(process):
            continue
        path, place = os.path.join(folder, name), os.path.join(folder, "-".join(before))
        if suffix == _SET_ASIDE_SUFFIX and not os.path.exists(place):
            os.rename(path, place)
        else:
            remove(path)


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError, OverflowError):  # somebody else's, or no name of ours
        return True
    return True


def remove(path: str) -> None:
    """Removes a file, or a folder with all that is in it. A folder vanishes from its place in one step.

    Nothing there is no error.
    """
    if os.path.isdir(path) and not os.path.islink(path):
        doomed = path
        if not path.endswith(SUFFIX):  # a full disk may refuse a new name
            doomed = path_for(path.rstrip("/"))
            os.rename(path, doomed)
        shutil.rmtree(doomed)
    elif os.path.lexists(path):
        os.remove(path)


def synchronise(path: str) -> None:
    """Waits until a file is on the disk, or a folder with all files and folders below it."""
    if not os.path.isdir(path):
        _synchronise_one(path)
    for folder, _, names in os.walk(path):
        for name in names:
            _synchronise_one(os.path.join(folder, name))
        _synchronise_one(folder)


def synchronise_names(folder: str) -> None:
    """Waits until the names of files in a folder are on the disk, after one was given another name."""
    _synchronise_one(folder)


def _synchronise_one(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

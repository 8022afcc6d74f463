"""One command at a time in an output folder or file: the second is refused, and told who is at work in it."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator

from absl import logging

from bird_tf import config, endings, files, typed

# file in the folder, as long as a command is at work there; beside a file it is NAME.lock
NAME = "lock"
# some file systems, as /proc, say of every new file that its folder is not there
_MOST_ATTEMPTS = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Holder:
    """Who holds a lock: what stands in its file. `since` is in seconds of `time.time`."""

    work: str
    host: str
    process: int
    since: float


class InUseError(config.InputError):
    """Another command is at work in the folder."""

    exit_code = endings.IN_USE


def held(folder: str, *, work: str, flag: str) -> contextlib.AbstractContextManager[None]:
    """Keeps other commands out of a folder while the block runs. The folder is made if it does not exist.
    What killed commands left unfinished in it, at any depth, is removed.

    The lock is the operating system's (flock): it ends with the process that holds it, however that ends, and on NFS
    it holds between machines. Object stores, and file systems without flock, have none.

    Args:
        folder: the folder.
        work: what the work is called in messages, as "conversion".
        flag: the flag that names the folder.

    Raises:
        InUseError: another command holds the lock; or the folder was removed or replaced while the block ran.
    """
    return _held(folder, folder, NAME, work, flag)


def held_file(path: str, *, work: str) -> contextlib.AbstractContextManager[None]:
    """Keeps other commands from writing --output, a file, while the block runs; others may write others of its folder.

    Its folder is made, and what killed commands left unfinished in it is removed. The rest is as in `held`.

    Raises:
        InputError: a folder is there.
        InUseError: as `held`.
    """
    if os.path.isdir(path):
        raise config.InputError(f"--output={path} is a folder; name a file")
    folder, name = os.path.split(path)
    return _held(path, folder or ".", f"{name}.{NAME}", work, "--output")


@contextlib.contextmanager
def _held(output: str, folder: str, name: str, work: str, flag: str) -> Iterator[None]:
    if files.is_remote(folder):
        yield
        return
    made = _missing(folder)
    path = os.path.join(folder, name)
    descriptor = _acquire(output, folder, path, flag)
    clean_up = _clean_up if output == folder else files.clean_up
    try:
        if descriptor is not None:
            holder = _Holder(work=work, host=socket.gethostname(), process=os.getpid(), since=time.time())
            _write(descriptor, path, json.dumps(dataclasses.asdict(holder)))
            clean_up(folder)
        yield
        if descriptor is not None and not _is_at(descriptor, path):
            raise config.InputError(f"{folder} was removed or replaced during the {work}; repeat the command")
    except BaseException:
        with contextlib.suppress(OSError):  # of worker processes that were stopped; the first error is the one to tell
            clean_up(folder)
        raise
    finally:
        if descriptor is not None:
            _release(descriptor, path)
        for parent in made:
            with contextlib.suppress(OSError):  # it is not empty
                os.rmdir(parent)


def _missing(folder: str) -> list[str]:
    """The folder and its parents that do not exist, the innermost first."""
    missing, path = [], os.path.abspath(folder)
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    return missing


def _acquire(output: str, folder: str, path: str, flag: str) -> int | None:
    """The descriptor of the lock that this process holds now; None where the file system has no locks."""
    for _ in range(_MOST_ATTEMPTS):
        os.makedirs(folder, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # the holder before has just removed the folder that it had made
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _described(os.read(descriptor, 1000))
            os.close(descriptor)
            raise InUseError(
                f"{output}: another command is at work in it{holder}; wait for its end, or name another {flag}"
            ) from error
        except OSError as error:
            logging.warning("%s: its file system has no locks (%s): start no second command there", folder, error)
            os.close(descriptor)
            return None
        if _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)  # the holder before has removed the file in between
    raise config.InputError(f"{flag}={output}: no file can be made there; name another place")


def _write(descriptor: int, path: str, text: str) -> None:
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, text.encode())
    except OSError as error:
        error.filename = path  # the system does not know it
        raise


def _clean_up(folder: str) -> None:
    for below, _, _ in os.walk(folder):
        files.clean_up(below)


def _release(descriptor: int, path: str) -> None:
    """Removes the file of a lock that this process holds, while it still holds it."""
    try:
        with contextlib.suppress(OSError):  # a file that stays is no lock, and an earlier error is the one to tell
            if _is_at(descriptor, path):
                os.remove(path)
    finally:
        os.close(descriptor)


def _is_at(descriptor: int, path: str) -> bool:
    """Whether an open file is still the one at this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _described(content: bytes) -> str:
    """Who holds a lock, in words; nothing while that is not written yet."""
    try:
        holder = typed.convert(_Holder, typed.parse_json(content.decode()))
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder.since))
    except (ValueError, OverflowError, OSError):  # the last two: a time that no calendar has
        return ""
    return f" ({holder.work}, process {holder.process} on {holder.host}, since {since})"

"""Commands that are killed, or whose disk is full, at any file operation: they are counted, and fail from the n-th on.

So the disk stays as a process leaves it that is killed there. On a full disk, files can still be removed.
"""

import contextlib
import errno
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading

import pytest

from bird_tf import config, endings, locks, temporaries

_PATHS = {
    "open": 1,
    "os.mkdir": 1,
    "os.remove": 1,
    "os.rmdir": 1,
    "os.truncate": 1,
    "os.rename": 2,
    "os.symlink": 2,
    "os.link": 2,
}
# quick: this many kills of each command; slow: one at every operation
_QUICK = 3
# their content differs from run to run: events, graphs, times in archives
_VARIABLE = (".pb", ".h5", ".index", ".data-00000-of-00001", "checkpoint.npz")


class Killed(BaseException):
    """The process would be gone."""


class _Counter:
    """Counts the operations below a folder, and kills at one of them."""

    def __init__(self):
        self.folder, self.at, self.full, self.count, self._own = None, None, False, 0, threading.Lock()

    def audit(self, event, arguments):
        if self.full and event in ("os.remove", "os.rmdir"):
            return
        if self.folder and event in _PATHS and not (event == "open" and self._only_reads(*arguments[1:])):
            paths = arguments[: _PATHS[event]]
            descriptors = arguments[-_PATHS[event] :] if event in ("os.remove", "os.rmdir", "os.rename") else (-1,)
            if any(map(self._is_below, paths, descriptors)):
                self.step()

    def step(self):
        with self._own:
            self.count += 1
            if self.at is not None and self.count >= self.at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if self.full else Killed

    @staticmethod
    def _only_reads(mode, flags):
        return not flags & (os.O_WRONLY | os.O_RDWR) if mode is None else set(mode) <= set("rbt")

    def _is_below(self, path, descriptor):
        if isinstance(path, int):
            return False
        path = os.fsdecode(path)
        if not os.path.isabs(path) and descriptor != -1:
            path = os.path.join(os.readlink(f"/proc/self/fd/{descriptor}"), path)
        return os.path.abspath(path).startswith(self.folder)


_COUNTER = _Counter()
_HOOK = threading.Lock()


@functools.cache
def _ended_process():
    """The number of a process that has ended: what it leaves is abandoned."""
    found = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    return int(found.stdout)


@contextlib.contextmanager
def counting(monkeypatch, folder, at=None, *, full=False):
    """Counts the operations below a folder in the block; yields the counter.

    At the n-th of them, the "kill" comes, or the disk is full.
    """
    if _HOOK.acquire(blocking=False):  # a hook cannot be removed
        sys.addaudithook(_COUNTER.audit)
    exchange = temporaries.exchange

    def exchanged(first, second):
        _COUNTER.step()
        return exchange(first, second)

    with monkeypatch.context() as patch:
        patch.setattr(temporaries, "exchange", exchanged)
        if at is not None and not full:
            ended = _ended_process()
            patch.setattr(os, "getpid", lambda: ended)
        _COUNTER.folder, _COUNTER.at, _COUNTER.full, _COUNTER.count = f"{folder}", at, full, 0
        try:
            yield _COUNTER
        finally:
            _COUNTER.folder, _COUNTER.full = None, False


def snapshot(folder):
    """{path: content} of all files below a folder, without what differs from run to run."""
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir():
            found[name] = None
        elif "logs" in path.relative_to(folder).parts:  # files there are named after the time
            continue
        elif path.suffix == ".json":
            found[name] = _rounded(json.loads(path.read_text()))
        else:
            found[name] = None if name.endswith(_VARIABLE) else path.read_bytes()
    return found


def _rounded(value):
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items() if name not in ("wall_seconds",)}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, 3) if isinstance(value, float) else value


# quickly at a few operations, and with the slow marker at all of them
few_or_all = pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])


def unless_finished(command, told):
    """Runs a command, unless it was killed when nothing was left to do: then it is refused with these words."""
    try:
        command()
    except config.InputError as error:
        if told not in str(error):
            raise


def _points(count, every):
    return range(1, count + 1) if every else sorted({1 + i * (count - 1) // (_QUICK - 1) for i in range(_QUICK)})


def check(monkeypatch, folder, command, prepare=lambda: None, *, every, full=True):
    """Kills `command`, which works in `folder`, at one operation after the other, and compares the ends.

    With `full` the disk is full at these operations too.
    """

    def fresh():
        shutil.rmtree(folder, ignore_errors=True)
        prepare()

    fresh()
    with counting(monkeypatch, folder) as counter:
        command()
    expected, count = snapshot(folder), counter.count
    assert count > 3
    for point in _points(count, every):
        fresh()
        with pytest.raises(Killed), counting(monkeypatch, folder, point):
            command()
        command()
        assert snapshot(folder) == expected, f"killed at operation {point} of {count}"
    for point in _points(count, every) if full else ():
        fresh()
        with counting(monkeypatch, folder, point, full=True):
            _runs_out_of_space(command)
        left = snapshot(folder)
        parts = [name for name in left if name.endswith((temporaries.SUFFIX, locks.NAME))]
        assert not parts, f"the disk was full at operation {point} of {count}: {parts} left"
        command()
        assert snapshot(folder) == expected, f"the disk was full at operation {point} of {count}"


def _runs_out_of_space(command):
    """Runs a command that ends with an error that has a line; or without one, if only removals were left."""
    try:
        command()
    except (config.InputError, OSError) as error:
        line = str(error) if isinstance(error, config.InputError) else endings.line_of(error)
        assert "the disk is full; make room and repeat the command" in line

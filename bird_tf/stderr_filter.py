"""Keeps remarks of C libraries off the terminal, and passes on everything else at once.

`filtered` is for the package. The same file, started as a program, is the process that filters.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import typing

# libmpg123 remarks on headers that it can do without; for what cannot be decoded we have a line of our own
_REMARKS = re.compile(
    rb"(?<![^\r\n])\n?(WARNING: All log messages before absl::|[IWE]0000 "
    rb"|INFO: Created TensorFlow Lite |WARNING: Attempting to use a delegate "
    rb"|\[src/libmpg123/|Note: (Illegal Audio-MPEG-Header|Trying to resync|Skipped |Hit end of )"
    rb"|Warning: (Xing stream size|Encountered more data|Big change|Real sample count)).*\n?"
)
_ACTIVE = threading.Lock()


@contextlib.contextmanager
def filtered() -> typing.Iterator[None]:
    """Filters file descriptor 2 inside the block. A block inside another one does nothing.

    Such remarks have no log level, so only the file descriptor can be filtered. A separate process does it, because
    it outlives a crash: the last words of a program that dies are passed on too. Python's own `sys.stderr` does not
    go through the filter; give it to child processes that draw progress bars.
    """
    if not _ACTIVE.acquire(blocking=False):
        yield
        return
    end, (reading, writing) = os.urandom(16), os.pipe()
    # a session of its own: Ctrl-C does not reach it
    command = [sys.executable, "-I", "-S", __file__, end.hex()]
    process = subprocess.Popen(command, stdin=reading, start_new_session=True)
    original, python_stderr = os.dup(2), sys.stderr
    if python_stderr is sys.__stderr__ and python_stderr:
        python_stderr.flush()
        sys.stderr = os.fdopen(os.dup(2), "w", 1, python_stderr.encoding, python_stderr.errors)
    os.dup2(writing, 2)
    os.close(reading)
    os.close(writing)
    try:
        yield
    finally:
        with contextlib.suppress(BrokenPipeError):  # the filter was killed
            os.write(2, end)  # closing the pipe is not enough: child processes may still hold it open
        os.dup2(original, 2)
        os.close(original)
        process.wait()
        sys.stderr = python_stderr
        _ACTIVE.release()


def is_active() -> bool:
    """Whether this process filters now."""
    return _ACTIVE.locked()


def main(end: bytes) -> None:
    """Copies standard input to standard error without the remarks, until `end` is read or the input is closed.

    A line that is not complete yet is passed on too. A signal to all processes of a job, as of systemd or Slurm, does
    not end this one: the command still has something to say.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    ended = b""
    while not ended and (block := os.read(0, 1 << 16)):
        block, ended, _ = block.partition(end)
        kept = _REMARKS.sub(b"", block)
        while kept:
            kept = kept[os.write(2, kept) :]


if __name__ == "__main__":
    main(bytes.fromhex(sys.argv[1]))

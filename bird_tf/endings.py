"""How a command ends: the exit codes, the line of an error, signals, closed pipes."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

from absl import logging

from bird_tf import free_text

ERROR = 1
IN_USE = 75  # EX_TEMPFAIL of sysexits.h: to be tried again later
# as a shell tells that a signal ended a program
_BY_SIGNAL = 128
INTERRUPTED = _BY_SIGNAL + signal.SIGINT
_MOST_SECONDS_TO_STOP = 30  # after a signal; what is not cleaned up then is cleaned up by the next command
_LONGEST_LINE = 1000  # characters; a flag may have any number
_CLOSED_PIPE = _BY_SIGNAL + signal.SIGPIPE

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL = "the disk is full"
_REMEDIES = {
    **dict.fromkeys(DISK_FULL, "make room and repeat the command"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "change its permissions, or name another place"),
    **dict.fromkeys((errno.ENOENT, errno.ESTALE), "was it moved or removed?"),
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR), "name another place, or a folder where a folder is meant"),
}
# TensorFlow's errors that the disk or a server can cause; others are defects of ours
_FILE_ERRORS = ("NotFoundError", "PermissionDeniedError", "ResourceExhaustedError", "UnavailableError", "UnknownError")
# TensorFlow begins a message so: {{function_node …}}
_OPERATION = re.compile(r"^\{\{.*?\}\}\s*")


class Stopped(SystemExit):
    """A signal stops the command."""

    def __init__(self, number: int) -> None:
        super().__init__(_BY_SIGNAL + number)
        self.line = f"stopped by {signal.Signals(number).name}; nothing is half-written, repeat the command"


@contextlib.contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Raises `Stopped` at SIGTERM and SIGHUP while the block runs, so that locks and temporary files go.

    A second signal ends the process at once. Signals that are ignored (nohup) stay ignored. What foreign code makes of
    such an exception, or of KeyboardInterrupt (TensorFlow, in its tracing, an error of its own), is that ending too.
    """
    at_last: list[threading.Timer] = []
    came: list[BaseException] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        came.append(KeyboardInterrupt())
        raise came[-1]

    def stop(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        # Python drops an exception that comes while it runs a destructor
        at_last.append(threading.Timer(_MOST_SECONDS_TO_STOP, os.kill, (os.getpid(), number)))
        at_last[-1].daemon = True
        at_last[-1].start()
        came.append(Stopped(number))
        raise came[-1]

    usual: dict[int, Any] = {signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}
    usual[signal.SIGINT] = signal.default_int_handler
    ours = {number: handler for number, handler in usual.items() if signal.getsignal(number) == handler}
    for number in ours:
        signal.signal(number, interrupt if number == signal.SIGINT else stop)
    try:
        yield
    except Exception as error:
        if came:
            raise came[0] from error
        raise
    finally:
        for timer in at_last:
            timer.cancel()
        for number, handler in ours.items():
            signal.signal(number, handler)


def line_of(error: Exception) -> str | None:
    """The line that tells a user of an error of files or of the network; None if the error is a defect of ours."""
    if isinstance(error, OSError):
        if not error.strerror:
            return str(error)
        what = _FULL if error.errno in DISK_FULL else error.strerror
        remedy = _REMEDIES.get(error.errno or 0)
        named = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return f"{named}{what}{f'; {remedy}' if remedy else ''}"
    if type(error).__module__.startswith("tensorflow.") and type(error).__name__ in _FILE_ERRORS:
        message = _OPERATION.sub("", str(getattr(error, "message", error)))
        path, full, _ = message.partition(f"; {os.strerror(errno.ENOSPC)}")
        return f"{path}: {_FULL}; {_REMEDIES[errno.ENOSPC]}" if full else message
    return None


def is_closed_pipe(error: Exception) -> bool:
    """Whether the error says that nobody reads our output any more, as after `| head`."""
    return isinstance(error, BrokenPipeError) and any(map(_is_closed, (1, 2)))


def _is_closed(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))


def leave(code: int, line: str = "", *, at_once: bool = False) -> NoReturn:
    """Ends the process.

    Args:
        code: its exit code.
        line: what the user is told; empty: nothing.
        at_once: whether threads at work are not waited for.
    """
    try:
        logging.flush()
        if line:
            print(f"error: {_told(line)}", file=sys.stderr)  # noqa: T201
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        leave_quietly()
    # at exit tensorflow-io may abort the process ("pure virtual method called"), and the exit status is lost
    if at_once or "tensorflow_io.python" in sys.modules:
        os._exit(code)
    sys.exit(code)


def _told(line: str) -> str:
    """One line for a terminal. Of a very long one, the middle is left out: what to do stands at the end."""
    line = free_text.printable(" ".join(line.split()))
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE // 2]} … {line[-_LONGEST_LINE // 2 :]}"


def leave_quietly() -> NoReturn:
    """Ends the process, whose output nobody reads any more, as SIGPIPE would."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # what is still in buffers goes nowhere, and causes no error at exit
        if _is_closed(descriptor):
            os.dup2(nowhere, descriptor)
    sys.exit(_CLOSED_PIPE)

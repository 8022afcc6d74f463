"""Recordings that may have killed a process: their damage can crash a decoder, and with it the whole command.

While this process decodes a recording, a note of it is there. A killed process cannot remove its notes, and so they
tell the next command what to read in a process of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Collection, Iterator

from absl import logging

from bird_tf import files
from bird_tf.inference import audio_files

SUFFIX = ".reading"


def _cache() -> str:
    """The user's folder for notes of commands that have no folder of their own."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(home, "bird_tf", "reading")


class Notes:
    """The notes of what is being decoded, for one command. All its threads may use it."""

    def __init__(self, folder: str = "") -> None:
        """Opens the folder of the notes; by default that of the user. Where none can be kept, there are none."""
        self._folder, self._own = folder or _cache(), set[str]()
        try:
            os.makedirs(self._folder, exist_ok=True)
            self._left = {name.partition("-")[0] for name in os.listdir(self._folder) if self._is_left(name)}
            self._keeps = os.access(self._folder, os.W_OK)
        except OSError as error:
            logging.debug("%s: no notes of what is being read (%s)", self._folder, error)
            self._left, self._keeps = set(), False

    def _is_left(self, name: str) -> bool:
        """Whether a note is of a process that ended without removing it: it no longer holds the lock."""
        if not name.endswith(SUFFIX):
            return False
        try:
            with open(os.path.join(self._folder, name), "rb") as note:
                fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # it is removed in this moment, or held
            return False
        return True

    def suspects(self, paths: Collection[str]) -> set[str]:
        """Those of the recordings that were being decoded when a process was killed."""
        return {path for path in paths if self._left and _digest(path) in self._left}

    @contextlib.contextmanager
    def reading(self, path: str) -> Iterator[None]:
        """Keeps a note of a recording while the block runs."""
        if not self._keeps:
            yield
            return
        note = os.path.join(self._folder, f"{_digest(path)}-{os.getpid()}-{threading.get_ident()}{SUFFIX}")
        with open(note, "wb") as file:
            self._own.add(note)
            with contextlib.suppress(OSError):  # the file system has no locks
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        os.remove(note)
        self._own.discard(note)

    def acquit(self, path: str) -> None:
        """Removes the notes of a recording that was read to its end."""
        for name in os.listdir(self._folder):
            if name.startswith(f"{_digest(path)}-") and self._is_left(name):
                files.remove(os.path.join(self._folder, name))

    def close(self) -> None:
        """Removes the notes of threads that were stopped."""
        for note in self._own:
            files.remove(note)


def _digest(path: str) -> str:
    return files.text_digest(audio_files.source(path) or path)

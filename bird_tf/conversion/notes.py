"""The note in which a worker says which recording it reads, so that the converter knows what killed it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator

from bird_tf import files, stored, typed


@contextlib.contextmanager
def writing(path: str) -> Iterator[Callable[[str], None]]:
    """Yields a function that notes the id of a recording, in place of the one before.

    A local file is written over: to replace it takes milliseconds on some disks, and the conversion of a short
    recording takes no more. Its first line is always whole; what is behind that is of longer ids.
    """
    if files.is_remote(path):
        yield lambda recording_id: files.write_text(path, _line(recording_id))
        return
    files.make_folder(os.path.dirname(path))
    with open(path, "wb", buffering=0) as file:

        def note(recording_id: str) -> None:
            file.seek(0)
            file.write(_line(recording_id).encode())

        yield note


def _line(recording_id: str) -> str:
    return json.dumps(recording_id) + "\n"  # in ASCII


def read(path: str) -> str:
    """The id that was noted last; "" if there is none.

    Raises:
        InputError: the note is damaged.
    """
    first_line = files.read_text(path).partition("\n")[0] if files.exists(path) else ""
    try:
        return str(typed.convert(str, typed.parse_json(first_line))) if first_line else ""
    except ValueError as error:
        raise stored.damaged(path, f"no note of a recording ({error})") from error

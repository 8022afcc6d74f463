"""The recordings of a folder, by their paths below it, and names for the files of their results."""

from __future__ import annotations

import collections
import itertools
import os
from collections.abc import Iterable

from bird_tf import config, files
from bird_tf.audio import decode, unread_files

# A file name has at most 255 bytes on all usual file systems; the rest is for the suffixes of result files.
_LONGEST_STEM = 200
# of a recording that `has_changed`
CHANGED = "changed since the prediction; repeat that"


def find_below(path: str) -> list[tuple[str, str]]:
    """(path below the folder, with `/`; path) of each recording in a folder, or of one audio file.

    Other files of the folder that may hold sound are warned of.

    Raises:
        InputError: no such file or folder.
    """
    root = path if os.path.isdir(path) else os.path.dirname(path)
    return [(files.name_below(root, found), found) for found in _find(path)]


def _find(path: str) -> list[str]:
    if not os.path.exists(path):
        raise config.InputError(f"--audio={path}: no such file or folder")
    if not os.path.isdir(path):
        return [path]
    found = decode.find(path)
    unread_files.find(path, found)
    return found


def source(path: str) -> str:
    """What tells whether a recording is still the same: its path, its size with a digest, and its time of change.

    It is empty if there is no such file, which its reader will tell. Earlier versions wrote no digest.
    """
    found = files.size_and_change(path)
    return f"{os.path.abspath(path)} {found[0]}:{files.ends_digest(path)} {found[1]}" if found else ""


def path_in(told: str) -> str:
    """The absolute path in what `source` told."""
    return told.rsplit(" ", 2)[0]


def was_written(before: str, path: str) -> bool:
    """Whether a recording has been written since `source` told of it: by its size and time alone, which is quick."""
    (_, told, *time), now = before.rsplit(" ", 2), files.size_and_change(path)
    return now is not None and (told.partition(":")[0], *time) != tuple(map(str, now))


def has_changed(before: str, path: str) -> bool:
    """Whether a recording is another one than the one that `source` told of. One that is not there has not changed.

    Of a recording that was moved or copied only size and digest count: its time may be that of the copy.
    """
    now = source(path)
    if not now:
        return False
    (old, size, *time), (new, size_now, *time_now) = before.rsplit(" ", 2), now.rsplit(" ", 2)
    if ":" not in size:
        size_now = size_now.partition(":")[0]
    return size != size_now or (old == new and time != time_now)


def stems(recordings: Iterable[str]) -> dict[str, str]:
    """{recording: its path without suffix}, after which its result files are named.

    Recordings whose paths differ in the suffix only have it with suffix, so that it is known whose the files are. Of
    those that differ in upper and lower case only, the first one has its path without suffix, and the others have it
    with suffix, or with a number. A name too long for a file is cut, with a digest.
    """
    found: dict[str, str] = {}
    recordings = list(recordings)
    alike = collections.Counter(os.path.splitext(file)[0] for file in recordings)
    taken: set[str] = set()
    for file in recordings:
        whole = _cut(file)
        stem = os.path.splitext(file)[0]
        first = [_cut(stem)] if alike[stem] == 1 else []
        names = itertools.chain([*first, whole], (f"{whole}-{n}" for n in itertools.count(2)))
        found[file] = next(name for name in names if name.casefold() not in taken)
        taken.add(found[file].casefold())
    return found


def _cut(stem: str) -> str:
    folder, name = os.path.split(stem)
    if len(os.fsencode(name)) > _LONGEST_STEM:
        kept = os.fsencode(name)[: _LONGEST_STEM - 9].decode("utf-8", "ignore")
        name = f"{kept}-{files.text_digest(name)[:8]}"
    return os.path.join(folder, name)

"""Files that may hold sound, and that no command reads, for they lack the suffix of a recording."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from absl import logging

from bird_tf import files, skips
from bird_tf.audio import decode, mp3

_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst")
_HEADERLESS = (".raw", ".pcm")
_HEAD_BYTES = 64
# how files of sound begin, apart from mp3 frames
_SOUND = re.compile(
    rb"RIFF....WAVE|RF64|BW64|riff|fLaC|OggS|ID3|FORM....AIF|\.snd|caff|NIST_1A|Creative Voice|wvpk|MAC |"
    rb"....ftyp(?:M4A|isom|mp4|qt)", re.DOTALL,
)  # fmt: skip


def find(root: str, paths: Iterable[str], without: tuple[str, ...] = ()) -> list[skips.Skip]:
    """Files below a folder that seem to hold sound, and are read by no command. They are logged.

    Args:
        root: the folder of the recordings.
        paths: the recordings.
        without: suffixes of files that are of another use.

    Returns:
        (file, what it is); first those of folders without recordings, which could be species.
    """
    found = [(path, what) for path in files.find(root, ("",)) if (what := _what_it_is(path, without))]
    folders = {os.path.dirname(path) for path in paths}
    found.sort(key=lambda skip: os.path.dirname(skip[0]) in folders)
    if found:
        logging.warning("%d files may hold sound and are not read, the first: %s (%s)", len(found), *found[0])
    return found


def _what_it_is(path: str, without: tuple[str, ...]) -> str:
    """What a file is that seems to hold sound and has the suffix of no recording; empty if it does not."""
    name = path.lower()
    if name.endswith((*decode.SUFFIXES, *without)):
        return ""
    if name.endswith(_ARCHIVES):
        return "an archive; unpack it"
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        is_broken = os.path.islink(path) and not os.path.exists(path)  # perhaps to the folder of a species
        return "a link to what is not there" if is_broken else ""
    if _SOUND.match(head) or mp3.is_mp3(head):
        return "sound, without the suffix of a recording; rename it"
    return "sound without a header; save it as WAV" if name.endswith(_HEADERLESS) else ""

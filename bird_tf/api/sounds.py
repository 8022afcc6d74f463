"""What may stand where a recording is asked for: paths, folders, arrays of samples, and open files."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import numbers
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import soundfile

from bird_tf import config
from bird_tf.audio import decode

# Sony Wave64: floats of 32 bits as they are, and more than the 4 GiB of a WAV
_FORMAT, _SUFFIX = "W64", ".w64"
_MOST_HZ = 2**31 - 1
_KINDS = "a recording is a path, a folder, an array of samples, an open file, or several of these"


@dataclasses.dataclass(frozen=True)
class Sound:
    """A recording as a file.

    Attributes:
        file: what it is called in tables.
        path: its file.
        root: the folder that was searched; the folders between the two can name its site.
    """

    file: str
    path: str
    root: str


@contextlib.contextmanager
def as_files(recordings: Any, sample_rate_hz: float | None) -> Iterator[list[Sound]]:
    """Yields recordings of any kind as files. Samples and open files are copied to a temporary folder.

    Args:
        recordings: a path of a recording; a folder, which is searched; samples [n] or [n, channels], floats in [-1, 1]
            or signed integers of up to 32 bits; a file open for reading bytes; or several of these. In tables, a file
            is called as it is given here, a recording of a folder by its path with that folder, samples samples-0,
            samples-1, ….
        sample_rate_hz: of the samples; None if there are none.

    Raises:
        InputError: there is no recording, something else than a recording, or samples without a sample rate.
    """
    given = list(_each(recordings))
    if not given:
        raise config.InputError("no recordings are given")
    has_samples = any(isinstance(one, np.ndarray) for one in given)
    if has_samples and not _is_rate(sample_rate_hz):
        raise config.InputError(
            f"sample_rate_hz={sample_rate_hz}: samples need their sample rate, a whole number of Hz"
        )
    config.refuse_without_effect({"sample_rate_hz without samples": sample_rate_hz is not None and not has_samples})
    files = [one for one in given if isinstance(one, str) and not os.path.isdir(one)]
    common = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in files]) if files else ""
    found: dict[str, Sound] = {}  # by path: what is named twice is used once
    with tempfile.TemporaryDirectory(prefix="bird_tf-") as folder:
        for number, one in enumerate(given):
            if isinstance(one, np.ndarray):
                path = os.path.join(folder, f"samples-{number}{_SUFFIX}")
                _write(path, one, int(sample_rate_hz or 0))
                sounds = [Sound(f"samples-{number}", path, folder)]
            elif not isinstance(one, str):
                sounds = [_copied(one, folder, number)]
            elif os.path.isdir(one):
                sounds = [Sound(path, path, one) for path in decode.find(one)]
            elif os.path.exists(one):
                sounds = [Sound(one, one, common)]
            else:
                raise config.InputError(f"{one}: no such file or folder")
            found.update((sound.path, sound) for sound in sounds if sound.path not in found)
        yield list(found.values())


def _is_rate(sample_rate_hz: object) -> bool:
    if not isinstance(sample_rate_hz, numbers.Real):
        return False
    rate = float(sample_rate_hz)
    return 1 <= rate <= _MOST_HZ and rate.is_integer()


def _each(recordings: Any) -> Iterator[Any]:
    """Yields each recording: a text, an array of numbers, or an open file."""
    if isinstance(recordings, str | os.PathLike):
        yield os.fspath(recordings)
        return
    if hasattr(recordings, "read"):
        yield recordings
        return
    array = np.asarray(recordings) if hasattr(recordings, "__array__") else None
    if array is not None and array.dtype.kind in "biufc":
        yield array
    elif isinstance(recordings, Iterable) and not isinstance(recordings, bytes):
        for one in recordings:
            yield from _each(one)
    else:
        raise config.InputError(f"{_KINDS}; got {type(recordings).__name__}")


def _write(path: str, samples: np.ndarray, sample_rate_hz: int) -> None:
    """Writes samples as they are."""
    kind, shape = samples.dtype.kind, samples.shape
    if kind not in "if" or not 1 <= samples.ndim <= 2 or (samples.ndim == 2 and shape[0] < shape[1]):
        raise config.InputError(
            f"samples are {samples.dtype} of shape {list(shape)}: need floats or signed integers, [n] or [n, channels]"
        )
    if kind == "i" and samples.dtype.itemsize > 4:  # what counts as full scale in it cannot be known
        raise config.InputError(
            f"samples are {samples.dtype}: give them as int16 or int32, as the file holds them, or as floats in [-1, 1]"
        )
    if kind == "i":
        samples = samples / (np.iinfo(samples.dtype).max + 1.0)
    try:
        soundfile.write(path, samples.astype(np.float32), sample_rate_hz, format=_FORMAT, subtype="FLOAT")
    except soundfile.LibsndfileError as error:  # more channels than a file can have
        raise config.InputError(f"samples of shape {list(shape)} are no recording ({error.error_string})") from error


def _copied(file: Any, folder: str, number: int) -> Sound:
    """Copies an open file, from its beginning."""
    name = getattr(file, "name", "")
    name = name if isinstance(name, str) and name else f"file-{number}"
    if getattr(file, "closed", False):
        raise config.InputError(f"{name} is closed; open it again with mode 'rb'")
    if isinstance(file, io.TextIOBase):
        raise config.InputError(f"{name} is open for reading text; open it with mode 'rb'")
    if file.seekable():
        file.seek(0)
    path = os.path.join(folder, os.path.basename(name))
    if os.path.exists(path):
        path = os.path.join(folder, f"{number}-{os.path.basename(name)}")
    with open(path, "wb") as copy:
        shutil.copyfileobj(file, copy)
    return Sound(name, path, folder)

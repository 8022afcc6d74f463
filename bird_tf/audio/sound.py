"""A recording as a stream of blocks of all its channels, whatever its format, and what was noticed while it was read.

libsndfile decodes it; what that does not read goes to ffmpeg or PyAV.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import stat
from collections.abc import Iterator, Sequence
from concurrent import futures

import numpy as np

from bird_tf import executor
from bird_tf.audio import decoder, foreign, reports

_TEXT = re.compile(rb"[^\0-\x08\x0e-\x1f\x7f]+")  # a beginning without controls


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sound:
    """An open recording.

    Attributes:
        sample_rate_hz, num_channels: of the file.
        blocks: yields [n, num_channels] float32, nominally in [-1, 1].
    """

    sample_rate_hz: int
    num_channels: int
    blocks: Iterator[np.ndarray]


@contextlib.contextmanager
def opened(path: str, report: reports.Report, start_seconds: float = 0.0) -> Iterator[Sound]:
    """Opens a recording while the block runs.

    Args:
        path: any format that libsndfile reads, or, with ffmpeg or PyAV, one that those read.
        report: filled while the blocks are read.
        start_seconds: where the blocks begin.

    Raises:
        UnreadableError: the file is not audio, is too damaged to be opened, or its header says what cannot be. The
            blocks raise it if they hold no sample.
    """
    head = _head(path)
    try:
        found = decoder.Decoder(path, head, report)
    except reports.UnreadableError as error:
        if _TEXT.fullmatch(head):
            raise reports.UnreadableError(
                f"{path}: cannot be decoded (it is text, as a web page or a pointer in its place; download it again)"
            ) from error
        if not any(head):
            raise reports.UnreadableError(
                f"{path}: cannot be decoded (it begins with zeros in place of a header, as after a power loss of the "
                "recorder; copy it from the card again)"
            ) from error
        if isinstance(error.__cause__, OSError) or not foreign.is_foreign(path, head):
            raise
    else:
        report.sample_rate_hz = found.rate
        with contextlib.closing(found.blocks(start_seconds)) as blocks:
            yield Sound(sample_rate_hz=found.rate, num_channels=found.num_channels, blocks=blocks)
        return
    with _foreign(path, report, start_seconds) as sound:
        yield sound


@contextlib.contextmanager
def _foreign(path: str, report: reports.Report, start_seconds: float) -> Iterator[Sound]:
    with contextlib.ExitStack() as stack:
        try:
            rate, num_channels, blocks = stack.enter_context(foreign.opened(path))
        except foreign.ForeignError as error:
            raise reports.UnreadableError(f"{path}: {error}") from error
        reports.check_header(path, rate, num_channels)
        report.sample_rate_hz = rate
        checked = decoder.without_start(_checked(path, rate, blocks, report), round(start_seconds * rate))
        yield Sound(sample_rate_hz=rate, num_channels=num_channels, blocks=checked)


def _checked(path: str, rate: int, blocks: Iterator[np.ndarray | str], report: reports.Report) -> Iterator[np.ndarray]:
    """Yields the blocks of another decoder, and takes its messages into the report."""
    position = 0
    for block in blocks:
        if isinstance(block, str):
            report.damage = report.damage or block
            continue
        position += len(block)
        yield decoder.with_zeros(block)
    report.seconds = position / rate
    if not position:
        raise reports.UnreadableError(f"{path}: holds no samples{f' ({report.damage})' if report.damage else ''}")


def duration_seconds(path: str) -> float:
    """Length of a recording by its header, seconds; 0 if it is not there, or the file cannot be read."""
    try:
        head = _head(path)
    except reports.UnreadableError:
        return 0.0
    try:
        seconds = decoder.duration_seconds(path, head)
    except reports.UnreadableError:
        seconds = foreign.duration_seconds(path) if foreign.is_foreign(path, head) else 0.0
    return float(min(seconds, reports.most_seconds(path)))


def searched_seconds(path: str) -> float:
    """As `duration_seconds`, with all parts of a file that was joined, and all frames of an mp3, which are searched.

    Without a number of frames in its header, the length of an mp3 of variable bit rate is a guess that can be far off.
    """
    try:
        return float(min(decoder.searched_seconds(path, _head(path)), reports.most_seconds(path)))
    except reports.UnreadableError:
        return duration_seconds(path)


def durations(paths: Sequence[str]) -> list[float]:
    """`duration_seconds` of each recording, several at once: some formats need a process for it."""
    with futures.ThreadPoolExecutor(executor.num_cores()) as workers:
        return list(workers.map(duration_seconds, paths))


def _head(path: str) -> bytes:
    """The first bytes of a file. Raises UnreadableError."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise reports.UnreadableError(f"{path}: is not a file")
        with open(path, "rb") as file:
            head = file.read(64)
        path.encode()
    except UnicodeEncodeError as error:
        raise reports.UnreadableError(f"{path}: its name is not UTF-8; rename it") from error
    except OSError as error:
        raise reports.UnreadableError(f"{path}: cannot be opened ({error.strerror})") from error
    if not head:
        raise reports.UnreadableError(f"{path}: is empty (0 bytes)")
    return head

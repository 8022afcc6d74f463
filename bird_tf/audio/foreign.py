"""Formats that libsndfile does not read, decoded by ffmpeg if it is on the path, else by PyAV if it is installed."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shutil
import struct
import subprocess
import tempfile
import typing
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from bird_tf.audio import reports

_OF_WILDLIFE_ACOUSTICS = (".wac", ".w4v")
SUFFIXES = (
    ".m4a", ".m4b", ".mp4", ".aac", ".wma", ".webm", ".weba", ".mka", ".wv", ".3gp", ".3g2", ".amr", ".ape",
    ".tta", ".ac3", ".m4r", ".mov", ".mkv", ".mpga", ".ra", ".spx", *_OF_WILDLIFE_ACOUSTICS,
)  # fmt: skip

# containers by their first bytes: MP4 (from byte 4 on), Matroska, Windows Media, WavPack, AMR, Monkey's Audio; and
# Ogg and CAF, of which libsndfile reads only some
_MAGIC = (b"\x1aE\xdf\xa3", b"0&\xb2u", b"wvpk", b"#!AMR", b"MAC ", b"OggS", b"caff")
_BLOCK_BYTES = 1 << 20
_ADVICE = "install ffmpeg, or pip install 'bird-tf[formats]', or convert it to FLAC"
# a file is the only source, and asks for no more memory than this
_FFMPEG_OPTIONS = ("-nostdin", "-protocol_whitelist", "file,pipe", "-max_alloc", str(1 << 29))
# In the time stamps of the frames, a jump back, as in files that were joined, and one that is too far are none. Silence
# is put into gaps of more than 0.1 s, and before sound that begins later.
_IN_TIME = (
    "asetpts='if(N,if(between(PTS-PREV_INPTS,0,{most}/TB),PTS+PREV_OUTPTS-PREV_INPTS,PREV_OUTPTS+NB_SAMPLES),"
    "if(lt(PTS,{most}/TB),PTS,0))',aresample=async=1:first_pts=0:min_comp={least}"
)
_LEAST_GAP_SECONDS = 0.1
_LEAST_END_SECONDS = 0.5  # encoders fill the last frame, or begin before the sound
# of the decoder in ffmpeg's memory, in its messages, and how severe they are
_ADDRESS = re.compile(r" @ 0x[0-9a-f]+")
_ERROR = re.compile(rb"^(.*)\[(?:error|fatal|panic)\] (.*)", re.MULTILINE)
_SILENCE = re.compile(rb"\[verbose\] adding (\d+) audio samples of silence")
_LATER_TIMES = "later times may be too early"
# magic number, first byte of the sound, its length, encoding, sample rate, channels; big-endian
_AU_HEADER = struct.Struct(">4sIIIII")

# sample rate in Hz, number of channels, and an iterator of blocks [n, channels] float32 and of messages about damage
Opened = tuple[int, int, Iterator[np.ndarray | str]]


class ForeignError(Exception):
    """The file cannot be decoded here. The message says why, and what to do."""


def is_foreign(path: str, head: bytes) -> bool:
    """Whether a file that libsndfile refuses is to be decoded here, by its suffix or its first bytes."""
    return path.lower().endswith(SUFFIXES) or head[4:8] == b"ftyp" or head.startswith(_MAGIC)


@contextlib.contextmanager
def opened(path: str) -> Iterator[Opened]:
    """Opens a file while the block runs.

    Raises:
        ForeignError: no decoder, or it finds no sound.
    """
    kind = os.path.splitext(path)[1].lower()
    if kind in _OF_WILDLIFE_ACOUSTICS:
        raise ForeignError(f"only Wildlife Acoustics' Kaleidoscope reads {kind}; convert it to WAV with that")
    if ffmpeg := shutil.which("ffmpeg"):
        with _by_ffmpeg(ffmpeg, path) as found:
            yield found
        return
    try:
        av = importlib.import_module("av")
    except ImportError as error:
        what = kind if kind in SUFFIXES else f"this {kind or 'format'}"
        raise ForeignError(f"libsndfile does not read {what}: {_ADVICE}") from error
    with _by_av(av, path) as found:
        yield found


def duration_seconds(path: str) -> float:
    """Length by the header; 0 if it is unknown, or there is no decoder."""
    try:
        av = importlib.import_module("av")  # many times as fast as a process for each file
    except ImportError:
        return _duration_by_ffmpeg(path)
    try:
        with av.open(path) as container:
            return float((container.duration or 0) / av.time_base)
    except (av.error.FFmpegError, OSError):
        return 0.0


def _duration_by_ffmpeg(path: str) -> float:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return 0.0
    command = [ffmpeg, *_FFMPEG_OPTIONS, "-i", f"file:{path}"]
    told = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).stderr
    found = re.search(rb"Duration: (\d+):(\d+):(\d+\.\d+)", told)
    return sum(float(part) * unit for part, unit in zip(found.groups(), (3600, 60, 1), strict=True)) if found else 0.0


@contextlib.contextmanager
def _by_ffmpeg(ffmpeg: str, path: str) -> Iterator[Opened]:
    """Reads the AU stream that ffmpeg writes, whose header tells rate and channels."""
    in_time = _IN_TIME.format(most=reports.most_gap_seconds(path), least=_LEAST_GAP_SECONDS)
    command = [ffmpeg, *_FFMPEG_OPTIONS, "-nostats", "-v", "repeat+level+verbose", "-i", f"file:{path}",
               "-map", "0:a:0", "-af", in_time, "-c:a", "pcm_f32be", "-bitexact", "-f", "au", "-"]  # fmt: skip
    with (
        tempfile.TemporaryFile() as messages,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=messages) as process,
    ):
        stream = typing.cast(BinaryIO, process.stdout)
        try:
            header = stream.read(_AU_HEADER.size)
            magic, begin, _, _, rate, channels = _AU_HEADER.unpack(header.ljust(_AU_HEADER.size, b"\0"))
            if magic != b".snd" or not channels:
                if len(header) == _AU_HEADER.size:
                    process.kill()
                process.wait()
                raise ForeignError(f"ffmpeg finds no sound ({_first_error(messages)})")
            stream.read(begin - _AU_HEADER.size)
            yield rate, channels, _ffmpeg_blocks(process, stream, messages, rate, channels)
        finally:
            process.kill()


def _ffmpeg_blocks(
    process: subprocess.Popen[bytes], stream: BinaryIO, messages: BinaryIO, rate: int, channels: int
) -> Iterator[np.ndarray | str]:
    frame_bytes = 4 * channels
    while content := stream.read(max(1, _BLOCK_BYTES // frame_bytes) * frame_bytes):
        whole = len(content) // frame_bytes * frame_bytes
        yield np.frombuffer(content[:whole], ">f4").reshape(-1, channels).astype(np.float32)
    has_failed = process.wait() != 0
    if (error := _first_error(messages)) or has_failed:
        yield f"ffmpeg: {error}; {_LATER_TIMES}"
    messages.seek(0)
    if silent := sum(int(count) for line in messages for count in _SILENCE.findall(line)):
        yield _gaps(silent / rate)


def _first_error(messages: BinaryIO) -> str:
    messages.seek(0)
    found = next(filter(None, map(_ERROR.search, messages)), None)
    return _ADDRESS.sub("", b"".join(found.groups()).decode("utf-8", "replace").strip())[:200] if found else ""


def _gaps(seconds: float) -> str:
    return f"it has gaps of {seconds:.1f} s in all, in which there is silence now"


@contextlib.contextmanager
def _by_av(av: Any, path: str) -> Iterator[Opened]:
    try:
        container = av.open(path)
    except (av.error.FFmpegError, OSError) as error:
        raise ForeignError(f"PyAV finds no sound ({error})") from error
    with container:
        if not container.streams.audio:
            raise ForeignError("PyAV finds no sound in it")
        stream = container.streams.audio[0]
        yield stream.rate or 0, stream.codec_context.channels, _av_blocks(path, av, container, stream)


def _av_blocks(path: str, av: Any, container: Any, stream: Any) -> Iterator[np.ndarray | str]:
    to_float = av.AudioResampler(format="flt")
    packets = container.demux(stream)
    due, most = (container.start_time or 0) / av.time_base, reports.most_gap_seconds(path)
    silent = 0.0
    while True:
        try:
            decoded = next(packets).decode()
        except StopIteration:
            break
        except av.error.FFmpegError as error:
            yield f"PyAV: {error}; {_LATER_TIMES}"
            continue
        for frame in decoded:
            time = due if frame.time is None else frame.time
            if _LEAST_GAP_SECONDS < time - due < most:
                silent += time - due
                yield from _silence(round((time - due) * frame.sample_rate), len(frame.layout.channels))
            due = time + frame.samples / frame.sample_rate
            for converted in to_float.resample(frame):
                yield converted.to_ndarray().reshape(-1, len(converted.layout.channels))
    told = _told_seconds(av, container, stream)
    if told - due > _LEAST_END_SECONDS:
        yield reports.told_and_held(told, due)
    if silent:
        yield _gaps(silent)


def _told_seconds(av: Any, container: Any, stream: Any) -> float:
    """When the sound ends by its header; 0 if that is unknown. Without time stamps, it is a guess by the bit rate."""
    if stream.start_time is None:
        return 0.0
    if stream.duration is not None:
        return float((stream.start_time + stream.duration) * stream.time_base)
    return float((container.duration or 0) / av.time_base) if len(container.streams) == 1 else 0.0


def _silence(num_samples: int, channels: int) -> Iterator[np.ndarray]:
    for first in range(0, num_samples, _BLOCK_BYTES):
        yield np.zeros((min(_BLOCK_BYTES, num_samples - first), channels), np.float32)

"""Excerpts of recordings, as samples, sound for a browser, and picture."""

from __future__ import annotations

import io

import numpy as np

from bird_tf import tf
from bird_tf.audio import decode, frontend

# of the sound: high enough for birds, and every MP3 decoder plays it
RATE_HZ = 32000
# before this time, reading from the start is as quick as a jump
_JUMP_SECONDS = 30.0
_FRAMES_PER_SECOND = 100
_MOST_FRAMES = 1200
_QUALITY = 75  # of the picture, out of 100


def samples(path: str, rate: int, start: float, end: float, channel: str = "mix") -> np.ndarray:
    """[n] float32 mono samples of an excerpt; fewer if the recording ends before.

    Args:
        path: the recording.
        rate: sample rate of the result, Hz.
        start, end: of the excerpt, seconds.
        channel: as --channel.

    Raises:
        UnreadableError: the recording cannot be decoded.
    """
    jump = start if start > _JUMP_SECONDS else 0.0
    first, last = round((start - jump) * rate), round((end - jump) * rate)
    pieces, position = [np.zeros(0, np.float32)], 0
    for block in decode.blocks(path, rate, channel, start_seconds=jump):
        pieces.append(block[max(0, first - position) : max(0, last - position)])
        position += len(block)
        if position >= last:
            break
    return np.concatenate(pieces)


def mp3(excerpt: np.ndarray) -> bytes:
    """Samples [n] at `RATE_HZ` as MP3, scaled to the highest volume so that faint birds are audible."""
    import soundfile

    buffer = io.BytesIO()
    peak = float(np.abs(excerpt).max(initial=0.0))
    soundfile.write(buffer, excerpt * (0.9 / peak if peak else 1.0), RATE_HZ, format="MP3", compression_level=0.7)
    return buffer.getvalue()


def picture(excerpt: np.ndarray) -> bytes:
    """Samples [n] at `RATE_HZ` as a spectrogram for people, low frequencies at the bottom, as WebP."""
    import matplotlib
    import PIL.Image

    seconds = max(0.1, len(excerpt) / RATE_HZ)
    front_end = frontend.FrontendConfig(
        sample_rate_hz=RATE_HZ, chunk_seconds=seconds, num_bands=128, fmin_hz=150.0, fmax_hz=15000.0,
        num_frames=min(_MOST_FRAMES, max(2, round(_FRAMES_PER_SECOND * seconds))), top_db=70.0,
    )  # fmt: skip
    padded = np.pad(excerpt, (0, max(0, front_end.chunk_samples - len(excerpt))))
    [image] = frontend.spectrograms(tf.constant(padded[None]), front_end).numpy()
    colours = matplotlib.colormaps["magma"](np.round(255 * image).astype(np.uint8))[..., :3]
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.round(255 * colours).astype(np.uint8)).save(buffer, "WEBP", quality=_QUALITY)
    return buffer.getvalue()

"""The channels of a recording → one."""

from __future__ import annotations

import re

import numpy as np

from bird_tf import config
from bird_tf.audio import reports, sound

MIX, LOUDEST = "mix", "loudest"

_NUMBER = re.compile(r"[1-9][0-9]{0,2}")
# Channels that cancel: the power of their mix is below this share of what independent channels would give. Two
# channels of equal power do so if their correlation is below -0.8.
_CANCELLING_SHARE = 0.2
_STEP = 29  # every so many samples are enough to notice it
_SILENCE = 1e-10  # power below -100 dB of full scale


def check(channel: str) -> None:
    """Refuses what is no channel.

    Raises:
        InputError: not mix, loudest or a number from 1 on.
    """
    if channel not in ("", MIX, LOUDEST) and not _NUMBER.fullmatch(channel):
        raise config.InputError(f"--channel={channel}: must be {MIX}, {LOUDEST}, or the number of a channel: 1, 2, …")


class _Powers:
    """The power of each channel and of their mix, without constant offsets."""

    def __init__(self, num_channels: int) -> None:
        self._count = 0
        self._sums, self._squares = np.zeros(num_channels + 1), np.zeros(num_channels + 1)

    def add(self, block: np.ndarray, mix: np.ndarray) -> None:
        """Adds [n, channels] and their mix [n]."""
        self._count += len(block)
        self._sums += [*block.sum(axis=0, dtype=np.float64), mix.sum(dtype=np.float64)]
        squares = np.einsum("ij,ij->j", block, block, dtype=np.float64)
        self._squares += [*squares, np.dot(mix.astype(np.float64), mix)]

    def each(self) -> np.ndarray:
        """[channels + 1] power of each channel, and of the mix."""
        count = max(1, self._count)
        return np.asarray(self._squares / count - (self._sums / count) ** 2)


class Selector:
    """Takes one channel, or the mean of all, from the blocks of a recording, and notices channels that cancel."""

    def __init__(self, path: str, channel: str, num_channels: int) -> None:
        """For --channel=`channel`; the loudest is searched in a pass over the whole recording.

        Raises:
            UnreadableError: the recording has no such channel.
        """
        self._powers = _Powers(num_channels)
        self._index: int | None = None
        if channel == LOUDEST and num_channels > 1:
            self._index = _loudest(path, num_channels)
        elif channel not in ("", MIX, LOUDEST):
            self._index = int(channel) - 1
            if self._index >= num_channels:
                has = "one channel" if num_channels == 1 else f"{num_channels} channels"
                raise reports.UnreadableError(f"{path}: has {has}, and not the one of --channel={channel}")

    def take(self, block: np.ndarray) -> np.ndarray:
        """[n, channels] → [n]."""
        if block.shape[1] == 1:
            return block[:, 0]
        if self._index is not None:
            return block[:, self._index]
        # np.mean along so short an axis gives the same, and takes half as long as decoding
        mix = block[:, 0] + block[:, 1]
        for index in range(2, block.shape[1]):
            mix += block[:, index]
        mix /= np.float32(block.shape[1])
        self._powers.add(block[::_STEP], mix[::_STEP])
        return mix

    def warning(self) -> str:
        """A warning about the blocks so far, if their channels cancel; else an empty text."""
        *powers, mix = self._powers.each()
        mean = float(np.mean(powers))
        if len(powers) < 2 or mean < _SILENCE or mix >= _CANCELLING_SHARE / len(powers) * mean:
            return ""
        weaker = "away" if mix <= 0 else f"to {10 * np.log10(mix / mean):.0f} dB"
        return (
            f"its channels have opposite polarity and cancel each other {weaker} in their mean; use --channel=1, "
            f"another number, or {LOUDEST}"
        )


def _loudest(path: str, num_channels: int) -> int:
    powers = _Powers(num_channels)
    with sound.opened(path, reports.Report()) as opened:
        for block in opened.blocks:
            powers.add(block, block[:, 0])
    return int(np.argmax(powers.each()[:-1]))

"""Axes for pictures of spectrograms: where a frequency and a time lie."""

from __future__ import annotations

from typing import Any

import numpy as np

from bird_tf.audio import frontend, mel

# an octave apart, so that they stand apart on every scale
_TICKS_HZ = 1000.0 * 2.0 ** np.arange(-3, 8)


def rows(front_end: frontend.FrontendConfig, frequencies_hz: np.ndarray) -> np.ndarray:
    """Rows of a spectrogram in which frequencies lie, as fractions; row 0 is the top one, the highest band.

    Band i is centred on edge i + 1 of num_bands + 2 edges that divide [fmin_hz, fmax_hz] evenly on the scale.

    Args:
        front_end: what made the spectrogram.
        frequencies_hz: [n] float, Hz.
    """
    ends, values = np.array([front_end.fmin_hz, front_end.fmax_hz]), np.asarray(frequencies_hz, float)
    if front_end.scale == "mel":
        ends, values = mel.from_hz(ends), mel.from_hz(values)
    return front_end.num_bands - (front_end.num_bands + 1) * (values - ends[0]) / (ends[1] - ends[0])


def mark(axes: Any, front_end: frontend.FrontendConfig, *, frequencies: bool, seconds: bool) -> None:
    """Marks the frequencies, kHz, and the two ends in time, s, of a spectrogram that `imshow` drew on matplotlib axes.

    Args:
        axes: matplotlib's axes.
        front_end: what made the spectrogram.
        frequencies: whether the frequencies are marked, at the left.
        seconds: whether the times are marked, below.
    """
    shown = _TICKS_HZ[(front_end.fmin_hz <= _TICKS_HZ) & (front_end.fmax_hz >= _TICKS_HZ)]
    axes.set_yticks(*((rows(front_end, shown), [f"{hz / 1000:g}" for hz in shown]) if frequencies else ([],)))
    ends = (-0.5, front_end.num_frames - 0.5)
    axes.set_xticks(*((ends, ["0", f"{front_end.chunk_seconds:g} s"]) if seconds else ([],)))
    axes.tick_params(length=2, pad=2, labelsize=7)
    if frequencies:
        axes.set_title("kHz", loc="left", x=-0.02, fontsize=7, ha="right")
    if seconds:  # inside the width of the picture, so that neighbours do not run into each other
        for label, side in zip(axes.get_xticklabels(), ("left", "right"), strict=True):
            label.set_ha(side)

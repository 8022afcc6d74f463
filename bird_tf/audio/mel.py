"""Slaney's mel scale: even below 1000 Hz, logarithmic above it, where 27 steps are a factor of 6.4.

From Slaney, Auditory Toolbox, Interval Research Technical Report 1998-010, as in librosa (`htk=False`), bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_HZ_PER_MEL = 200.0 / 3.0  # below the bend
_BEND_HZ = 1000.0
_BEND_MEL = _BEND_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0  # above the bend, for each mel


def from_hz(frequencies_hz: Any) -> np.ndarray:
    """Frequencies, Hz (not negative, a number or an array of any shape) → mels, float64 of the same shape."""
    values = np.asarray(frequencies_hz, float)
    above = _BEND_MEL + np.log(np.maximum(values, _BEND_HZ) / _BEND_HZ) / _LOG_STEP
    return np.where(values < _BEND_HZ, values / _HZ_PER_MEL, above)


def to_hz(mels: Any) -> np.ndarray:
    """The inverse of `from_hz`."""
    values = np.asarray(mels, float)
    above = _BEND_HZ * np.exp(_LOG_STEP * (np.maximum(values, _BEND_MEL) - _BEND_MEL))
    return np.where(values < _BEND_MEL, _HZ_PER_MEL * values, above)

"""A digest of decoded samples. Recordings with equal digests hold the same sound, whatever their names and formats."""

from __future__ import annotations

import hashlib

import numpy as np

# the first part of a digest is that of the first seconds: comparing it needs no more than those
_HEAD_SECONDS = 10
HEAD_LENGTH = 8


class Digest:
    """The digest of a stream of samples.

    It depends on the sample rate: compare digests of one rate only.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._head, self._whole = (hashlib.md5(usedforsecurity=False) for _ in range(2))
        self._missing = _HEAD_SECONDS * sample_rate_hz

    def update(self, samples: np.ndarray) -> None:
        """Adds the next samples, [n] float32."""
        samples = np.ascontiguousarray(samples)
        self._head.update(samples[: self._missing].tobytes())
        self._whole.update(samples.tobytes())
        self._missing -= min(self._missing, len(samples))

    @property
    def has_head(self) -> bool:
        """Whether more samples will not change the first part."""
        return self._missing == 0

    @property
    def head(self) -> str:
        """The first HEAD_LENGTH characters of the digest."""
        return self._head.hexdigest()[:HEAD_LENGTH]

    def __str__(self) -> str:
        return self.head + self._whole.hexdigest()[: 32 - HEAD_LENGTH]

"""A digest of decoded samples. Recordings with equal digests hold the same sound, whatever their names and formats."""

from __future__ import annotations

import hashlib

import numpy as np

# the first part of a digest is that of the first seconds: comparing it needs no more than those
HEAD_SECONDS = 10
HEAD_LENGTH = 8
_MD5_LENGTH = 32


class Digest:
    """The digest of a stream of samples.

    It depends on the sample rate: compare digests of one rate only.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        # processors compute SHA-1 faster than any other: of the time of a conversion, md5 took a tenth
        self._whole = hashlib.sha1(usedforsecurity=False)
        self._missing = HEAD_SECONDS * sample_rate_hz
        self._head = ""

    def update(self, samples: np.ndarray) -> None:
        """Adds the next samples, [n] float32."""
        samples = np.ascontiguousarray(samples)
        if not self.has_head:
            head, samples = samples[: self._missing], samples[self._missing :]
            self._whole.update(head.data)
            self._missing -= len(head)
            if self.has_head:
                self._head = self.head
        self._whole.update(samples.data)

    @property
    def has_head(self) -> bool:
        """Whether more samples will not change the first part."""
        return self._missing == 0

    @property
    def head(self) -> str:
        """The first HEAD_LENGTH characters of the digest."""
        return self._head or self._whole.hexdigest()[:HEAD_LENGTH]

    def __str__(self) -> str:
        return self.head + self._whole.hexdigest()[HEAD_LENGTH:]


def kind(digest: str) -> str:
    """Which digests it can be compared with: those of earlier versions are md5."""
    return "md5" if len(digest) == _MD5_LENGTH else "sha1" if digest else ""

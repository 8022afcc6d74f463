"""One recording as a stream of windows for a backbone, at the backbone's own sample rate."""

from __future__ import annotations

import math

import numpy as np

from bird_tf.audio import decode
from bird_tf.backbones import backbone


class WindowStream:
    """One recording as the teacher hears it, read forwards at the teacher's rate."""

    def __init__(self, listener: backbone.Backbone, path: str, chunk_seconds: float) -> None:
        self._listener, self._chunk_seconds = listener, chunk_seconds
        self._blocks = decode.blocks(path, listener.sample_rate_hz)
        self._samples, self._first = np.zeros(0, np.float32), 0

    def answers(self, start_seconds: float) -> np.ndarray:
        """What the teacher says of a chunk, the greatest of its windows' probabilities; chunks come in order of time.

        A window longer than the chunk is centred on it; shorter ones are spread over it evenly, the first at its
        start, the last at its end, ⌈chunk / window⌉ in all. Outside the recording, and from where it cannot be
        decoded, there is silence.

        Returns:
            [classes] float32 in [0, 1], NaN where the teacher does not know the class.
        """
        rate, window = self._listener.sample_rate_hz, self._listener.window_samples
        chunk = round(self._chunk_seconds * rate)
        span, count = max(chunk, window), math.ceil(chunk / window)
        heard = self._cut(round(start_seconds * rate) - (span - chunk) // 2, span)
        starts = np.linspace(0, span - window, count).round().astype(int)
        windows = np.stack([heard[start : start + window] for start in starts])
        return np.asarray(self._listener.probabilities(windows).max(axis=0))

    def _cut(self, start: int, length: int) -> np.ndarray:
        """Samples [start, start + length) with zeros outside the recording; forgets what lies before them."""
        while self._first + len(self._samples) < start + length:
            try:
                block = next(self._blocks, None)
            except decode.UnreadableError:  # the converter meets it as well, and says so
                block = None
            if block is None:
                break
            self._samples = np.concatenate([self._samples, block])
            self._forget(start)
        self._forget(start)
        before = max(0, self._first - start)
        inside = self._samples[: max(0, length - before)]
        return np.pad(inside, (before, length - before - len(inside)))

    def _forget(self, start: int) -> None:
        gone = min(max(0, start - self._first), len(self._samples))
        self._samples, self._first = self._samples[gone:], self._first + gone

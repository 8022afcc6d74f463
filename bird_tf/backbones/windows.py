"""The windows of a recording that a backbone needs for a chunk, at the backbone's own sample rate."""

from __future__ import annotations

import math

import numpy as np

from bird_tf.audio import decode
from bird_tf.backbones import backbone


class WindowStream:
    """One recording, read from start to end at the backbone's sample rate, and the probabilities of its chunks."""

    def __init__(self, model: backbone.Backbone, path: str, chunk_seconds: float) -> None:
        self._model, self._chunk_seconds = model, chunk_seconds
        self._blocks = decode.blocks(path, model.sample_rate_hz)
        self._samples, self._first = np.zeros(0, np.float32), 0

    def probabilities(self, start_seconds: float) -> np.ndarray:
        """The backbone's probabilities of a chunk: the maximum over its windows. Chunks must be in the order of time.

        A window longer than the chunk is centred on it. Shorter windows are spread over it evenly, the first at its
        start, the last at its end, ⌈chunk / window⌉ in all. Samples outside the recording, and after an error in
        decoding, are zeros.

        Args:
            start_seconds: start of the chunk in the recording.

        Returns:
            [classes] float32 in [0, 1], NaN for classes that the backbone does not know.
        """
        rate, window = self._model.sample_rate_hz, self._model.window_samples
        chunk = round(self._chunk_seconds * rate)
        span, count = max(chunk, window), math.ceil(chunk / window)
        samples = self._cut(round(start_seconds * rate) - (span - chunk) // 2, span)
        starts = np.linspace(0, span - window, count).round().astype(int)
        windows = np.stack([samples[start : start + window] for start in starts])
        return np.asarray(self._model.probabilities(windows).max(axis=0))

    def _cut(self, start: int, length: int) -> np.ndarray:
        """Samples [start, start + length), zeros outside the recording. Earlier samples are dropped."""
        while self._first + len(self._samples) < start + length:
            try:
                block = next(self._blocks, None)
            except decode.UnreadableError:  # the converter meets the same error, and reports it
                block = None
            if block is None:
                break
            self._samples = np.concatenate([self._samples, block])
            self._drop_before(start)
        self._drop_before(start)
        before = max(0, self._first - start)
        inside = self._samples[: max(0, length - before)]
        return np.pad(inside, (before, length - before - len(inside)))

    def _drop_before(self, start: int) -> None:
        count = min(max(0, start - self._first), len(self._samples))
        self._samples, self._first = self._samples[count:], self._first + count

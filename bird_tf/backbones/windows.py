"""The windows of a recording that a backbone needs for a chunk, at the backbone's own sample rate."""

from __future__ import annotations

import math

import numpy as np

from bird_tf.audio import decode
from bird_tf.backbones import backbone


class WindowStream:
    """One recording, read from start to end at the backbone's sample rate, and what the backbone says of its chunks."""

    def __init__(self, model: backbone.Backbone, path: str, chunk_seconds: float) -> None:
        self._model, self._chunk_seconds = model, chunk_seconds
        self._blocks = decode.blocks(path, model.sample_rate_hz)
        self._samples, self._first = np.zeros(0, np.float32), 0
        self._computed: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def answers(self, start_seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """The backbone's logits and embedding of a chunk. Chunks must be in the order of time.

        A window longer than the chunk is centred on it. Shorter windows are spread over it evenly, the first at its
        start, the last at its end, ⌈chunk / window⌉ in all. The logits are the maximum over the windows, and the
        embedding is their mean. Samples outside the recording, and after an error in decoding, are zeros. A window
        that two chunks share is computed once.

        Args:
            start_seconds: start of the chunk in the recording.

        Returns:
            Logits [classes] float32, NaN for classes that the backbone does not know; the embedding [embedding_size]
            float32.
        """
        rate, window = self._model.sample_rate_hz, self._model.window_samples
        chunk = round(self._chunk_seconds * rate)
        span, count = max(chunk, window), math.ceil(chunk / window)
        begin = round(start_seconds * rate) - (span - chunk) // 2
        samples = self._cut(begin, span)
        starts = np.linspace(0, span - window, count).round().astype(int)
        self._computed = {start: found for start, found in self._computed.items() if start >= begin}
        for start in starts:
            if begin + start not in self._computed:
                logits, embeddings = self._model.answers(samples[None, start : start + window])
                self._computed[begin + start] = logits[0], embeddings[0]
        found = [self._computed[begin + start] for start in starts]
        logits, embeddings = (np.stack(parts) for parts in zip(*found, strict=True))
        return logits.max(axis=0), embeddings.mean(axis=0)

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

"""The windows of a recording that a backbone needs for a chunk, at the backbone's own sample rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from bird_tf.audio import channels, decode, hearing, noises
from bird_tf.backbones import backbone


def hears(model: backbone.Backbone, chunk_seconds: float) -> hearing.Hearing:
    """What a backbone hears of chunks of this length: the chunk, or a window with the chunk in its middle."""
    return _hears(model.sample_rate_hz, model.window_samples, chunk_seconds)


def described_hearing(description: Mapping[str, Any], chunk_seconds: float) -> hearing.Hearing:
    """As `hears`, from the description of a backbone that is not loaded."""
    rate = description["sample_rate_hz"]
    return _hears(rate, round(description["window_seconds"] * rate), chunk_seconds)


def _hears(rate: int, window_samples: int, chunk_seconds: float) -> hearing.Hearing:
    span = max(round(chunk_seconds * rate), window_samples)
    return hearing.Hearing(sample_rate_hz=rate, chunk_seconds=chunk_seconds, span_samples=span)


def starts(window_samples: int, heard: hearing.Hearing) -> np.ndarray:
    """Where the windows begin in a span, [windows] int.

    A window longer than the chunk is centred on it. Shorter windows are spread over it evenly, the first at its start,
    the last at its end, ⌈chunk / window⌉ in all.
    """
    count = math.ceil(heard.chunk_samples / window_samples)
    return np.linspace(0, heard.span_samples - window_samples, count).round().astype(int)


def cut(window_samples: int, heard: hearing.Hearing, spans: np.ndarray) -> np.ndarray:
    """[chunks, span_samples] → [chunks × windows, window_samples], the windows of a chunk together."""
    begins = starts(window_samples, heard)
    return np.concatenate([[span[start : start + window_samples] for start in begins] for span in spans])


def _joined(logits: np.ndarray, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[windows, …] of a chunk → the greatest logits, since a bird in one window is in the chunk; the mean embedding."""
    return logits.max(axis=0), embeddings.mean(axis=0)


def answers(model: backbone.Backbone, heard: hearing.Hearing, spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The backbone's logits and embeddings of chunks.

    Args:
        model: the backbone.
        heard: as from `hears`.
        spans: [chunks, span_samples] float32, as `decode.ChunkStream` gives them.

    Returns:
        Logits [chunks, classes] and embeddings [chunks, embedding_size], as `backbone.Backbone.answers`. Those of
        several windows are joined: the greatest logits, and the mean embedding.
    """
    logits, embeddings = (
        part.reshape(len(spans), -1, part.shape[1]) for part in model.answers(cut(model.window_samples, heard, spans))
    )
    joined = [_joined(*parts) for parts in zip(logits, embeddings, strict=True)]
    return np.stack([found[0] for found in joined]), np.stack([found[1] for found in joined])


class WindowStream:
    """One recording, read from start to end at the backbone's sample rate, and what the backbone says of its chunks.

    Attributes:
        heard: what the backbone hears.
    """

    def __init__(self, model: backbone.Backbone, path: str, chunk_seconds: float, channel: str = channels.MIX) -> None:
        self._model, self.heard = model, hears(model, chunk_seconds)
        self._blocks = decode.blocks(path, model.sample_rate_hz, channel)
        self._samples, self._first = np.zeros(0, np.float32), 0
        self._computed: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def answers(self, start_seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """As the function `answers`, for one chunk. Chunks must be in the order of time.

        Samples outside the recording, and after an error in decoding, are zeros. A window that two chunks share is
        computed once.

        Args:
            start_seconds: start of the chunk in the recording.

        Returns:
            Logits [classes] float32, NaN for classes that the backbone does not know; the embedding [embedding_size]
            float32.
        """
        begin = round(start_seconds * self._model.sample_rate_hz) - self.heard.samples_before
        samples = self._cut(begin, self.heard.span_samples)
        self._computed = {start: found for start, found in self._computed.items() if start >= begin}
        begins = starts(self._model.window_samples, self.heard)
        for start in begins:
            if begin + start not in self._computed:
                logits, embeddings = self._model.answers(samples[None, start : start + self._model.window_samples])
                self._computed[begin + start] = logits[0], embeddings[0]
        found = [self._computed[begin + start] for start in begins]
        return _joined(*(np.stack(parts) for parts in zip(*found, strict=True)))

    def answers_in_noise(self, start_seconds: float, ratio_db: float, number: int) -> tuple[np.ndarray, np.ndarray]:
        """As `answers`, of the same chunk with noise: `noises.added` says what `ratio_db` and `number` mean."""
        return self.answers_of(noises.added(self.span(start_seconds), self.heard.sample_rate_hz, ratio_db, number))

    def answers_of(self, span: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `answers`, of a span of any sound, [span_samples] float32."""
        logits, embeddings = answers(self._model, self.heard, span[None])
        return logits[0], embeddings[0]

    def span(self, start_seconds: float) -> np.ndarray:
        """A chunk with the sound around it, [span_samples] float32; the order of time is as of `answers`."""
        begin = round(start_seconds * self._model.sample_rate_hz) - self.heard.samples_before
        return self._cut(begin, self.heard.span_samples)

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

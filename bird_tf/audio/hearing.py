"""What a model hears of a recording: its sample rate, the length of a chunk, and the sound around the chunk."""

from __future__ import annotations

import dataclasses

from bird_tf.audio import frontend


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hearing:
    """What a model hears. Models with equal ones share the decoded sound.

    Attributes:
        sample_rate_hz: sample rate, Hz.
        chunk_seconds: length of a chunk.
        span_samples: samples that come with each chunk: the chunk in the middle, and the sound around it; at least a
            chunk.
        channel: what is heard of recordings with several channels, as --channel.
    """

    sample_rate_hz: int
    chunk_seconds: float
    span_samples: int
    channel: str = "mix"

    @property
    def chunk_samples(self) -> int:
        """Samples in a chunk."""
        return round(self.chunk_seconds * self.sample_rate_hz)

    @property
    def samples_before(self) -> int:
        """Samples of the span before the chunk."""
        return (self.span_samples - self.chunk_samples) // 2


def of(front_end: frontend.FrontendConfig) -> Hearing:
    """What a network with a front-end hears: the chunk alone."""
    return Hearing(
        sample_rate_hz=front_end.sample_rate_hz,
        chunk_seconds=front_end.chunk_seconds,
        span_samples=front_end.chunk_samples,
    )

"""The tensors that the converter writes for a chunk: its spectrogram, and what a backbone says about it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import soxr

from bird_tf.audio import channels, frontend, noises
from bird_tf.backbones import backbone, sources, windows
from bird_tf.labels import taxonomy
from bird_tf.records import schema

# of the chunk to its noise: from drowned to hardly heard
_RATIO_DB = (-5.0, 20.0)
# of a chunk to another one that is mixed in, and of both to their noise: from drowned to not heard
_MIXTURE_DB, _MIXTURE_NOISE_DB = (-6.0, 12.0), (-5.0, 35.0)
# chunks among which the one that is mixed in is drawn; one of so many new ones replaces one of them, so that they come
# from several recordings
_NUM_PARTNERS, _NEW_PARTNERS = 64, 4


def describe(
    front_end: frontend.FrontendConfig,
    described: Mapping[str, Any] | None,
    num_classes: int,
    spectrogram: bool,
    in_noise: bool,
) -> dict[str, schema.Feature]:
    """{name: description} of the features in the records.

    Args:
        front_end: the front-end.
        described: `backbone.describe` of the backbone; None without one.
        num_classes: number of our classes.
        spectrogram: whether the spectrogram is written.
        in_noise: whether the backbone hears each chunk a second time, with noise.
    """
    found = [schema.spectrogram_feature(front_end)] if spectrogram else []
    if described:
        sizes = {schema.EMBEDDING: described["embedding_size"], schema.BACKBONE_ANSWERS: num_classes}
        heard = [
            schema.Feature(
                name=name, dtype="float16", shape=(size,), producer=described["title"],
                fingerprint=described["fingerprint"],
            )
            for name, size in sizes.items() if size
        ]  # fmt: skip
        found += heard
        if in_noise:
            found += [dataclasses.replace(feature, name=schema.IN_NOISE[feature.name]) for feature in heard]
    return {feature.name: feature for feature in found}


class Partners:
    """Spans of some earlier chunks, for mixtures."""

    def __init__(self) -> None:
        self._spans: list[tuple[str, np.ndarray]] = []

    def keep(self, chunk: schema.Chunk, span: np.ndarray) -> None:
        """May keep the span of a chunk, in place of another one if there are many."""
        place = drawn("partner", chunk) % (_NUM_PARTNERS * _NEW_PARTNERS)
        if len(self._spans) < _NUM_PARTNERS:
            self._spans.append((chunk.recording_id, span))
        elif place < _NUM_PARTNERS:
            self._spans[place] = chunk.recording_id, span

    def draw(self, chunk: schema.Chunk, generator: np.random.Generator) -> tuple[str, np.ndarray] | None:
        """The recording id and the span of a chunk of another recording; None if there is none."""
        others = [kept for kept in self._spans if kept[0] != chunk.recording_id]
        return others[generator.integers(len(others))] if others else None


class Hearer:
    """Gives the chunks of one recording, in the order of time, the features of `describe`."""

    def __init__(
        self, path: str, front_end: frontend.FrontendConfig, source: sources.Source | None, classes: taxonomy.Taxonomy,
        *, spectrogram: bool, in_noise: bool, channel: str = channels.MIX,
    ) -> None:  # fmt: skip
        """Describes the work; the recording is opened at the first chunk.

        Args:
            path: the recording.
            front_end: the front-end.
            source: the backbone; None without one.
            classes: our classes.
            spectrogram, in_noise: as in `describe`.
            channel: what is heard of several channels, as --channel.
        """
        self._front_end, self._spectrogram, self._in_noise = front_end, spectrogram, in_noise
        self._stream = None
        if source:
            model = backbone.load(source, classes)
            self._stream = windows.WindowStream(model, path, front_end.chunk_seconds, channel)

    def completed(self, chunk: schema.Chunk) -> schema.Chunk:
        """A chunk that has its spectrogram, with all features."""
        if not self._stream:
            return chunk
        added = _stored(self._stream.answers(chunk.start_seconds))
        if self._in_noise:
            found = _stored(self._stream.answers_in_noise(chunk.start_seconds, *_noise_of(chunk)))
            added |= {schema.IN_NOISE[name]: values for name, values in found.items()}
        return dataclasses.replace(chunk, features={**(chunk.features if self._spectrogram else {}), **added})

    def mixtures(
        self, chunk: schema.Chunk, partners: Partners, count: int
    ) -> Iterator[tuple[np.ndarray, schema.Chunk]]:
        """Mixes a chunk with others and with synthesised noise, and hears what the backbone says of it.

        Args:
            chunk: the last one that was completed.
            partners: chunks of other recordings; this one becomes one of them.
            count: number of mixtures.

        Yields:
            The samples of a mixture at the front-end's rate, [chunk_samples] float32, and the mixture as a chunk,
            without spectrogram and activity.
        """
        if not self._stream:
            raise ValueError("mixtures need a backbone")
        heard, own = self._stream.heard, self._stream.span(chunk.start_seconds)
        for number in range(count):
            generator = np.random.default_rng(drawn(f"mixture {number}", chunk))
            partner_id, other = partners.draw(chunk, generator) or (chunk.recording_id, np.zeros_like(own))
            both = noises.combined(own, other, generator.uniform(*_MIXTURE_DB))
            mixed = noises.added(
                both, heard.sample_rate_hz, generator.uniform(*_MIXTURE_NOISE_DB), int(generator.integers(2**31))
            )
            features = _stored(self._stream.answers_of(mixed))
            inside = mixed[heard.samples_before : heard.samples_before + heard.chunk_samples]
            samples = _at_rate(inside, heard.sample_rate_hz, self._front_end)
            yield samples, dataclasses.replace(chunk, features=features, partner_id=partner_id)
        partners.keep(chunk, own)


def _stored(answers: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    """Logits and embedding as features of a chunk."""
    found = {schema.EMBEDDING: answers[1], schema.BACKBONE_ANSWERS: answers[0]}
    return {name: schema.as_float16(values, name) for name, values in found.items() if values.size}


def _at_rate(samples: np.ndarray, rate_hz: int, front_end: frontend.FrontendConfig) -> np.ndarray:
    """The samples at the front-end's rate, [chunk_samples]."""
    resampled = soxr.resample(samples, rate_hz, front_end.sample_rate_hz, quality="HQ")[: front_end.chunk_samples]
    return np.pad(resampled, (0, front_end.chunk_samples - len(resampled)))


def drawn(salt: str, chunk: schema.Chunk) -> int:
    """A pseudorandom number in [0, 2^48) for a chunk, the same on every machine."""
    text = f"{salt} {chunk.recording_id} {chunk.chunk_index}"
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[:6], "big")


def _noise_of(chunk: schema.Chunk) -> tuple[float, int]:
    """The ratio of a chunk to its noise, dB, and the number of the noise."""
    number, share = divmod(drawn("noise", chunk), 2**12)
    return float(np.interp(share / 2**12, (0, 1), _RATIO_DB)), number

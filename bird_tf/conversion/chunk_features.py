"""The tensors that the converter writes for a chunk: its spectrogram, and what a backbone says about it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bird_tf.audio import channels, frontend
from bird_tf.backbones import backbone, sources, windows
from bird_tf.labels import taxonomy
from bird_tf.records import schema

# of the chunk to its noise: from drowned to hardly heard
_RATIO_DB = (-5.0, 20.0)

Complete = Callable[[schema.Chunk], schema.Chunk]


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


def completing(
    path: str, front_end: frontend.FrontendConfig, source: sources.Source | None, classes: taxonomy.Taxonomy,
    spectrogram: bool, in_noise: bool, channel: str = channels.MIX,
) -> Complete:  # fmt: skip
    """A function that gives a chunk with its spectrogram the features of `describe`.

    It takes the chunks of one recording, in the order of time.

    Args:
        path: the recording.
        front_end: the front-end.
        source: the backbone; None without one.
        classes: our classes.
        spectrogram, in_noise: as in `describe`.
        channel: what is heard of several channels, as --channel.
    """
    if source is None:
        return lambda chunk: chunk
    model = backbone.load(source, classes)
    stream = windows.WindowStream(model, path, front_end.chunk_seconds, channel)

    def completed(chunk: schema.Chunk) -> schema.Chunk:
        logits, embedding = stream.answers(chunk.start_seconds)
        answers = {schema.EMBEDDING: embedding, schema.BACKBONE_ANSWERS: logits}
        if in_noise:
            logits, embedding = stream.answers_in_noise(chunk.start_seconds, *_noise_of(chunk))
            found = {schema.EMBEDDING: embedding, schema.BACKBONE_ANSWERS: logits}
            answers |= {schema.IN_NOISE[name]: values for name, values in found.items()}
        added = {name: schema.as_float16(values, name) for name, values in answers.items() if values.size}
        return dataclasses.replace(chunk, features={**(chunk.features if spectrogram else {}), **added})

    return completed


def drawn(salt: str, chunk: schema.Chunk) -> int:
    """A pseudorandom number in [0, 2^48) for a chunk, the same on every machine."""
    text = f"{salt} {chunk.recording_id} {chunk.chunk_index}"
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[:6], "big")


def _noise_of(chunk: schema.Chunk) -> tuple[float, int]:
    """The ratio of a chunk to its noise, dB, and the number of the noise."""
    number, share = divmod(drawn("noise", chunk), 2**12)
    return float(np.interp(share / 2**12, (0, 1), _RATIO_DB)), number

"""The tensors that the converter writes for a chunk: its spectrogram, and what a backbone says about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from bird_tf.audio import channels, frontend
from bird_tf.backbones import backbone, sources, windows
from bird_tf.labels import taxonomy
from bird_tf.records import schema

Complete = Callable[[schema.Chunk], schema.Chunk]


def describe(
    front_end: frontend.FrontendConfig, described: Mapping[str, Any] | None, num_classes: int, spectrogram: bool
) -> dict[str, schema.Feature]:
    """{name: description} of the features in the records.

    Args:
        front_end: the front-end.
        described: `backbone.describe` of the backbone; None without one.
        num_classes: number of our classes.
        spectrogram: whether the spectrogram is written.
    """
    found = [schema.spectrogram_feature(front_end)] if spectrogram else []
    if described:
        for name, size in ((schema.EMBEDDING, described["embedding_size"]), (schema.BACKBONE_ANSWERS, num_classes)):
            feature = schema.Feature(
                name=name, dtype="float16", shape=(size,), producer=described["title"],
                fingerprint=described["fingerprint"],
            )  # fmt: skip
            found += [feature] if size else []
    return {feature.name: feature for feature in found}


def completing(
    path: str, front_end: frontend.FrontendConfig, source: sources.Source | None, classes: taxonomy.Taxonomy,
    spectrogram: bool, channel: str = channels.MIX,
) -> Complete:  # fmt: skip
    """A function that gives a chunk with its spectrogram the features of `describe`.

    It takes the chunks of one recording, in the order of time.

    Args:
        path: the recording.
        front_end: the front-end.
        source: the backbone; None without one.
        classes: our classes.
        spectrogram: whether the spectrogram is written.
        channel: what is heard of several channels, as --channel.
    """
    if source is None:
        return lambda chunk: chunk
    model = backbone.load(source, classes)
    stream = windows.WindowStream(model, path, front_end.chunk_seconds, channel)

    def completed(chunk: schema.Chunk) -> schema.Chunk:
        logits, embedding = stream.answers(chunk.start_seconds)
        answers = {schema.EMBEDDING: embedding, schema.BACKBONE_ANSWERS: logits}
        added = {name: schema.as_float16(values, name) for name, values in answers.items() if values.size}
        return dataclasses.replace(chunk, features={**(chunk.features if spectrogram else {}), **added})

    return completed

"""One chunk as a tf.train.Example: writing and parsing its features. tfrecords/README.md specifies them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bird_tf import config, tf
from bird_tf.audio import frontend
from bird_tf.records import selection

# Version 2 added the backbone's probabilities, as "teacher". Version 3 calls them "backbone_answers" and leaves out
# place and time, which are in recordings.csv. Version 4 added the training order, and the splits "rest" and
# "val_noise"; its manifest describes the features, all of them are bytes, and the backbone's answers are logits, beside
# its embedding.
FORMAT_VERSION = 4
SPECTROGRAM, EMBEDDING, BACKBONE_ANSWERS = "spectrogram", "embedding", "backbone_answers"
# {feature of a backbone: the same, of the chunk with synthesised noise}
IN_NOISE = {EMBEDDING: "embedding_in_noise", BACKBONE_ANSWERS: "backbone_answers_in_noise"}
_ACTIVITY = "signal_to_noise"  # the feature's name on disk since version 1
_DTYPES = ("uint8", "float16", "float32")
_MOST_NUMBERS = 2**28
# probabilities of formats before 4 become logits of at most ±16.1
_LEAST_PROBABILITY = 1e-7


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feature:
    """One tensor of a chunk, as the manifest describes it.

    Attributes:
        name: its name.
        dtype: its numbers on disk: uint8, float16 or float32.
        shape: of the tensor of one chunk.
        producer: what made it: the front-end, or the name of the backbone.
        fingerprint: digest of the producer.
        key: its name on disk, where that is another one; formats before 4 only.
        padding: how many NaN parsing adds at the end of the tensor of a chunk; see `Manifest.with_further_classes`.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    producer: str
    fingerprint: str
    key: str = ""
    padding: int = 0

    def __post_init__(self) -> None:
        if self.dtype not in _DTYPES or min(self.shape, default=0) < 0 or math.prod(self.shape) > _MOST_NUMBERS:
            raise config.InputError(
                f"the feature {self.name[:40]} has the type {self.dtype[:40]} and the shape {self.shape[:5]}; need "
                f"{', '.join(_DTYPES)}, and no negative size"
            )

    @property
    def parsed(self) -> Feature:
        """The description of the tensor that parsing gives."""
        return dataclasses.replace(self, shape=(*self.shape[:-1], self.shape[-1] + self.padding), padding=0)

    def describe(self) -> dict[str, Any]:
        """What manifests since format 4 and models store of it."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in ("key", "padding")}

    @property
    def bytes(self) -> int:
        """Size of the tensor of one chunk on disk."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def spectrogram_feature(front_end: frontend.FrontendConfig) -> Feature:
    """The description of the spectrograms that a front-end makes."""
    shape = (front_end.num_bands, front_end.num_frames)
    return Feature(
        name=SPECTROGRAM, dtype="uint8", shape=shape, producer="front-end", fingerprint=front_end.fingerprint
    )


def earlier_answers_feature(num_classes: int, format_version: int, producer: str, fingerprint: str) -> Feature:
    """The description of a backbone's answers in formats 2 and 3."""
    return Feature(
        name=BACKBONE_ANSWERS, dtype="float32", shape=(num_classes,), producer=producer, fingerprint=fingerprint,
        key="teacher" if format_version == 2 else BACKBONE_ANSWERS,
    )  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chunk:
    """One chunk of a recording.

    Attributes:
        features: {name: tensor, of the type and shape that the manifest states}, as the spectrogram [num_bands,
            num_frames] uint8, the embedding [embedding_size] float16, the backbone's answers [classes] float16: logits,
            NaN for classes that it does not know.
        label: index of the foreground species.
        background: indices of the background species that are classes.
        background_known, recording_id: as in `metadata.Recording`.
        chunk_index: from 0, in the order of time.
        start_seconds: where the chunk begins in the recording.
        activity: share of active pixels, in [0, 1].
        training_order: decides with `selection` whether the chunk trains.
        partner_id: of a mixture, the recording that is mixed in; its own where that is noise alone; else "".
    """

    features: Mapping[str, np.ndarray]
    label: int
    background: Sequence[int]
    background_known: bool
    recording_id: str
    chunk_index: int
    start_seconds: float
    activity: float
    training_order: int = selection.ALWAYS
    partner_id: str = ""


def serialise(chunk: Chunk) -> bytes:
    """The chunk as a tf.train.Example. Equal chunks give equal bytes."""
    example = tf.train.Example()
    features = example.features.feature
    features["label"].int64_list.value.append(chunk.label)
    features["background"].int64_list.value.extend(chunk.background)
    features["background_known"].int64_list.value.append(int(chunk.background_known))
    features["recording_id"].bytes_list.value.append(chunk.recording_id.encode())
    features["chunk_index"].int64_list.value.append(chunk.chunk_index)
    features["start_seconds"].float_list.value.append(chunk.start_seconds)
    features[_ACTIVITY].float_list.value.append(chunk.activity)
    if chunk.training_order != selection.ALWAYS:
        features["training_order"].int64_list.value.append(chunk.training_order)
    if chunk.partner_id:
        features["partner_id"].bytes_list.value.append(chunk.partner_id.encode())
    for name, tensor in chunk.features.items():
        little_endian = np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<"))
        features[name].bytes_list.value.append(little_endian.tobytes())
    return bytes(example.SerializeToString(deterministic=True))


def as_float16(values: np.ndarray, name: str) -> np.ndarray:
    """Numbers as float16, for a feature.

    Raises:
        InputError: a number is too large for float16.
    """
    with np.errstate(over="ignore"):
        small = values.astype(np.float16)
    if np.isinf(small).any():
        raise config.InputError(f"{name}: numbers up to {np.nanmax(np.abs(values)):g} do not fit into float16")
    return small


def parse(serialised: tf.Tensor, features: Iterable[Feature]) -> dict[str, tf.Tensor]:
    """Parses a batch of examples of any format version.

    Args:
        serialised: [batch] string.
        features: the features to read.

    Returns:
        label, chunk_index [batch] int64; background [batch, None] int64, padded with -1; background_known [batch] bool;
        recording_id, partner_id [batch] string; start_seconds, activity [batch] float32; and `parse_features`.
    """
    scalar = {
        "label": tf.int64,
        "background_known": tf.int64,
        "recording_id": tf.string,
        "chunk_index": tf.int64,
        "start_seconds": tf.float32,
        _ACTIVITY: tf.float32,
    }
    specs = {name: tf.io.FixedLenFeature([], kind) for name, kind in scalar.items()}
    specs |= {"background": tf.io.RaggedFeature(tf.int64), "partner_id": _optional_id()}
    parsed = tf.io.parse_example(serialised, specs)
    parsed["background"] = parsed["background"].to_tensor(-1)
    parsed["background_known"] = parsed["background_known"] > 0
    parsed["activity"] = parsed.pop(_ACTIVITY)
    return {**parsed, **parse_features(serialised, features)}


def _optional_id() -> tf.io.FixedLenFeature:
    return tf.io.FixedLenFeature([], tf.string, "")


def parse_features(serialised: tf.Tensor, features: Iterable[Feature]) -> dict[str, tf.Tensor]:
    """Only these features of a batch of examples: {name: [batch, *shape]}, uint8 as it is, float16 as float32.

    A feature with padding is filled up with NaN.
    """
    wanted = list(features)
    if not wanted:
        return {}
    parsed = tf.io.parse_example(serialised, {feature.key or feature.name: _spec(feature) for feature in wanted})
    return {feature.name: _padded(_decode(parsed[feature.key or feature.name], feature), feature) for feature in wanted}


def _padded(tensor: tf.Tensor, feature: Feature) -> tf.Tensor:
    if not feature.padding:
        return tensor
    return tf.pad(tensor, [[0, 0]] * len(feature.shape) + [[0, feature.padding]], constant_values=np.nan)


def _spec(feature: Feature) -> tf.io.FixedLenFeature:
    if not feature.key:
        return tf.io.FixedLenFeature([], tf.string)
    return tf.io.FixedLenFeature(feature.shape, tf.float32, [np.nan] * feature.shape[0])  # noise chunks have none


def _decode(stored: tf.Tensor, feature: Feature) -> tf.Tensor:
    if feature.key:
        probabilities = tf.clip_by_value(stored, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
        return tf.math.log(probabilities) - tf.math.log1p(-probabilities)
    kind = tf.as_dtype(feature.dtype)
    # not -1: a batch of tensors that all have another size would pass as more or fewer chunks
    numbers = tf.reshape(tf.io.decode_raw(stored, kind), [tf.shape(stored)[0], *feature.shape])
    return tf.cast(numbers, tf.float32) if kind.is_floating else numbers


def parse_label(serialised: tf.Tensor) -> dict[str, tf.Tensor]:
    """Only "label" [batch] int64 and "activity" [batch] float32 of a batch of examples; faster than `parse`."""
    features = {"label": tf.io.FixedLenFeature([], tf.int64), _ACTIVITY: tf.io.FixedLenFeature([], tf.float32)}
    parsed = tf.io.parse_example(serialised, features)
    return {"label": parsed["label"], "activity": parsed[_ACTIVITY]}


def parse_order(serialised: tf.Tensor) -> dict[str, tf.Tensor]:
    """What decides whether the examples of a batch train.

    Returns:
        "label", "training_order" [batch] int64; "recording_id" [batch] string; "partner_id" [batch] string, empty for a
        chunk that is no mixture.
    """
    features = {
        "label": tf.io.FixedLenFeature([], tf.int64),
        "training_order": tf.io.FixedLenFeature([], tf.int64, selection.ALWAYS),  # absent before version 4
        "recording_id": tf.io.FixedLenFeature([], tf.string),
        "partner_id": _optional_id(),
    }
    return dict(tf.io.parse_example(serialised, features))

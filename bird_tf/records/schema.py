"""One chunk as a tf.train.Example: writing and parsing its features. tfrecords/README.md specifies them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from bird_tf import tf
from bird_tf.audio import frontend
from bird_tf.records import selection

# Version 2 added the backbone's answers, as "teacher". Version 3 calls them "backbone_answers" and leaves out place and
# time, which are in recordings.csv. Version 4 added the training order, and the splits "rest" and "val_noise".
FORMAT_VERSION = 4
_ACTIVITY = "signal_to_noise"  # the feature's name on disk since version 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chunk:
    """One chunk of a recording.

    Attributes:
        spectrogram: [num_bands, num_frames] uint8.
        label: index of the foreground species.
        background: indices of the background species that are classes.
        background_known, recording_id: as in `metadata.Recording`.
        chunk_index: from 0, in the order of time.
        start_seconds: where the chunk begins in the recording.
        activity: share of active pixels, in [0, 1].
        training_order: decides with `selection` whether the chunk trains.
        backbone_answers: [classes] the backbone's probability of each class, NaN for classes that it does not know;
            None without a backbone.
    """

    spectrogram: np.ndarray
    label: int
    background: Sequence[int]
    background_known: bool
    recording_id: str
    chunk_index: int
    start_seconds: float
    activity: float
    training_order: int = selection.ALWAYS
    backbone_answers: Sequence[float] | np.ndarray | None = None


def serialise(chunk: Chunk) -> bytes:
    """The chunk as a tf.train.Example. Equal chunks give equal bytes."""
    feature, floats, ints = tf.train.Feature, tf.train.FloatList, tf.train.Int64List
    raw = tf.train.BytesList
    features = {
        "spectrogram": feature(bytes_list=raw(value=[np.ascontiguousarray(chunk.spectrogram).tobytes()])),
        "label": feature(int64_list=ints(value=[chunk.label])),
        "background": feature(int64_list=ints(value=list(chunk.background))),
        "background_known": feature(int64_list=ints(value=[int(chunk.background_known)])),
        "recording_id": feature(bytes_list=raw(value=[chunk.recording_id.encode()])),
        "chunk_index": feature(int64_list=ints(value=[chunk.chunk_index])),
        "start_seconds": feature(float_list=floats(value=[chunk.start_seconds])),
        _ACTIVITY: feature(float_list=floats(value=[chunk.activity])),
    }
    if chunk.training_order != selection.ALWAYS:
        features["training_order"] = feature(int64_list=ints(value=[chunk.training_order]))
    if chunk.backbone_answers is not None:
        features[_backbone_feature(FORMAT_VERSION)] = feature(float_list=floats(value=chunk.backbone_answers))
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString(deterministic=True))


def _backbone_feature(format_version: int) -> str:
    return "backbone_answers" if format_version >= 3 else "teacher"


def parse(serialised: tf.Tensor, front_end: frontend.FrontendConfig) -> dict[str, tf.Tensor]:
    """Parses a batch of examples of any format version, without the backbone's answers.

    Args:
        serialised: [batch] string.
        front_end: gives the shape of the spectrograms.

    Returns:
        spectrogram [batch, num_bands, num_frames] uint8; label, chunk_index [batch] int64; background [batch, None]
        int64, padded with -1; background_known [batch] bool; recording_id [batch] string; start_seconds, activity
        [batch] float32.
    """
    scalar = {
        "spectrogram": tf.string,
        "label": tf.int64,
        "background_known": tf.int64,
        "recording_id": tf.string,
        "chunk_index": tf.int64,
        "start_seconds": tf.float32,
        _ACTIVITY: tf.float32,
    }
    features = {name: tf.io.FixedLenFeature([], kind) for name, kind in scalar.items()}
    parsed = tf.io.parse_example(serialised, {**features, "background": tf.io.RaggedFeature(tf.int64)})
    parsed["spectrogram"] = _decode(parsed["spectrogram"], front_end)
    parsed["background"] = parsed["background"].to_tensor(-1)
    parsed["background_known"] = parsed["background_known"] > 0
    parsed["activity"] = parsed.pop(_ACTIVITY)
    return dict(parsed)


def _decode(raw: tf.Tensor, front_end: frontend.FrontendConfig) -> tf.Tensor:
    # not -1: a batch of spectrograms that all have another size would pass as more or fewer chunks
    shape = [tf.shape(raw)[0], front_end.num_bands, front_end.num_frames]
    return tf.reshape(tf.io.decode_raw(raw, tf.uint8), shape)


def parse_spectrogram(serialised: tf.Tensor, front_end: frontend.FrontendConfig) -> tf.Tensor:
    """Only the spectrograms of a batch of examples, [batch, num_bands, num_frames] uint8."""
    parsed = tf.io.parse_example(serialised, {"spectrogram": tf.io.FixedLenFeature([], tf.string)})
    return _decode(parsed["spectrogram"], front_end)


def parse_label(serialised: tf.Tensor) -> dict[str, tf.Tensor]:
    """Only "label" [batch] int64 and "activity" [batch] float32 of a batch of examples; faster than `parse`."""
    features = {"label": tf.io.FixedLenFeature([], tf.int64), _ACTIVITY: tf.io.FixedLenFeature([], tf.float32)}
    parsed = tf.io.parse_example(serialised, features)
    return {"label": parsed["label"], "activity": parsed[_ACTIVITY]}


def parse_order(serialised: tf.Tensor) -> dict[str, tf.Tensor]:
    """Only "label", "training_order" [batch] int64 and "recording_id" [batch] string of a batch of examples."""
    features = {
        "label": tf.io.FixedLenFeature([], tf.int64),
        "training_order": tf.io.FixedLenFeature([], tf.int64, selection.ALWAYS),  # absent before version 4
        "recording_id": tf.io.FixedLenFeature([], tf.string),
    }
    return dict(tf.io.parse_example(serialised, features))


def parse_backbone(serialised: tf.Tensor, num_classes: int, format_version: int) -> dict[str, tf.Tensor]:
    """Only the backbone's answers of a batch of examples, and the chunks that they belong to.

    Args:
        serialised: [batch] string, of records with a backbone.
        num_classes: number of classes.
        format_version: of the records.

    Returns:
        backbone_answers [batch, classes] float32 in [0, 1], NaN for classes that the backbone does not know; label
        [batch] int64; recording_id [batch] string.
    """
    name = _backbone_feature(format_version)
    features = {
        name: tf.io.FixedLenFeature([num_classes], tf.float32),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "recording_id": tf.io.FixedLenFeature([], tf.string),
    }
    parsed = tf.io.parse_example(serialised, features)
    parsed["backbone_answers"] = parsed.pop(name)
    return dict(parsed)

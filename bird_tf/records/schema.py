"""One chunk as a tf.train.Example: its features, written and parsed. tfrecords/README.md specifies them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from bird_tf import tf
from bird_tf.audio import frontend


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chunk:
    """One example. `spectrogram` is [num_bands, num_frames] uint8; the rest as in `metadata.Recording`.

    `teacher` holds the teacher's probability of each class, NaN where it does not know it; None without a teacher.
    """

    spectrogram: np.ndarray
    label: int
    background: Sequence[int]
    background_known: bool
    recording_id: str
    chunk_index: int
    start_seconds: float
    signal_to_noise: float
    latitude: float
    longitude: float
    day_of_year: float
    hour: float
    teacher: Sequence[float] | np.ndarray | None = None


def serialise(chunk: Chunk) -> bytes:
    """The chunk as a tf.train.Example, equal bytes for equal chunks."""
    feature, floats, ints = tf.train.Feature, tf.train.FloatList, tf.train.Int64List
    raw = tf.train.BytesList
    features = {
        "spectrogram": feature(bytes_list=raw(value=[np.ascontiguousarray(chunk.spectrogram).tobytes()])),
        "label": feature(int64_list=ints(value=[chunk.label])),
        "background": feature(int64_list=ints(value=list(chunk.background))),
        "background_known": feature(int64_list=ints(value=[int(chunk.background_known)])),
        "recording_id": feature(bytes_list=raw(value=[chunk.recording_id.encode()])),
        "chunk_index": feature(int64_list=ints(value=[chunk.chunk_index])),
    }
    for name in ("start_seconds", "signal_to_noise", "latitude", "longitude", "day_of_year", "hour"):
        features[name] = feature(float_list=floats(value=[getattr(chunk, name)]))
    if chunk.teacher is not None:
        features["teacher"] = feature(float_list=floats(value=chunk.teacher))
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString(deterministic=True))


def parse(serialised: tf.Tensor, front_end: frontend.FrontendConfig) -> dict[str, tf.Tensor]:
    """Reads a batch of examples; the way back from `serialise`.

    Args:
        serialised: [batch] string.
        front_end: gives the shape of the spectrograms.

    Returns:
        spectrogram [batch, num_bands, num_frames] uint8; label, chunk_index [batch] int64; background [batch, None]
        int64, filled up with -1; background_known [batch] bool; recording_id [batch] string; start_seconds,
        signal_to_noise, latitude, longitude, day_of_year, hour [batch] float32.
    """
    scalar = {
        "spectrogram": tf.string,
        "label": tf.int64,
        "background_known": tf.int64,
        "recording_id": tf.string,
        "chunk_index": tf.int64,
        **dict.fromkeys(
            ("start_seconds", "signal_to_noise", "latitude", "longitude", "day_of_year", "hour"), tf.float32
        ),
    }
    features = {name: tf.io.FixedLenFeature([], kind) for name, kind in scalar.items()}
    parsed = tf.io.parse_example(serialised, {**features, "background": tf.io.RaggedFeature(tf.int64)})
    parsed["spectrogram"] = _decode(parsed["spectrogram"], front_end)
    parsed["background"] = parsed["background"].to_tensor(-1)
    parsed["background_known"] = parsed["background_known"] > 0
    return dict(parsed)


def _decode(raw: tf.Tensor, front_end: frontend.FrontendConfig) -> tf.Tensor:
    # not -1: spectrograms of another size, all alike, would pass as more or fewer chunks
    shape = [tf.shape(raw)[0], front_end.num_bands, front_end.num_frames]
    return tf.reshape(tf.io.decode_raw(raw, tf.uint8), shape)


def parse_spectrogram(serialised: tf.Tensor, front_end: frontend.FrontendConfig) -> tf.Tensor:
    """Only the spectrograms of a batch of examples, [batch, num_bands, num_frames] uint8."""
    parsed = tf.io.parse_example(serialised, {"spectrogram": tf.io.FixedLenFeature([], tf.string)})
    return _decode(parsed["spectrogram"], front_end)


def parse_label(serialised: tf.Tensor) -> dict[str, tf.Tensor]:
    """Only "label" [batch] int64 and "signal_to_noise" [batch] float32 of a batch of examples; quicker than `parse`."""
    features = {
        "label": tf.io.FixedLenFeature([], tf.int64),
        "signal_to_noise": tf.io.FixedLenFeature([], tf.float32),
    }
    return dict(tf.io.parse_example(serialised, features))


def parse_backbone(serialised: tf.Tensor, num_classes: int) -> dict[str, tf.Tensor]:
    """What a teacher said of a batch of examples, of records that know it.

    Returns:
        teacher [batch, classes] float32 in [0, 1], NaN where it does not know the class; label [batch] int64;
        recording_id [batch] string.
    """
    features = {
        "teacher": tf.io.FixedLenFeature([num_classes], tf.float32),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "recording_id": tf.io.FixedLenFeature([], tf.string),
    }
    return dict(tf.io.parse_example(serialised, features))

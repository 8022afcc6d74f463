import dataclasses
import math

import numpy as np
import pytest

from bird_tf import tf
from bird_tf.records import schema


def make_chunk(generator, front_end, **values):
    """A chunk with a random spectrogram."""
    fields = {
        "spectrogram": generator.integers(0, 256, (front_end.num_bands, front_end.num_frames), dtype=np.uint8),
        "label": 3, "background": [1, 4], "background_known": True, "recording_id": "RN7é", "chunk_index": 2,
        "start_seconds": 2.0, "activity": 0.25,
    }  # fmt: skip
    return schema.Chunk(**{**fields, **values})


def as_format_2(chunk):
    """The chunk as a tf.train.Example of format 2, written without `schema`."""

    def feature(kind, *values):
        made = tf.train.Feature()
        getattr(made, f"{kind}_list").value.extend(values)
        return made

    features = {
        "spectrogram": feature("bytes", chunk.spectrogram.tobytes()),
        "label": feature("int64", chunk.label),
        "background": feature("int64", *chunk.background),
        "background_known": feature("int64", int(chunk.background_known)),
        "recording_id": feature("bytes", chunk.recording_id.encode()),
        "chunk_index": feature("int64", chunk.chunk_index),
        "start_seconds": feature("float", chunk.start_seconds),
        "signal_to_noise": feature("float", chunk.activity),
        "latitude": feature("float", -3.5),
        "longitude": feature("float", math.nan),
        "day_of_year": feature("float", 366.0),
        "hour": feature("float", 6.5),
    }
    if chunk.backbone_answers is not None:
        features["teacher"] = feature("float", *chunk.backbone_answers)
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def test_round_trip(generator, small_front_end):
    chunks = [make_chunk(generator, small_front_end), make_chunk(generator, small_front_end, background=[], label=0)]
    parsed = schema.parse([schema.serialise(chunk) for chunk in chunks], small_front_end)
    np.testing.assert_array_equal(parsed["spectrogram"], [chunk.spectrogram for chunk in chunks])
    assert parsed["spectrogram"].dtype == tf.uint8
    assert parsed["label"].numpy().tolist() == [3, 0]
    assert parsed["background"].numpy().tolist() == [[1, 4], [-1, -1]]
    assert parsed["background_known"].numpy().tolist() == [True, True]
    assert parsed["recording_id"].numpy()[0].decode() == "RN7é"
    assert parsed["chunk_index"].numpy().tolist() == [2, 2]
    for name in ("start_seconds", "activity"):
        assert parsed[name].numpy()[0] == pytest.approx(getattr(chunks[0], name))
    labels = schema.parse_label([schema.serialise(chunk) for chunk in chunks])
    assert labels["label"].numpy().tolist() == [3, 0] and labels["activity"].numpy().tolist() == [0.25, 0.25]


def test_a_chunk_holds_no_place_and_time(generator, small_front_end):
    example = tf.train.Example.FromString(schema.serialise(make_chunk(generator, small_front_end)))
    assert set(example.features.feature) == {
        "spectrogram", "label", "background", "background_known", "recording_id", "chunk_index", "start_seconds",
        "signal_to_noise",
    }  # fmt: skip


def test_answers_of_a_backbone_are_optional(generator, small_front_end):
    answers = [[0.25, math.nan, 1.0], [0.0, 0.5, math.nan]]
    chunks = [make_chunk(generator, small_front_end, backbone_answers=row, label=i) for i, row in enumerate(answers)]
    serialised = [schema.serialise(chunk) for chunk in chunks]
    parsed = schema.parse_backbone(serialised, 3, schema.FORMAT_VERSION)
    np.testing.assert_array_equal(parsed["backbone_answers"], np.float32(answers))
    assert parsed["label"].numpy().tolist() == [0, 1] and parsed["recording_id"].numpy()[0].decode() == "RN7é"
    # `parse` reads chunks with and without them
    np.testing.assert_array_equal(schema.parse(serialised, small_front_end)["label"], [0, 1])
    assert b"backbone_answers" not in schema.serialise(make_chunk(generator, small_front_end))


def test_chunks_of_format_2_are_read(generator, small_front_end):
    answers = [[0.25, math.nan, 1.0], [0.0, 0.5, math.nan]]
    chunks = [make_chunk(generator, small_front_end, backbone_answers=row, label=i) for i, row in enumerate(answers)]
    old, new = [as_format_2(chunk) for chunk in chunks], [schema.serialise(chunk) for chunk in chunks]
    for parse in (lambda examples: schema.parse(examples, small_front_end), schema.parse_label):
        first, second = parse(old), parse(new)
        assert set(first) == set(second)
        for name in first:
            np.testing.assert_array_equal(first[name], second[name])
    np.testing.assert_array_equal(schema.parse_spectrogram(old, small_front_end)[1], chunks[1].spectrogram)
    parsed = schema.parse_backbone(old, 3, 2)
    np.testing.assert_array_equal(parsed["backbone_answers"], np.float32(answers))
    assert parsed["label"].numpy().tolist() == [0, 1]


def test_batched_and_single_parsing_agree_eagerly_and_in_a_dataset(generator, small_front_end):
    serialised = [schema.serialise(make_chunk(generator, small_front_end, chunk_index=i)) for i in range(5)]
    batch = schema.parse(serialised, small_front_end)
    batches = tf.data.Dataset.from_tensor_slices(serialised).batch(1)
    for i, single in enumerate(batches.map(lambda s: schema.parse(s, small_front_end))):
        np.testing.assert_array_equal(single["spectrogram"][0], batch["spectrogram"][i])
        assert int(single["chunk_index"][0]) == int(batch["chunk_index"][i]) == i


def test_equal_chunks_have_equal_bytes(generator, small_front_end):
    chunk = make_chunk(generator, small_front_end)
    assert schema.serialise(chunk) == schema.serialise(dataclasses.replace(chunk))

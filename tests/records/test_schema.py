import dataclasses
import math

import numpy as np
import pytest

from bird_tf import config, tf
from bird_tf.backbones import signatures
from bird_tf.records import schema


def make_chunk(generator, front_end, **values):
    """A chunk with a random spectrogram."""
    shape = front_end.num_bands, front_end.num_frames
    fields = {
        "features": {schema.SPECTROGRAM: generator.integers(0, 256, shape, dtype=np.uint8)}, "label": 3,
        "background": [1, 4], "background_known": True, "recording_id": "RN7é", "chunk_index": 2,
        "start_seconds": 2.0, "activity": 0.25,
    }  # fmt: skip
    return schema.Chunk(**{**fields, **values})


def as_earlier_format(version, chunk, answers=()):
    """The chunk as a tf.train.Example of format 2 or 3 with probabilities, written without `schema`."""

    def feature(kind, *values):
        made = tf.train.Feature()
        getattr(made, f"{kind}_list").value.extend(values)
        return made

    features = {
        "spectrogram": feature("bytes", chunk.features[schema.SPECTROGRAM].tobytes()),
        "label": feature("int64", chunk.label),
        "background": feature("int64", *chunk.background),
        "background_known": feature("int64", int(chunk.background_known)),
        "recording_id": feature("bytes", chunk.recording_id.encode()),
        "chunk_index": feature("int64", chunk.chunk_index),
        "start_seconds": feature("float", chunk.start_seconds),
        "signal_to_noise": feature("float", chunk.activity),
    }
    if version == 2:
        features |= {name: feature("float", math.nan) for name in ("latitude", "longitude", "day_of_year", "hour")}
    if answers:
        features["teacher" if version == 2 else "backbone_answers"] = feature("float", *answers)
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def answers_feature(version, num_classes):
    """The description of the backbone's answers in records of a format."""
    if version < 4:
        return schema.earlier_answers_feature(num_classes, version, "x", "")
    return schema.Feature(
        name=schema.BACKBONE_ANSWERS, dtype="float16", shape=(num_classes,), producer="x", fingerprint=""
    )


def with_answers_of_format(version, chunk, probabilities):
    """The chunk with a backbone's answers as an example of a format."""
    if version < 4:
        return as_earlier_format(version, chunk, probabilities)
    logits = np.float16(signatures.logits(np.array(probabilities)))
    return schema.serialise(dataclasses.replace(chunk, features={**chunk.features, schema.BACKBONE_ANSWERS: logits}))


def _parse(examples, front_end):
    return schema.parse(examples, [schema.spectrogram_feature(front_end)])


def test_round_trip(generator, small_front_end):
    chunks = [make_chunk(generator, small_front_end), make_chunk(generator, small_front_end, background=[], label=0)]
    parsed = _parse([schema.serialise(chunk) for chunk in chunks], small_front_end)
    np.testing.assert_array_equal(parsed["spectrogram"], [chunk.features["spectrogram"] for chunk in chunks])
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


def test_features_of_a_backbone_are_read_as_float32(generator, small_front_end):
    spectrogram = make_chunk(generator, small_front_end).features
    answers = np.float16([[0.25, math.nan, -12.5], [3.0, 0.5, math.nan]])
    embeddings = generator.normal(0, 2, (2, 7)).astype(np.float16)
    chunks = [
        make_chunk(
            generator, small_front_end, label=i,
            features={**spectrogram, "embedding": embeddings[i], "backbone_answers": answers[i]},
        )
        for i in range(2)
    ]  # fmt: skip
    serialised = [schema.serialise(chunk) for chunk in chunks]
    features = [answers_feature(4, 3), dataclasses.replace(answers_feature(4, 7), name="embedding")]
    parsed = schema.parse(serialised, features)
    np.testing.assert_array_equal(parsed["backbone_answers"], answers.astype(np.float32))
    np.testing.assert_array_equal(parsed["embedding"], embeddings.astype(np.float32))
    assert parsed["label"].numpy().tolist() == [0, 1] and "spectrogram" not in parsed
    assert schema.parse_features(serialised, ()) == {}


def test_numbers_that_do_not_fit_into_float16_are_refused():
    assert schema.as_float16(np.float32([1.5, np.nan]), "embedding").dtype == np.float16
    with pytest.raises(config.InputError, match=r"embedding: numbers up to 1e\+06 do not fit"):
        schema.as_float16(np.float32([1.0, 1e6]), "embedding")


@pytest.mark.parametrize("version", [2, 3])
def test_chunks_of_earlier_formats_are_read(generator, small_front_end, version):
    answers = [[0.25, math.nan, 1.0], [0.0, 0.5, math.nan]]
    chunks = [make_chunk(generator, small_front_end, label=i) for i in range(2)]
    old = [as_earlier_format(version, chunk, row) for chunk, row in zip(chunks, answers, strict=True)]
    new = [schema.serialise(chunk) for chunk in chunks]
    for parse in (lambda examples: _parse(examples, small_front_end), schema.parse_label):
        first, second = parse(old), parse(new)
        assert set(first) == set(second)
        for name in first:
            np.testing.assert_array_equal(first[name], second[name])
    found = schema.parse_features(old, [answers_feature(version, 3)])["backbone_answers"]
    np.testing.assert_allclose(tf.sigmoid(found), answers, atol=2e-7)  # probabilities of exactly 0 and 1 move by 1e-7
    noise = schema.parse_features(new, [answers_feature(version, 3)])["backbone_answers"]
    assert np.isnan(noise).all()  # noise chunks had no answers


def test_batched_and_single_parsing_agree_eagerly_and_in_a_dataset(generator, small_front_end):
    serialised = [schema.serialise(make_chunk(generator, small_front_end, chunk_index=i)) for i in range(5)]
    batch = _parse(serialised, small_front_end)
    batches = tf.data.Dataset.from_tensor_slices(serialised).batch(1)
    for i, single in enumerate(batches.map(lambda s: _parse(s, small_front_end))):
        np.testing.assert_array_equal(single["spectrogram"][0], batch["spectrogram"][i])
        assert int(single["chunk_index"][0]) == int(batch["chunk_index"][i]) == i


def test_equal_chunks_have_equal_bytes(generator, small_front_end):
    chunk = make_chunk(generator, small_front_end)
    assert schema.serialise(chunk) == schema.serialise(dataclasses.replace(chunk))

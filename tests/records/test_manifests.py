import dataclasses
import json
import math
import shutil

import numpy as np
import pytest

from bird_tf import config, tf
from bird_tf.audio import frontend
from bird_tf.records import manifests, schema, shard_files


def _chunk(generator, front_end, **values):
    picture = generator.integers(0, 256, (front_end.num_bands, front_end.num_frames), dtype=np.uint8)
    fields = {
        "spectrogram": picture, "label": 3, "background": [1, 4], "background_known": True, "recording_id": "RN7é",
        "chunk_index": 2, "start_seconds": 2.0, "signal_to_noise": 0.25, "latitude": -3.5, "longitude": math.nan,
        "day_of_year": 366.0, "hour": 6.5,
    }  # fmt: skip
    return schema.Chunk(**{**fields, **values})


def test_round_trip(generator, small_front_end):
    chunks = [_chunk(generator, small_front_end), _chunk(generator, small_front_end, background=[], label=0)]
    parsed = schema.parse([schema.serialise(chunk) for chunk in chunks], small_front_end)
    np.testing.assert_array_equal(parsed["spectrogram"], [chunk.spectrogram for chunk in chunks])
    assert parsed["spectrogram"].dtype == tf.uint8
    assert parsed["label"].numpy().tolist() == [3, 0]
    assert parsed["background"].numpy().tolist() == [[1, 4], [-1, -1]]
    assert parsed["background_known"].numpy().tolist() == [True, True]
    assert parsed["recording_id"].numpy()[0].decode() == "RN7é"
    assert parsed["chunk_index"].numpy().tolist() == [2, 2]
    for name in ("start_seconds", "signal_to_noise", "latitude", "day_of_year", "hour"):
        assert parsed[name].numpy()[0] == pytest.approx(getattr(chunks[0], name))
    assert math.isnan(parsed["longitude"].numpy()[0])


def test_a_teachers_answers_are_optional(generator, small_front_end):
    answers = [[0.25, math.nan, 1.0], [0.0, 0.5, math.nan]]
    chunks = [_chunk(generator, small_front_end, teacher=row, label=i) for i, row in enumerate(answers)]
    serialised = [schema.serialise(chunk) for chunk in chunks]
    found = schema.parse_backbone(serialised, 3)
    np.testing.assert_array_equal(found["teacher"], np.float32(answers))
    assert found["label"].numpy().tolist() == [0, 1] and found["recording_id"].numpy()[0].decode() == "RN7é"
    # who does not ask for them reads on as before
    np.testing.assert_array_equal(schema.parse(serialised, small_front_end)["label"], [0, 1])
    assert b"teacher" not in schema.serialise(_chunk(generator, small_front_end))


def test_records_of_before_the_teacher_are_read(manifest, tmp_path):
    copy = shutil.copytree(manifest.directory, tmp_path / "copy")
    stored = json.loads((copy / manifests.MANIFEST).read_text())
    assert stored.pop("teacher") is None
    (copy / manifests.MANIFEST).write_text(json.dumps({**stored, "format_version": 1}))
    assert manifests.load(str(copy)).teacher is None


def test_batched_and_single_parsing_agree_eagerly_and_in_a_dataset(generator, small_front_end):
    serialised = [schema.serialise(_chunk(generator, small_front_end, chunk_index=i)) for i in range(5)]
    together = schema.parse(serialised, small_front_end)
    batches = tf.data.Dataset.from_tensor_slices(serialised).batch(1)
    for i, single in enumerate(batches.map(lambda s: schema.parse(s, small_front_end))):
        np.testing.assert_array_equal(single["spectrogram"][0], together["spectrogram"][i])
        assert int(single["chunk_index"][0]) == int(together["chunk_index"][i]) == i


def test_equal_chunks_have_equal_bytes(generator, small_front_end):
    chunk = _chunk(generator, small_front_end)
    assert schema.serialise(chunk) == schema.serialise(dataclasses.replace(chunk))


def test_a_shard_appears_only_when_complete(tmp_path, generator, small_front_end):
    with pytest.raises(ZeroDivisionError), shard_files.writing(str(tmp_path), "x.tfrecord") as writer:
        writer.write(_chunk(generator, small_front_end))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with shard_files.writing(str(tmp_path), "x.tfrecord") as writer:
        writer.write(_chunk(generator, small_front_end))
    assert [path.name for path in tmp_path.iterdir()] == ["x.tfrecord"]


def test_manifest_round_trip(manifest):
    assert manifests.load(manifest.directory) == manifest


def test_reading_gives_every_chunk_once_in_order(manifest):
    for split in manifests.SPLITS:
        seen = [
            (i.decode(), int(n))
            for batch in shard_files.read(manifest, split, 7)
            for i, n in zip(batch["recording_id"].numpy(), batch["chunk_index"].numpy(), strict=True)
        ]
        assert len(seen) == len(set(seen)) == manifest.num_chunks(split) > 0


@pytest.fixture
def copy(manifest, tmp_path):
    """A records directory that a test may damage."""
    return shutil.copytree(manifest.directory, tmp_path / "copy")


def _edit(directory, change):
    path = directory / manifests.MANIFEST
    stored = json.loads(path.read_text())
    change(stored)
    path.write_text(json.dumps(stored))


def test_unfinished_records_are_refused(copy):
    (copy / manifests.MANIFEST).unlink()
    with pytest.raises(config.InputError, match="did not finish"):
        manifests.load(str(copy))


def test_missing_records_are_refused(tmp_path):
    with pytest.raises(config.InputError, match="no such records"):
        manifests.load(str(tmp_path / "none"))


def test_another_format_is_refused(copy):
    _edit(copy, lambda stored: stored.update(format_version=0))
    with pytest.raises(config.InputError, match="format version 0"):
        manifests.load(str(copy))


def test_another_front_end_version_is_refused_with_the_differing_fields(copy):
    def change(stored):
        stored["front_end"]["version"] = frontend.VERSION + 1
        stored["front_end"]["config"]["window"] = "hamming"

    _edit(copy, change)
    with pytest.raises(config.InputError, match=r"version 2.*window"):
        manifests.load(str(copy))


def test_changed_classes_are_refused(copy):
    lines = (copy / manifests.CLASSES).read_text().splitlines()
    (copy / manifests.CLASSES).write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(config.InputError, match=r"classes\.csv"):
        manifests.load(str(copy))


def test_missing_and_truncated_shards_are_named(copy):
    shard = sorted(copy.glob("train-*.tfrecord"))[0]
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(config.InputError, match=shard.name):
        manifests.load(str(copy))
    shard.unlink()
    with pytest.raises(config.InputError, match=f"{shard.name}: this shard is missing"):
        manifests.load(str(copy))

import pathlib
import shutil

import pytest

from bird_tf import config, tf
from bird_tf.conversion import folds
from bird_tf.evaluation import mixtures
from bird_tf.input import dataset, streams
from bird_tf.input.augment import augmentations
from bird_tf.records import manifests, schema, shard_files, verify
from bird_tf.training import known_sound
from tools import loop_records

SETTINGS = dataset.DatasetConfig(batch_size=4, shuffle_buffer=4)


@pytest.fixture
def copy(manifest, tmp_path):
    """Records that a test may damage after their manifest was loaded."""
    return manifests.load(str(shutil.copytree(manifest.directory, tmp_path / "copy")))


def _read_all(manifest):
    steps = streams.steps_per_epoch(manifest, SETTINGS) + 1
    batches = dataset.training(manifest, SETTINGS, augmentations.AugmentConfig(), seed=0).take(steps)
    return len(list(verify.naming_damage(batches, manifest)))


def test_undamaged_records_pass_through(copy):
    assert _read_all(copy) == streams.steps_per_epoch(copy, SETTINGS) + 1


def test_a_damaged_record_is_named_with_its_shard_and_position(copy):
    path = copy.paths("train")[-1]
    content = bytearray(pathlib.Path(path).read_bytes())
    size = 16 + int.from_bytes(content[:8], "little")
    content[size + 300] ^= 0xFF
    pathlib.Path(path).write_bytes(content)
    with pytest.raises(config.InputError, match=f"{path}: record 1 at byte {size} is damaged"):
        _read_all(copy)


@pytest.mark.parametrize("read", [
    lambda copy: mixtures.spans(copy, "val"),
    lambda copy: list(known_sound._read(copy, "val", [schema.SPECTROGRAM], 1.0)),
    lambda copy: list(folds._examples(copy, "val")),
    lambda copy: list(loop_records._examples(copy, "val")),
])  # fmt: skip
def test_every_reading_of_all_chunks_names_damage(copy, read):
    path = copy.paths("val")[0]
    content = pathlib.Path(path).read_bytes()
    pathlib.Path(path).write_bytes(content[:-3])
    with pytest.raises(config.InputError, match=f"{path}: record .* is damaged; copy it again"):
        read(copy)


def test_damage_is_searched_in_all_records_that_are_read(copy, manifest):
    path = copy.paths("val")[0]
    pathlib.Path(path).write_bytes(100 * b"x")
    batches = shard_files.read(copy, "val", 4, ())
    with pytest.raises(config.InputError, match=f"{path}: record 0"):
        list(verify.naming_damage(batches, manifest, copy))


def test_a_missing_shard_is_named(copy, tmp_path):
    path = copy.paths("train")[0]
    shutil.move(path, tmp_path / "elsewhere")
    with pytest.raises(config.InputError, match=f"{path}: this shard is missing"):
        _read_all(copy)


def test_a_record_that_is_no_example_is_named(copy):
    path = copy.paths("train")[0]
    schema.tf.io.TFRecordWriter(path).write(b"not an example")
    with pytest.raises(config.InputError, match=f"{path}: record 0 at byte 0 is damaged"):
        _read_all(copy)


@pytest.mark.parametrize("factor", [0.5, 0.9, 2])
@pytest.mark.parametrize("split", ["train", "val"])
def test_spectrograms_of_another_shape_are_named(copy, factor, split):
    """Also if all spectrograms have that shape, which only a comparison with the manifest shows."""
    path = copy.paths(split)[0]
    size = round(factor * 32 * 32)
    examples = [tf.train.Example.FromString(example.numpy()) for example in tf.data.TFRecordDataset(path)]
    with tf.io.TFRecordWriter(path) as writer:
        for example in examples:
            example.features.feature["spectrogram"].bytes_list.value[0] = bytes(size)
            writer.write(example.SerializeToString())
    with pytest.raises(config.InputError, match=f"{path}: record 0 at byte 0 .* {size} bytes, not the 32 x 32"):
        if split == "train":
            _read_all(copy)
        else:
            list(verify.naming_damage(dataset.evaluation(copy, SETTINGS), copy))


def test_an_error_with_another_cause_is_passed_on(copy):
    def fails():
        raise schema.tf.errors.InvalidArgumentError(None, None, "something else")
        yield

    with pytest.raises(schema.tf.errors.InvalidArgumentError, match="something else"):
        list(verify.naming_damage(fails(), copy))

import dataclasses
import json
import shutil

import pytest

from bird_tf import config
from bird_tf.audio import frontend
from bird_tf.records import manifests, schema


@pytest.fixture
def copy(manifest, tmp_path):
    """A records directory that a test may damage."""
    return shutil.copytree(manifest.directory, tmp_path / "copy")


def _edit(directory, change):
    path = directory / manifests.MANIFEST
    stored = json.loads(path.read_text())
    change(stored)
    path.write_text(json.dumps(stored))


def test_manifest_round_trip(manifest):
    assert manifests.load(manifest.directory) == manifest
    assert manifest.format_version == schema.FORMAT_VERSION


def test_records_of_format_1_are_read(copy):
    def change(stored):
        assert stored.pop("backbone") is None
        stored["format_version"] = 1

    _edit(copy, change)
    assert manifests.load(str(copy)).backbone is None


def test_records_of_format_2_are_read_and_saved_as_format_2(copy):
    described = {"model": "x.tflite", "fingerprint": "", "classes": ["fistul"]}

    def change(stored):
        assert stored.pop("backbone") is None
        stored.update(format_version=2, teacher=described)

    _edit(copy, change)
    loaded = manifests.load(str(copy))
    assert (loaded.format_version, loaded.backbone) == (2, described)
    manifests.save(loaded)
    stored = json.loads((copy / manifests.MANIFEST).read_text())
    assert (stored["format_version"], stored["teacher"]) == (2, described) and "backbone" not in stored
    assert manifests.load(str(copy)) == loaded


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


def test_a_flag_that_needs_a_backbone_is_refused_without_one(manifest):
    with pytest.raises(config.InputError, match=r"--some_flag=1: .*; convert with --backbone"):
        manifest.require_backbone("--some_flag=1")
    dataclasses.replace(manifest, backbone={"model": "x"}).require_backbone("--some_flag=1")

import dataclasses
import json
import shutil

import pytest

from bird_tf import config
from bird_tf.audio import frontend
from bird_tf.labels import taxonomy
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


def test_the_channel_is_that_of_the_conversion_and_in_earlier_records_the_mean(copy):
    assert manifests.load(str(copy)).channel == "mix"
    _edit(copy, lambda stored: stored["converter"].update(channel="2"))
    assert manifests.load(str(copy)).channel == "2"
    _edit(copy, lambda stored: stored["converter"].pop("channel"))
    assert manifests.load(str(copy)).channel == "mix"


def test_records_of_format_1_are_read(copy):
    def change(stored):
        assert stored.pop("backbone") is None and stored.pop("features")
        stored["format_version"] = 1

    _edit(copy, change)
    loaded = manifests.load(str(copy))
    assert loaded.backbone is None and set(loaded.features) == {"spectrogram"}


def test_records_of_format_2_are_read_and_saved_as_format_2(copy):
    described = {"model": "x.tflite", "fingerprint": "", "classes": ["fistul"]}

    def change(stored):
        assert stored.pop("backbone") is None and stored.pop("features")
        stored.update(format_version=2, teacher=described)

    _edit(copy, change)
    loaded = manifests.load(str(copy))
    assert (loaded.format_version, loaded.backbone) == (2, described)
    assert loaded.features["backbone_answers"].shape == (len(loaded.classes),)
    manifests.save(loaded)
    stored = json.loads((copy / manifests.MANIFEST).read_text())
    assert (stored["format_version"], stored["teacher"]) == (2, described) and not {"backbone", "features"} & set(
        stored
    )
    assert manifests.load(str(copy)) == loaded


def test_unfinished_records_are_refused(copy):
    (copy / manifests.MANIFEST).unlink()
    with pytest.raises(config.InputError, match="did not finish"):
        manifests.load(str(copy))


def test_the_manifest_in_place_of_the_records_is_refused(copy):
    with pytest.raises(config.InputError, match=r"manifest\.json is a file; name the folder of the records"):
        manifests.load(str(copy / manifests.MANIFEST))


def test_missing_records_are_refused(tmp_path):
    with pytest.raises(config.InputError, match="no such records"):
        manifests.load(str(tmp_path / "none"))


def test_another_format_is_refused(copy):
    for version, told in ((0, "format version 0"), (99, "a newer bird_tf wrote it")):
        _edit(copy, lambda stored, version=version: stored.update(format_version=version))
        with pytest.raises(config.InputError, match=told):
            manifests.load(str(copy))


def test_another_front_end_version_is_refused_with_the_differing_fields(copy):
    def change(stored):
        stored["front_end"]["version"] = frontend.VERSION - 1
        stored["front_end"]["config"]["window"] = "hamming"

    _edit(copy, change)
    with pytest.raises(config.InputError, match=r"version 0.*window"):
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


def test_the_digest_differs_between_records(manifest):
    other = dataclasses.replace(manifest, shards={**manifest.shards, "noise": ()})
    elsewhere = dataclasses.replace(manifest, directory="/elsewhere")
    assert elsewhere.digest == manifest.digest != other.digest


def test_features_are_selected_by_name_or_refused(manifest):
    front_end = manifest.front_end
    [spectrogram] = manifest.select(["spectrogram"], "a network")
    assert spectrogram.shape == (front_end.num_bands, front_end.num_frames)
    assert (spectrogram.producer, spectrogram.fingerprint) == ("front-end", front_end.fingerprint)
    words = r"--some_flag=1 needs the feature embedding, and .* has only spectrogram; convert with --backbone"
    with pytest.raises(config.InputError, match=words):
        manifest.select(["spectrogram", "embedding"], "--some_flag=1")
    with pytest.raises(config.InputError, match="has only ; convert without --spectrogram=false"):
        dataclasses.replace(manifest, features={}).select(["spectrogram"], "a network")


def test_the_origin_tells_of_the_records_as_they_were_read(manifest):
    read = manifests.load(manifest.directory)
    further = read.with_further_classes(taxonomy.Taxonomy(("zz",), ("Z",)), ())
    for changed in (read, read.with_all_for_training(), further):
        assert changed.origin["digest"] == manifest.digest and changed.origin["converter"] == manifest.converter

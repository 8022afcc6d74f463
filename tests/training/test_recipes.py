import dataclasses

import pytest

from bird_tf import config, convert, train
from bird_tf.audio import frontend
from bird_tf.records import manifests
from bird_tf.training import recipes

RECIPES = ("records.flags", "records-recommended.flags", "records-gpu.flags")


def _records(flagfile):
    """A manifest of records that this flagfile makes."""
    settings = config.parse(convert.ConvertConfig, [f"--flagfile={flagfile}", "--audio=a", "--output=o"])
    return manifests.Manifest(
        directory="o", front_end=settings.front_end, classes=None, shards={}, chunks_per_class={}, num_recordings={},
        converter=config.to_mapping(settings), skipped=(), versions={}, features={"spectrogram": None},
    )  # fmt: skip


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("flagfile", RECIPES)
def test_records_belong_to_the_recipe_that_was_made_for_them(recipe, flagfile, caplog):
    recipes.warn_of_other_records(recipe, _records(flagfile))
    assert (recipe in caplog.text) == (recipe != flagfile)


def test_what_differs_is_named_and_only_what_changes_chunks():
    found = recipes.differences("records.flags", _records("records-recommended.flags"))
    assert found["chunk_seconds"] == (1.0, 3.0) and found["num_bands"] == (128, 64)
    assert "overlap_seconds" in found and "group_by" not in found and "n_fft" not in found


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ("records.flags", ["configs/resnet.flags"]), ("records-gpu.flags", ["configs/gpu.flags"]),
        ("records-demo.flags", ["configs/demo.flags"]), ("records-recommended.flags", []),
    ],
)  # fmt: skip
def test_after_a_conversion_a_recipe_is_advised_that_belongs_to_the_records(records, expected):
    manifest = _records(records)
    assert recipes.for_records(manifest) == expected
    assert recipes.for_records(dataclasses.replace(manifest, backbone={"fingerprint": "f"})) == ["configs/head.flags"]
    flags = [f"--flagfile={name}" for name in expected]
    training = config.parse(train.TrainConfig, [*flags, "--records=r", "--run_dir=d"])
    assert training.records_recipe == records and not recipes.differences(training.records_recipe, manifest)


def test_a_recipe_for_any_records_does_not_warn(caplog):
    recipes.warn_of_other_records("", _records("records.flags"))
    assert caplog.text == ""


def test_an_earlier_manifest_may_lack_flags():
    earlier = dataclasses.replace(_records("records.flags"), converter={}, front_end=frontend.FrontendConfig())
    assert recipes.differences("records.flags", earlier) == {}

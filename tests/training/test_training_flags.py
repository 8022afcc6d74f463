import dataclasses
import json
import os
import pathlib
import shutil

import numpy as np
import pytest

from bird_tf import config, csv_files, files, resume
from bird_tf.inference import serving
from bird_tf.records import manifests
from bird_tf.scores import calibration, thresholds
from bird_tf.training import training_flags
from tests.conftest import train_settings


def test_flags_without_effect_on_the_network_may_differ(manifest, tmp_path):
    training_flags.claim(train_settings(manifest, tmp_path / "run"), manifest).begin()
    other = train_settings(manifest, tmp_path / "run", profile_steps=3)
    assert training_flags.claim(other, manifest).goes_on()
    elsewhere = train_settings(manifest, tmp_path / "other")
    assert training_flags.claim(elsewhere, manifest).plan == training_flags.claim(other, manifest).plan


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"epochs": 4}, "--epochs was 2, is 4"),
        ({"teacher": ["b", "a"]}, "--teacher was .*'a', 'b'.*, is .*'b', 'a'"),
        ({"l2": 1.0}, "--l2 was 0.0, is 1.0"),
    ],
)
def test_other_flags_are_refused_and_named(manifest, tmp_path, changes, difference):
    values = {"teacher": ["a", "b"]}
    training_flags.claim(train_settings(manifest, tmp_path, **values), manifest).begin()
    with pytest.raises(config.InputError, match=f"holds a training that differs: {difference}"):
        training_flags.claim(train_settings(manifest, tmp_path, **{**values, **changes}), manifest).goes_on()
    replacing = train_settings(manifest, tmp_path, **{**values, **changes}, overwrite=True)
    assert not training_flags.claim(replacing, manifest).goes_on()


@pytest.mark.parametrize(("flag", "folder"), [("teacher", "run/export"), ("pretrained", "run")])
def test_another_model_at_the_same_place_is_refused(manifest, run_dir, untrained, tmp_path, flag, folder):
    shutil.copytree(run_dir, tmp_path / "run")
    path = str(tmp_path / folder)
    settings = train_settings(manifest, tmp_path / "new", **{flag: [path] if flag == "teacher" else path})
    training_flags.claim(settings, manifest).begin()
    fitted = calibration.Calibration(
        slope=2.0, intercept=0.5, thresholds=dict.fromkeys(thresholds.RULES, np.full(len(manifest.classes), 0.3))
    )
    serving.store(str(tmp_path / "run" / "export"), fitted)  # its calibration is not learnt from
    assert training_flags.claim(settings, manifest).goes_on()
    shutil.rmtree(tmp_path / "run")
    assert training_flags.claim(settings, manifest).goes_on()  # finished work outlives its models
    shutil.copytree(os.path.dirname(untrained(manifest.front_end)), tmp_path / "run")
    with pytest.raises(config.InputError, match=f"{path} is another model now"):
        training_flags.claim(settings, manifest).goes_on()


def test_other_records_are_refused(manifest, tmp_path):
    settings = train_settings(manifest, tmp_path)
    training_flags.claim(settings, manifest).begin()
    other = dataclasses.replace(manifest, shards={**manifest.shards, "noise": ()})
    with pytest.raises(config.InputError, match=f"{manifest.directory} has another content"):
        training_flags.claim(settings, other).goes_on()


def test_a_flag_that_is_newer_than_a_run_had_its_declared_default(manifest, tmp_path):
    newer = {"mixtures": True, "clip_norm": 2.0}
    claim = training_flags.claim(train_settings(manifest, tmp_path), manifest)
    earlier = {name: value for name, value in claim.plan["flags"].items() if name not in newer}
    files.write_json(str(tmp_path / resume.PLAN), {**claim.plan, "flags": earlier})
    assert claim.goes_on()
    with pytest.raises(config.InputError, match=r"--clip_norm was 0\.0, is 2\.0; --mixtures was False, is True"):
        training_flags.claim(train_settings(manifest, tmp_path, **newer), manifest).goes_on()


def test_records_whose_authors_were_corrected_are_refused_also_of_a_finished_run(manifest, tmp_path):
    records, run = tmp_path / "records", tmp_path / "run"
    records.mkdir()
    table = pathlib.Path(manifest.directory, manifests.RECORDINGS).read_text()
    (records / manifests.RECORDINGS).write_text(table)
    copy = dataclasses.replace(manifest, directory=str(records))
    settings = train_settings(copy, run)
    training_flags.claim(settings, copy).begin()
    (run / files.SUMMARY).write_text('{"epochs": 2}')
    assert training_flags.claim(settings, copy).goes_on()
    author = next(iter(csv_files.read(str(records / manifests.RECORDINGS), ("author",)))).cells["author"]
    (records / manifests.RECORDINGS).write_text(table.replace(f",{author},", ",Somebody,"))
    with pytest.raises(config.InputError, match=rf"{records} has another recordings\.csv; repeat it as it was"):
        training_flags.claim(settings, copy).goes_on()
    plan = json.loads((run / resume.PLAN).read_text())
    del plan["inputs"][str(records)][manifests.RECORDINGS]  # as an earlier version wrote it
    (run / resume.PLAN).write_text(json.dumps(plan))
    assert training_flags.claim(settings, copy).goes_on()


def test_other_libraries_are_refused_until_the_run_is_finished(manifest, tmp_path, monkeypatch):
    settings = train_settings(manifest, tmp_path)
    training_flags.claim(settings, manifest).begin()
    newer = {**manifests.versions(), "numpy": "9.0"}
    monkeypatch.setattr(manifests, "versions", lambda: newer)
    with pytest.raises(config.InputError, match=r"version of numpy was .*, is 9\.0"):
        training_flags.claim(settings, manifest).goes_on()
    (tmp_path / files.SUMMARY).write_text('{"epochs": 2}')
    assert training_flags.claim(settings, manifest).goes_on()
    with pytest.raises(config.InputError, match="--epochs was 2, is 4"):
        training_flags.claim(train_settings(manifest, tmp_path, epochs=4), manifest).goes_on()


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"epochs": 0}, "--epochs"),
        ({"patience": 0}, "--patience"),
        ({"distribute": "multiworker", "max_minutes": 1.0}, "--max_minutes"),
    ],
)
def test_impossible_options_are_refused(manifest, tmp_path, changes, flag):
    with pytest.raises(config.InputError, match=flag):
        train_settings(manifest, tmp_path, **changes)

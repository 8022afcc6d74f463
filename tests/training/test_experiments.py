import dataclasses
import json
import os
import shutil

import numpy as np
import pytest

from bird_tf import config, keras
from bird_tf.backbones import sources
from bird_tf.inference import serving
from bird_tf.records import manifests
from bird_tf.scores import calibration, thresholds
from bird_tf.training import checkpoints, distribution, experiments
from tests.conftest import train_settings


@pytest.fixture
def policy():
    """Restores the Keras policy that a test changes."""
    yield
    keras.config.set_dtype_policy("float32")


def _experiment(manifest, settings):
    return experiments.Experiment(settings, manifest, distribution.strategy("none", 8))


def test_position_follows_epochs_and_budget(manifest, tmp_path):
    settings = train_settings(manifest, tmp_path, epochs=10)
    assert experiments.Clock(settings, 20, checkpoints.Progress(steps=30)).position() == 1.5
    budgeted = dataclasses.replace(settings, max_minutes=1.0)
    # 20 seconds of the minute are reserved for the export
    earlier = checkpoints.Progress(steps=0, elapsed_seconds=20.0)
    assert experiments.Clock(budgeted, 20, earlier).position() == pytest.approx(5.0, abs=0.2)


def test_the_time_left_is_that_of_the_epochs_after_the_first(manifest, tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr(experiments.time, "monotonic", lambda: now)
    progress = checkpoints.Progress(steps=0)
    clock = experiments.Clock(train_settings(manifest, tmp_path, epochs=10), 20, progress)
    left = []
    for seconds in (50.0, 10.0, 14.0, 12.0):  # the first epoch prepares the network
        left.append(clock.begin_epoch())
        now += seconds
        progress.steps += 20
    assert left == [None, None, 80.0, 84.0]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "nesterov"])
def test_every_optimiser_lowers_the_loss_on_a_fixed_batch(manifest, tmp_path, optimizer):
    _lowers_the_loss(manifest, train_settings(manifest, tmp_path, optimizer=optimizer, learning_rate=1e-2, l2=1e-4))


@pytest.mark.parametrize("name", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains_with_float32_weights(manifest, tmp_path, name, policy):
    state = _lowers_the_loss(manifest, train_settings(manifest, tmp_path, dtype_policy=name, learning_rate=1e-2))
    assert {variable.dtype for variable in state.network.trainable_variables} == {"float32"}


def _lowers_the_loss(manifest, settings):
    state = _experiment(manifest, settings).state
    batch = next(iter(_experiment(manifest, settings).batches()))
    losses = [state.step(batch)[0] for _ in range(30)]
    assert losses[-1] < 0.8 * losses[0]
    return state


@pytest.mark.parametrize("changes", [{}, {"dtype_policy": "mixed_float16"}, {"ema": 0.9, "dropout": 0.3}])
def test_an_experiment_continues_from_its_checkpoint_as_without_an_interruption(manifest, tmp_path, changes, policy):
    settings = train_settings(manifest, tmp_path, batch_size=4, **changes)
    first = _experiment(manifest, settings)
    batches = iter(first.batches())
    for _ in range(3):
        first.state.step(next(batches))
        first.progress.steps += 1
    first.save()
    second = _experiment(manifest, settings)
    assert second.progress.steps == 3
    for a, b in zip(second.batches().take(2), batches, strict=False):
        np.testing.assert_array_equal(a["spectrogram"], b["spectrogram"])
        # threads may sum floats in another order
        assert second.state.step(a) == pytest.approx(first.state.step(b), rel=1e-5)


def test_a_checkpoint_is_written_when_the_last_is_old_enough(manifest, tmp_path):
    experiment = _experiment(manifest, train_settings(manifest, tmp_path))
    experiment.save_if_due()
    assert not (tmp_path / checkpoints.CHECKPOINT).exists()
    experiment._saved_at -= experiments.CHECKPOINT_SECONDS
    experiment.save_if_due()
    assert (tmp_path / checkpoints.CHECKPOINT).exists()


def test_flags_without_effect_on_the_network_may_differ(manifest, tmp_path):
    experiments.claim(train_settings(manifest, tmp_path / "run"), manifest).begin()
    other = train_settings(manifest, tmp_path / "run", profile_steps=3)
    assert experiments.claim(other, manifest).goes_on()
    elsewhere = train_settings(manifest, tmp_path / "other")
    assert experiments.claim(elsewhere, manifest).plan == experiments.claim(other, manifest).plan


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
    experiments.claim(train_settings(manifest, tmp_path, **values), manifest).begin()
    with pytest.raises(config.InputError, match=f"holds a training that differs: {difference}"):
        experiments.claim(train_settings(manifest, tmp_path, **{**values, **changes}), manifest).goes_on()
    replacing = train_settings(manifest, tmp_path, **{**values, **changes}, overwrite=True)
    assert not experiments.claim(replacing, manifest).goes_on()


@pytest.mark.parametrize(("flag", "folder"), [("teacher", "run/export"), ("pretrained", "run")])
def test_another_model_at_the_same_place_is_refused(manifest, run_dir, untrained, tmp_path, flag, folder):
    shutil.copytree(run_dir, tmp_path / "run")
    path = str(tmp_path / folder)
    settings = train_settings(manifest, tmp_path / "new", **{flag: [path] if flag == "teacher" else path})
    experiments.claim(settings, manifest).begin()
    fitted = calibration.Calibration(
        slope=2.0, intercept=0.5, thresholds=dict.fromkeys(thresholds.RULES, np.full(len(manifest.classes), 0.3))
    )
    serving.store(str(tmp_path / "run" / "export"), fitted)  # its calibration is not learnt from
    assert experiments.claim(settings, manifest).goes_on()
    shutil.rmtree(tmp_path / "run")
    assert experiments.claim(settings, manifest).goes_on()  # finished work outlives its models
    shutil.copytree(os.path.dirname(untrained(manifest.front_end)), tmp_path / "run")
    with pytest.raises(config.InputError, match=f"{path} is another model now"):
        experiments.claim(settings, manifest).goes_on()


def test_other_records_are_refused(manifest, tmp_path):
    settings = train_settings(manifest, tmp_path)
    experiments.claim(settings, manifest).begin()
    other = dataclasses.replace(manifest, shards={**manifest.shards, "noise": ()})
    with pytest.raises(config.InputError, match=f"{manifest.directory} has another content"):
        experiments.claim(settings, other).goes_on()


def test_other_libraries_are_refused_until_the_run_is_finished(manifest, tmp_path, monkeypatch):
    settings = train_settings(manifest, tmp_path)
    experiments.claim(settings, manifest).begin()
    newer = {**manifests.versions(), "numpy": "9.0"}
    monkeypatch.setattr(manifests, "versions", lambda: newer)
    with pytest.raises(config.InputError, match=r"version of numpy was .*, is 9\.0"):
        experiments.claim(settings, manifest).goes_on()
    (tmp_path / checkpoints.SUMMARY).write_text('{"epochs": 2}')
    assert experiments.claim(settings, manifest).goes_on()
    with pytest.raises(config.InputError, match="--epochs was 2, is 4"):
        experiments.claim(train_settings(manifest, tmp_path, epochs=4), manifest).goes_on()


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


def test_a_network_names_the_backbones_that_it_has_learnt_from(manifest, model_path, tmp_path):
    """Also by way of its teacher, whose own teacher it was."""
    own = {"title": "Toy 1", "licence": "CC0", "origin": "x", "fingerprint": "1", "classes": ["fistul"]}
    older = {"model": "old.tflite", "fingerprint": "2", "classes": ["fistul"]}  # as in records of format 2
    answered = dataclasses.replace(manifest, backbone=own)
    plain = _experiment(answered, train_settings(manifest, tmp_path / "a"))
    assert plain._backbones() == ()  # the records have its answers, but they are not used
    teacher = shutil.copytree(model_path, tmp_path / "teacher")
    description = json.loads((teacher / "assets" / "train.json").read_text())
    assert description["backbones"] == []
    description["backbones"] = [sources.credit(own), sources.credit(older)]
    (teacher / "assets" / "train.json").write_text(json.dumps(description))
    settings = train_settings(manifest, tmp_path / "b", backbone_weight=0.5, teacher=[str(teacher)])
    assert _experiment(answered, settings)._backbones() == (
        {"title": "Toy 1", "licence": "CC0", "origin": "x", "fingerprint": "1"},
        {"title": "old.tflite", "licence": "", "origin": "", "fingerprint": "2"},
    )

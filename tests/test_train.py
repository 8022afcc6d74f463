import dataclasses
import json
import time

import numpy as np
import pytest

from bird_tf import config, dataset, export, keras, models, optimizers, tf, train
from tests.conftest import train_settings


def test_a_run_leaves_all_that_it_promises(run_dir):
    left = {path.name for path in run_dir.iterdir()}
    assert {"run.flags", "run.json", "best.npz", "classes.csv", "logs", "export", "summary.json"} <= left
    summary = json.loads((run_dir / "summary.json").read_text())
    names = {"mlrap", "mlrap_foreground", "mrr", "map", "cmap", "top1", "num_recordings"}
    assert names <= set(summary) and all(0 <= summary[name] <= 1 for name in names - {"num_recordings"})


def test_run_flags_reproduce_the_run(run_dir, manifest, tmp_path):
    again = config.parse(train.TrainConfig, [f"--flagfile={run_dir / 'run.flags'}", f"--run_dir={tmp_path / 'again'}"])
    train.train(again)
    first, second = export.load_run(str(run_dir)), export.load_run(str(tmp_path / "again"))
    assert first[0].metrics == second[0].metrics
    for a, b in zip(first[1], second[1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_tensorboard_has_the_scalars(run_dir):
    [file] = (run_dir / "logs").iterdir()
    tags = {value.tag for event in tf.compat.v1.train.summary_iterator(str(file)) for value in event.summary.value}
    assert {"training/loss", "training/learning_rate", "validation/mlrap", "validation/mlrap_foreground"} <= tags


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "nesterov"])
def test_every_optimiser_lowers_the_loss_on_a_fixed_batch(manifest, tmp_path, optimizer):
    settings = train_settings(manifest, tmp_path, optimizer=optimizer, learning_rate=1e-2, l2=1e-4)
    _assert_learns_one_batch(settings, manifest)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_learns_and_keeps_float32_weights(manifest, tmp_path, policy):
    settings = train_settings(manifest, tmp_path, dtype_policy=policy, learning_rate=1e-2)
    keras.config.set_dtype_policy(policy)
    try:
        network = _assert_learns_one_batch(settings, manifest)
    finally:
        keras.config.set_dtype_policy("float32")
    assert {variable.dtype for variable in network.trainable_variables} == {"float32"}


def _assert_learns_one_batch(settings, manifest):
    network = models.build(settings.model, manifest.front_end.num_bands, manifest.front_end.num_frames, 6)
    batch = next(iter(dataset.training(manifest, settings.dataset, settings.augmentation, seed=0)))
    optimiser = optimizers.build(settings.optimizer, 1e-2, scale_loss=settings.dtype_policy == "mixed_float16")
    step = train.train_step(network, optimiser, None, settings)
    losses = [float(step(batch)) for _ in range(30)]
    assert losses[-1] < 0.8 * losses[0]
    return network


def test_a_mixed_run_exports_float32(manifest, tmp_path):
    train.train(train_settings(manifest, tmp_path / "run", dtype_policy="mixed_bfloat16", epochs=1))
    loaded = tf.saved_model.load(str(tmp_path / "run" / "export"))
    outputs = loaded.signatures["serving_default"].structured_outputs
    assert {spec.dtype for spec in outputs.values()} == {tf.float32}


def test_the_budget_ends_the_run_in_time(manifest, tmp_path):
    started = time.monotonic()
    settings = train_settings(manifest, tmp_path / "run", epochs=100000, patience=100000, max_minutes=0.5)
    summary = train.train(settings)
    assert time.monotonic() - started < 30
    assert summary["epochs"] < 100000


def test_position_follows_the_budget(manifest, tmp_path):
    settings = train_settings(manifest, tmp_path, epochs=10)
    assert train.Clock(settings, 20).position(30) == 1.5
    budgeted = train.Clock(dataclasses.replace(settings, max_minutes=1e-3), 20)
    budgeted._started -= 60
    assert budgeted.position(0) == 10


def test_early_stopping_waits_for_its_patience(manifest, tmp_path):
    settings = train_settings(manifest, tmp_path / "run", epochs=50, patience=2, learning_rate=0.0)
    summary = train.train(settings)
    assert summary["best_epoch"] <= summary["epochs"] <= summary["best_epoch"] + 2 < 50


def test_best_weights_are_kept_not_the_last(manifest, tmp_path):
    train.train(train_settings(manifest, tmp_path / "run", epochs=4, patience=10))
    run, weights = export.load_run(str(tmp_path / "run"))
    network = export._float32_network(run, weights)
    settings = train_settings(manifest, tmp_path)
    scores = train.validator(network, manifest, settings, run.pooling)()
    assert scores["mlrap"] == pytest.approx(run.metrics["mlrap"])


def test_averaged_weights_are_those_validated_and_exported(manifest, tmp_path):
    train.train(train_settings(manifest, tmp_path / "run", epochs=1, ema=0.99))
    run, weights = export.load_run(str(tmp_path / "run"))
    settings = train_settings(manifest, tmp_path)
    scores = train.validator(export._float32_network(run, weights), manifest, settings, run.pooling)()
    assert scores["mlrap"] == pytest.approx(run.metrics["mlrap"])
    assert scores["loss"] == pytest.approx(run.metrics["loss"], rel=1e-4)
    train.train(train_settings(manifest, tmp_path / "plain", epochs=1))
    assert not np.allclose(weights[0], export.load_run(str(tmp_path / "plain"))[1][0])


def test_an_occupied_run_directory_is_refused(manifest, run_dir):
    with pytest.raises(config.InputError, match="--overwrite"):
        train.train(train_settings(manifest, run_dir))


def test_a_loss_that_is_no_number_stops_the_run(manifest, tmp_path):
    with pytest.raises(config.InputError, match=r"the loss is .* at step"):
        train.train(train_settings(manifest, tmp_path / "run", learning_rate=1e30, epochs=5, optimizer="sgd"))


def test_unusable_records_are_refused(manifest, tmp_path):
    with pytest.raises(config.InputError, match="no validation chunk"):
        train._check(dataclasses.replace(manifest, shards={**manifest.shards, "val": ()}))
    one = dataclasses.replace(manifest.classes, class_ids=("a",), names=("A",))
    with pytest.raises(config.InputError, match="one class only"):
        train._check(dataclasses.replace(manifest, classes=one))
    with pytest.raises(config.InputError, match="no such records"):
        train.train(train_settings(dataclasses.replace(manifest, directory=str(tmp_path / "none")), tmp_path / "run"))
    assert not (tmp_path / "run").exists()

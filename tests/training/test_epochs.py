import numpy as np
import pytest

from bird_tf import config, tf, train
from bird_tf.training import distribution, exporter, train_step, validation
from tests.conftest import train_settings


def test_snapshots_can_be_exported(bare_trainings, manifest, tmp_path, monkeypatch):
    train.train(train_settings(manifest, tmp_path / "run", epochs=3, snapshot_epochs=2))
    assert [path.name for path in (tmp_path / "run" / "snapshots").iterdir()] == ["epoch-0002"]
    monkeypatch.undo()
    exported = exporter.export(str(tmp_path / "run" / "snapshots" / "epoch-0002"))
    assert "serving_default" in tf.saved_model.load(exported).signatures


@pytest.mark.parametrize(
    ("results", "best"),
    [
        ([(0.5, 0.1), (0.9, 0.4), (0.9, 0.3), (0.9, 0.3)], 3),
        ([(0.9, 0.3), (0.8, 0.1)], 1),
        ([(None, 0.3), (None, 0.2)], 2),
    ],
)
@pytest.mark.usefixtures("bare_trainings")
def test_of_epochs_of_equal_mlrap_the_one_with_the_lowest_loss_is_best(manifest, tmp_path, monkeypatch, results, best):
    left = iter(results)

    def result():
        mlrap, loss = next(left)
        metrics = {"loss": loss} if mlrap is None else {"mlrap": mlrap, "loss": loss}
        scores, truth, labels = np.ones((1, 6)), np.ones((1, 6), bool), np.zeros(1, int)
        return validation.ValidationResult(metrics=metrics, scores=scores, truth=truth, labels=labels, pooling="mean")

    monkeypatch.setattr(validation, "validator", lambda *_: result)
    summary = train.train(train_settings(manifest, tmp_path / "run", epochs=len(results), patience=9))
    assert summary["best_epoch"] == best


def test_a_loss_that_is_not_finite_stops_the_run(manifest, tmp_path):
    settings = train_settings(manifest, tmp_path, learning_rate=1e30, epochs=5, optimizer="sgd", no_call_share=0.3)
    with pytest.raises(config.InputError, match=r"the loss is .* at step .*recordings of its batch: [0-9]+, "):
        train.train(settings)


def test_a_batch_too_large_for_memory_is_reported_in_one_line(manifest, tmp_path, monkeypatch):
    def step(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(train_step.TrainState, "step", step)
    with pytest.raises(config.InputError, match="--batch_size=8 does not fit into memory"):
        train.train(train_settings(manifest, tmp_path / "run"))


def test_a_step_that_xla_cannot_compile_names_the_way_out(manifest, tmp_path, monkeypatch):
    def step(*_):
        raise tf.errors.InternalError(None, None, "libdevice not found")

    monkeypatch.setattr(train_step.TrainState, "step", step)
    with pytest.raises(tf.errors.InternalError):
        train.train(train_settings(manifest, tmp_path / "run", jit_compile=True))
    monkeypatch.setattr(distribution, "is_one_gpu", lambda strategy: True)
    monkeypatch.setattr(distribution, "distribute_batches", lambda strategy, batches: batches)
    with pytest.raises(config.InputError, match=r"libdevice not found.*train again with --nojit_compile --overwrite"):
        train.train(train_settings(manifest, tmp_path / "compiled", jit_compile=True))

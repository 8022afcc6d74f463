import os

import pytest

import bird_tf
from bird_tf import config, tf, train
from bird_tf.training import distribution, dry_run, epochs, training_flags


def _flags(manifest, run_dir, *more):
    flags = [f"--flagfile={os.devnull}", f"--records={manifest.directory}", f"--run_dir={run_dir}"]
    flags += ["--architecture=baseline", "--filters=4,8"]
    return config.parse(training_flags.TrainConfig, [*flags, "--batch_size=8", "--dry_run", *more])


def test_a_dry_run_leaves_no_files(manifest, tmp_path, caplog):
    run_dir = tmp_path / "run"
    train.main(_flags(manifest, run_dir, "--epochs=3"))
    assert not run_dir.exists()


def test_the_estimate_fits_network_records_and_budget(manifest, tmp_path):
    settings = _flags(manifest, tmp_path / "run", "--epochs=3", "--optimizer=sgd", "--shuffle_buffer=10")
    taken = []

    def step(experiment, batch):
        taken.append(batch["spectrogram"].shape[0])
        return experiment.state.step(batch)

    estimate = dry_run.estimate(settings, manifest, distribution.strategy("none", 8), step)
    assert set(taken) == {8}
    assert estimate.buffer_bytes == 10 * 32 * 32
    assert estimate.state_bytes >= 4 * estimate.num_parameters
    assert estimate.steps == pytest.approx(manifest.num_chunks("train") / 8, abs=1)
    assert estimate.num_epochs == 3
    assert estimate.examples_per_second == pytest.approx(8 / estimate.step_seconds)
    assert 0 < estimate.peak_bytes["host"] < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert f"{estimate.num_parameters} parameters" in estimate.lines()[0]


def test_a_budget_cuts_the_epochs(manifest, tmp_path):
    settings = _flags(manifest, tmp_path / "run", "--epochs=100000", "--max_minutes=1")
    estimate = dry_run.estimate(settings, manifest, distribution.strategy("none", 8), epochs.take_step)
    assert estimate.num_epochs == pytest.approx(60 / (estimate.steps * estimate.step_seconds))


def test_a_dry_run_refuses_what_the_training_would(manifest, tmp_path, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(config.InputError, match="TF_CONFIG"):
        train.main(_flags(manifest, tmp_path / "run", "--distribute=multiworker"))


def test_a_dry_run_computes_as_the_training_would(manifest, tmp_path, monkeypatch, caplog):
    asked = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: asked.append(True))
    flags = "--deterministic", "--schedule=linear", "--learning_rate=1e-6", "--learning_rate_end=1e-3"
    train.main(_flags(manifest, tmp_path / "run", *flags))
    assert asked == [True] and "the learning rate rises" in caplog.text


def test_from_python_a_dry_run_returns_the_estimate_and_leaves_a_finished_run(manifest, tmp_path):
    (tmp_path / "summary.json").write_text("{}")
    flags = {"flagfile": os.devnull, "records": manifest.directory, "run_dir": tmp_path, "architecture": "baseline"}
    found = bird_tf.train(**flags, filters=[4, 8], batch_size=8, dry_run=True, overwrite=True)
    assert found["num_parameters"] > 0 and found["step_seconds"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]

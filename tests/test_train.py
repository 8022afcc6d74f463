import dataclasses
import json
import shutil

import numpy as np
import pytest

from bird_tf import config, evaluate, tf, train
from bird_tf.conversion import folds
from bird_tf.inference import ensembles, labelled, leaks
from bird_tf.input import streams
from bird_tf.labels import taxonomy
from bird_tf.records import learnt, recordings_table
from bird_tf.scores import decisions, metrics, pooling
from bird_tf.training import checkpoints, clocks, run_directory, validation
from tests.conftest import settings, train_settings


def test_a_run_writes_all_documented_files(run_dir):
    names = {path.name for path in run_dir.iterdir()}
    assert {"plan.json", "run.flags", "run.json", "best.weights.h5", "classes.csv", "logs", "export"} <= names
    assert {"summary.json", "prior.json", "checkpoint.npz"} <= names
    summary = json.loads((run_dir / "summary.json").read_text())
    metrics = {"mlrap", "mlrap_foreground", "mrr", "map", "cmap", "top1", "num_recordings"}
    assert metrics <= set(summary) and all(0 <= summary[name] <= 1 for name in metrics - {"num_recordings"})


@pytest.mark.usefixtures("bare_trainings")
def test_run_flags_reproduce_the_run(run_dir, manifest, tmp_path):
    again = config.parse(train.TrainConfig, [f"--flagfile={run_dir / 'run.flags'}", f"--run_dir={tmp_path / 'again'}"])
    train.train(again)
    first, second = run_directory.load(str(run_dir)), run_directory.load(str(tmp_path / "again"))
    assert first[0].metrics == second[0].metrics
    for a, b in zip(first[1].get_weights(), second[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_tensorboard_has_the_scalars(run_dir):
    [file] = (run_dir / "logs").iterdir()
    tags = {value.tag for event in tf.compat.v1.train.summary_iterator(str(file)) for value in event.summary.value}
    assert {"training/loss", "training/learning_rate", "validation/mlrap", "validation/mlrap_foreground"} <= tags


def test_a_mixed_run_exports_float32(manifest, tmp_path):
    train.train(train_settings(manifest, tmp_path / "run", dtype_policy="mixed_bfloat16", epochs=1))
    loaded = tf.saved_model.load(str(tmp_path / "run" / "export"))
    outputs = loaded.signatures["serving_default"].structured_outputs
    assert {spec.dtype for spec in outputs.values() if spec.dtype != tf.bool} == {tf.float32}


def _metrics(network, manifest, settings):
    method = pooling.default(len(manifest.classes))
    return validation.validator(network, manifest, settings.dataset, settings.loss, method)().metrics


def test_a_budget_that_is_over_before_the_first_step_is_told(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr(clocks.Clock, "position", lambda clock: float("inf"))
    with pytest.raises(config.InputError, match=r"run: the time was over after .* before the first step"):
        train.train(train_settings(manifest, tmp_path / "run", max_minutes=1e-9))
    assert not (tmp_path / "run" / "export").exists()


@pytest.mark.usefixtures("bare_trainings")
def test_the_budget_ends_the_run_in_time(manifest, tmp_path, monkeypatch):
    """By a clock of its own, on which a step takes a second."""
    monkeypatch.setattr(clocks.Clock, "elapsed", property(lambda clock: float(clock._progress.steps)))
    settings = train_settings(manifest, tmp_path / "run", epochs=100000, patience=100000, max_minutes=0.5)
    summary = train.train(settings)
    assert 1 <= summary["epochs"] * streams.steps_per_epoch(manifest, settings.dataset) <= 30


@pytest.mark.usefixtures("bare_trainings")
def test_the_best_weights_are_exported_not_the_last(manifest, tmp_path):
    train.train(train_settings(manifest, tmp_path / "run", epochs=4, patience=10))
    run, network = run_directory.load(str(tmp_path / "run"))
    scores = _metrics(network, manifest, train_settings(manifest, tmp_path))
    assert scores["mlrap"] == pytest.approx(run.metrics["mlrap"])


@pytest.mark.usefixtures("bare_trainings")
def test_the_last_weights_are_exported_with_keep_last(manifest, tmp_path):
    settings = train_settings(manifest, tmp_path / "run", epochs=2, patience=1, learning_rate=0.0, keep="last")
    summary = train.train(settings)
    assert (summary["best_epoch"], summary["epochs"]) == (2, 2)


@pytest.mark.usefixtures("bare_trainings")
def test_averaged_weights_are_validated_and_exported(manifest, tmp_path):
    train.train(train_settings(manifest, tmp_path / "run", epochs=1, ema=0.99))
    run, network = run_directory.load(str(tmp_path / "run"))
    scores = _metrics(network, manifest, train_settings(manifest, tmp_path))
    assert scores["mlrap"] == pytest.approx(run.metrics["mlrap"])
    assert scores["loss"] == pytest.approx(run.metrics["loss"], rel=1e-4)
    with np.load(tmp_path / "run" / checkpoints.CHECKPOINT) as arrays:
        last = arrays[next(name for name in arrays.files if name.startswith("network/") and name.endswith("kernel"))]
    assert not any(last.shape == ours.shape and np.allclose(last, ours) for ours in network.get_weights())


def test_a_finished_run_is_not_changed(manifest, run_dir):
    before = (run_dir / "best.weights.h5").stat().st_mtime_ns
    summary = train.train(train_settings(manifest, run_dir))
    assert summary == json.loads((run_dir / "summary.json").read_text())
    assert (run_dir / "best.weights.h5").stat().st_mtime_ns == before


@pytest.mark.usefixtures("bare_trainings")
def test_overwriting_leaves_no_file_of_the_earlier_run(manifest, run_dir, tmp_path):
    shutil.copytree(run_dir, tmp_path / "run")
    (tmp_path / "run" / "snapshots").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(config.InputError, match="holds a training that differs: --epochs was 2, is 1"):
        train.train(train_settings(manifest, tmp_path / "run", epochs=1))
    with pytest.raises(config.InputError, match=r"holds notes\.txt, which the training has not written"):
        train.train(train_settings(manifest, tmp_path / "run", epochs=1, overwrite=True))
    assert (tmp_path / "run" / "export").exists()
    (tmp_path / "run" / "notes.txt").unlink()
    summary = train.train(train_settings(manifest, tmp_path / "run", epochs=1, overwrite=True))
    assert summary["epochs"] == 1
    assert not {"snapshots", "export"} & {path.name for path in (tmp_path / "run").iterdir()}
    assert "--overwrite=False" in (tmp_path / "run" / "run.flags").read_text()  # who repeats it does not ask for that
    assert train.train(train_settings(manifest, tmp_path / "run", epochs=1)) == summary


@pytest.mark.parametrize(("flags", "words"), [
    ({"teacher": ["nothing/export"]}, "nothing/export is not an exported model"),
    ({"pretrained": "nothing"}, "nothing is not a finished run"),
    ({"pretrained": "nothing", "refit": True, "keep": "last"}, "nothing is not a finished run"),
    ({"freeze_layers": 1}, "--freeze_layers=1 without --pretrained"),
    ({"embedding_weight": 0.2}, "--embedding_weight=0.2 needs the feature embedding"),
    ({"pseudo_labels": "nothing"}, "nothing holds no pseudo-labels"),
])  # fmt: skip
def test_a_training_that_cannot_begin_leaves_the_run_directory_as_it_is(manifest, run_dir, tmp_path, flags, words):
    shutil.copytree(run_dir, tmp_path / "old")
    before = sorted(path.name for path in (tmp_path / "old").rglob("*"))
    for name in ("old", "new"):
        with pytest.raises(config.InputError, match=words):
            train.train(train_settings(manifest, tmp_path / name, **flags, overwrite=name == "old"))
    assert sorted(path.name for path in (tmp_path / "old").rglob("*")) == before
    assert not list((tmp_path / "new").glob("*"))  # the mended command is not taken for another one


def test_a_run_that_the_training_reads_is_not_overwritten(manifest, run_dir):
    for flags in ({"pretrained": str(run_dir)}, {"teacher": [str(run_dir / "export")]}):
        for overwrite in (False, True):
            with pytest.raises(config.InputError, match=f"lies in {run_dir}, which the training is written to"):
                train.train(train_settings(manifest, run_dir, **flags, overwrite=overwrite))
    assert (run_dir / "summary.json").exists()


def test_a_run_of_an_earlier_version_is_refused(manifest, tmp_path):
    (tmp_path / "run.flags").write_text("--epochs=2\n")
    with pytest.raises(config.InputError, match="is a run of an earlier version of bird_tf"):
        train.train(train_settings(manifest, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["run.flags"]


def test_a_folder_that_is_no_run_is_refused(manifest, tmp_path):
    (tmp_path / "thesis.doc").write_text("precious")
    with pytest.raises(config.InputError, match="holds something that is no training; name another --run_dir, or"):
        train.train(train_settings(manifest, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]


def test_classes_that_cannot_be_learnt_are_named(manifest, monkeypatch):
    warnings = []
    monkeypatch.setattr(train.logging, "warning", lambda text, *values: warnings.append(text % values))
    counts = {**manifest.chunks_per_class, "train": (0, *manifest.chunks_per_class["train"][1:])}
    absent = dataclasses.replace(manifest, chunks_per_class=counts)
    train._check_records(absent, train_settings(absent, "run"))
    assert warnings == [f"1 classes have no training chunk and cannot be learnt: {manifest.classes.class_ids[0]}"]


def test_flags_without_effect_are_told(manifest, monkeypatch):
    warnings = []
    monkeypatch.setattr(train.logging, "warning", lambda text, *values: warnings.append(text % values))
    without = dataclasses.replace(manifest, shards={**manifest.shards, "noise": ()})

    def told(records, **values):
        warnings.clear()
        train._check_records(records, train_settings(records, "run", **{"add_noise": False, **values}))
        return "; ".join(warnings)

    asked = {"no_call_share": 0.1, "add_noise": True}
    assert "without effect: --no_call_share, --add_noise; convert" in told(without, **asked)
    assert told(without, **asked, synthetic_noise=5) == told(manifest, **asked) == told(without) == ""
    assert told(manifest, synthetic_noise=5).startswith("--synthetic_noise=5 has no effect without one of")
    assert told(manifest, teacher_weight=0.5) == "--teacher_weight has no effect without --teacher"
    assert told(manifest, embedding_weight=0.2).startswith("no --teacher: of the backbone, only the embedding")
    assert told(manifest, embedding_weight=0.2, teacher=["head"]) == ""


def test_unusable_records_are_refused(manifest, tmp_path):
    settings = train_settings(manifest, tmp_path / "run")
    none = dataclasses.replace(manifest, shards={**manifest.shards, "val": ()})
    with pytest.raises(config.InputError, match=r"no validation chunk.* two recordings of some species; or train with"):
        train._check_records(none, settings)
    mine = dataclasses.replace(none, converter={**manifest.converter, "group_by": "author"})
    with pytest.raises(config.InputError, match="species, and with another --group_by than author, as recording; or"):
        train._check_records(mine, settings)
    one = dataclasses.replace(manifest.classes, class_ids=("a",), names=("A",))
    with pytest.raises(config.InputError, match="has one class: a detector needs --loss=sigmoid"):
        train._check_records(dataclasses.replace(manifest, classes=one), settings)
    with pytest.raises(config.InputError, match="no such records"):
        train.train(train_settings(dataclasses.replace(manifest, directory=str(tmp_path / "none")), tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def refitted(manifest, tmp_path_factory):
    """A run that was trained twice."""
    directory = tmp_path_factory.mktemp("refitted") / "run"
    train.train(train_settings(manifest, directory, keep="last", refit=True, epochs=1, pooling="auto"))
    return directory


def test_a_refit_reports_the_metrics_of_the_first_training(refitted, manifest):
    final, validated = (json.loads((path / "summary.json").read_text()) for path in (refitted, refitted / "validated"))
    assert {final[name] == validated[name] for name in ("mlrap", "loss", "pooling", "num_recordings")} == {True}
    assert final["steps"] > validated["steps"]
    assert final["wall_seconds"] > validated["wall_seconds"]
    (run, second), (_, first) = run_directory.load(str(refitted)), run_directory.load(str(refitted / "validated"))
    assert run.metrics["mlrap"] == final["mlrap"]
    assert any(not np.array_equal(a, b) for a, b in zip(second.get_weights(), first.get_weights(), strict=True))


def test_a_first_training_that_is_far_shorter_than_the_second_is_told(
    bare_trainings, manifest, tmp_path, caplog, monkeypatch
):
    words = "the first training, on which metrics and thresholds rest, had time for 0 epochs, and the second one for 1"
    finished = run_directory.finished
    monkeypatch.setattr(run_directory, "finished", lambda path: (found := finished(path)) and {**found, "epochs": 0})
    train.train(train_settings(manifest, tmp_path / "run", keep="last", refit=True, epochs=1))
    assert words in caplog.text


def test_a_finished_refit_is_not_changed(refitted, manifest):
    before = (refitted / "best.weights.h5").stat().st_mtime_ns
    train.train(train_settings(manifest, refitted, keep="last", refit=True, epochs=1, pooling="auto"))
    assert (refitted / "best.weights.h5").stat().st_mtime_ns == before


def test_a_refit_is_evaluated_on_its_own_records_with_the_first_model(refitted, manifest, tmp_path):
    tuning = {"tune": True, "synthetic_noise": 2}
    flags = {"records": manifest.directory, "output": str(tmp_path / "out"), "worst": 0, **tuning}
    own = evaluate.evaluate(settings(evaluate.EvaluateConfig, model=[str(refitted / "export")], **flags))
    assert own["models"] == [str(refitted / "validated" / "export")]
    assert own["mlrap"] == pytest.approx(json.loads((refitted / "summary.json").read_text())["mlrap"])
    kept = [(path / "export" / decisions.ASSET).read_text() for path in (refitted, refitted / "validated")]
    assert kept[0] == kept[1]
    assert "is judged in its place" in (tmp_path / "out" / "report.html").read_text()


def test_copied_records_are_judged_by_the_first_model_too(refitted, manifest, tmp_path):
    shutil.copytree(manifest.directory, tmp_path / "copy")
    flags = {"model": [str(refitted / "export")], "output": str(tmp_path / "out"), "worst": 0}
    own = evaluate.evaluate(settings(evaluate.EvaluateConfig, records=str(tmp_path / "copy"), **flags))
    assert own["models"] == [str(refitted / "validated" / "export")] and own["num_learnt"] == 0


@pytest.mark.usefixtures("bare_trainings")
def test_a_training_from_a_refitted_run_starts_from_weights_that_do_not_know_the_validation(
    refitted, manifest, tmp_path, caplog
):
    train.train(train_settings(manifest, tmp_path / "run", pretrained=str(refitted), epochs=1))
    assert "what it remembers" not in caplog.text
    run = run_directory.load_description(str(tmp_path / "run"))
    assert run.training["pretrained"] == str(refitted / "validated")
    assert run.learnt == learnt.of_records(manifest)


def test_what_a_model_has_learnt_from_is_inherited(bare_trainings, refitted, manifest, tmp_path, caplog, monkeypatch):
    everything = learnt.of_records(manifest.with_all_for_training())
    judged = [r for r in recordings_table.read(manifest.directory) if r.split == "val"]
    number = len(everything.known(judged, manifest.front_end.sample_rate_hz))
    assert number
    shutil.copytree(refitted, tmp_path / "alone", ignore=shutil.ignore_patterns("validated"))
    train.train(train_settings(manifest, tmp_path / "run", pretrained=str(tmp_path / "alone"), epochs=1))
    assert f"has learnt from {number} of the {len(judged)} validation recordings" in caplog.text
    assert run_directory.load_description(str(tmp_path / "run")).learnt == everything
    monkeypatch.undo()
    flags = {"teacher": [str(refitted / "export")], "epochs": 1, "max_minutes": 0.5}
    train.train(train_settings(manifest, tmp_path / "student", **flags))
    assert f"{refitted}/export has learnt from {number} of the {len(judged)} judged recordings" in caplog.text
    assert leaks.learnt_by(str(tmp_path / "student" / "export")) == everything


def test_the_first_training_of_a_refit_is_judged_by_what_no_teacher_knows(refitted, manifest, tmp_path, caplog):
    flags = {"teacher": [str(refitted / "export")], "epochs": 1, "refit": True, "keep": "last"}
    train.train(train_settings(manifest, tmp_path / "student", **flags))
    assert "what it remembers" not in caplog.text
    first, second = (run_directory.load_description(str(tmp_path / "student" / part)) for part in ("validated", ""))
    assert first.training["teacher"] == [str(refitted / "validated" / "export")]
    assert first.learnt == learnt.of_records(manifest)
    assert second.training["teacher"] == flags["teacher"]
    assert second.learnt == learnt.of_records(manifest.with_all_for_training())


def test_the_prior_of_a_refit_is_that_of_all_recordings(refitted, manifest):
    first, second = (
        run_directory.load_description(str(path)).prior.num_recordings.sum()
        for path in (refitted / "validated", refitted)
    )
    everything = manifest.with_all_for_training()
    assert (first, second) == (manifest.num_recordings["train"], everything.num_recordings["train"])


@pytest.mark.usefixtures("bare_trainings")
def test_a_finished_training_on_records_that_have_changed_is_refused(refitted, manifest, tmp_path):
    copy = dataclasses.replace(manifest, directory=str(tmp_path / "records"))
    shutil.copytree(manifest.directory, copy.directory)
    train.train(train_settings(copy, tmp_path / "run", epochs=1))
    train.train(train_settings(copy, tmp_path / "run", epochs=1))
    fewer = {r.recording_id: r.split for r in recordings_table.read(manifest.directory)[2:]}
    folds.regroup(manifest, copy.directory, fewer)
    with pytest.raises(config.InputError, match="records has another content"):
        train.train(train_settings(copy, tmp_path / "run", epochs=1))


def test_without_validation_the_last_weights_are_exported(manifest, tmp_path):
    everything = manifest.with_all_for_training()
    assert manifest.num_chunks("train") < everything.num_chunks("train")
    assert sum(everything.chunks_per_class["train"]) == everything.num_chunks("train")
    flags = train_settings(manifest, tmp_path / "run", keep="last", epochs=1)
    train._check_records(everything, flags)
    summary = train._train(flags, everything, tf.distribute.get_strategy())
    assert "mlrap" not in summary and summary["best_epoch"] == 1
    assert ensembles.Ensemble([summary["export"]]).decisions.pooling == pooling.default(len(manifest.classes))
    with pytest.raises(config.InputError, match="--keep=last"):
        train_settings(manifest, tmp_path / "run", refit=True)


def test_the_pooling_chosen_on_validation_is_stored_in_the_model(manifest, tmp_path):
    summary = train.train(train_settings(manifest, tmp_path / "run", pooling="auto", epochs=1))
    model = ensembles.Ensemble([str(tmp_path / "run" / "export")])
    assert model.decisions.pooling == summary["pooling"] in pooling.METHODS
    with pytest.raises(config.InputError, match="--pooling=best"):
        train_settings(manifest, tmp_path / "run", pooling="best")


def test_pooling_by_attention_is_stored_in_the_model_and_refused_for_other_networks(manifest, tmp_path):
    run_dir = tmp_path / "run"
    summary = train.train(train_settings(manifest, run_dir, architecture="attention", pooling="attention", epochs=1))
    ensemble = ensembles.Ensemble([str(run_dir / "export")])
    assert ensemble.decisions.pooling == ensemble.check_pooling("attention") == summary["pooling"]
    scored = labelled.score_records(ensemble, manifest)
    truth = metrics.truth(scored.labels, scored.backgrounds, len(ensemble.classes))
    assert metrics.mlrap(scored.pooled(ensemble), truth) == pytest.approx(summary["mlrap"], abs=1e-6)
    with pytest.raises(config.InputError, match="--pooling=attention: --architecture=baseline gives none"):
        train_settings(manifest, tmp_path / "other", pooling="attention")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({}, "needs --loss=sigmoid and --no_call_share"),
        ({"loss": "sigmoid"}, "needs --loss=sigmoid and --no_call_share"),
        ({"loss": "sigmoid", "no_call_share": 0.2, "keep": "best"}, "use --keep=last"),
    ],
)
def test_a_detector_needs_sound_without_its_species(manifest, tmp_path, flags, words):
    one = dataclasses.replace(
        manifest,
        classes=taxonomy.Taxonomy(("aa",), ("A",)),
        chunks_per_class={part: (sum(counts),) for part, counts in manifest.chunks_per_class.items()},
    )
    with pytest.raises(config.InputError, match=words):
        train._check_records(one, train_settings(manifest, tmp_path, **flags))
    detector = {"loss": "sigmoid", "no_call_share": 0.2, "keep": "last"}
    train._check_records(one, train_settings(manifest, tmp_path, **detector))
    silent = dataclasses.replace(one, shards={**one.shards, "noise": ()})
    with pytest.raises(config.InputError, match="no noise chunk"):
        train._check_records(silent, train_settings(manifest, tmp_path, **detector))
    train._check_records(silent, train_settings(manifest, tmp_path, **detector, synthetic_noise=5))

import csv
import dataclasses
import json
import math
import os
import pathlib
import shutil
import subprocess

import pytest

from bird_tf import config, csv_files, files, locks, stored
from bird_tf.conversion import folds
from bird_tf.labels import metadata
from bird_tf.records import manifests, recordings_table
from tests import conftest
from tools import cross_validate


def _flags(manifest, run_dir, *more):
    return [
        f"--flagfile={os.devnull}", f"--records={manifest.directory}", f"--run_dir={run_dir}", "--val_share=0.3",
        "--architecture=baseline", "--filters=4,8", "--epochs=1", "--batch_size=16", *more,
    ]  # fmt: skip


def test_a_fold_is_trained_evaluated_and_summarised(manifest, tmp_path, capfd):
    flags = _flags(manifest, tmp_path, "--folds=2", "--only_folds=1")
    cross_validate.main(config.parse(cross_validate.CrossValidateConfig, flags))
    with open(tmp_path / "folds.csv") as file:
        [row] = csv.DictReader(file)
    assert row["fold"] == "1" and 0 < float(row["mlrap"]) <= 1
    evaluated = json.loads((tmp_path / "fold-1" / "seed-0" / "evaluation" / "summary.json").read_text())
    assert evaluated["mlrap"] == pytest.approx(float(row["mlrap"]))
    summary = json.loads((tmp_path / "cross_validation.json").read_text())
    assert summary["mlrap"] == {"mean": pytest.approx(float(row["mlrap"])), "standard_error": None}
    assert "mlrap" in capfd.readouterr().out


def test_with_refit_each_fold_trains_once_on_all_others(manifest, tmp_path, monkeypatch):
    calls = []
    row = dict.fromkeys(cross_validate.COLUMNS, 0.5)
    monkeypatch.setattr(
        cross_validate, "_train_and_evaluate", lambda *given: calls.append(given) or tuple(row.values())
    )
    flags = _flags(manifest, tmp_path, "--folds=2", "--only_folds=1", "--keep=last", "--refit", "--max_minutes=10")
    cross_validate.main(config.parse(cross_validate.CrossValidateConfig, flags))
    [(settings, fold, _)] = calls
    training = manifests.load(str(tmp_path / "fold-1" / "records"))
    assert fold == 1 and not settings.refit and settings.max_minutes == 5  # as the second training has
    assert training.num_chunks("train") and not training.num_chunks("val")


def test_with_refit_no_recording_is_left_to_choose_a_pooling_by(manifest, tmp_path):
    with pytest.raises(config.InputError, match="none is left to choose a pooling by; name a --pooling"):
        _run(manifest, tmp_path / "cv", "--keep=last", "--refit", "--pooling=auto")
    assert not (tmp_path / "cv").exists()


@pytest.fixture
def trained(monkeypatch):
    """Replaces training and evaluation; a list of the settings that they get."""
    calls = []

    def train_and_evaluate(settings, fold, seed):
        calls.append(settings)
        return (fold, seed, *[0.5] * (len(cross_validate.COLUMNS) - 2))

    monkeypatch.setattr(cross_validate, "_train_and_evaluate", train_and_evaluate)
    return calls


def _run(manifest, run_dir, *more):
    cross_validate.main(config.parse(cross_validate.CrossValidateConfig, _flags(manifest, run_dir, "--folds=2", *more)))


def test_the_same_cross_validation_continues_with_more_folds_and_repeats(manifest, tmp_path, trained):
    _run(manifest, tmp_path, "--only_folds=0")
    prepared = (tmp_path / "fold-0" / "test" / manifests.MANIFEST).stat().st_mtime_ns
    _run(manifest, tmp_path, "--repeats=2")
    assert len(trained) == 1 + 4
    assert (tmp_path / "fold-0" / "test" / manifests.MANIFEST).stat().st_mtime_ns == prepared


def test_the_results_tell_of_all_finished_folds(manifest, tmp_path, trained, capsys):
    _run(manifest, tmp_path, "--only_folds=0")
    summary = json.loads((tmp_path / "cross_validation.json").read_text())
    assert (summary["folds"], summary["num_folds"]) == ([0], 2)
    assert "these are 1 of 2 folds; not finished: 1" in capsys.readouterr().out
    evaluated = dict.fromkeys(cross_validate.COLUMNS[2:], 0.3)
    files.write_json(str(tmp_path / "fold-0" / "seed-0" / "evaluation" / "summary.json"), evaluated)
    _run(manifest, tmp_path, "--only_folds=1")
    summary = json.loads((tmp_path / "cross_validation.json").read_text())
    assert (summary["folds"], summary["mlrap"]["mean"]) == ([0, 1], pytest.approx(0.4))
    assert [row["fold"] for row in conftest.table(tmp_path / "folds.csv")] == ["0", "1"]
    _run(manifest, tmp_path, "--only_folds=1", "--repeats=2")  # of fold 0, one of two trainings is there
    assert json.loads((tmp_path / "cross_validation.json").read_text())["folds"] == [1]


def test_a_dry_run_is_that_of_a_training(manifest, tmp_path):
    with pytest.raises(config.InputError, match="--dry_run: a training has one; "):
        _run(manifest, tmp_path / "cv", "--dry_run")
    assert not (tmp_path / "cv").exists()


def test_another_cross_validation_is_refused_and_the_difference_named(manifest, tmp_path, trained):
    _run(manifest, tmp_path)
    with pytest.raises(config.InputError, match=r"holds a cross-validation that differs: --l2 was 0\.0, is 0\.1;"):
        _run(manifest, tmp_path, "--l2=0.1")
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.doc").touch()
    with pytest.raises(config.InputError, match="holds something that is no cross-validation"):
        _run(manifest, other)
    assert len(trained) == 2


@pytest.mark.parametrize(
    ("flag", "difference"),
    [("--folds=3", "--folds was 2, is 3"), ("--split_seed=1", "--split_seed was 0, is 1"),
     ("--group_by=recording", "--group_by was author, is recording")],
)  # fmt: skip
def test_other_folds_are_never_taken_for_those_that_are_there(manifest, tmp_path, trained, flag, difference):
    _run(manifest, tmp_path)
    with pytest.raises(config.InputError, match=difference):
        _run(manifest, tmp_path, flag)


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--folds=1", "--folds=1: need at least 2"),
        ("--folds=4", "at most 3, the number of groups by --group_by=author"),
        ("--val_share=30", "--val_share=30"),
        ("--architecture=head", "--architecture=head needs the feature embedding"),
        ("--teacher=nowhere", "nowhere is not an exported model"),
    ],
)
def test_what_cannot_work_does_not_claim_the_run_directory(manifest, tmp_path, flag, words):
    with pytest.raises(config.InputError, match=words):
        _run(manifest, tmp_path / "cv", flag)
    assert not (tmp_path / "cv").exists()


def test_sessions_stay_together_unless_asked_otherwise(manifest, tmp_path, trained, caplog):
    _run(manifest, tmp_path)
    folds_of = {}
    for fold in range(2):
        for recording in recordings_table.read(str(tmp_path / f"fold-{fold}" / "test"), with_unused=True):
            if recording.split:
                folds_of.setdefault(recording.author, set()).add(fold)
    assert len(folds_of) == 3 and all(len(found) == 1 for found in folds_of.values())
    assert "folds are made with --group_by=author" in caplog.text and "was split with recording" in caplog.text


def test_unknown_sessions_are_told_once(manifest, tmp_path, trained, caplog):
    unknown = dataclasses.replace(manifest, directory=str(tmp_path / "records"))
    shutil.copytree(manifest.directory, unknown.directory)
    found = conftest.table(tmp_path / "records" / manifests.RECORDINGS)
    rows = [[*(row | {"author": ""}).values()] for row in found]
    csv_files.write(str(tmp_path / "records" / manifests.RECORDINGS), [*found[0]], rows)
    _run(unknown, tmp_path / "cv")
    assert caplog.text.count("--group_by=author: it is not known of ") == 1


def test_folds_of_records_that_have_changed_are_refused(manifest, tmp_path, trained):
    copy = dataclasses.replace(manifest, directory=str(tmp_path / "records"))
    shutil.copytree(manifest.directory, copy.directory)
    _run(copy, tmp_path / "cv", "--only_folds=0")
    table = pathlib.Path(copy.directory, manifests.RECORDINGS)
    before = table.read_text()
    table.write_text(before.replace("6.5,", "7.5,"))
    assert table.read_text() != before
    with pytest.raises(config.InputError, match=r"records has another recordings\.csv"):
        _run(copy, tmp_path / "cv")
    table.write_text(before)
    fewer = {r.recording_id: r.split for r in recordings_table.read(manifest.directory)[2:]}
    folds.regroup(manifest, copy.directory, fewer)
    with pytest.raises(config.InputError, match="records has another content"):
        _run(copy, tmp_path / "cv")


def test_a_cross_validation_never_joins_folds_of_two_divisions(manifest, tmp_path, trained):
    copy = dataclasses.replace(manifest, directory=str(tmp_path / "records"))
    shutil.copytree(manifest.directory, copy.directory)
    _run(copy, tmp_path / "cv", "--only_folds=0", "--group_by=recording")
    table, plan = (str(tmp_path / name) for name in ("records/recordings.csv", "cv/plan.json"))
    rows, kept = conftest.table(table), stored.read_any(plan)
    pair = [next(row for row in rows if (row["recording_id"] in _tested(tmp_path)) == side) for side in (True, False)]
    for row in pair:
        row["digest"] = "equal"  # which `identity` does not tell
    before = pathlib.Path(table).read_text()
    csv_files.write(table, [*rows[0]], [[*row.values()] for row in rows])
    with pytest.raises(config.InputError, match="records has another division into folds; "):
        _run(copy, tmp_path / "cv", "--group_by=recording")
    kept["inputs"][copy.directory].pop("division into folds")  # as earlier versions wrote it
    files.write_json(plan, kept)
    with pytest.raises(config.InputError, match=r"cv/fold-0/test holds other recordings than fold 0 has now"):
        _run(copy, tmp_path / "cv", "--group_by=recording")
    pathlib.Path(table).write_text(before)
    _run(copy, tmp_path / "cv", "--group_by=recording")
    assert len(trained) == 3


def _tested(folder):
    return {row["recording_id"] for row in conftest.table(folder / "cv" / "fold-0" / "test" / manifests.RECORDINGS)}


def test_judged_recordings_that_models_had_learnt_from_are_told(manifest, tmp_path, monkeypatch, capsys):
    row = (0, 0, 9.0, 4.0, *[0.5] * (len(cross_validate.COLUMNS) - 4))
    monkeypatch.setattr(cross_validate, "_train_and_evaluate", lambda *_: row)
    _run(manifest, tmp_path)
    assert json.loads((tmp_path / "cross_validation.json").read_text())["num_learnt"] == 8
    assert "had learnt from 8 judged recordings" in capsys.readouterr().out


def test_overwriting_empties_the_directory_once(manifest, tmp_path, trained, monkeypatch):
    _run(manifest, tmp_path)
    (tmp_path / "fold-0" / "notes.txt").touch()
    _run(manifest, tmp_path, "--l2=0.1", "--overwrite")
    assert not (tmp_path / "fold-0" / "notes.txt").exists() and (tmp_path / "folds.csv").exists()
    _run(manifest, tmp_path, "--l2=0.1")


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--pretrained=nowhere", "nowhere is not a finished run"),
        ("--teacher=nowhere", "nowhere is not an exported model"),
    ],
)
def test_a_mistyped_model_removes_nothing(manifest, tmp_path, trained, flag, words):
    _run(manifest, tmp_path)
    with pytest.raises(config.InputError, match=words):
        _run(manifest, tmp_path, "--overwrite", flag)
    assert (tmp_path / "folds.csv").exists()
    _run(manifest, tmp_path / "other", "--overwrite", "--teacher=a/{fold}/export", "--pretrained=a/{fold}")


def test_the_trainings_of_the_folds_do_not_overwrite(manifest, tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(cross_validate, "_command", lambda *given, **_: commands.append(given))
    monkeypatch.setattr(cross_validate.stored, "read_any", lambda *_: dict.fromkeys(cross_validate.COLUMNS, 0.5))
    flags = _flags(manifest, tmp_path, "--folds=2", "--overwrite")
    settings = config.parse(cross_validate.CrossValidateConfig, flags)
    cross_validate._train_and_evaluate(settings, 1, 3)
    assert [command[0] for command in commands] == ["train", "evaluate"]
    assert "--overwrite=False" in (tmp_path / "fold-1" / "seed-3.flags").read_text()


def test_a_fold_that_cannot_go_on_is_removed_alone(manifest, tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 2)
    monkeypatch.setattr(cross_validate.subprocess, "run", lambda *_, **__: failed)
    settings = config.parse(cross_validate.CrossValidateConfig, _flags(manifest, tmp_path, "--folds=2"))
    with pytest.raises(SystemExit, match=r"train failed with exit status 2 \(see above\)$"):
        cross_validate._train_and_evaluate(settings, 1, 0)
    files.write_json(str(tmp_path / "fold-1" / "seed-0" / "plan.json"), {})
    with pytest.raises(SystemExit, match=r"; to train this fold anew, remove .*fold-1/seed-0 and repeat the command"):
        cross_validate._train_and_evaluate(settings, 1, 0)


def test_a_fold_that_is_not_there_is_refused(manifest, tmp_path):
    with pytest.raises(config.InputError, match="folds from 0 to 1"):
        config.parse(cross_validate.CrossValidateConfig, _flags(manifest, tmp_path, "--folds=2", "--only_folds=2"))


def test_a_metric_that_a_fold_does_not_define_has_no_mean():
    assert cross_validate.mean_and_error([0.4, 0.6]) == (pytest.approx(0.5), pytest.approx(0.1))
    for values in ([math.nan, 0.5], [math.nan, math.nan], [math.nan]):
        assert all(map(math.isnan, cross_validate.mean_and_error(values)))


def test_repeats_of_a_fold_are_no_further_folds(manifest, tmp_path, monkeypatch):
    def row(_, fold, seed):
        return (fold, seed, 9.0, 0.0, *[0.4 + 0.2 * fold + 0.1 * seed] * (len(cross_validate.COLUMNS) - 4))

    monkeypatch.setattr(cross_validate, "_train_and_evaluate", row)
    _run(manifest, tmp_path, "--repeats=2")
    summary = json.loads((tmp_path / "cross_validation.json").read_text())
    assert summary["mlrap"] == {"mean": pytest.approx(0.55), "standard_error": pytest.approx(0.1)}


def test_a_detector_is_warned_that_folds_cannot_rank_it(manifest, tmp_path, monkeypatch, caplog):
    one = dataclasses.replace(manifest, classes=manifest.classes.subset([0]))
    monkeypatch.setattr(cross_validate.manifests, "load", lambda _: one)
    monkeypatch.setattr(cross_validate.folds, "prepare", lambda *_: None)
    undefined = (9.0, 0.0, *[math.nan] * (len(cross_validate.COLUMNS) - 4))
    monkeypatch.setattr(cross_validate, "_train_and_evaluate", lambda _, fold, seed: (fold, seed, *undefined))
    detector = ("--loss=sigmoid", "--no_call_share=0.2", "--keep=last")
    _run(manifest, tmp_path / "cv", *detector)
    assert "has one class: most metrics of the folds are undefined; judge" in caplog.text
    summary = json.loads((tmp_path / "cv" / "cross_validation.json").read_text())
    assert summary["mlrap"] == {"mean": None, "standard_error": None}
    with pytest.raises(config.InputError, match=r"--baseline: .* has one class, which cannot be ranked"):
        _run(manifest, tmp_path / "other", *detector, f"--baseline={tmp_path / 'cv'}")
    assert not (tmp_path / "other").exists()


def _write_evaluation(run_dir, precisions, seed=0):
    columns = ("recording_id", "average_precision")
    csv_files.write(f"{run_dir}/fold-0/seed-{seed}/evaluation/recordings.csv", columns, precisions.items())
    csv_files.write(f"{run_dir}/folds.csv", ("fold", "seed"), [(0, 0)])


def test_a_gain_is_that_on_the_same_recordings_with_an_error_clustered_by_author(tmp_path):
    known = [metadata.Recording(recording_id=i, path=f"{i}.wav", author=a) for i, a in ("1A", "2A", "3B", "4C", "5C")]
    entries = [(recording, (1.0, 1, 1, 0, "", "")) for recording in known]
    recordings_table.write(str(tmp_path / "test"), "", entries)
    _write_evaluation(tmp_path / "new", {"1": 0.5, "2": 0.7, "3": 1.0, "4": 0.2})
    _write_evaluation(tmp_path / "old", {"1": 0.3, "2": 0.7, "3": 0.6, "5": 0.9})
    for folder in ("new", "old"):  # of an earlier command, of which the results do not tell
        _write_evaluation(tmp_path / folder, dict.fromkeys("12345", 0.0), seed=1)
    # differences 0.2, 0.0 of author A and 0.4 of B: mean 0.2, sums of residuals -0.2 and 0.2
    mean, error, number = cross_validate.gain(str(tmp_path / "new"), str(tmp_path / "old"), {0: str(tmp_path / "test")})
    assert (mean, number) == (pytest.approx(0.2), 3)
    assert error == pytest.approx((2 / 1 * (0.2**2 + 0.2**2)) ** 0.5 / 3)


def test_a_gain_over_a_ranking_of_fewer_species_is_warned_of(tmp_path, caplog):
    known = metadata.Recording(recording_id="1", path="1.wav")
    recordings_table.write(str(tmp_path / "test"), "", [(known, (1.0, 1, 1, 0, "", ""))])
    for folder, num_ranked in (("new", 6), ("same", 6), ("old", 3)):
        _write_evaluation(tmp_path / folder, {"1": 0.5})
        summary = {"num_ranked": num_ranked}
        files.write_json(str(tmp_path / folder / "fold-0" / "seed-0" / "evaluation" / "summary.json"), summary)
    for baseline in ("same", "old"):
        assert not caplog.records
        cross_validate.gain(str(tmp_path / "new"), str(tmp_path / baseline), {0: str(tmp_path / "test")})
    assert "new ranks among 6 species" in caplog.text and "old among 3: to rank more is harder" in caplog.text


def test_a_baseline_of_other_recordings_is_refused(tmp_path):
    recordings_table.write(
        str(tmp_path / "test"), "", [(metadata.Recording(recording_id="1", path="1.wav"), (1.0, 1, 1, 0, "", ""))]
    )
    _write_evaluation(tmp_path / "new", {"1": 0.5})
    _write_evaluation(tmp_path / "old", {"2": 0.5})
    with pytest.raises(config.InputError, match="has evaluated none of these recordings"):
        cross_validate.gain(str(tmp_path / "new"), str(tmp_path / "old"), {0: str(tmp_path / "test")})


def test_two_at_once_may_do_different_folds_only(manifest, tmp_path, trained):
    def fold(number):
        flags = _flags(manifest, tmp_path, "--folds=2", f"--only_folds={number}")
        cross_validate.main(config.parse(cross_validate.CrossValidateConfig, flags))

    fold(0)
    with locks.held(str(tmp_path / "fold-1"), work="cross-validation", flag="--run_dir"):
        fold(0)
        with pytest.raises(locks.InUseError):
            fold(1)
    assert len(trained) == 2

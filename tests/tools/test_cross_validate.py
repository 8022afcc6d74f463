import csv
import json

import pytest

from bird_tf import config, files
from bird_tf.labels import metadata
from bird_tf.records import manifests, recordings_table
from tools import cross_validate


def _flags(manifest, run_dir, *more):
    return [
        f"--records={manifest.directory}", f"--run_dir={run_dir}", "--architecture=attention", "--filters=8,16",
        "--epochs=1", "--batch_size=16", "--val_share=0.3", *more,
    ]  # fmt: skip


def test_a_fold_is_trained_judged_and_summed_up(manifest, tmp_path, capfd):
    flags = _flags(manifest, tmp_path, "--folds=2", "--only_folds=1")
    cross_validate.main(config.parse(cross_validate.CrossValidateConfig, flags))
    with open(tmp_path / "folds.csv") as file:
        [row] = csv.DictReader(file)
    assert row["fold"] == "1" and 0 < float(row["mlrap"]) <= 1
    evaluated = json.loads((tmp_path / "fold-1" / "seed-0" / "evaluation" / "summary.json").read_text())
    assert evaluated["mlrap"] == pytest.approx(float(row["mlrap"]))
    outcome = json.loads((tmp_path / "cross_validation.json").read_text())
    assert outcome["mlrap"] == {"mean": pytest.approx(float(row["mlrap"])), "standard_error": None}
    assert "mlrap" in capfd.readouterr().out


def test_with_refit_each_fold_trains_once_on_all_others(manifest, tmp_path, monkeypatch):
    judged = []
    row = dict.fromkeys(cross_validate.COLUMNS, 0.5)
    monkeypatch.setattr(cross_validate, "_judge", lambda *given: judged.append(given) or tuple(row.values()))
    flags = _flags(manifest, tmp_path, "--folds=2", "--only_folds=1", "--keep=last", "--refit")
    cross_validate.main(config.parse(cross_validate.CrossValidateConfig, flags))
    [(settings, fold, _)] = judged
    training = manifests.load(str(tmp_path / "fold-1" / "records"))
    assert fold == 1 and not settings.refit
    assert training.num_chunks("train") and not training.num_chunks("val")


def test_a_fold_that_is_not_there_is_refused(manifest, tmp_path):
    with pytest.raises(config.InputError, match="folds from 0 to 1"):
        config.parse(cross_validate.CrossValidateConfig, _flags(manifest, tmp_path, "--folds=2", "--only_folds=2"))


def _judged(run_dir, precisions):
    columns = ("recording_id", "average_precision")
    files.write_table(f"{run_dir}/fold-0/seed-0/evaluation/recordings.csv", columns, precisions.items())


def test_a_gain_is_that_on_the_same_recordings_and_an_author_is_one_draw(tmp_path):
    known = [metadata.Recording(recording_id=i, path=f"{i}.wav", author=a) for i, a in ("1A", "2A", "3B", "4C", "5C")]
    entries = [(recording, (1.0, 1, 0, "")) for recording in known]
    recordings_table.write(str(tmp_path / "test"), "", entries)
    _judged(tmp_path / "new", {"1": 0.5, "2": 0.7, "3": 1.0, "4": 0.2})
    _judged(tmp_path / "old", {"1": 0.3, "2": 0.7, "3": 0.6, "5": 0.9})
    # differences 0.2, 0.0 of author A and 0.4 of B: mean 0.2, sums of residuals -0.2 and 0.2
    mean, error, number = cross_validate.gain(str(tmp_path / "new"), str(tmp_path / "old"), {0: str(tmp_path / "test")})
    assert (mean, number) == (pytest.approx(0.2), 3)
    assert error == pytest.approx((2 / 1 * (0.2**2 + 0.2**2)) ** 0.5 / 3)


def test_a_baseline_of_other_recordings_is_refused(tmp_path):
    recordings_table.write(
        str(tmp_path / "test"), "", [(metadata.Recording(recording_id="1", path="1.wav"), (1.0, 1, 0, ""))]
    )
    _judged(tmp_path / "new", {"1": 0.5})
    _judged(tmp_path / "old", {"2": 0.5})
    with pytest.raises(config.InputError, match="none of these recordings"):
        cross_validate.gain(str(tmp_path / "new"), str(tmp_path / "old"), {0: str(tmp_path / "test")})

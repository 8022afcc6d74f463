import csv
import json

import pytest

from bird_tf import config
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


def test_a_fold_that_is_not_there_is_refused(manifest, tmp_path):
    with pytest.raises(config.InputError, match="folds from 0 to 1"):
        config.parse(cross_validate.CrossValidateConfig, _flags(manifest, tmp_path, "--folds=2", "--only_folds=2"))

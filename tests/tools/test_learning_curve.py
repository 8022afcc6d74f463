import json
import math

import pytest

from bird_tf import config, csv_files
from tests import conftest
from tools import cross_validate, learning_curve


def _cross_validation(folder, mean, recordings, error=0.02):
    """What `cross_validate` leaves; `recordings` are the labels that each fold learnt from."""
    folder.mkdir()
    summary = {name: {"mean": mean, "standard_error": error} for name in cross_validate.METRICS}
    (folder / "cross_validation.json").write_text(json.dumps(summary))
    csv_files.write(str(folder / "folds.csv"), ("fold",), [(fold,) for fold in range(len(recordings))])
    for fold, labels in enumerate(recordings):
        (folder / f"fold-{fold}" / "records").mkdir(parents=True)
        rows = [(f"r{i}", f"r{i}.wav", "train", label, label, "", 1, 0) for i, label in enumerate(labels)]
        rows += [("v", "v.wav", "val", "a", "a", "", 1, 0), ("u", "u.wav", "train", "a", "a", "", 0, 1)]  # not learnt
        columns = ("recording_id", "file", "split", "label", "name", "author", "chunks", "noise_chunks")
        csv_files.write(str(folder / f"fold-{fold}" / "records" / "recordings.csv"), columns, rows)


def test_points_are_numbers_of_recordings_and_scores(tmp_path):
    _cross_validation(tmp_path / "head-8", 0.8, ["aabb", "aabbb"])
    _cross_validation(tmp_path / "head-1", 0.6, ["ab", "ab"], error=None)
    picture = tmp_path / "curve.png"
    settings = conftest.settings(
        learning_curve.CurveConfig, names=["head"], runs=[str(tmp_path / "head-*")], output=picture
    )
    found = learning_curve.curves(settings)
    assert [(p.recordings, p.mean) for p in found["head"]] == [(1.0, 0.6), (2.25, 0.8)]
    assert math.isnan(found["head"][0].error) and found["head"][1].error == 0.02
    learning_curve.main(settings)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert [row["recordings_per_species"] for row in conftest.table(tmp_path / "curve.csv")] == ["1.0", "2.25"]


def test_patterns_with_one_name_are_one_curve(tmp_path):
    _cross_validation(tmp_path / "head-8", 0.8, ["aabb", "aabb"])
    _cross_validation(tmp_path / "head-1", 0.6, ["ab", "ab"])
    runs = [str(tmp_path / name) for name in ("head-8", "head-1", "head-*")]
    settings = conftest.settings(learning_curve.CurveConfig, names=["head"] * 3, runs=runs)
    assert [point.mean for point in learning_curve.curves(settings)["head"]] == [0.6, 0.8]


def test_a_metric_that_is_not_defined_is_named(tmp_path):
    _cross_validation(tmp_path / "cv", None, ["ab"], error=None)
    with pytest.raises(config.InputError, match="cv has no mlrap: it is undefined in a fold; name another --metric"):
        learning_curve.point(str(tmp_path / "cv"), "mlrap")


def test_a_cross_validation_of_which_folds_are_missing_is_refused(tmp_path):
    _cross_validation(tmp_path / "cv", 0.8, ["ab", "ab"])
    path = tmp_path / "cv" / "cross_validation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "folds": [0, 2], "num_folds": 3}))
    with pytest.raises(config.InputError, match="cv has finished 2 of 3 folds; repeat its cross-validation without"):
        learning_curve.point(str(tmp_path / "cv"), "mlrap")


@pytest.mark.parametrize(("name", "text", "told"), [
    ("cross_validation.json", "{}", r"cross_validation\.json, mlrap: the content must be an object, not None"),
    ("cross_validation.json", '{"mlrap": {"mean": 1}}', r"standard_error must be there, not missing"),
    ("folds.csv", "fold\n", r"folds\.csv: it has no row"),
])  # fmt: skip
def test_damage_is_named(tmp_path, name, text, told):
    _cross_validation(tmp_path / "cv", 0.8, ["ab"])
    (tmp_path / "cv" / name).write_text(text)
    with pytest.raises(config.InputError, match=told):
        learning_curve.point(str(tmp_path / "cv"), "mlrap")


@pytest.mark.parametrize(("names", "runs", "told"), [
    (["a", "b"], ["x"], "need one name for each pattern"),
    (["a"], ["nothing-*"], "--runs=nothing-\\*: there is no such folder"),
])  # fmt: skip
def test_what_is_not_there_is_named(names, runs, told):
    with pytest.raises(config.InputError, match=told):
        learning_curve.curves(conftest.settings(learning_curve.CurveConfig, names=names, runs=runs))

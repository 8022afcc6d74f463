import json
import shutil

import pytest

from bird_tf import config, evaluate
from tests.conftest import settings


def _evaluate(tmp_path, model_path, **values):
    models = [model_path] if isinstance(model_path, str) else model_path
    return evaluate.evaluate(
        settings(evaluate.EvaluateConfig, model=models, output=tmp_path / "evaluation", **{"worst": 0, **values})
    )


def test_files_of_others_are_not_replaced(model_path, manifest, tmp_path):
    out = tmp_path / "evaluation"
    out.mkdir()
    (out / "recordings.csv").write_text("of a prediction")
    with pytest.raises(config.InputError, match=r"recordings\.csv is there already, and is not of an evaluation"):
        _evaluate(tmp_path, model_path, records=manifest.directory)
    assert [path.name for path in out.iterdir()] == ["recordings.csv"]


def test_one_source_must_be_named(model_path, manifest, data, tmp_path):
    both = {"records": manifest.directory, "audio": data / "wav"}
    for values, words in (
        ({}, "nothing to judge: give --records=.* or --verdicts=FILE"),
        (both, "give one; judged are"),
    ):
        with pytest.raises(config.InputError, match=words):
            _evaluate(tmp_path, model_path, **values)


@pytest.mark.parametrize("values", [{"pooling": "best"}, {"precision": 0.0}, {"worst": -1}, {"synthetic_noise": -1}])
def test_bad_flags_are_refused(model_path, tmp_path, values):
    with pytest.raises(config.InputError, match=f"--{next(iter(values))}="):
        _evaluate(tmp_path, model_path, **values)


@pytest.mark.parametrize(
    "values",
    [{"pooling": "auto"}, {"records": "r"}, {"records": "r", "segments": "", "metadata": "x"},
     {"segments": "", "precision": 0.5}, {"segments": "", "synthetic_noise": 9}, {"noise_audio": "n"},
     {"records": "r", "segments": "", "audio": "", "workers": 2},
     *({"records": "r", "segments": "", "audio": "", **flags} for flags in (
         {"overlap_seconds": 1.5}, {"channel": "1"}, {"minimum_seconds": 2.0}, {"synonyms": "x"}, {"layout": "csv"},
         {"min_confidence": 0.5}, {"timezone": "UTC"}, {"skip_unmatched": True})),
     *({"worst": 12, **flags} for flags in (
         {"worst": 3}, {"skip_unmatched": True}, {"layout": "csv"})),
     *({"worst": 12, "segments": "", "audio": "", "verdicts": "v", **flags} for flags in (
         {"species_list": "x"}, {"overlap_seconds": 1.5}, {"tune": True, "synthetic_noise": 9}, {"threads": 2}))],
)  # fmt: skip
def test_flags_without_effect_are_refused(model_path, tmp_path, values):
    with pytest.raises(config.InputError, match="has no effect"):
        _evaluate(tmp_path, model_path, **{"audio": "a", "segments": "truth.csv", **values})
    with pytest.raises(config.InputError, match="--segments needs --audio"):
        _evaluate(tmp_path, model_path, segments="truth.csv")


@pytest.mark.parametrize(
    "values",
    [{"audio": "a", "layout": "csv", "overlap_seconds": 1.5, "worst": 0},
     {"audio": "a", "segments": "s", "worst": 0},
     {"audio": "a", "segments": "s", "columns": ["label=heard"], "negative_labels": ["wind"], "min_confidence": 0.5},
     {"audio": "a", "segments": "s", "timezone": "UTC", "metadata": "m", "overlap_seconds": 1.5},
     {"records": "r", "noise_audio": "n", "overlap_seconds": 1.5, "worst": 0, "prior": "learned"},
     {"records": "r", "tune": True, "tune_on_mixtures": True, "audio": "a", "channel": "1"},
     {"verdicts": "v", "tune": True, "precision": 0.5, "output": "o", "decisions": "d"}],
)  # fmt: skip
def test_flags_with_an_effect_are_not_refused(values):
    settings(evaluate.EvaluateConfig, model=["m"], **values)


def test_a_species_list_is_scored_by_segment_too(model_path, manifest, data, tmp_path):
    [path, *_] = sorted((data / "wav").iterdir())
    (tmp_path / "a").mkdir()
    shutil.copy(path, tmp_path / "a" / "S_RN1.wav")
    ids = manifest.classes.class_ids
    (tmp_path / "truth.csv").write_text(f"media_id,class_id,start_seconds,end_seconds\n1,{ids[0]},0,1\n")
    (tmp_path / "list.txt").write_text(ids[0])
    evaluate.main(
        settings(evaluate.EvaluateConfig, model=[model_path], audio=tmp_path / "a", segments=tmp_path / "truth.csv",
                 species_list=tmp_path / "list.txt", output=tmp_path / "out")
    )  # fmt: skip
    summary = json.loads((tmp_path / "out" / "segments.json").read_text())
    assert summary["mlrap"] == 1.0 and "mlrap" in summary["without_prior"]
    assert summary["flags"]["species_list"].endswith("list.txt") and len(summary["fingerprints"]) == 1

import csv
import dataclasses
import json
import logging
import shutil

import numpy as np
import pytest
import soundfile

from bird_tf import config, evaluate
from bird_tf.inference import ensembles, saved_model
from bird_tf.records import learnt
from bird_tf.scores import context, decisions, metrics, pooling, prior
from tests.conftest import settings


def _evaluate(tmp_path, model_path, **values):
    models = [model_path] if isinstance(model_path, str) else model_path
    return evaluate.evaluate(
        settings(evaluate.EvaluateConfig, model=models, output=tmp_path / "evaluation", **{"worst": 2, **values})
    )


def test_validation_in_training_and_evaluation_agree(model_path, manifest, run_dir, tmp_path):
    summary = _evaluate(tmp_path, model_path, records=manifest.directory)
    trained = json.loads((run_dir / "summary.json").read_text())
    for name in ("mlrap", "mlrap_foreground", "mrr", "map", "cmap", "top1", "num_recordings"):
        assert summary[name] == pytest.approx(trained[name], abs=1e-6)
    for name, (low, high) in summary["intervals"].items():
        assert low - 1e-9 <= summary[name] <= high + 1e-9


def test_everything_promised_is_on_disk(model_path, data, manifest, tmp_path):
    summary = _evaluate(tmp_path, model_path, audio=data / "wav", metadata=data / "xml")
    out = tmp_path / "evaluation"
    assert {path.name for path in out.iterdir()} == {
        "summary.json", "recordings.csv", "species.csv", "skipped.csv", "report.html", "evaluation.jsonl",
    }  # fmt: skip
    assert json.loads((out / "summary.json").read_text()) == summary
    with open(out / "recordings.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == summary["num_recordings"] == 18
    known = learnt.of_records(manifest).rows
    assert summary["num_learnt"] == len(known) >= manifest.num_recordings["train"]
    assert f"has learnt from {summary['num_learnt']} of the 18 judged recordings" in (out / "report.html").read_text()
    assert np.mean([float(row["average_precision"]) for row in rows]) == pytest.approx(summary["mlrap"], abs=1e-5)
    assert np.mean([row["label"] == row["best"] for row in rows]) == pytest.approx(summary["top1"])
    with open(out / "species.csv") as file:
        # the model knows how many recordings it learned from
        assert sum(int(row["training_recordings"]) for row in csv.DictReader(file)) == manifest.num_recordings["train"]


def test_files_of_others_are_not_replaced_and_results_of_an_earlier_version_are(model_path, manifest, tmp_path):
    out = tmp_path / "evaluation"
    out.mkdir()
    (out / "recordings.csv").write_text("of a prediction")
    with pytest.raises(config.InputError, match=r"recordings\.csv is there already, and is not of an evaluation"):
        _evaluate(tmp_path, model_path, records=manifest.directory)
    assert [path.name for path in out.iterdir()] == ["recordings.csv"]
    (out / "summary.json").write_text('{"chance_mlrap": 0.1}')  # that version wrote no list
    summary = _evaluate(tmp_path, model_path, records=manifest.directory)
    assert json.loads((out / "summary.json").read_text()) == summary


def test_one_source_must_be_named(model_path, manifest, data, tmp_path):
    both = {"records": manifest.directory, "audio": data / "wav"}
    for values, words in (
        ({}, "nothing to judge: give --records=.* or --verdicts=FILE"),
        (both, "give one; judged are"),
    ):
        with pytest.raises(config.InputError, match=words):
            _evaluate(tmp_path, model_path, **values)


def test_tuning_stores_its_decisions_in_the_model(model_path, manifest, data, tmp_path, caplog):
    model = str(shutil.copytree(model_path, tmp_path / "model"))
    plain = _evaluate(tmp_path, model, audio=data / "wav", metadata=data / "xml")
    ensemble = ensembles.Ensemble([model])
    around = context.Context(smoothing=0.2, shifted=True)
    of_segments = dataclasses.replace(
        ensemble.decisions, context=around, in_context=ensemble.decisions.chunk, context_fitted_on="7 segments of x"
    )
    decisions.save(f"{model}/{decisions.ASSET}", of_segments, ensemble.classes)
    with caplog.at_level(logging.WARNING, "absl"):
        tuned = _evaluate(
            tmp_path, model, audio=data / "wav", metadata=data / "xml", tune=True, precision=0.8,
            synthetic_noise=5,
        )  # fmt: skip
    assert set(tuned["pooling_mlrap"]) == {*pooling.METHODS} - {"attention"}
    assert tuned["mlrap"] == pytest.approx(max(tuned["pooling_mlrap"].values())) and tuned["mlrap"] >= plain["mlrap"]
    kept = ensembles.Ensemble([model]).decisions
    assert kept.pooling == tuned["pooling"] and kept.precision == 0.8 and kept.fitted_on.startswith("18 recordings of")
    # what was fitted on segments belonged to the decisions of before
    assert not kept.context.active and kept.answers is kept.chunk and kept.sources == kept.fitted_on
    assert "fitted on 7 segments of x, are dropped" in caplog.text
    beside = decisions.load(str(tmp_path / "evaluation" / "decisions.json"), saved_model.Model(model).classes, 1)
    assert beside.recording.slope == kept.recording.slope != 1.0
    again = _evaluate(tmp_path, model, audio=data / "wav", metadata=data / "xml")
    assert again["mlrap"] == pytest.approx(tuned["mlrap"]) and again["pooling"] == tuned["pooling"]
    none = _evaluate(tmp_path, model, audio=data / "wav", metadata=data / "xml", decisions="none")
    assert none["pooling"] == plain["pooling"] and none["calibration_error"] == none["calibration_error_calibrated"]


def test_false_alarms_on_noise_are_reported_and_keep_thresholds_above_them(model_path, manifest, tmp_path, generator):
    model, audio = str(shutil.copytree(model_path, tmp_path / "model")), tmp_path / "noise"
    audio.mkdir()
    for name in ("a", "b"):
        soundfile.write(audio / f"{name}.wav", 0.1 * generator.normal(size=22050 * 20), 22050)
    values = {"records": manifest.directory, "noise_audio": audio}
    before = _evaluate(tmp_path, model, **values)["noise"]
    assert before["hours"] == pytest.approx(40 / 3600) and before["num_recordings"] == 2
    after = _evaluate(tmp_path, model, **values, tune=True, synthetic_noise=5)["noise"]["false_alarms_per_hour"]
    assert after["precision"]["rate"] == 0 and after["precision"]["high"] > 100  # 40 seconds prove little
    assert after["precision"]["rate"] <= before["false_alarms_per_hour"]["precision"]["rate"]


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
         {"worst": 3}, {"columns": ["label=Art"]}, {"negative_labels": ["rain"]}, {"layout": "csv"})),
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
     {"audio": "a", "segments": "s", "timezone": "UTC", "metadata": "m", "overlap_seconds": 1.5},
     {"records": "r", "noise_audio": "n", "overlap_seconds": 1.5, "worst": 0, "prior": "learned"},
     {"records": "r", "tune": True, "tune_on_mixtures": True, "audio": "a", "channel": "1"},
     {"verdicts": "v", "tune": True, "precision": 0.5, "output": "o", "decisions": "d"}],
)  # fmt: skip
def test_flags_with_an_effect_are_not_refused(values):
    settings(evaluate.EvaluateConfig, model=["m"], **values)


def test_the_summary_has_the_promised_metrics(model_path, manifest, tmp_path):
    summary = _evaluate(tmp_path, model_path, records=manifest.directory)
    assert {"mlrap", "mlrap_foreground", "mrr", "map", "cmap", "top1", "num_recordings"} <= set(summary)
    assert set(summary["intervals"]) <= set(metrics.headline(np.eye(2), np.eye(2, dtype=bool), np.arange(2)))


def test_the_effect_of_a_prior_is_reported_and_the_same_from_records_and_audio(
    model_path, manifest, data, tmp_path, monkeypatch
):
    ratios = np.linspace(0.5, 2, len(manifest.classes))
    monkeypatch.setattr(prior.Prior, "log_ratios", lambda _, recording: np.log(ratios) * (recording.latitude == 50.8))
    monkeypatch.setattr(prior.Prior, "informed", True)
    plain = _evaluate(tmp_path, model_path, records=manifest.directory)
    found = _evaluate(tmp_path, model_path, records=manifest.directory, prior="learned")
    assert found["without_prior"] == {name: plain[name] for name in found["without_prior"]}
    assert "learned prior" in found["expected"] and "without_prior" not in plain
    assert "without it → with it: mlrap" in (tmp_path / "evaluation" / "report.html").read_text()
    none = _evaluate(tmp_path, model_path, records=manifest.directory, prior="learned", prior_weight=1e-9)
    assert none["mlrap"] == pytest.approx(plain["mlrap"])
    # records and audio of the same recordings
    monkeypatch.setattr(prior.Prior, "log_ratios", lambda *_: np.log(ratios))
    assert _evaluate(tmp_path, model_path, records=manifest.directory, prior="learned") == found


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

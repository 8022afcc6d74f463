import csv
import dataclasses
import json
import logging
import shutil

import numpy as np
import pytest
import soundfile

from bird_tf import config, predict
from bird_tf.inference import ensembles, saved_model
from bird_tf.records import learnt
from bird_tf.scores import context, decisions, metrics, pooling, prior
from tests.conftest import settings, table
from tests.test_evaluate import _evaluate


def test_validation_in_training_and_evaluation_agree(model_path, manifest, run_dir, tmp_path):
    summary = _evaluate(tmp_path, model_path, records=manifest.directory)
    assert summary["records_digest"] == manifest.digest
    trained = json.loads((run_dir / "summary.json").read_text())
    for name in ("mlrap", "mlrap_foreground", "mrr", "map", "cmap", "top1", "num_recordings"):
        assert summary[name] == pytest.approx(trained[name], abs=1e-6)
    for name, (low, high) in summary["intervals"].items():
        assert low - 1e-9 <= summary[name] <= high + 1e-9


def test_everything_promised_is_on_disk(model_path, data, manifest, tmp_path):
    summary = _evaluate(tmp_path, model_path, audio=data / "wav", metadata=data / "xml", worst=2)
    out = tmp_path / "evaluation"
    assert {path.name for path in out.iterdir()} == {
        "summary.json", "recordings.csv", "species.csv", "skipped.csv", "report.html", "evaluation.jsonl",
    }  # fmt: skip
    assert json.loads((out / "summary.json").read_text()) == summary
    assert {"flags", "versions", "fingerprints", "decisions_digest"} <= summary.keys()
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
    assert tuned["pooling_mlrap"][tuned["pooling"]] == max(tuned["pooling_mlrap"].values())
    kept = ensembles.Ensemble([model]).decisions
    assert kept.pooling == tuned["pooling"] and kept.precision == 0.8 and kept.fitted_on.startswith("18 recordings of")
    # what was fitted on segments belonged to the decisions of before
    assert not kept.context.active and kept.answers is kept.chunk and kept.sources == kept.fitted_on
    assert "fitted on 7 segments of x, are dropped" in caplog.text
    beside = decisions.load(str(tmp_path / "evaluation" / "decisions.json"), saved_model.Model(model).classes, 1)
    assert beside.recording.slope == kept.recording.slope != 1.0
    again = _evaluate(tmp_path, model, audio=data / "wav", metadata=data / "xml")
    assert again["mlrap"] == pytest.approx(tuned["mlrap"]) and again["pooling"] == tuned["pooling"]
    # what is judged is what `predict` tells
    predict.predict(settings(predict.PredictConfig, model=[model], audio=data / "wav", output=tmp_path / "told"))
    told, judged = (table(tmp_path / name / "recordings.csv") for name in ("told", "evaluation"))
    assert [row["best"] for row in told] == [row["best"] for row in judged]
    assert [float(row[row["best"]]) for row in told] == pytest.approx(
        [float(r["best_score"]) for r in judged], abs=2e-6
    )
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
    assert found["calibration_error"] == found["calibration_error_calibrated"]  # nothing was fitted
    assert "without it → with it: mlrap" in (tmp_path / "evaluation" / "report.html").read_text()
    none = _evaluate(tmp_path, model_path, records=manifest.directory, prior="learned", prior_weight=1e-9)
    assert none["mlrap"] == pytest.approx(plain["mlrap"])
    # records and audio of the same recordings
    monkeypatch.setattr(prior.Prior, "log_ratios", lambda *_: np.log(ratios))
    assert _evaluate(tmp_path, model_path, records=manifest.directory, prior="learned") == found


def test_recordings_that_were_judged_in_part_are_not_judged_by(model_path, data, tmp_path):
    audio = tmp_path / "audio"
    audio.mkdir()
    paths = [shutil.copy(path, audio) for path in sorted((data / "wav").iterdir())[:2]]
    first, second = (path.rsplit("/", 1)[1] for path in paths)
    species = ensembles.Ensemble([model_path]).classes.class_ids[0]
    labels = tmp_path / "labels"
    labels.mkdir()
    verdicts = (
        f"file,start_seconds,end_seconds,class_id,verdict\n{first},0,1,{species},yes\n{second},0,1,{species},yes\n"
    )
    (labels / "verdicts.csv").write_text(verdicts)
    with pytest.raises(config.InputError, match=r"labels: it tells of no recording as a whole, .* --verdicts judges"):
        _evaluate(tmp_path, model_path, audio=audio, metadata=labels)
    (labels / "verdicts.csv").write_text("\n".join(verdicts.split("\n")[:2]))
    table = f"Begin Time (s)\tEnd Time (s)\tSpecies\n0\t2\t{species}\n2\t3\t?\n"
    (labels / f"{second[:-4]}.Table.1.selections.txt").write_text(table)
    summary = _evaluate(tmp_path, model_path, audio=audio, metadata=labels)
    assert (summary["num_recordings"], summary["num_skipped"]) == (1, 1)
    assert "annotated in part only" in (tmp_path / "evaluation" / "skipped.csv").read_text()


def test_a_list_of_all_species_changes_no_metric_while_tuning(model_path, data, manifest, tmp_path):
    model = str(shutil.copytree(model_path, tmp_path / "export"))
    (tmp_path / "list.txt").write_text("\n".join(manifest.classes.class_ids))
    found = _evaluate(
        tmp_path, model, audio=data / "wav", metadata=data / "xml", tune=True, species_list=tmp_path / "list.txt"
    )
    assert found["without_prior"] == pytest.approx({name: found[name] for name in found["without_prior"]})

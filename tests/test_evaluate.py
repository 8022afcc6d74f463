import csv
import dataclasses
import json

import numpy as np
import pytest

from bird_tf import config, evaluate, predict, records
from tests.conftest import settings


def _evaluate(tmp_path, model_path, **values):
    return evaluate.evaluate(
        settings(evaluate.EvaluateConfig, model=[model_path], output=tmp_path / "evaluation", **values)
    )


def test_records_and_audio_give_the_same_numbers(model_path, manifest, data, tmp_path):
    ensemble = predict.Ensemble([model_path])
    from_records = evaluate.score_records(ensemble, manifest.directory, "mean")
    from bird_tf import audio, layouts

    found, _ = layouts.read(layouts.SourceConfig(audio=str(data / "wav"), metadata=str(data / "xml")))
    wanted = [r for r in found if r.recording_id in from_records.recording_ids]
    from_audio = evaluate.score_audio(ensemble, wanted, audio.ChunkingConfig(), "mean")
    assert from_records.recording_ids == from_audio.recording_ids
    np.testing.assert_array_equal(from_records.labels, from_audio.labels)
    assert from_records.backgrounds == from_audio.backgrounds
    np.testing.assert_allclose(from_records.scores, from_audio.scores, atol=0.01)  # the uint8 step


def test_validation_in_training_and_evaluation_agree(model_path, manifest, run_dir, tmp_path):
    summary = _evaluate(tmp_path, model_path, records=manifest.directory)
    trained = json.loads((run_dir / "summary.json").read_text())
    for name in ("mlrap", "mlrap_foreground", "mrr", "map", "cmap", "top1", "num_recordings"):
        assert summary[name] == pytest.approx(trained[name], abs=1e-6)


def test_everything_promised_is_on_disk(model_path, manifest, data, tmp_path):
    summary = _evaluate(tmp_path, model_path, audio=data / "wav", metadata=data / "xml")
    out = tmp_path / "evaluation"
    assert {path.name for path in out.iterdir()} == {
        "summary.json", "recordings.csv", "species.csv", "skipped.csv", "report.html",
    }  # fmt: skip
    assert json.loads((out / "summary.json").read_text()) == summary
    with open(out / "recordings.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == summary["num_recordings"] == 18
    assert np.mean([float(row["average_precision"]) for row in rows]) == pytest.approx(summary["mlrap"], abs=1e-5)
    assert np.mean([row["label"] == row["best"] for row in rows]) == pytest.approx(summary["top1"])


def test_one_source_must_be_named(model_path, manifest, data, tmp_path):
    for values in ({}, {"records": manifest.directory, "audio": data / "wav"}):
        with pytest.raises(config.InputError, match="either --records=DIR or --audio=DIR"):
            _evaluate(tmp_path, model_path, **values)


def test_records_of_another_front_end_are_refused_by_field(model_path, manifest, tmp_path, monkeypatch):
    other = dataclasses.replace(manifest, front_end=dataclasses.replace(manifest.front_end, fmin_hz=300.0))
    monkeypatch.setattr(records, "load", lambda directory: other)
    with pytest.raises(config.InputError, match=r"different front-ends: fmin_hz 500\.0 / 300\.0"):
        _evaluate(tmp_path, model_path, records=manifest.directory)


def test_labels_that_the_model_does_not_know_are_listed(model_path, data, tmp_path):
    from bird_tf import audio, layouts

    ensemble = predict.Ensemble([model_path])
    found, _ = layouts.read(layouts.SourceConfig(audio=str(data / "wav"), metadata=str(data / "xml")))
    strange = dataclasses.replace(found[0], label="strang")
    scored = evaluate.score_audio(ensemble, [strange, *found[1:4]], audio.ChunkingConfig(), "mean")
    assert len(scored.recording_ids) == 3
    assert scored.skipped == [(strange.path, "strang is no class of the model")]

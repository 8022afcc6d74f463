import csv
import json
import os
import shutil

import numpy as np
import pytest
import soundfile

from bird_tf import config, predict
from bird_tf.audio import decode
from bird_tf.inference import audio_files, ensembles, saved_model, score_store, scoring
from bird_tf.scores import calibration, decisions, pooling
from tests.conftest import settings


def _predict(tmp_path, model, folder, **values):
    return predict.predict(
        settings(
            predict.PredictConfig,
            model=[model] if isinstance(model, str) else model,
            audio=folder,
            output=tmp_path / "out",
            **values,
        )  # fmt: skip
    )


def _rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_tables_hold_every_chunk_and_recording(tmp_path, model_path, data, manifest):
    summary = _predict(tmp_path, model_path, data / "wav")
    chunks, recordings = _rows(tmp_path / "out" / "chunks.csv"), _rows(tmp_path / "out" / "recordings.csv")
    assert summary["num_recordings"] == len(recordings) == 18
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == summary
    ids = manifest.classes.class_ids
    for row in recordings:
        own = np.array([[float(c[i]) for i in ids] for c in chunks if c["recording_id"] == row["recording_id"]])
        pooled = [float(row[i]) for i in ids]
        np.testing.assert_allclose(pooled, pooling.pool(own, summary["pooling"]), atol=1e-5)
        assert row["best"] == ids[int(np.argmax(pooled))]
        assert 0 <= float(chunks[0]["start_seconds"]) < float(chunks[0]["end_seconds"]) <= float(row["seconds"]) + 1


def test_a_broken_file_is_listed_and_the_rest_goes_on(tmp_path, model_path, data):
    folder = tmp_path / "audio"
    shutil.copytree(data / "wav", folder)
    (folder / "broken.wav").write_bytes(b"no audio")
    assert _predict(tmp_path, model_path, folder)["num_skipped"] == 1
    [row] = _rows(tmp_path / "out" / "skipped.csv")
    assert row["file"].endswith("broken.wav") and "cannot be decoded" in row["reason"]
    assert len(_rows(tmp_path / "out" / "recordings.csv")) == 18


def test_nothing_readable_is_an_error_and_leaves_no_table(tmp_path, model_path):
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "x.wav").write_bytes(b"")
    with pytest.raises(config.InputError, match="none of 1 recordings"):
        _predict(tmp_path, model_path, tmp_path / "audio")
    assert list((tmp_path / "out").iterdir()) == []


def test_shorter_than_a_chunk_still_gets_scores(tmp_path, model_path):
    soundfile.write(tmp_path / "x.wav", [0.0, 0.1, -0.1], 22050)
    _predict(tmp_path, model_path, tmp_path / "x.wav")
    assert len(_rows(tmp_path / "out" / "chunks.csv")) == 1


def test_pooling_by_attention_is_that_of_scoring_and_refused_where_there_is_none(
    tmp_path, attending_path, model_path, data
):
    _predict(tmp_path, attending_path, data / "wav", pooling="attention")
    ensemble = ensembles.Ensemble([attending_path])
    recordings = audio_files.find_recordings(str(data / "wav"))
    for outcome, row in zip(
        scoring.score_recordings(ensemble, recordings, decode.ChunkingConfig()),
        _rows(tmp_path / "out" / "recordings.csv"),
        strict=True,
    ):
        expected = pooling.pool(outcome.scores.probabilities, "attention", outcome.scores.attention)
        np.testing.assert_allclose([float(row[i]) for i in ensemble.classes.class_ids], expected, atol=2e-6)
    with pytest.raises(config.InputError, match=r"--pooling=attention: .* gives none"):
        _predict(tmp_path / "none", model_path, data / "wav", pooling="attention")
    assert not (tmp_path / "none").exists()


def _interrupt_after(monkeypatch, count):
    """Scoring that is interrupted after so many recordings, and the list of what was asked of it."""
    asked, whole = [], scoring.score_recordings

    def interrupted(ensemble, recordings, chunking, **values):
        asked.append([recording_id for recording_id, _ in recordings])
        for i, outcome in enumerate(whole(ensemble, recordings, chunking, **values)):
            if i == count:
                raise KeyboardInterrupt
            yield outcome

    monkeypatch.setattr(scoring, "score_recordings", interrupted)
    return asked


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, model_path, data, monkeypatch):
    _predict(tmp_path / "whole", model_path, data / "wav", format="csv,raven", embeddings=True)
    asked = _interrupt_after(monkeypatch, 10)
    with pytest.raises(KeyboardInterrupt):
        _predict(tmp_path, model_path, data / "wav", format="csv,raven", embeddings=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [score_store.FOLDER]
    changed = next(iter(sorted((data / "wav").iterdir())))
    changed.touch()  # scored already, but written to since
    _predict(tmp_path, model_path, data / "wav", format="csv,raven", embeddings=True)
    assert len(asked[0]) == 18 and len(asked[1]) == 9
    whole, resumed = tmp_path / "whole" / "out", tmp_path / "out"
    assert {p.name for p in whole.iterdir()} == {p.name for p in resumed.iterdir()}
    for name in ("recordings.csv", "chunks.csv", "detections.csv", "1.Table.1.selections.txt"):
        assert (whole / name).read_bytes() == (resumed / name).read_bytes(), name


@pytest.mark.parametrize("values", [{"overlap_seconds": 0.5}, {"embeddings": True}])
def test_what_another_way_of_scoring_left_is_refused_and_kept(tmp_path, model_path, data, monkeypatch, values):
    asked = _interrupt_after(monkeypatch, 4)
    with pytest.raises(KeyboardInterrupt):
        _predict(tmp_path, model_path, data / "wav")
    with pytest.raises(config.InputError, match="holds a prediction that differs"):
        _predict(tmp_path, model_path, data / "wav", **values)
    with pytest.raises(KeyboardInterrupt):
        _predict(tmp_path, model_path, data / "wav")
    assert [len(recordings) for recordings in asked] == [18, 14]


def test_a_folder_of_ones_own_in_the_place_of_scores_is_left_alone(tmp_path, model_path, data):
    mine = tmp_path / "out" / score_store.FOLDER / "mine"
    mine.mkdir(parents=True)
    with pytest.raises(config.InputError, match="holds something that is no prediction; name another --output"):
        _predict(tmp_path, model_path, data / "wav")
    assert mine.exists()


def test_scores_that_were_torn_are_made_again(tmp_path, model_path, data, monkeypatch):
    asked = _interrupt_after(monkeypatch, 4)
    with pytest.raises(KeyboardInterrupt):
        _predict(tmp_path, model_path, data / "wav")
    kept = sorted((tmp_path / "out" / score_store.FOLDER).glob("*.npz"))
    kept[0].write_bytes(b"")
    kept[1].write_bytes(kept[1].read_bytes()[:100])
    with pytest.raises(KeyboardInterrupt):
        _predict(tmp_path, model_path, data / "wav")
    assert [len(recordings) for recordings in asked] == [18, 16]


def test_names_of_any_bytes_and_any_length_do_not_stop_the_rest(tmp_path, model_path, data):
    folder = tmp_path / "audio"
    folder.mkdir()
    good = sorted((data / "wav").iterdir())[0]
    shutil.copy(good, folder / ("x" * 250 + ".wav"))
    shutil.copy(good, os.path.join(os.fsencode(folder), b"caf\xe9.wav"))
    assert _predict(tmp_path, model_path, folder)["num_recordings"] == 1
    [row] = _rows(tmp_path / "out" / "skipped.csv")
    assert "caf\\udce9.wav" in row["file"] and "rename it" in row["reason"]


def test_the_models_own_calibration_and_thresholds_are_used(tmp_path, model_path, data):
    model = str(shutil.copytree(model_path, tmp_path / "model"))
    classes = saved_model.Model(model).classes
    thresholds = {rule: np.full(len(classes), 2.0) for rule in calibration.RULES}
    thresholds["f1"][0] = 0.0
    fitted = calibration.Calibration(slope=2.0, intercept=-1.0, thresholds=thresholds)
    decided = decisions.Decisions(pooling="mean", weights=(1.0,), recording=fitted, chunk=fitted, fitted_on="these")
    decisions.save(f"{model}/{decisions.ASSET}", decided, classes)
    path = sorted((data / "wav").iterdir())[0]
    assert _predict(tmp_path / "own", model, path)["calibrated_on"] == "these"
    _predict(tmp_path / "raw", model, path, decisions="none", pooling="mean")
    [own], [raw] = (_rows(tmp_path / name / "out" / "recordings.csv") for name in ("own", "raw"))
    for class_id in classes.class_ids:
        p = float(raw[class_id])
        assert float(own[class_id]) == pytest.approx(1 / (1 + np.exp(1 - 2 * np.log(p / (1 - p)))), abs=1e-4)
    assert own["present"] == classes.class_ids[0]
    detections = _rows(tmp_path / "own" / "out" / "detections.csv")
    assert {row["class_id"] for row in detections} == {classes.class_ids[0]} and len(detections) == 1


def test_species_that_cannot_be_there_are_never_detected(tmp_path, model_path, data, manifest):
    listed = manifest.classes.class_ids[:2]
    (tmp_path / "list.txt").write_text("\n".join(listed))
    summary = _predict(tmp_path, model_path, data / "wav", species_list=tmp_path / "list.txt", min_probability=0.0)
    assert summary["expected"].endswith("list.txt")
    assert {row["class_id"] for row in _rows(tmp_path / "out" / "detections.csv")} == set(listed)
    for row in _rows(tmp_path / "out" / "recordings.csv"):
        assert (
            {i for i in manifest.classes.class_ids if float(row[i]) > 0} == set(row["present"].split()) == set(listed)
        )


def test_an_occurrence_table_is_asked_at_each_recordings_place(tmp_path, model_path, data, manifest):
    ids = manifest.classes.class_ids
    (tmp_path / "t.csv").write_text(
        f"latitude,longitude,week,class_id,frequency\n50.8,12.9,,{ids[0]},0.5\n-50,0,,{ids[1]},0.5\n"
    )
    _predict(tmp_path, model_path, data / "wav", occurrence=tmp_path / "t.csv", metadata=data / "xml")
    rows = _rows(tmp_path / "out" / "recordings.csv")
    assert all(float(row[ids[0]]) > 0 and float(row[ids[1]]) == 0 for row in rows)
    with pytest.raises(config.InputError, match=r"--metadata=.*has no use"):
        _predict(tmp_path, model_path, data / "wav", metadata=data / "xml")


@pytest.mark.parametrize(
    "values",
    [
        {"pooling": "best"}, {"overlap_seconds": 1.5}, {"overlap_seconds": float("nan")}, {"batch_size": 0},
        {"format": "csv,csv"},
    ],
)  # fmt: skip
def test_bad_flags_are_refused_before_anything_is_written(tmp_path, model_path, data, values):
    with pytest.raises(config.InputError, match=f"--{next(iter(values))}="):
        _predict(tmp_path, model_path, data / "wav", **values)
    assert not (tmp_path / "out").exists()


def test_equal_names_in_two_folders_stay_two_recordings(tmp_path):
    for name in ("a/1.wav", "b/1.wav"):
        (tmp_path / name).parent.mkdir()
        soundfile.write(tmp_path / name, [0.0], 8000)
    found = audio_files.find_recordings(str(tmp_path))
    assert len({recording_id for recording_id, _ in found}) == 2

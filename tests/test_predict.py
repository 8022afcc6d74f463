import csv
import json
import os
import pathlib
import shutil

import numpy as np
import pytest
import soundfile

from bird_tf import config, csv_files, predict
from bird_tf.audio import decode
from bird_tf.inference import audio_files, ensembles, model_files, saved_model, scoring
from bird_tf.records import schema
from bird_tf.scores import calibration, decisions, pooling, thresholds
from bird_tf.training import exporter, known_sound
from tests.conftest import settings


def predict_into(tmp_path, model, folder, **values):
    """Predicts into `tmp_path`/out, with further flags."""
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


def test_a_persons_own_tables_are_refused_before_the_scoring(tmp_path, model_path, data):
    name = sorted((data / "wav").iterdir())[0].stem
    (tmp_path / "out").mkdir()
    for own, flags in ((f"{name}.Table.1.selections.txt", {"format": "raven"}), (f"{name}.labels.txt", {"format":
                       "audacity"}), ("summary.json", {}), ("chunks.csv", {}), ("skipped.csv", {})):  # fmt: skip
        (tmp_path / "out" / own).write_text('{"mine": 1}')
        with pytest.raises(config.InputError, match=f"{own} is there already, and is not of a prediction; move it"):
            predict_into(tmp_path, model_path, data / "wav", **flags)
        assert (tmp_path / "out" / own).read_text() == '{"mine": 1}'
        (tmp_path / "out" / own).unlink()
        assert not list((tmp_path / "out").iterdir())


def test_earlier_tables_are_told_of_if_no_recording_can_be_read(tmp_path, model_path, data):
    folder = tmp_path / "audio"
    folder.mkdir()
    shutil.copy(sorted((data / "wav").iterdir())[0], folder / "a.wav")
    predict_into(tmp_path, model_path, folder)
    (folder / "a.wav").write_bytes(b"junk")
    with pytest.raises(
        config.InputError, match=r"out still holds the tables of an earlier prediction; the first: .*a\.wav"
    ):
        predict_into(tmp_path, model_path, folder)


def test_tables_hold_each_chunk_and_recording(tmp_path, model_path, data, manifest):
    summary = predict_into(tmp_path, model_path, data / "wav", min_probability="0.2")
    chunks, recordings = _rows(tmp_path / "out" / "chunks.csv"), _rows(tmp_path / "out" / "recordings.csv")
    detected = _rows(tmp_path / "out" / "detections.csv")
    assert summary["num_detections"] == len(detected) > 0
    assert summary["num_species_detected"] == len({row["class_id"] for row in detected})
    assert summary["num_recordings_with_detections"] == len({row["file"] for row in detected})
    assert summary["num_recordings"] == len(recordings) == 18
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == summary
    assert summary["flags"]["min_probability"] == "0.2" and summary["fingerprints"] and summary["versions"]
    ids = manifest.classes.class_ids
    for row in recordings:
        own = np.array([[float(c[i]) for i in ids] for c in chunks if c["recording_id"] == row["recording_id"]])
        pooled = [float(row[i]) for i in ids]
        np.testing.assert_allclose(pooled, pooling.pool(own, summary["pooling"]), atol=1e-5)
        assert row["best"] == ids[int(np.argmax(pooled))]
        assert 0 <= float(chunks[0]["start_seconds"]) < float(chunks[0]["end_seconds"]) <= float(row["seconds"]) + 1


def test_an_unreadable_file_is_listed_and_the_others_are_scored(tmp_path, model_path, data, caplog):
    folder = tmp_path / "audio"
    shutil.copytree(data / "wav", folder)
    (folder / "broken.wav").write_bytes(b"no audio")
    assert predict_into(tmp_path, model_path, folder)["num_skipped"] == 1
    named, counted = (m for m in caplog.messages if "skipped" in m)
    assert named.startswith("skipped: ") and "broken.wav: cannot be decoded" in named
    assert counted.startswith("1 skipped (all in ") and "1 x cannot be decoded" in counted
    [row] = _rows(tmp_path / "out" / "skipped.csv")
    assert row["file"].endswith("broken.wav") and "cannot be decoded" in row["reason"]
    assert len(_rows(tmp_path / "out" / "recordings.csv")) == 18


def test_no_readable_recording_is_an_error_without_tables(tmp_path, model_path):
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "x.wav").write_bytes(b"")
    with pytest.raises(config.InputError, match="none of 1 recordings"):
        predict_into(tmp_path, model_path, tmp_path / "audio")
    assert not (tmp_path / "out").exists()


def test_a_recording_shorter_than_a_chunk_gets_scores(tmp_path, model_path):
    soundfile.write(tmp_path / "x.wav", [0.0, 0.1, -0.1], 22050)
    predict_into(tmp_path, model_path, tmp_path / "x.wav")
    assert len(_rows(tmp_path / "out" / "chunks.csv")) == 1


def test_pooling_by_attention_uses_attention_logits_and_is_refused_without(
    tmp_path, attention_model_path, model_path, data
):
    predict_into(tmp_path, attention_model_path, data / "wav", pooling="attention")
    ensemble = ensembles.Ensemble([attention_model_path])
    recordings = audio_files.find_below(str(data / "wav"))
    for scored, row in zip(
        scoring.score_recordings(ensemble, recordings, decode.ChunkingConfig()),
        _rows(tmp_path / "out" / "recordings.csv"),
        strict=True,
    ):
        expected = pooling.pool(scored.scores.probabilities, "attention", scored.scores.attention_logits)
        np.testing.assert_allclose([float(row[i]) for i in ensemble.classes.class_ids], expected, atol=2e-6)
    with pytest.raises(config.InputError, match=r"--pooling=attention: .* gives no attention"):
        predict_into(tmp_path / "none", model_path, data / "wav", pooling="attention")
    assert not (tmp_path / "none").exists()


def test_long_names_are_scored_and_names_that_are_not_utf8_are_skipped(tmp_path, model_path, data):
    folder = tmp_path / "audio"
    folder.mkdir()
    good = sorted((data / "wav").iterdir())[0]
    shutil.copy(good, folder / ("x" * 250 + ".wav"))
    shutil.copy(good, os.path.join(os.fsencode(folder), b"caf\xe9.wav"))
    assert predict_into(tmp_path, model_path, folder)["num_recordings"] == 1
    [row] = _rows(tmp_path / "out" / "skipped.csv")
    assert "caf\\udce9.wav" in row["file"] and "rename it" in row["reason"]


def test_the_models_own_calibration_and_thresholds_are_used(tmp_path, model_path, data):
    model = str(shutil.copytree(model_path, tmp_path / "model"))
    classes = saved_model.Model(model).classes
    least = {rule: np.full(len(classes), 2.0) for rule in thresholds.RULES}
    least["f1"][0] = 0.0
    fitted = calibration.Calibration(slope=2.0, intercept=-1.0, thresholds=least)
    decided = decisions.Decisions(pooling="mean", weights=(1.0,), recording=fitted, chunk=fitted, fitted_on="these")
    decisions.save(f"{model}/{decisions.ASSET}", decided, classes)
    path = sorted((data / "wav").iterdir())[0]
    assert predict_into(tmp_path / "own", model, path)["calibrated_on"] == "these"
    predict_into(tmp_path / "raw", model, path, decisions="none", pooling="mean")
    [own], [raw] = (_rows(tmp_path / name / "out" / "recordings.csv") for name in ("own", "raw"))
    for class_id in classes.class_ids:
        p = float(raw[class_id])
        assert float(own[class_id]) == pytest.approx(1 / (1 + np.exp(1 - 2 * np.log(p / (1 - p)))), abs=1e-4)
    assert own["present"] == classes.class_ids[0]
    detections = _rows(tmp_path / "own" / "out" / "detections.csv")
    assert {row["class_id"] for row in detections} == {classes.class_ids[0]} and len(detections) == 1


def test_species_without_a_threshold_are_told_as_the_cause_of_no_detections(tmp_path, model_path, data, caplog):
    caplog.set_level("INFO", logger="absl")
    model = str(shutil.copytree(model_path, tmp_path / "model"))
    classes = saved_model.Model(model).classes
    least = {"f1": np.full(len(classes), 0.0), "precision": np.full(len(classes), thresholds.NEVER)}
    fitted = calibration.Calibration(slope=1.0, intercept=0.0, thresholds=least)
    decided = decisions.Decisions(pooling="mean", weights=(1.0,), recording=fitted, chunk=fitted, fitted_on="these")
    decisions.save(f"{model}/{decisions.ASSET}", decided, classes)
    flags = {"model": [model], "audio": sorted((data / "wav").iterdir())[0], "output": tmp_path / "out"}
    predict.main(settings(predict.PredictConfig, threshold="precision", **flags))
    assert (
        "6 of 6 species cannot have detections: the model has no threshold for them by the rule precision, as it was "
        "tuned on too little, or errs too often there" in caplog.text
    )
    assert "repeat the command with --threshold=f1, or --min_probability=0.1" in caplog.records[-1].getMessage()
    caplog.clear()
    predict.main(settings(predict.PredictConfig, **flags))
    assert "cannot have" not in caplog.text
    doubtful = f"--min_probability=0.1 --merge_seconds=-1 --output={tmp_path}/out-doubtful, then"
    assert doubtful in caplog.text and f"review --predictions={tmp_path}/out-doubtful" in caplog.text
    caplog.clear()
    predict.main(settings(predict.PredictConfig, merge_seconds=-1.0, **flags))
    assert f"review --predictions={tmp_path}/out " in caplog.text


def test_species_outside_of_the_list_are_never_detected(tmp_path, model_path, data, manifest):
    listed = manifest.classes.class_ids[:2]
    (tmp_path / "list.txt").write_text("\n".join(listed))
    summary = predict_into(
        tmp_path, model_path, data / "wav", species_list=tmp_path / "list.txt", min_probability="0.0"
    )
    assert summary["expected"].endswith("list.txt")
    assert {row["class_id"] for row in _rows(tmp_path / "out" / "detections.csv")} == set(listed)
    for row in _rows(tmp_path / "out" / "recordings.csv"):
        assert (
            {i for i in manifest.classes.class_ids if float(row[i]) > 0}
            == set(csv_files.divided(row["present"]))
            == set(listed)
        )


def test_an_occurrence_table_is_used_at_the_place_of_each_recording(tmp_path, model_path, data, manifest):
    ids = manifest.classes.class_ids
    (tmp_path / "t.csv").write_text(
        f"latitude,longitude,week,class_id,frequency\n50.8,12.9,,{ids[0]},0.5\n-50,0,,{ids[1]},0.5\n"
    )
    flags = {"occurrence": tmp_path / "t.csv", "metadata": data / "xml", "min_probability": "0.0"}
    predict_into(tmp_path, model_path, data / "wav", **flags)
    rows = _rows(tmp_path / "out" / "recordings.csv")
    assert all(float(row[ids[0]]) > 0 and float(row[ids[1]]) == 0 for row in rows)
    detections = _rows(tmp_path / "out" / "detections.csv")
    assert {row["latitude"] for row in detections} == {row["latitude"] for row in rows} == {"50.800000"}


@pytest.mark.parametrize(
    "values",
    [
        {"pooling": "best"}, {"overlap_seconds": 1.5}, {"overlap_seconds": float("nan")}, {"batch_size": 0},
        {"format": "csv,csv"},
    ],
)  # fmt: skip
def test_bad_flags_are_refused_before_anything_is_written(tmp_path, model_path, data, values):
    with pytest.raises(config.InputError, match=f"--{next(iter(values))}="):
        predict_into(tmp_path, model_path, data / "wav", **values)
    assert not (tmp_path / "out").exists()


def test_thresholds_of_ones_own_are_for_their_classes(tmp_path, model_path, data, manifest):
    ids, path = manifest.classes.class_ids, tmp_path / "mine.csv"
    path.write_text("class_id,threshold\n" + "".join(f"{i},{float(i != ids[2])}\n" for i in ids))
    predict_into(tmp_path, model_path, data / "wav", min_probability=path)
    assert {row["class_id"] for row in _rows(tmp_path / "out" / "detections.csv")} == {ids[2]}
    assert {row["present"] for row in _rows(tmp_path / "out" / "recordings.csv")} <= {ids[2], ""}
    with pytest.raises(config.InputError, match="--min_probability=0,5: neither"):
        predict_into(tmp_path / "no", model_path, data / "wav", min_probability="0,5")
    assert not (tmp_path / "no").exists()


def test_a_summary_is_written_on_request_and_goes_with_the_flag(tmp_path, model_path, data):
    predict_into(tmp_path, model_path, data / "wav", summary=True)
    assert sum(int(row["recordings"]) for row in _rows(tmp_path / "out" / "summary" / "effort.csv")) == 18
    predict_into(tmp_path, model_path, data / "wav")
    assert not (tmp_path / "out" / "summary").exists()


def test_a_model_hears_the_channel_of_its_training_and_another_by_the_flag(tmp_path, model_path, data, caplog):
    sound, rate = soundfile.read(sorted((data / "wav").iterdir())[0])
    for name, signals in (("mono", [sound]), ("opposite", [-sound, sound]), ("second", [0 * sound, sound])):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "x.wav", np.stack(signals, axis=1), rate)
    mix, second = model_path, str(shutil.copytree(model_path, tmp_path / "model"))
    description = pathlib.Path(second, model_files.DESCRIPTION)
    description.write_text(description.read_text().replace('"channel": "mix"', '"channel": "2"'))

    def chunks(model, name, **values):
        summary = predict_into(tmp_path / f"{name} {values} {model == mix}", model, tmp_path / name, **values)
        output = pathlib.Path(summary["output"])
        damaged = output / "damaged.csv"
        note = _rows(damaged)[0]["note"] if damaged.exists() else ""
        return (output / "chunks.csv").read_text(), summary["channel"], note

    expected, channel, note = chunks(mix, "mono")
    assert (channel, note) == ("mix", "")
    assert chunks(second, "second") == (expected, "2", "")
    raven = predict_into(tmp_path / "raven", second, tmp_path / "second", format="raven", min_probability="0.05")
    assert "\tSpectrogram 2\t2\t" in pathlib.Path(raven["output"], "x.Table.1.selections.txt").read_text()
    assert chunks(second, "second", channel="loudest") == (expected, "loudest", "")
    assert chunks(second, "opposite")[0] == chunks(mix, "opposite", channel="2")[0] == expected
    assert "opposite polarity and cancel each other away" in chunks(mix, "opposite")[2]
    assert "x.wav: its channels have opposite polarity" in caplog.text
    with pytest.raises(config.InputError, match="has one channel, and not the one of --channel=2"):
        chunks(second, "mono")


def test_what_a_damaged_file_lacks_is_told_also_by_a_further_run(tmp_path, model_path, data, caplog):
    folder = tmp_path / "audio"
    folder.mkdir()
    content = sorted((data / "wav").iterdir())[0].read_bytes()
    (folder / "x.wav").write_bytes(content[: len(content) // 2])
    for number in range(2):
        predict_into(tmp_path, model_path, folder)
        [row], [scored] = _rows(tmp_path / "out" / "damaged.csv"), _rows(tmp_path / "out" / "recordings.csv")
        assert float(row["lost_seconds"]) == pytest.approx(float(scored["seconds"]), rel=0.01)
        assert "cannot be decoded (the file ends early); the rest is used" in row["note"]
        assert caplog.text.count("x.wav: ") == 1, number  # the scores are kept, so it is not read again


def test_recordings_unlike_the_training_data_are_named(tmp_path, run_dir, manifest, data, caplog, monkeypatch):
    monkeypatch.setattr(known_sound, "_MIN_RECORDINGS", 5)
    known = known_sound.fit(manifest, [schema.SPECTROGRAM])
    shutil.copytree(run_dir, tmp_path / "run")
    known_sound.save(str(tmp_path / "run"), known)
    model = exporter.export(str(tmp_path / "run"))
    folder = tmp_path / "audio"
    folder.mkdir()
    for path in sorted((data / "wav").iterdir())[:3]:
        shutil.copy(path, folder)
    time = np.arange(2 * 22050) / 22050
    for hertz in (1000, 2000):
        soundfile.write(folder / f"tone{hertz}.wav", 0.5 * np.sin(2 * np.pi * hertz * time), 22050)
    soundfile.write(folder / "silence.wav", np.zeros(22050), 22050)
    for _ in range(2):  # the second time from the stored scores
        caplog.clear()
        assert predict_into(tmp_path, model, folder)["num_unlike"] == 2
        named = [row["file"] for row in _rows(tmp_path / "out" / "unlike.csv")]
        assert sorted(named) == ["tone1000.wav", "tone2000.wav"]
        assert "2 of 5 recordings sound unlike the training data" in caplog.text
    assert "2 of 5 recordings" in " ".join((tmp_path / "out" / "about.txt").read_text().split())
    loaded = saved_model.Model(model)
    samples = np.stack([0.5 * np.sin(2 * np.pi * 1000 * time[:22050]), np.zeros(22050)]).astype(np.float32)
    found = loaded.predict_samples(samples).strangeness
    expected = known.strangeness(known_sound.summaries({schema.SPECTROGRAM: loaded.spectrograms(samples[:1])}))
    np.testing.assert_allclose(found[:1], expected, rtol=1e-3)
    assert found[1] == 0


def test_a_model_that_does_not_know_its_training_says_nothing_of_strangeness(tmp_path, model_path, data, caplog):
    assert predict_into(tmp_path, model_path, sorted((data / "wav").iterdir())[0])["num_unlike"] is None
    assert "unlike" not in caplog.text and not (tmp_path / "out" / "unlike.csv").exists()
    assert "is not known: this model does not tell" in (tmp_path / "out" / "about.txt").read_text()

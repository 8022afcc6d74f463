import csv
import io

import numpy as np
import pytest
import soundfile

import bird_tf
from bird_tf import config, predict
from bird_tf.api import model as api_model
from tests.conftest import settings

pd = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def model(model_path):
    return bird_tf.load(model_path)


@pytest.fixture(scope="module")
def tables(data, model_path, tmp_path_factory):
    """What the command writes."""
    output = tmp_path_factory.mktemp("predictions")
    predict.predict(
        settings(predict.PredictConfig, model=[model_path], audio=data / "wav", output=output, min_probability="0.2")
    )
    return {name: pd.read_csv(output / f"{name}.csv", keep_default_na=False) for name in ("chunks", "detections")}


def test_probabilities_are_those_of_the_command(model, data, tables):
    scores = model.predict(data / "wav")
    assert tuple(scores.columns) == model.class_ids and scores.index.names == ["file", "start_seconds", "end_seconds"]
    chunks = tables["chunks"]
    assert list(scores.index.get_level_values("file")) == [str(data / "wav" / name) for name in chunks["recording_id"]]
    np.testing.assert_allclose(scores.to_numpy(), chunks[list(model.class_ids)], atol=5e-7)  # six digits
    np.testing.assert_allclose(scores.index.get_level_values("end_seconds"), chunks["end_seconds"], atol=5e-4)
    assert scores.attrs["skipped"] == {}


def test_detections_are_those_of_the_command(model, data, tables):
    found = model.detect(data / "wav", min_probability=0.2)
    assert list(found.columns) == list(api_model.DETECTIONS) and len(found) == len(tables["detections"]) > 0
    assert list(found["class_id"]) == list(tables["detections"]["class_id"])
    assert set(found["name"]) <= set(model.names.values())
    np.testing.assert_allclose(found["probability"], tables["detections"]["probability"], atol=5e-7)


def test_samples_and_open_files_give_the_scores_of_the_file(model, data):
    path = sorted((data / "wav").iterdir())[0]
    samples, rate = soundfile.read(path)
    expected = model.predict(path).to_numpy()
    for given, flags in ((samples, {"sample_rate_hz": rate}), (io.BytesIO(path.read_bytes()), {})):
        assert np.array_equal(model.predict(given, **flags).to_numpy(), expected)


def test_embeddings_have_the_same_index(model, data):
    paths = sorted((data / "wav").iterdir())[:2]
    scores, features = (make(paths, overlap_seconds=0.5) for make in (model.predict, model.embed))
    assert features.index.equals(scores.index) and len(features) > len(model.predict(paths))
    assert np.isfinite(features.to_numpy()).all() and features.to_numpy().std() > 0


def test_time_and_place_are_in_the_detections(model, tmp_path):
    samples = np.random.default_rng(0).normal(0, 0.1, 66150)
    (tmp_path / "marsh").mkdir()
    (tmp_path / "hill").mkdir()
    for folder in ("marsh", "hill"):
        soundfile.write(tmp_path / folder / "20230501_050000.wav", samples, 22050)
    found = model.detect(tmp_path, min_probability=0.001, top=1, merge_seconds=-1)
    assert set(found["site"]) == {"marsh", "hill"}
    assert found["clock_time"].iloc[1] == pd.Timestamp("2023-05-01T05:00:01")


def test_what_cannot_be_read_is_skipped_and_noted(model, data, tmp_path, caplog):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound")
    good = sorted((data / "wav").iterdir())[0]
    scores = model.predict([broken, good])
    assert set(scores.index.get_level_values("file")) == {str(good)}
    assert list(scores.attrs["skipped"]) == [str(broken)] and "broken.wav" in caplog.text
    with pytest.raises(bird_tf.Error, match="none of 1 recordings can be read"):
        model.predict(broken)


def test_a_name_of_a_temporary_file_is_in_no_message(model):
    with pytest.raises(bird_tf.Error, match=r"the first: file-0: "):
        model.predict(io.BytesIO(b"no sound"))


def test_what_is_lost_of_a_recording_is_noted_by_the_name_that_was_given(model, caplog):
    samples = np.random.default_rng(0).normal(0, 0.1, 66150)
    samples[22050:44100] = np.nan
    scores = model.predict([samples, np.zeros(22050)], sample_rate_hz=22050)
    assert list(scores.attrs["damaged"]) == ["samples-0"] and scores.attrs["skipped"] == {}
    assert "1.0 of 3.0 s" in scores.attrs["damaged"]["samples-0"]
    assert "samples-0: 1.0 of 3.0 s" in caplog.text and ".w64" not in caplog.text


@pytest.mark.parametrize(
    ("flags", "message"),
    [({"threshold": "best"}, "threshold"), ({"output": "x"}, "output"), ({"overlap_seconds": 9}, "overlap_seconds")],
)
def test_flags_are_checked_as_those_of_the_command(model, data, flags, message):
    with pytest.raises(bird_tf.Error, match=message):
        model.detect(data / "wav", **flags)


def test_several_models_are_an_ensemble(model, model_path, data):
    path = sorted((data / "wav").iterdir())[0]
    both = bird_tf.load([model_path, model_path])
    np.testing.assert_allclose(both.predict(path), model.predict(path), rtol=1e-5, atol=1e-6)
    assert repr(both).count(model_path) == 2


def test_what_is_no_model_is_an_error_of_the_family(tmp_path):
    with pytest.raises(bird_tf.Error, match="not an exported model"):
        bird_tf.load(tmp_path)
    assert issubclass(config.InputError, bird_tf.Error)


def test_the_detections_can_be_read_as_labels(model, data, tmp_path):
    model.detect(data / "wav", min_probability=0.2).to_csv(tmp_path / "labels.csv", index=False)
    with open(tmp_path / "labels.csv", newline="", encoding="utf-8") as file:
        assert {"file", "start_seconds", "end_seconds", "class_id"} <= set(csv.DictReader(file).fieldnames)

import csv
import json
import pathlib
import shutil

import numpy as np
import pytest
import soundfile

from bird_tf import config, predict, search
from bird_tf.inference import embedding_store, saved_model
from tests.conftest import settings


@pytest.fixture(scope="module")
def deployment(tmp_path_factory, model_path, data):
    """The embeddings of `data`."""
    output = tmp_path_factory.mktemp("deployment")
    predict.predict(
        settings(predict.PredictConfig, model=[model_path], audio=data / "wav", output=output, embeddings=True)
    )
    return output


def _search(tmp_path, deployment, query, **flags):
    return search.search(
        settings(
            search.SearchConfig,
            embeddings=deployment,
            query=query,
            **{"output": tmp_path / "found", "num_results": 5, **flags},
        )
    )


def _entries(tmp_path):
    with open(tmp_path / "out" / "embeddings" / "recordings.jsonl") as lines:
        return [json.loads(line) for line in lines]


def _rows(tmp_path):
    with open(tmp_path / "found" / "neighbours.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_store_holds_the_embeddings_of_the_model(deployment, model_path, data):
    store, model = embedding_store.Embeddings(str(deployment)), saved_model.Model(model_path)
    path = sorted((data / "wav").iterdir())[0]
    samples, _ = soundfile.read(path, dtype="float32")
    size = model.front_end.chunk_samples
    vector, start, end = store.at(path.name, 1.0)
    np.testing.assert_allclose(vector, model.embed(samples[None, size : 2 * size])[0], atol=1e-5)
    assert (start, end) == (1.0, 2.0)


def test_a_persons_own_files_are_not_replaced(tmp_path, deployment, data):
    path = sorted((data / "wav").iterdir())[3]
    own = tmp_path / "found" / "clips" / "mine.mp3"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    _search(tmp_path, deployment, path, at=0.0)
    assert own.read_text() == "mine"
    with pytest.raises(config.InputError, match=r"skipped\.csv is there already, and is not of a search"):
        _search(tmp_path, deployment, path, at=0.0, output=deployment)


def test_a_recording_that_was_replaced_is_not_shown(tmp_path, model_path, data):
    (tmp_path / "audio").mkdir()
    first, second, _ = (pathlib.Path(shutil.copy(p, tmp_path / "audio")) for p in sorted((data / "wav").iterdir())[:3])
    flags = {"audio": tmp_path / "audio", "output": tmp_path / "out", "embeddings": True}
    predict.predict(settings(predict.PredictConfig, model=[model_path], **flags))
    shutil.copy(second, first)
    _search(tmp_path, tmp_path / "out", second, at=0.0, num_results=1000)
    with open(tmp_path / "found" / "skipped.csv", newline="") as file:
        assert {row["file"] for row in csv.DictReader(file)} == {first.name}


def test_only_what_is_there_as_it_was_embedded_is_found(tmp_path, model_path, data):
    audio = tmp_path / "audio"
    audio.mkdir()
    for path in sorted((data / "wav").iterdir())[:4]:
        shutil.copy(path, audio)
    first, second, third, _ = sorted(audio.iterdir())
    flags = {"audio": audio, "output": tmp_path / "out", "embeddings": True}
    predict.predict(settings(predict.PredictConfig, model=[model_path], **flags))
    shutil.copy(second, first)
    third.rename(audio / "renamed.wav")
    total = sum(entry["count"] for entry in _entries(tmp_path) if entry["file"] not in (first.name, third.name))
    summary = _search(tmp_path, tmp_path / "out", first, at=0.0, num_results=1000)
    rows = _rows(tmp_path)
    assert (rows[0]["file"], rows[0]["start_seconds"], summary["best"]) == (second.name, "0.000", pytest.approx(1))
    assert summary["num_searched"] == len(rows) == total
    assert summary["flags"]["at"] == 0 and len(summary["fingerprints"]) == 1 and summary["versions"]
    with open(tmp_path / "found" / "skipped.csv", newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == [first.name, third.name]
    predict.predict(settings(predict.PredictConfig, model=[model_path], **flags))
    _search(tmp_path, tmp_path / "out", audio / "renamed.wav", at=0.0, num_results=1000)
    assert {row["file"] for row in _rows(tmp_path)} == {path.name for path in audio.iterdir()}


def test_a_prediction_of_another_folder_is_searched_there(tmp_path, model_path, data):
    paths = sorted((data / "wav").iterdir())[:2]
    for site, path in zip("ab", paths, strict=True):
        (tmp_path / site).mkdir()
        shutil.copy(path, tmp_path / site / "x.wav")
        flags = {"audio": tmp_path / site, "output": tmp_path / "out", "embeddings": True}
        predict.predict(settings(predict.PredictConfig, model=[model_path], **flags))
    (tmp_path / "a" / "x.wav").unlink()  # its clips are those of the other folder
    summary = _search(tmp_path, tmp_path / "out", paths[1], at=0.0)
    assert (summary["best"], summary["num_skipped"]) == (pytest.approx(1, abs=1e-5), 0)


def test_recordings_without_embeddings_are_told(tmp_path, model_path, data, caplog):
    paths = sorted((data / "wav").iterdir())[:3]
    (tmp_path / "a").mkdir()
    flags = {"model": [model_path], "audio": tmp_path / "a", "output": tmp_path / "out"}
    for path, embeddings in zip(paths, (True, False, False), strict=True):
        shutil.copy(path, tmp_path / "a")
        if path != paths[2]:  # what no prediction has read is not missed
            predict.predict(settings(predict.PredictConfig, embeddings=embeddings, **flags))
    _search(tmp_path, tmp_path / "out", paths[0], at=0.0)
    told = f"1 recordings of the prediction have no embeddings and are not searched ({paths[1].name}); repeat"
    assert told in caplog.text and {row["file"] for row in _rows(tmp_path)} == {paths[0].name}
    caplog.clear()
    predict.predict(settings(predict.PredictConfig, embeddings=True, **flags))
    _search(tmp_path, tmp_path / "out", paths[0], at=0.0)
    assert "no embeddings" not in caplog.text


def test_embeddings_of_another_folder_than_that_of_the_prediction_are_searched_only_on_request(
    tmp_path, model_path, data
):
    query, *_ = paths = sorted((data / "wav").iterdir())[:2]
    for site, path in zip("ab", paths, strict=True):
        (tmp_path / site).mkdir()
        shutil.copy(path, tmp_path / site / "x.wav")
        flags = {"audio": tmp_path / site, "output": tmp_path / "out", "embeddings": site == "a"}
        predict.predict(settings(predict.PredictConfig, model=[model_path], **flags))
    for folder in ("out", "out/embeddings"):
        with pytest.raises(
            config.InputError, match=r"is of \S*/b, and its embeddings are of \S*/a; repeat the prediction"
        ):
            _search(tmp_path, tmp_path / folder, query, at=0.0)
    assert _search(tmp_path, tmp_path / "out", query, at=0.0, audio=tmp_path / "a")["num_found"] > 0


def test_a_clip_finds_where_it_was_cut_from(tmp_path, deployment, data):
    path = sorted((data / "wav").iterdir())[3]
    samples, rate = soundfile.read(path)
    soundfile.write(tmp_path / "owl.wav", samples[rate : 2 * rate], rate)
    summary = _search(tmp_path, deployment, tmp_path / "owl.wav")
    rows = _rows(tmp_path)
    assert summary["best"] == pytest.approx(1, abs=1e-3) and summary["num_found"] == len(rows) == 5
    assert (rows[0]["file"], rows[0]["start_seconds"]) == (path.name, "1.000")
    text = (tmp_path / "found" / "index.html").read_text()
    assert "Sounds like owl.wav" in text and '"similarity"' in text and "What the clips are compared with" in text


def test_a_time_in_a_recording_of_the_deployment_needs_no_model(tmp_path, deployment, data, monkeypatch):
    monkeypatch.setattr(saved_model, "Model", None)
    name = sorted((data / "wav").iterdir())[0].name
    _search(tmp_path, deployment, name, at=1.2, species="undato")
    assert (name, "1.000") not in [(row["file"], row["start_seconds"]) for row in _rows(tmp_path)]
    content = (tmp_path / "found" / "index.html").read_text().split('id="content">')[1].split("</script>")[0]
    assert {entry[4] for entry in json.loads(content)["clips"]} == {"undato"}


def test_a_warning_tells_that_the_name_of_a_recording_is_no_species(tmp_path, deployment, data, caplog):
    path = sorted((data / "wav").iterdir())[0]
    shutil.copy(path, tmp_path / "owl.wav")
    for query, flags in ((tmp_path / "owl.wav", {}), (path.name, {"species": "Strix aluco"}), (path.name, {})):
        assert "becomes a class" not in caplog.text
        _search(tmp_path, deployment, query, at=1.2, **flags)
    assert f"verdicts on the page call the sound '{path.stem}', as its recording: name its species" in caplog.text


def test_a_time_past_the_end_of_a_recording_of_the_deployment_is_refused(tmp_path, deployment, data):
    name = sorted((data / "wav").iterdir())[0].name
    with pytest.raises(config.InputError, match=rf"--at=40\.0: .*{name} ends before"):
        _search(tmp_path, deployment, name, at=40.0)


def test_the_most_active_chunk_of_a_long_query_is_looked_for(tmp_path, deployment, data):
    samples, rate = soundfile.read(sorted((data / "wav").iterdir())[0])
    silence = np.zeros(2 * rate)
    soundfile.write(tmp_path / "q.wav", np.concatenate([silence, samples[:rate], silence]), rate)
    assert _search(tmp_path, deployment, tmp_path / "q.wav")["start_seconds"] == pytest.approx(2.0)


def test_what_cannot_be_searched_is_told(tmp_path, deployment, model_path, untrained, manifest):
    with pytest.raises(config.InputError, match="--query=none: no such file"):
        _search(tmp_path, deployment, "none")
    soundfile.write(tmp_path / "q.wav", np.zeros(22050), 22050)
    with pytest.raises(config.InputError, match="is not the model that wrote"):
        _search(tmp_path, deployment, tmp_path / "q.wav", model=untrained(manifest.front_end))
    with pytest.raises(config.InputError, match="ends before"):
        _search(tmp_path, deployment, tmp_path / "q.wav", at=5.0)
    for flags in ({}, {"at": 0.0}):
        with pytest.raises(config.InputError, match=r"q\.wav: no sound from 0\.00 to 1\.00 s; name another"):
            _search(tmp_path, deployment, tmp_path / "q.wav", **flags)
    with pytest.raises(config.InputError, match="no such folder"):
        _search(tmp_path, deployment, tmp_path / "q.wav", audio=tmp_path / "gone")
    moved = tmp_path / "moved"
    shutil.copytree(deployment, moved)
    description = json.loads((moved / "embeddings" / "store.json").read_text())
    (moved / "embeddings" / "store.json").write_text(json.dumps({**description, "model": "gone"}))
    with pytest.raises(config.InputError, match="gone; name it with --model"):
        _search(tmp_path, moved, tmp_path / "q.wav")
    soundfile.write(tmp_path / "q.wav", np.random.default_rng(0).normal(0, 0.1, 22050), 22050)
    assert _search(tmp_path, moved, tmp_path / "q.wav", model=model_path)["num_found"] == 5

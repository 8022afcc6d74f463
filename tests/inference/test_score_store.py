"""The store, by itself and in predictions that are interrupted."""

import dataclasses
import functools
import os
import shutil

import numpy as np
import pytest
import soundfile

from bird_tf import config, tf
from bird_tf.audio import decode
from bird_tf.evaluation import stored_decisions
from bird_tf.inference import embedding_store, ensembles, saved_model, score_store, scoring
from bird_tf.scores import context, decisions
from tests import conftest
from tests.test_predict import predict_into


def _interrupt_after(monkeypatch, count):
    """Interrupts scoring after this number of recordings. Returns the list of the recordings in each call."""
    calls, score_recordings = [], scoring.score_recordings

    def interrupted(ensemble, recordings, chunking, **values):
        calls.append([recording_id for recording_id, _ in recordings])
        for i, scored in enumerate(score_recordings(ensemble, recordings, chunking, **values)):
            if i == count:
                raise KeyboardInterrupt
            yield scored

    monkeypatch.setattr(scoring, "score_recordings", interrupted)
    return calls


def test_an_interrupted_prediction_continues(tmp_path, model_path, data, monkeypatch):
    predict_into(tmp_path / "whole", model_path, data / "wav", format="csv,raven", embeddings=True)
    calls = _interrupt_after(monkeypatch, 10)
    with pytest.raises(KeyboardInterrupt):
        predict_into(tmp_path, model_path, data / "wav", format="csv,raven", embeddings=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {score_store.FOLDER, embedding_store.FOLDER}
    changed = next(iter(sorted((data / "wav").iterdir())))
    changed.touch()  # it has scores, but changes afterwards
    predict_into(tmp_path, model_path, data / "wav", format="csv,raven", embeddings=True)
    assert len(calls[0]) == 18 and len(calls[1]) == 9
    whole, resumed = tmp_path / "whole" / "out", tmp_path / "out"
    assert {p.name for p in whole.iterdir()} == {p.name for p in resumed.iterdir()}
    for name in ("recordings.csv", "chunks.csv", "detections.csv", "DEMO_RN1.Table.1.selections.txt"):
        assert (whole / name).read_bytes() == (resumed / name).read_bytes(), name


def test_scores_of_other_chunks_are_refused_and_stay(tmp_path, model_path, data, monkeypatch):
    calls = _interrupt_after(monkeypatch, 4)
    for values, error in (
        ({}, KeyboardInterrupt),
        ({"overlap_seconds": 0.5}, config.InputError),
        ({}, KeyboardInterrupt),
    ):
        with pytest.raises(error, match="holds a prediction that differs" if error is config.InputError else None):
            predict_into(tmp_path, model_path, data / "wav", **values)
    assert [len(recordings) for recordings in calls] == [18, 14]
    with pytest.raises(KeyboardInterrupt):
        predict_into(tmp_path, model_path, data / "wav", overlap_seconds=0.5, overwrite=True)
    assert len(calls[-1]) == 18


def test_a_further_run_scores_only_what_is_new(tmp_path, model_path, data, monkeypatch):
    folder = tmp_path / "audio"
    shutil.copytree(data / "wav", folder)
    names = sorted(path.name for path in folder.iterdir())
    (folder / names[0]).rename(tmp_path / names[0])
    calls = _interrupt_after(monkeypatch, None)
    predict_into(tmp_path, model_path, folder, format="csv,audacity")
    first = (tmp_path / "out" / "chunks.csv").read_text()
    for values in ({"min_probability": "0.9", "format": "raven"}, {"top": 1, "merge_seconds": -1.0}, {"format": "csv"}):
        predict_into(tmp_path, model_path, folder, **values)
    assert (tmp_path / "out" / "chunks.csv").read_text() == first
    shutil.move(tmp_path / names[0], folder)
    (folder / names[1]).unlink()
    predict_into(tmp_path, model_path, folder, format="csv,audacity")
    assert [len(recordings) for recordings in calls] == [17, 0, 0, 0, 1]
    scored = {row["file"] for row in conftest.table(tmp_path / "out" / "recordings.csv")}
    assert scored == set(names) - {names[1]}
    labels = {path.name.removesuffix(".labels.txt") for path in (tmp_path / "out").glob("*.labels.txt")}
    assert labels == {name.removesuffix(".wav") for name in scored}
    predict_into(tmp_path, model_path, folder, embeddings=True)  # the scores hold none yet
    assert len(calls[-1]) == 17 and not list((tmp_path / "out").glob("*.labels.txt"))


def test_a_recording_that_changes_while_it_is_scored_is_told_and_scored_again(
    tmp_path, model_path, data, monkeypatch, caplog
):
    first, other, *_ = sorted((data / "wav").iterdir())
    (tmp_path / "audio").mkdir()
    path = shutil.copy(first, tmp_path / "audio")
    calls, predict_samples = _interrupt_after(monkeypatch, None), saved_model.Model.predict_samples

    def replacing(self, samples, **values):
        if len(calls) == 1:
            shutil.copy(other, path)
        return predict_samples(self, samples, **values)

    monkeypatch.setattr(saved_model.Model, "predict_samples", replacing)
    predict_into(tmp_path, model_path, tmp_path / "audio", embeddings=True)
    notes = conftest.table(tmp_path / "out" / "damaged.csv")
    for _ in range(2):
        predict_into(tmp_path, model_path, tmp_path / "audio", embeddings=True)
    assert [len(recordings) for recordings in calls] == [1, 1, 0]
    assert "the file changed while it was read: score it again" in caplog.text and len(notes) == 1
    assert not (tmp_path / "out" / "damaged.csv").exists()
    predict_into(tmp_path / "fresh", model_path, tmp_path / "audio", embeddings=True)
    for name in ("recordings.csv", "chunks.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "fresh" / "out" / name).read_bytes()


def test_a_folder_of_the_user_is_refused_and_stays(tmp_path, model_path, data):
    of_user = tmp_path / "out" / score_store.FOLDER / "precious"
    of_user.mkdir(parents=True)
    with pytest.raises(config.InputError, match="holds something that is no prediction; name another --output, or"):
        predict_into(tmp_path, model_path, data / "wav")
    assert of_user.exists()


def test_damaged_scores_are_computed_again(tmp_path, model_path, data, monkeypatch):
    calls = _interrupt_after(monkeypatch, 4)
    with pytest.raises(KeyboardInterrupt):
        predict_into(tmp_path, model_path, data / "wav")
    stored = sorted((tmp_path / "out" / score_store.FOLDER).glob("*.npz"))
    stored[0].write_bytes(b"")
    stored[1].write_bytes(stored[1].read_bytes()[:100])
    with pytest.raises(KeyboardInterrupt):
        predict_into(tmp_path, model_path, data / "wav")
    assert [len(recordings) for recordings in calls] == [18, 16]


def test_stored_scores_are_loaded_as_they_were(tmp_path, attention_model_path, data):
    ensemble, path = ensembles.Ensemble([attention_model_path]), str(sorted((data / "wav").iterdir())[0])
    store = score_store.ScoreStore(str(tmp_path), ensemble, decode.ChunkingConfig(), decode.ChunkingConfig())
    [scored] = scoring.score_recordings(ensemble, [("1", path)], decode.ChunkingConfig())
    store.open()
    assert not store.has("1", path)
    store.save("1", scored.scores)
    assert store.has("1", path) and not store.has("2", path)
    loaded = store.load("1", path)
    for name, expected in vars(scored.scores).items():
        if name != "embeddings":  # they have a store of their own
            np.testing.assert_array_equal(getattr(loaded, name), expected, err_msg=name)
    assert loaded.sample_rate_hz == soundfile.info(path).samplerate
    store.remove_if_empty()
    assert len(list((tmp_path / score_store.FOLDER).glob("*.npz"))) == 1


def test_an_ensemble_with_other_weights_is_scored_again(
    tmp_path, model_path, attention_model_path, manifest, data, monkeypatch, caplog
):
    models = [model_path, attention_model_path]
    (tmp_path / "audio").mkdir()
    shutil.copy(sorted((data / "wav").iterdir())[0], tmp_path / "audio")
    monkeypatch.setattr(tf.saved_model, "load", functools.cache(tf.saved_model.load))
    calls, tables = _interrupt_after(monkeypatch, None), []
    decided = decisions.neutral(manifest.classes, 2, "mean")
    for weights in ((0.5, 0.5), (0.25, 0.75), (0.25, 0.75)):
        decisions.save(str(tmp_path / "d.json"), dataclasses.replace(decided, weights=weights), manifest.classes)
        predict_into(tmp_path, models, tmp_path / "audio", decisions=tmp_path / "d.json")
        tables.append((tmp_path / "out" / "chunks.csv").read_text())
    assert [len(recordings) for recordings in calls] == [1, 1, 0]
    assert tables[0] != tables[1] == tables[2]
    assert "the weights of the models are others now, so what the prediction has kept there is made anew" in caplog.text


def _decide(model, **values):
    """Gives a model this context."""
    path, ensemble = os.path.join(model, decisions.ASSET), ensembles.Ensemble([model])
    decided = dataclasses.replace(ensemble.decisions, context=context.Context(**values))
    decisions.save(path, decided, ensemble.classes)


def test_scores_that_the_decisions_have_outdated_are_made_anew(tmp_path, model_path, data, monkeypatch, caplog):
    model = str(shutil.copytree(model_path, tmp_path / "model"))
    (tmp_path / "audio").mkdir()
    for path in sorted((data / "wav").iterdir())[:2]:
        shutil.copy(path, tmp_path / "audio")
    calls = _interrupt_after(monkeypatch, None)
    monkeypatch.setattr(tf.saved_model, "load", functools.cache(tf.saved_model.load))  # only its decisions change
    now, shifted = score_store._SHIFTED, {"shifted": True}
    for values, noted in (({}, now), (shifted, True), (shifted, now), ({**shifted, "smoothing": 0.2}, now), ({}, now)):
        monkeypatch.setattr(score_store, "_SHIFTED", noted)  # True: of an earlier version
        _decide(model, **values)
        predict_into(tmp_path, model, tmp_path / "audio")
    assert [len(recordings) for recordings in calls] == [2, 2, 2, 0, 2]
    assert "shifted chunks lie between all chunks now" in caplog.text
    assert "decisions need shifted chunks now, so what the prediction has kept there is made anew" in caplog.text
    assert "decisions no longer need shifted chunks" in caplog.text
    predict_into(tmp_path / "fresh", model, tmp_path / "audio")
    for name in ("recordings.csv", "chunks.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "fresh" / "out" / name).read_bytes()
    _decide(model, shifted=True)
    with pytest.raises(config.InputError, match=r"--overlap_seconds was 0\.0, is 0\.2"):  # the user asks for it
        predict_into(tmp_path, model, tmp_path / "audio", overlap_seconds=0.2)


def test_after_a_tuning_only_the_tables_are_made_anew(tmp_path, model_path, data, monkeypatch):
    model = str(shutil.copytree(model_path, tmp_path / "model"))
    (tmp_path / "audio").mkdir()
    shutil.copy(sorted((data / "wav").iterdir())[0], tmp_path / "audio")
    calls = _interrupt_after(monkeypatch, None)
    predict_into(tmp_path, model, tmp_path / "audio", embeddings=True)
    before = (tmp_path / "out" / "chunks.csv").read_text()
    tuned = ensembles.Ensemble([model])
    chunk = dataclasses.replace(tuned.decisions.chunk, slope=2.0, intercept=-1.0)
    tuned.decisions = dataclasses.replace(tuned.decisions, chunk=chunk)
    stored_decisions.store(tuned, str(tmp_path / "tuned"), [model])
    predict_into(tmp_path, model, tmp_path / "audio", embeddings=True)
    assert [len(recordings) for recordings in calls] == [1, 0]
    assert (tmp_path / "out" / "chunks.csv").read_text() != before

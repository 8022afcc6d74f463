import csv
import shutil

import numpy as np
import pytest
import soundfile

from bird_tf import audio, config, pooling, predict
from tests.conftest import settings, train_settings


@pytest.fixture(scope="module")
def other_model_path(manifest, tmp_path_factory):
    """A second model of the same records."""
    from bird_tf import train

    run_dir = tmp_path_factory.mktemp("runs") / "other"
    train.train(train_settings(manifest, run_dir, seed=1, epochs=1, loss="sigmoid"))
    return str(run_dir / "export")


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
    ids = manifest.classes.class_ids
    for row in recordings:
        own = np.array([[float(c[i]) for i in ids] for c in chunks if c["recording_id"] == row["recording_id"]])
        pooled = [float(row[i]) for i in ids]
        np.testing.assert_allclose(pooled, pooling.pool(own, summary["pooling"]), atol=1e-5)
        assert row["best"] == ids[int(np.argmax(pooled))]
        assert 0 <= float(chunks[0]["start_seconds"]) < float(chunks[0]["end_seconds"]) <= float(row["seconds"]) + 1


def test_scores_do_not_depend_on_batch_or_company(tmp_path, model_path, data, monkeypatch):
    path = sorted((data / "wav").iterdir())[4]
    _predict(tmp_path / "many", model_path, data / "wav")
    _predict(tmp_path / "one", model_path, path)
    monkeypatch.setattr(predict, "BATCH_SIZE", 3)
    _predict(tmp_path / "small", model_path, path)
    [one] = _rows(tmp_path / "one" / "out" / "recordings.csv")
    [small] = _rows(tmp_path / "small" / "out" / "recordings.csv")
    [many] = [
        r for r in _rows(tmp_path / "many" / "out" / "recordings.csv") if r["recording_id"] == one["recording_id"]
    ]
    names = [name for name in one if name not in ("recording_id", "file", "best")]
    for other in (many, small):
        np.testing.assert_allclose([float(one[n]) for n in names], [float(other[n]) for n in names], atol=1e-5)


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


def test_an_ensemble_is_the_mean_of_its_members(model_path, other_model_path, data):
    path = str(sorted((data / "wav").iterdir())[0])
    chunking = audio.ChunkingConfig(overlap_seconds=0.25)
    first, second, both = (
        predict.Ensemble(members).score(path, chunking).probabilities
        for members in ([model_path], [other_model_path], [model_path, other_model_path])
    )
    assert not np.allclose(first, second)
    np.testing.assert_allclose(both, (first + second) / 2, atol=1e-6)


def test_chunk_scores_on_other_times_are_weighted_by_what_they_share():
    scores = predict.Scores(
        path="", duration_seconds=4.0, start_seconds=np.array([0.0, 2.0]), end_seconds=np.array([2.0, 4.0]),
        probabilities=np.array([[0.2], [0.8]]),
    )  # fmt: skip
    start, end = np.array([0.0, 1.0, 1.5, 9.0]), np.array([1.0, 3.0, 4.0, 10.0])
    np.testing.assert_allclose(predict.align(scores, start, end)[:, 0], [0.2, 0.5, 0.2 * 0.2 + 0.8 * 0.8, 0.8])
    same = predict.align(scores, scores.start_seconds, scores.end_seconds)
    np.testing.assert_allclose(same, scores.probabilities)


def test_detections_reach_the_threshold_in_every_format(tmp_path, model_path, data, manifest):
    path = sorted((data / "wav").iterdir())[0]
    _predict(tmp_path, model_path, path, format="csv,raven,audacity,kaleidoscope", min_probability=0.15)
    out = tmp_path / "out"
    expected = [
        (float(row["start_seconds"]), manifest.classes.names[i])
        for row in _rows(out / "chunks.csv")
        for i, class_id in enumerate(manifest.classes.class_ids)
        if float(row[class_id]) >= 0.15
    ]
    assert expected
    recording_id = path.stem.removeprefix("DEMO_RN")
    with open(out / f"{recording_id}.Table.1.selections.txt", newline="") as file:
        raven = list(csv.DictReader(file, delimiter="\t"))
    assert [(float(r["Begin Time (s)"]), r["Species"]) for r in raven] == expected
    assert [int(r["Selection"]) for r in raven] == list(range(1, len(raven) + 1))
    labels = [line.split("\t") for line in (out / f"{recording_id}.labels.txt").read_text().splitlines()]
    assert [(float(start), text.rsplit(" ", 1)[0]) for start, _, text in labels] == expected
    kaleidoscope = _rows(out / "kaleidoscope.csv")
    assert [(float(r["OFFSET"]), r["TOP1MATCH"]) for r in kaleidoscope] == expected
    assert {r["IN FILE"] for r in kaleidoscope} == {path.name}


def test_what_is_no_model_is_refused_with_a_hint(tmp_path, run_dir):
    with pytest.raises(config.InputError, match=r"did you mean .*/export\?"):
        predict.Model(str(run_dir))
    with pytest.raises(config.InputError, match="not an exported model"):
        predict.Model(str(tmp_path))


def test_models_of_other_classes_cannot_vote_together(tmp_path, model_path):
    other = shutil.copytree(model_path, tmp_path / "other")
    table = other / "assets" / "classes.csv"
    table.write_text(table.read_text().replace("fistul", "strang"))
    with pytest.raises(config.InputError, match="cannot vote together"):
        predict.Ensemble([model_path, str(other)])


def test_another_order_of_classes_is_put_right(tmp_path, model_path, data):
    other = shutil.copytree(model_path, tmp_path / "other")
    table = other / "assets" / "classes.csv"
    head, *rows = table.read_text().splitlines()
    turned = [f"{i},{row.split(',', 1)[1]}" for i, row in enumerate(rows[::-1])]
    table.write_text("\n".join([head, *turned]) + "\n")
    path = str(sorted((data / "wav").iterdir())[0])
    plain = predict.Ensemble([model_path]).score(path, audio.ChunkingConfig()).probabilities
    mixed = predict.Ensemble([model_path, str(other)]).score(path, audio.ChunkingConfig()).probabilities
    np.testing.assert_allclose(mixed, (plain + plain[:, ::-1]) / 2, atol=1e-6)


@pytest.mark.parametrize("values", [{"format": "csv,xls"}, {"pooling": "best"}])
def test_bad_flags_are_refused(tmp_path, model_path, data, values):
    with pytest.raises(config.InputError, match=f"--{next(iter(values))}="):
        _predict(tmp_path, model_path, data / "wav", **values)


def test_equal_names_in_two_folders_stay_two_recordings(tmp_path):
    for name in ("a/1.wav", "b/1.wav"):
        (tmp_path / name).parent.mkdir()
        soundfile.write(tmp_path / name, [0.0], 8000)
    found = predict.find_recordings(str(tmp_path))
    assert len({recording_id for recording_id, _ in found}) == 2

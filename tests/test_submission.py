import json
import shutil

import numpy as np
import pytest
import soundfile

import bird_tf
from bird_tf import config, submission
from bird_tf.inference import saved_model, scoring
from bird_tf.labels import taxonomy
from bird_tf.records import recordings_table
from bird_tf.submissions import run_files
from tests.conftest import settings, with_free_classes

TASKS = ("monophone", "soundscape")


def _write(tmp_path, model_path, folder, **values):
    return submission.write_run(
        settings(
            submission.SubmissionConfig,
            **{"model": [model_path], "audio": folder, "output": tmp_path / "run.txt", **values},
        )
    )


def _lines(tmp_path):
    return (tmp_path / "run.txt").read_text().splitlines()


@pytest.mark.parametrize("task", TASKS)
def test_runs_of_real_scores_are_valid_and_complete(task, model_path, data, tmp_path):
    summary = _write(tmp_path, model_path, data / "wav", task=task)
    lines = _lines(tmp_path)
    assert list(run_files.errors(lines, task)) == []
    assert len({line.split(";")[0] for line in lines}) == summary["num_recordings"] == 18
    assert json.loads((tmp_path / "run.txt.json").read_text()) == summary
    assert {"flags", "versions", "fingerprints", "decisions_digest"} <= summary.keys()


def test_a_file_that_is_no_run_of_a_submission_is_not_replaced(model_path, data, tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "_run_file", lambda *_: ("1;aaaaaa;0.5;1\n", {"task": "monophone", "num_items": 1}))
    path = tmp_path / "run.txt"
    path.write_text("mine")
    with pytest.raises(config.InputError, match=r"run\.txt is there already, and is not of a submission"):
        _write(tmp_path, model_path, data / "wav")
    assert path.read_text() == "mine"
    path.unlink()
    for _ in range(2):
        _write(tmp_path, model_path, data / "wav")
    assert path.read_text() == "1;aaaaaa;0.5;1\n"


@pytest.mark.parametrize("task", TASKS)
def test_attention_pools_recordings_and_segments(task, attention_model_path, model_path, data, tmp_path):
    _write(tmp_path, attention_model_path, data / "wav", task=task, pooling="attention")
    lines = _lines(tmp_path)
    assert list(run_files.errors(lines, task)) == []
    _write(tmp_path, attention_model_path, data / "wav", task=task, pooling="mean")
    assert lines != _lines(tmp_path)
    with pytest.raises(config.InputError, match=r"--pooling=attention: .* gives no attention"):
        _write(tmp_path, model_path, data / "wav", task=task, pooling="attention")


@pytest.mark.parametrize(("seconds", "segments"), [(0.3, 1), (4.99, 1), (5.0, 1), (5.01, 2), (12.2, 3)])
@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_no_segment_is_missing_in_a_run(model_path, tmp_path, generator, seconds, segments, overlap):
    folder = tmp_path / "audio"
    folder.mkdir()
    soundfile.write(folder / "S_RN7.wav", generator.normal(0, 0.1, round(seconds * 22050)), 22050)
    _write(tmp_path, model_path, folder, task="soundscape", overlap_seconds=overlap)
    spans = sorted({line.split(";")[1] for line in _lines(tmp_path)})
    assert spans == [f"00:00:{5 * i:02d}-00:00:{5 * i + 5:02d}" for i in range(segments)]


@pytest.mark.parametrize(("task", "overlap"), [("monophone", 0.0), ("soundscape", 0.5)])
def test_chunks_overlap_by_half_for_segments_only(task, overlap, model_path, tmp_path, generator):
    folder = tmp_path / "audio"
    folder.mkdir()
    soundfile.write(folder / "S_RN7.wav", generator.normal(0, 0.1, 22050 * 7), 22050)
    _write(tmp_path, model_path, folder, task=task)
    lines = _lines(tmp_path)
    for asked in (0.0, 0.5):
        _write(tmp_path, model_path, folder, task=task, overlap_seconds=asked)
        assert (_lines(tmp_path) == lines) == (asked == overlap)


@pytest.mark.parametrize("task", TASKS)
def test_the_run_of_an_ensemble_is_valid_and_holds_the_mean(task, model_path, data, tmp_path):
    """An ensemble of equal models must give the run of one model."""
    folder = tmp_path / "audio"
    folder.mkdir()
    for path in sorted((data / "wav").iterdir())[:3]:
        shutil.copy(path, folder)
    _write(tmp_path, model_path, folder, task=task, overlap_seconds=0.4)
    one = _lines(tmp_path)
    _write(tmp_path, model_path, folder, task=task, overlap_seconds=0.4, model=[model_path, model_path])
    assert _lines(tmp_path) == one
    assert list(run_files.errors(one, task)) == []


def test_an_unreadable_soundscape_gets_each_segment_of_its_header(model_path, tmp_path, generator):
    folder = tmp_path / "audio"
    folder.mkdir()
    samples = generator.normal(0, 0.1, 22050 * 13).astype(np.float32)
    soundfile.write(folder / "good_RN1.wav", samples, 22050)
    samples[:] = np.inf
    soundfile.write(folder / "broken_RN2.wav", samples, 22050, subtype="FLOAT")
    assert len(_write(tmp_path, model_path, folder, task="soundscape")["broken"]) == 1
    spans = {line.split(";")[1] for line in _lines(tmp_path) if line.startswith("2;")}
    assert len(spans) == 3


def test_a_soundscape_that_is_cut_off_gets_each_segment_of_its_header(model_path, tmp_path, generator):
    folder = tmp_path / "audio"
    folder.mkdir()
    for number, suffix in enumerate(("flac", "wav", "aiff"), 1):
        path = folder / f"cut_RN{number}.{suffix}"
        soundfile.write(path, generator.normal(0, 0.1, 22050 * 13), 22050)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 3])
    assert _write(tmp_path, model_path, folder, task="soundscape")["broken"] == []
    assert len({tuple(line.split(";")[:2]) for line in _lines(tmp_path)}) == 3 * 3


@pytest.mark.parametrize("task", TASKS)
def test_an_unreadable_recording_gets_the_training_prior(task, model_path, data, manifest, tmp_path):
    folder = shutil.copytree(data / "wav", tmp_path / "audio")
    (folder / "X_RN999.wav").write_bytes(b"broken")
    summary = _write(tmp_path, model_path, folder, task=task)
    assert [path.rsplit("/", 1)[1] for path in summary["broken"]] == ["X_RN999.wav"]
    own = [line.split(";") for line in _lines(tmp_path) if line.startswith("999;")]
    found = {f[-3]: float(f[-2]) for f in own} if task == "monophone" else {f[-2]: float(f[-1]) for f in own}
    labels = [r.label for r in recordings_table.read(manifest.directory) if r.split == "train"]
    classes = manifest.classes.class_ids
    assert found == pytest.approx({c: (labels.count(c) + 1) / (len(labels) + len(classes)) for c in classes})


@pytest.mark.parametrize("task", TASKS)
def test_species_outside_of_the_list_get_probability_zero(task, model_path, data, manifest, tmp_path):
    listed = manifest.classes.class_ids[:2]
    (tmp_path / "list.txt").write_text("\n".join(listed))
    summary = _write(tmp_path, model_path, data / "wav", task=task, species_list=tmp_path / "list.txt")
    assert "list.txt" in summary["expected"]
    fields = [line.split(";") for line in _lines(tmp_path)]
    scored = {f[1] if task == "monophone" else f[2] for f in fields if float(f[2 if task == "monophone" else 3]) > 0}
    assert scored == set(listed)


def test_an_invalid_run_is_not_written(model_path, data, tmp_path, monkeypatch):
    monkeypatch.setattr(run_files, "monophone_lines", lambda media_id, scores, classes: [f"{media_id};x;0.5;1"])
    with pytest.raises(RuntimeError, match="would break a rule"):
        _write(tmp_path, model_path, data / "wav")
    assert not (tmp_path / "run.txt").exists()


def test_check_run_names_file_line_and_the_number_of_errors(tmp_path):
    (tmp_path / "run.txt").write_text("\n".join(["1;aaaaaa;2;1", "1;bbbbbb;x;2"]) + "\n")
    with pytest.raises(config.InputError, match=r"run\.txt, line 1: .*\(and 1 more\)"):
        submission.check_run(settings(submission.SubmissionConfig, validate=tmp_path / "run.txt"))


@pytest.mark.parametrize("flags", [{"occurrence": "o"}, {"audio": "a"}, {"output": "o"}, {"overlap_seconds": 1.5}])
def test_flags_that_a_check_does_not_use_are_refused(flags):
    used = {"validate": "run.txt", "model": ["m"], "task": "kaggle", "class_ids": "c", "sample_submission": "s"}
    settings(submission.SubmissionConfig, **used)
    with pytest.raises(config.InputError, match=f"--{next(iter(flags))} with --validate has no effect"):
        settings(submission.SubmissionConfig, **used, **flags)


def test_a_run_is_never_written_over_a_folder(model_path, data, tmp_path):
    (tmp_path / "mine" / "precious").mkdir(parents=True)
    with pytest.raises(config.InputError, match="mine is a folder; name a file"):
        _write(tmp_path, model_path, data / "wav", output=tmp_path / "mine")
    assert (tmp_path / "mine" / "precious").exists()


def test_a_csv_gives_place_and_time_as_in_predict(model_path, data, manifest, tmp_path):
    ids = manifest.classes.class_ids
    rows = [f"{path.name},50.8,12.9" for path in sorted((data / "wav").iterdir())]
    (tmp_path / "about.csv").write_text("\n".join(["filename,latitude,longitude", *rows]) + "\n")
    (tmp_path / "t.csv").write_text(
        f"latitude,longitude,week,class_id,frequency\n50.8,12.9,,{ids[0]},0.5\n-50,0,,{ids[1]},0.5\n"
    )
    _write(tmp_path, model_path, data / "wav", occurrence=tmp_path / "t.csv", metadata=tmp_path / "about.csv")
    first = [line.split(";") for line in _lines(tmp_path) if line.endswith(";1")]
    assert len(first) == 18 and {class_id for _, class_id, _, _ in first} == {ids[0]}


def _with_classes(model_path, tmp_path, ids):
    """The model, with these ids for its first classes."""
    model = with_free_classes(shutil.copytree(model_path, tmp_path / "model"))
    classes = taxonomy.load(f"{model}/assets/classes.csv")
    ids = (*ids, *classes.class_ids[len(ids) :])
    taxonomy.save(f"{model}/assets/classes.csv", taxonomy.Taxonomy(ids, classes.names))
    return str(model), ids


def test_ids_that_a_run_cannot_hold_are_refused_before_the_scoring_or_mapped(model_path, data, tmp_path, monkeypatch):
    model, ids = _with_classes(model_path, tmp_path, ("Parus major", "a;b"))
    with monkeypatch.context() as patch, pytest.raises(config.InputError, match=r"'Parus major' \(and 1 more\)"):
        patch.setattr(scoring, "score_recordings", None)
        _write(tmp_path, model, data / "wav")
    (tmp_path / "ids.csv").write_text("class_id,run_id\nParus major,parmaj\na;b,aaabbb\n")
    _write(tmp_path, model, data / "wav", class_ids=tmp_path / "ids.csv")
    assert {line.split(";")[1] for line in _lines(tmp_path)} == {"parmaj", "aaabbb", *ids[2:]}
    check = {"validate": tmp_path / "run.txt", "model": [model], "class_ids": tmp_path / "ids.csv"}
    assert bird_tf.submission(**check) == {"num_lines": len(_lines(tmp_path))}


def test_a_kaggle_submission_has_the_columns_of_the_sample_and_the_scores_of_segments(
    model_path, data, tmp_path, generator
):
    folder, sample = tmp_path / "audio", tmp_path / "sample.csv"
    folder.mkdir()
    soundfile.write(folder / "soundscape_8.wav", generator.normal(0, 0.1, 22050 * 12), 22050)
    (folder / "soundscape_9.wav").write_bytes(b"broken")
    classes = saved_model.Model(model_path).classes.class_ids
    sample.write_text(f"row_id,{classes[1]},new,{classes[0]}\nsoundscape_1_5,0,0,0\n")
    flags = {"task": "kaggle", "sample_submission": sample, "overlap_seconds": 0.5}
    assert len(_write(tmp_path, model_path, folder, **flags)["broken"]) == 1
    rows = [line.split(",") for line in _lines(tmp_path)]
    assert rows[0] == ["row_id", classes[1], "new", classes[0]]
    assert [row[0] for row in rows[1:]] == [*(f"soundscape_8_{end}" for end in (5, 10, 15)), "soundscape_9_5"]
    check = settings(
        submission.SubmissionConfig, validate=tmp_path / "run.txt", task="kaggle", sample_submission=sample
    )
    assert submission.check_run(check) == 5
    _write(tmp_path, model_path, folder, task="soundscape", overlap_seconds=0.5)
    of_2018 = {
        tuple(line.split(";")[1:3]): line.split(";")[3] for line in _lines(tmp_path) if line.startswith("soundscape_8")
    }
    for row, span in zip(rows[1:4], ("00:00:00-00:00:05", "00:00:05-00:00:10", "00:00:10-00:00:15"), strict=True):
        assert [row[1], row[3]] == [of_2018[span, classes[1]], of_2018[span, classes[0]]]
    sample.write_text("row_id,x,y\n")
    with pytest.raises(config.InputError, match="none of its 2 columns is a class of the model"):
        _write(tmp_path, model_path, folder, **flags)


@pytest.mark.parametrize("task", submission.TASKS)
def test_recordings_that_do_not_fit_into_the_budget_get_the_training_prior(task, model_path, data, tmp_path):
    summary = _write(tmp_path, model_path, data / "wav", task=task, max_minutes=1e-6)
    assert len(summary["unscored"]) == 17 and summary["num_recordings"] == 18
    with pytest.raises(config.InputError, match="--sample_submission with --task=monophone has no effect"):
        settings(submission.SubmissionConfig, sample_submission="x.csv")

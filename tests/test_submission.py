import json
import shutil

import numpy as np
import pytest
import soundfile

from bird_tf import config, submission
from bird_tf.labels import taxonomy
from bird_tf.records import recordings_table
from tests.conftest import settings

CLASSES = taxonomy.Taxonomy(("aaaaaa", "bbbbbb", "cccccc"), ("A", "B", "C"))


def _write(tmp_path, model_path, folder, **values):
    return submission.write_run(
        settings(
            submission.SubmissionConfig,
            **{"model": [model_path], "audio": folder, "output": tmp_path / "run.txt", **values},
        )
    )


def _lines(tmp_path):
    return (tmp_path / "run.txt").read_text().splitlines()


def test_monophone_lines_have_the_format_of_the_task():
    assert submission.monophone_lines("42", np.array([0.25, 0.5, 0.0]), CLASSES) == [
        "42;bbbbbb;0.5000000000;1",
        "42;aaaaaa;0.2500000000;2",
        "42;cccccc;0.0000000000;3",
    ]


def test_soundscape_lines_have_the_format_of_the_task():
    scores = np.zeros((721, 3))
    scores[720, 1] = 1e-7
    lines = submission.soundscape_lines("9", scores, CLASSES)
    assert lines[0] == "9;00:00:00-00:00:05;aaaaaa;0.0000000000"
    assert lines[-3] == "9;01:00:00-01:00:05;bbbbbb;0.0000001000"


def test_a_recording_or_segment_has_at_most_a_hundred_lines():
    many = taxonomy.Taxonomy(tuple(f"c{i}" for i in range(150)), ("",) * 150)
    lines = submission.monophone_lines("1", np.linspace(0, 1, 150), many)
    assert len(lines) == 100 and lines[0].startswith("1;c149;") and lines[-1].endswith(";100")
    assert len(submission.soundscape_lines("1", np.zeros((2, 150)), many)) == 200


@pytest.mark.parametrize("task", submission.TASKS)
def test_runs_of_real_scores_are_valid_and_complete(task, model_path, data, tmp_path):
    summary = _write(tmp_path, model_path, data / "wav", task=task)
    lines = _lines(tmp_path)
    assert list(submission.errors(lines, task)) == []
    assert len({line.split(";")[0] for line in lines}) == summary["num_recordings"] == 18
    assert json.loads((tmp_path / "run.txt.json").read_text()) == summary


@pytest.mark.parametrize("task", submission.TASKS)
def test_attention_pools_recordings_and_segments(task, attention_model_path, model_path, data, tmp_path):
    _write(tmp_path, attention_model_path, data / "wav", task=task, pooling="attention")
    lines = _lines(tmp_path)
    assert list(submission.errors(lines, task)) == []
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


@pytest.mark.parametrize("task", submission.TASKS)
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
    assert list(submission.errors(one, task)) == []


def test_an_unreadable_soundscape_gets_each_segment_of_its_header(model_path, tmp_path, generator):
    folder = tmp_path / "audio"
    folder.mkdir()
    samples = generator.normal(0, 0.1, 22050 * 13).astype(np.float32)
    soundfile.write(folder / "good_RN1.wav", samples, 22050)
    samples[-1] = np.inf
    soundfile.write(folder / "broken_RN2.wav", samples, 22050, subtype="FLOAT")
    assert len(_write(tmp_path, model_path, folder, task="soundscape")["broken"]) == 1
    spans = {line.split(";")[1] for line in _lines(tmp_path) if line.startswith("2;")}
    assert len(spans) == 3


@pytest.mark.parametrize("task", submission.TASKS)
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


@pytest.mark.parametrize("task", submission.TASKS)
def test_species_outside_of_the_list_get_probability_zero(task, model_path, data, manifest, tmp_path):
    listed = manifest.classes.class_ids[:2]
    (tmp_path / "list.txt").write_text("\n".join(listed))
    summary = _write(tmp_path, model_path, data / "wav", task=task, species_list=tmp_path / "list.txt")
    assert "list.txt" in summary["expected"]
    fields = [line.split(";") for line in _lines(tmp_path)]
    scored = {f[1] if task == "monophone" else f[2] for f in fields if float(f[2 if task == "monophone" else 3]) > 0}
    assert scored == set(listed)


def test_media_id_comes_from_name_then_xml_then_stem(tmp_path):
    folder, xml = tmp_path / "wav", tmp_path / "xml"
    folder.mkdir()
    xml.mkdir()
    for name in ("LIFECLEF2017_BIRD_XC_WAV_RN12.wav", "soundscape.wav", "bare.wav"):
        soundfile.write(folder / name, [0.0], 8000)
    (xml / "whatever.xml").write_text("<Audio><MediaId>77</MediaId><FileName>soundscape.wav</FileName></Audio>")
    found = {path.rsplit("/", 1)[1]: media_id for media_id, path in submission.find_media_ids(str(folder), str(xml))}
    assert found == {"LIFECLEF2017_BIRD_XC_WAV_RN12.wav": "12", "soundscape.wav": "77", "bare.wav": "bare"}


@pytest.mark.parametrize(("names", "words"), [(("a_RN1.wav", "b_RN1.wav"), "MediaId 1"), (("a b.wav",), "no blank")])
def test_invalid_media_ids_are_refused(tmp_path, names, words):
    for name in names:
        soundfile.write(tmp_path / name, [0.0], 8000)
    with pytest.raises(config.InputError, match=words):
        submission.find_media_ids(str(tmp_path), "")


GOOD = ["1;aaaaaa;0.9000000000;1", "1;bbbbbb;0.1000000000;2", "2;aaaaaa;0.5000000000;1"]
GOOD_SOUNDSCAPE = ["1;00:00:00-00:00:05;aaaaaa;0.9", "1;00:00:05-00:00:10;aaaaaa;0.1"]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("1;aaaaaa;0.9", "3 fields"),
        ("1; aaaaaa;0.9;1", "blanks"),
        (";aaaaaa;0.9;1", "MediaId is empty"),
        ("1;aaaa;0.9;1", "six lower-case letters"),
        ("1;aaaaaa;9e-1;1", "fixed-point"),
        ("1;aaaaaa;nan;1", "fixed-point"),
        ("1;aaaaaa;1.5;1", "fixed-point"),
        ("1;aaaaaa;0.9;2", "rank '2', expected 1"),
    ],
)
def test_errors_name_line_and_rule(line, rule):
    [first, *_] = list(submission.errors([line, *GOOD[1:]], "monophone"))
    assert first.startswith("line 1: ") and rule in first


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("1;00:00:00-00:00:06;aaaaaa;0.9", "5 seconds"),
        ("1;00:00:01-00:00:06;aaaaaa;0.9", "multiple of 5"),
        ("1;0:00:00-0:00:05;aaaaaa;0.9", "hh:mm:ss"),
        ("1;00:00:10-00:00:15;aaaaaa;0.9", "00:00:00-00:00:05 is missing"),
        ("1;00:00:05-00:00:10;aaaaaa;0.9", "twice"),
    ],
)
def test_errors_of_soundscape_runs_name_the_rule(line, rule):
    found = list(submission.errors([line, *GOOD_SOUNDSCAPE[1:]], "soundscape"))
    assert any(rule in error for error in found)


def test_rules_about_all_lines_of_a_recording():
    assert list(submission.errors(GOOD, "monophone")) == []
    assert list(submission.errors(GOOD_SOUNDSCAPE, "soundscape")) == []
    twice = ["1;aaaaaa;0.9;1", "1;aaaaaa;0.8;2"]
    assert "twice" in next(submission.errors(twice, "monophone"))
    rising = ["1;aaaaaa;0.1;1", "1;bbbbbb;0.8;2"]
    assert "rises" in next(submission.errors(rising, "monophone"))
    gap = ["1;aaaaaa;0.9;1", "1;bbbbbb;0.8;3"]
    assert "rank '3', expected 2" in next(submission.errors(gap, "monophone"))
    many = [f"1;{'abcdefghij'[i // 26]}aaaa{chr(97 + i % 26)};0.5;{i + 1}" for i in range(101)]
    assert "more than 100" in next(submission.errors(many, "monophone"))
    assert "no class of the model" in next(submission.errors(GOOD, "monophone", class_ids=["aaaaaa"]))


def test_a_byte_order_mark_is_an_error():
    assert list(submission.errors(["\ufeff1;aaaaaa;0.5;1"], "monophone")) == ["line 1: begins with a byte order mark"]


def test_missing_and_additional_recordings_are_named():
    assert list(submission.errors(GOOD, "monophone", media_ids=["1", "2"])) == []
    assert "3 lacks 1" in next(submission.errors(GOOD, "monophone", media_ids=["1", "2", "3"]))
    assert "2 has 1" in next(submission.errors(GOOD, "monophone", media_ids=["1"]))
    assert "1 lacks 1" in next(submission.errors(GOOD_SOUNDSCAPE, "soundscape", media_ids=["1", "1", "1"]))


def test_an_invalid_run_is_not_written(model_path, data, tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "monophone_lines", lambda media_id, scores, classes: [f"{media_id};x;0.5;1"])
    with pytest.raises(RuntimeError, match="would break a rule"):
        _write(tmp_path, model_path, data / "wav")
    assert not (tmp_path / "run.txt").exists()


def test_check_run_names_file_line_and_the_number_of_errors(tmp_path):
    (tmp_path / "run.txt").write_text("\n".join(["1;aaaaaa;2;1", "1;bbbbbb;x;2"]) + "\n")
    with pytest.raises(config.InputError, match=r"run\.txt, line 1: .*\(and 1 more\)"):
        submission.check_run(settings(submission.SubmissionConfig, validate=tmp_path / "run.txt"))


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

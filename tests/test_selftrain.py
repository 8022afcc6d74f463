"""The command, with trainings of seconds."""

import dataclasses
import json
import logging
import os
import shutil

import pytest

from bird_tf import config, selftrain
from bird_tf.inference import ensembles, leaks
from bird_tf.records import manifests, recordings_table
from bird_tf.training import run_directory
from tests import conftest


def _settings(manifest, model_path, unlabelled, run_dir, **values):
    return conftest.settings(
        selftrain.SelfTrainConfig, records=manifest.directory, run_dir=run_dir, threads=1,
        **{"teacher": [model_path], "unlabelled": unlabelled, "architecture": "baseline", "filters": [4, 8],
           "epochs": 1, "batch_size": 8, "rounds": 1, "workers": 1, "least_total_label": 0.01, "num_mixtures": 1,
           **values},
    )  # fmt: skip


@pytest.fixture
def unlabelled(data, tmp_path):
    """Five recordings, one of them a validation recording, and a damaged one."""
    folder = tmp_path / "unlabelled"
    folder.mkdir()
    for number, path in enumerate(sorted((data / "wav").iterdir())[:5]):
        (folder / f"{number}.wav").write_bytes(path.read_bytes())
    (folder / "broken.wav").write_bytes(b"x")
    return folder


def test_a_round_is_a_run_its_table_tells_the_metrics_and_the_better_model_is_kept(
    manifest, model_path, unlabelled, tmp_path, caplog, monkeypatch
):
    settings = _settings(manifest, model_path, unlabelled, tmp_path / "run")
    selftrain.main(settings)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    rows = conftest.table(tmp_path / "run" / "rounds.csv")
    assert [row["round"] for row in rows] == ["0", "1"] and all(0 <= float(row["cmap"]) <= 1 for row in rows)
    values = [float(row["cmap"]) + float(row["mlrap"]) for row in rows]
    winner = values.index(max(values))
    assert summary["winner"] == winner and summary["gained"] == bool(winner)
    best = [model_path, str(tmp_path / "run" / "round-1" / "export")][winner]
    kept, own = (ensembles.Ensemble([path]).models[0] for path in (summary["export"], best))
    assert kept.fingerprint == own.fingerprint
    made = manifests.load(str(tmp_path / "run" / "unlabelled"))
    # a fifth is for the mixtures alone
    assert made.num_recordings["noise"] == 3 and made.num_chunks("noise") == summary["num_unlabelled_chunks"] > 3
    skipped = {os.path.basename(row["file"]): row["reason"] for row in conftest.table(tmp_path / "run" / "skipped.csv")}
    assert {*skipped} == {"3.wav", "broken.wav"} and "judged by it" in skipped["3.wav"]
    # the student knows whom it has heard
    learnt = leaks.learnt_by(str(tmp_path / "run" / "round-1" / "export"))
    heard = {r.recording_id for r in recordings_table.training(made, with_noise=True)}
    assert len(heard) == 3 and heard <= {recording for recording, _, _ in learnt.rows}
    run = run_directory.load_description(str(tmp_path / "run" / "round-1"))
    assert run.training["pseudo_labels"].endswith("labels-1") and run.training["teacher"] == []

    # the same command does no work again; with other flags it is refused
    monkeypatch.setattr(selftrain.conversion, "convert_unlabelled", None)
    monkeypatch.setattr(selftrain.gate.soundscapes, "evaluate", None)
    with caplog.at_level(logging.INFO, "absl"):
        selftrain.main(settings)
    assert ("no round is better" in caplog.text) == (winner == 0)  # which is no error
    with pytest.raises(config.InputError, match="--least_total_label was"):
        selftrain.selftrain(_settings(manifest, model_path, unlabelled, tmp_path / "run", least_total_label=0.02))


@pytest.mark.slow
def test_without_a_gate_the_last_round_is_kept(manifest, model_path, unlabelled, tmp_path):
    settings = _settings(manifest, model_path, unlabelled, tmp_path / "run", gate=False, keep="last", refit=True)
    summary = selftrain.selftrain(settings)
    assert summary["winner"] == 1 and summary["rounds"][1]["cmap"] is None and summary["gained"] is None
    for name in ("export", "validated/export"):
        kept, own = (ensembles.Ensemble([str(tmp_path / "run" / f / name)]).models[0] for f in ("", "round-1"))
        assert kept.fingerprint == own.fingerprint


def test_a_dry_run_tells_rates_and_sizes_and_writes_nothing(manifest, model_path, unlabelled, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "absl"):
        selftrain.main(_settings(manifest, model_path, unlabelled, tmp_path / "run", dry_run=True))
    # one of six is a validation recording, by which models are judged
    assert "5 unlabelled recordings" in caplog.text and "MiB of records" in caplog.text
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"teacher": []}, "--teacher is missing"),
        ({"rounds": 0}, "--rounds=0"),
        ({"num_mixtures": 0}, "--num_mixtures=0"),
        ({"shard_minutes": 0.0}, r"--shard_minutes=0\.0"),
        ({"power": [1.0, 0.0]}, r"--power=1\.0,0\.0"),
        ({"segments": "calls.csv"}, "belong together"),
        ({"segments": "calls.csv", "segments_audio": "d", "gate": False}, "no effect"),
        ({"pseudo_labels": "d"}, "no effect"),
        ({"columns": ["end=until"]}, "--columns without --segments has no effect"),
        ({"taught_by": ["2"]}, "--taught_by=2: .* one of the 1 teachers"),
        ({"taught_by": ["student"]}, "no student yet"),
        ({"architecture": "head"}, "a head may be the --teacher"),
        ({}, "--unlabelled=nowhere is not a folder"),
        ({"run_dir": "nowhere/self"}, "--run_dir=nowhere/self lies in --unlabelled=nowhere: the mixtures"),
    ],
)
def test_what_cannot_be_used_is_refused_before_any_work(manifest, model_path, tmp_path, values, words):
    with pytest.raises(config.InputError, match=words):
        selftrain.selftrain(_settings(manifest, model_path, "nowhere", **{"run_dir": tmp_path / "run", **values}))
    assert not (tmp_path / "run").exists()


def test_an_unlabelled_recording_that_was_replaced_by_one_of_its_size_is_refused(
    manifest, model_path, unlabelled, tmp_path
):
    settings = _settings(manifest, model_path, unlabelled, tmp_path / "run")

    def claim():
        selftrain._claim(settings, manifest, [model_path], selftrain.teaching.find(str(unlabelled)))

    claim()
    claim()
    before = os.stat(unlabelled / "0.wav")
    (unlabelled / "0.wav").write_bytes(bytes(before.st_size))
    os.utime(unlabelled / "0.wav", ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(config.InputError, match=r"differs: .*0\.wav has another time of change"):
        claim()


def test_rounds_are_not_judged_by_other_calls_than_those_before(manifest, model_path, unlabelled, data, tmp_path):
    calls, audio = tmp_path / "calls.csv", tmp_path / "judged"
    settings = _settings(
        manifest, model_path, unlabelled, tmp_path / "run", segments=calls, segments_audio=audio,
    )  # fmt: skip

    def claim():
        selftrain._claim(settings, manifest, [model_path], [])

    with pytest.raises(config.InputError, match=r"--segments=.*calls.csv: no such file"):
        claim()
    calls.write_text("one")
    with pytest.raises(config.InputError, match=r"--segments_audio=.* is not a folder"):
        claim()
    audio.mkdir()
    (audio / "a.wav").write_bytes(b"x")
    claim()
    claim()
    (audio / "b.wav").write_bytes(b"x")
    calls.write_text("two")
    with pytest.raises(config.InputError, match=r"b\.wav is new; .*calls\.csv has another content"):
        claim()


def test_what_no_round_can_be_judged_by_is_told_before_the_scoring(
    manifest, model_path, unlabelled, data, tmp_path, monkeypatch
):
    monkeypatch.setattr(selftrain.teaching.Teachers, "score", None)
    folder, run, audio = tmp_path / "records", tmp_path / "run", tmp_path / "judged"
    shutil.copytree(manifest.directory, folder)
    manifests.save(
        dataclasses.replace(manifest, directory=str(folder), converter={**manifest.converter, "audio": "nowhere"})
    )
    moved = dataclasses.replace(manifest, directory=str(folder))
    for values in ({}, {"dry_run": True}, {"overwrite": True}):
        with pytest.raises(config.InputError, match=r"this validation recording is not there; give .* --nogate"):
            selftrain.selftrain(_settings(moved, model_path, unlabelled, run, **values))
    assert not run.exists()

    audio.mkdir()
    shutil.copy(min((data / "wav").iterdir()), audio / "a.wav")
    (tmp_path / "calls.csv").write_text("file,start,what\na,0,x\n")
    judged = {"segments": tmp_path / "calls.csv", "segments_audio": audio}
    with pytest.raises(config.InputError, match=r"which column holds end.*; say --columns=end=NAME"):
        selftrain.selftrain(_settings(moved, model_path, unlabelled, run, **judged))
    (tmp_path / "calls.csv").write_text("file,start,until,what\na,0,1,x\n")
    judged = {**judged, "columns": ["end=until", "label=what"], "overwrite": True}
    with pytest.raises(config.InputError, match="1 calls of 1 species that the model does not know: x"):
        selftrain.selftrain(_settings(moved, model_path, unlabelled, run, **judged))


def test_the_teachers_of_the_first_round_choose_the_chunks(
    manifest, model_path, attention_model_path, unlabelled, tmp_path, monkeypatch
):
    asked = []

    def score(teachers, *_):
        asked.append(teachers.paths)
        raise config.InputError("scored")

    monkeypatch.setattr(selftrain.teaching.Teachers, "score", score)
    both = {"teacher": [model_path, attention_model_path], "taught_by": ["2", "1"], "gate": False, "rounds": 2}
    for values in ({}, {"dry_run": True}):
        with pytest.raises(config.InputError, match="scored"):
            selftrain.selftrain(_settings(manifest, model_path, unlabelled, tmp_path / "run", **both, **values))
    assert asked == [(attention_model_path,)] * 2


def test_recordings_that_are_gone_in_a_later_round_are_named(manifest, model_path, tmp_path, monkeypatch):
    monkeypatch.setattr(selftrain.teaching.Teachers, "score", lambda *_: [("a.wav", "a.wav: no such file")])
    monkeypatch.setattr(selftrain.recordings_table, "training", lambda *_, **__: [])
    settings = _settings(manifest, model_path, tmp_path, tmp_path / "run")
    with pytest.raises(config.InputError, match=r"gone while this command ran, the first: a\.wav: no such file; put"):
        selftrain._label(settings, 2, (model_path,), manifest)


def test_teachers_of_later_rounds_are_checked_before_any_work(manifest, model_path, unlabelled, tmp_path, monkeypatch):
    checked = []
    monkeypatch.setattr(selftrain.teaching, "Teachers", lambda paths, _: checked.append(paths))
    settings = _settings(
        manifest, model_path, unlabelled, tmp_path / "run", teacher=[model_path, "b"], rounds=3,
        taught_by=["first", "2", "student"],
    )  # fmt: skip
    selftrain._check_later_teachers(settings, manifest, (model_path, "b"))
    assert checked == [("b",)]


def test_unlabelled_recordings_are_converted_without_what_needs_the_backbone(manifest, model_path, tmp_path):
    theirs = {**manifest.converter, "backbone": model_path, "backbone_mixtures": 3, "spectrogram": True}
    labelled = dataclasses.replace(manifest, converter=theirs)
    settings = _settings(manifest, model_path, tmp_path, tmp_path / "run")
    asked = selftrain._conversion(settings, labelled, str(tmp_path / "out"))
    assert not asked.backbone.backbone and asked.backbone_mixtures == 0
    assert asked.front_end == manifest.front_end

import pathlib

import pytest

from bird_tf import config, convert, resume
from bird_tf.conversion import execution, shard_tasks, state
from bird_tf.labels import taxonomy
from bird_tf.labels.layouts import reader
from tests.test_convert import _settings

CLASSES = taxonomy.Taxonomy(("a",), ("a",))


@pytest.fixture
def recordings(source):
    return reader.read(source)[0]


def _plan(data, recordings, **values):
    return state.describe(_settings(data, "x", **values), recordings, CLASSES, "")


def test_equal_plans_do_not_differ(data, recordings):
    assert resume.differences(_plan(data, recordings), _plan(data, recordings)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda plan, path: plan["flags"].update(noise_share=0.7), "--noise_share was 0.1, is 0.7"),
        (lambda plan, path: plan["versions"].update(soxr="0.0"), "is 0.0"),
        (lambda plan, path: plan["inputs"].pop(path), "{path} is gone"),
        (lambda plan, path: plan["inputs"][path].update(size=99), "{path} has another size"),
        (lambda plan, path: plan["inputs"][path].update({"time of change": 9}), "{path} has another time of change"),
        (lambda plan, path: plan["inputs"][path].update({"recording id": "x"}), "{path} has another recording id"),
        (lambda plan, path: plan["inputs"][path].update({"label or metadata": "x"}), "{path} has another label"),
        (lambda plan, path: plan["files"].update({"classes.csv": {"content": "x"}}), "classes.csv has another content"),
    ],
)
def test_what_differs_is_named(data, recordings, change, words):
    old, new = _plan(data, recordings), _plan(data, recordings)
    change(new, recordings[0].path)
    [difference] = resume.differences(old, new)
    assert words.format(path=recordings[0].path) in difference


def test_where_it_runs_makes_no_difference(data, tmp_path):
    first = state.describe(_settings(data, tmp_path / "a", workers=1), [], CLASSES, "")
    second = state.describe(_settings(data, tmp_path / "b", workers=7, scheduler="tcp://x:1"), [], CLASSES, "")
    assert resume.differences(first, second) == []


def test_the_directory_of_a_conversion_is_locked_and_keeps_its_notes(tmp_path):
    plan, output = {"flags": {"noise_share": 0.1}}, str(tmp_path / "x")
    with state.opened(output, False, plan):
        notes = pathlib.Path(output) / shard_tasks.UNFINISHED
        assert {path.name for path in notes.iterdir()} == {resume.PLAN}
        with pytest.raises(config.InputError, match="another command is at work"), state.opened(output, True, plan):
            pass
        (notes / "train-0.json").touch()
    with state.opened(output, False, plan):
        assert (notes / "train-0.json").exists()
    with state.opened(output, True, {"flags": {"noise_share": 0.2}}):
        assert not (notes / "train-0.json").exists()
        state.close(output)
    assert not notes.exists()


def test_a_new_recording_in_an_unfinished_directory_is_named(data, tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        convert.convert(_settings(data, tmp_path / "x"))
    with pytest.raises(config.InputError, match=r"--max_classes was 0, is 4; .*RN\d+\.wav is gone"):
        convert.convert(_settings(data, tmp_path / "x", max_classes=4))


def test_overwrite_removes_records_and_nothing_else(data, tmp_path):
    with pytest.raises(config.InputError, match="holds something else"):
        (tmp_path / "thesis.txt").write_text("mine")
        convert.convert(_settings(data, tmp_path, overwrite=True))
    (tmp_path / "thesis.txt").rename(tmp_path / "x.txt")
    manifest = convert.convert(_settings(data, tmp_path / "x"))
    (tmp_path / "x.txt").rename(tmp_path / "x" / "thesis.txt")
    for name in ("my recordings.csv", "contact.png"):
        (tmp_path / "x" / name).touch()
    again = convert.convert(_settings(data, tmp_path / "x", overwrite=True, shard_minutes=1))
    assert len(again.shards["train"]) < len(manifest.shards["train"])
    names = {p.name for p in (tmp_path / "x").iterdir()}
    assert {"thesis.txt", "my recordings.csv"} < names and "contact.png" not in names
    assert {n for n in names if n.endswith(".tfrecord")} == {s.name for part in again.shards.values() for s in part}

import dataclasses
import errno
import os

import pytest

from bird_tf import config
from bird_tf.labels import split
from bird_tf.labels.layouts import reader
from tests.conftest import settings
from tools import sort_recordings


def _settings(data, output, **values):
    return settings(
        sort_recordings.SortConfig, audio=data / "wav", metadata=data / "xml", output=output, val_share=0.3, **values
    )


@pytest.mark.parametrize("how", ["copy", "symlink", "hardlink"])
def test_reading_the_tree_gives_the_same_recordings(data, tmp_path, how):
    config_ = _settings(data, tmp_path / "tree", how=how)
    assert sort_recordings.sort(config_) == []
    original = split.split(reader.read(config_.source)[0], config_.split)
    source = reader.SourceConfig(audio=str(tmp_path / "tree"))
    read, _ = reader.read(source)
    no_path = {"path": ""}
    for before, after in zip(original, read, strict=True):
        assert repr(dataclasses.replace(after, **no_path)) == repr(dataclasses.replace(before, **no_path))
        assert os.path.samefile(before.path, after.path) == (how != "copy")
        assert os.path.islink(after.path) == (how == "symlink")
        with open(before.path, "rb") as one, open(after.path, "rb") as other:
            assert one.read() == other.read()
    assert {r.background_known for r in read} == {True, False}


def test_move_leaves_no_recordings_behind(data, tmp_path):
    folder = tmp_path / "audio" / "Öl käuzchen"
    folder.mkdir(parents=True)
    for name in ("a b.WAV", "b.WAV"):
        (folder / name).write_bytes(next((data / "wav").iterdir()).read_bytes())
    sort_recordings.sort(settings(
        sort_recordings.SortConfig, audio=tmp_path / "audio", output=tmp_path / "tree", val_share=0.0, how="move"
    ))  # fmt: skip
    assert not list(folder.iterdir())
    assert sorted(p.name for p in (tmp_path / "tree" / "train" / "Öl käuzchen").iterdir()) == ["a b.WAV", "b.WAV"]


def test_a_label_never_writes_outside_of_the_tree(data, tmp_path):
    (tmp_path / "table.csv").write_text("file,label\nx.wav,../../../evil\ny.wav,.hidden\n")
    for name in "xy":
        (tmp_path / "audio").mkdir(exist_ok=True)
        (tmp_path / "audio" / f"{name}.wav").write_bytes(next((data / "wav").iterdir()).read_bytes())
    sort_recordings.sort(settings(
        sort_recordings.SortConfig, audio=tmp_path / "audio", metadata=tmp_path / "table.csv", val_share=0.0,
        output=tmp_path / "a" / "b" / "tree",
    ))  # fmt: skip
    assert {p.name for p in (tmp_path / "a" / "b").iterdir()} == {"tree"}
    assert {p.name for p in (tmp_path / "a" / "b" / "tree" / "train").iterdir()} == {"_.._.._evil", "hidden"}


def test_a_folder_that_is_not_empty_is_refused(data, tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(config.InputError, match="not empty"):
        sort_recordings.sort(_settings(data, tmp_path))


def test_annotated_recordings_are_refused(data, tmp_path):
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "x.wav").write_bytes(next((data / "wav").iterdir()).read_bytes())
    (tmp_path / "audio" / "x.txt").write_text("0\t1\tparmaj\n")
    with pytest.raises(config.InputError, match="several labels"):
        sort_recordings.sort(settings(sort_recordings.SortConfig, audio=tmp_path / "audio", output=tmp_path / "tree"))


def test_a_move_to_another_disk_is_a_copy_that_is_completed_first(tmp_path, monkeypatch):
    source, target = tmp_path / "x.wav", tmp_path / "tree" / "x.wav"
    source.write_bytes(b"sound")
    rename = os.rename
    monkeypatch.setattr(os, "rename", lambda *_: (_ for _ in ()).throw(OSError(errno.EXDEV, "another disk")))
    sort_recordings._HOW["move"](str(source), str(target))
    monkeypatch.setattr(os, "rename", rename)
    assert target.read_bytes() == b"sound" and not source.exists()


def test_a_recording_never_takes_the_place_of_another(data, tmp_path, monkeypatch):
    monkeypatch.setattr(sort_recordings, "_safe", lambda name: "same")
    with pytest.raises(config.InputError, match="exists already: two recordings have the same id"):
        sort_recordings.sort(_settings(data, tmp_path / "tree"))

import dataclasses
import errno
import os
import shutil

import pytest

from bird_tf import config
from bird_tf.labels import split
from bird_tf.labels.layouts import reader
from tests import kills
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
    with pytest.raises(config.InputError, match="would get the same name in the tree"):
        sort_recordings.sort(_settings(data, tmp_path / "tree"))
    assert not (tmp_path / "tree" / "train").exists()


def _two_recordings(data, folder):
    for path in sorted((data / "wav").iterdir())[:2]:
        (folder / f"Parus {path.stem[0]}").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"Parus {path.stem[0]}")


@kills.few_or_all
@pytest.mark.parametrize("how", ["copy", "move", "move to another disk", "symlink", "hardlink"])
def test_a_sorting_that_was_killed_anywhere_goes_on(data, tmp_path, monkeypatch, how, every):
    folder, another_disk = tmp_path / "all", how.endswith("disk")
    how = how.split()[0]
    command = settings(
        sort_recordings.SortConfig, audio=folder / "audio", output=folder / "tree", how=how, val_share=0.5
    )
    rename = os.rename

    def to_another_disk(source, target, **descriptors):
        if str(source).endswith(".wav"):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(source, target, **descriptors)

    if another_disk:
        monkeypatch.setattr(os, "rename", to_another_disk)

    def run():
        kills.unless_finished(lambda: sort_recordings.sort(command), "holds a finished tree")

    kills.check(monkeypatch, folder, run, lambda: _two_recordings(data, folder / "audio"), every=every)


def test_what_a_killed_sorting_left_is_neither_read_nor_sorted_otherwise(data, tmp_path, monkeypatch):
    _two_recordings(data, tmp_path / "audio")
    monkeypatch.setitem(sort_recordings._HOW, "move", lambda *_: (_ for _ in ()).throw(kills.Killed))
    command = settings(sort_recordings.SortConfig, audio=tmp_path / "audio", output=tmp_path / "tree", how="move")
    with pytest.raises(kills.Killed):
        sort_recordings.sort(command)
    with pytest.raises(config.InputError, match=r"tree that tools/sort_recordings\.py has not finished; repeat"):
        reader.read(reader.SourceConfig(audio=str(tmp_path / "tree")))
    with pytest.raises(config.InputError, match="a sorting that differs: --how was move, is copy; repeat it as it was"):
        sort_recordings.sort(dataclasses.replace(command, how="copy"))
    gone = next((tmp_path / "audio").rglob("*.wav"))
    gone.rename(tmp_path / "kept.wav")
    monkeypatch.undo()
    with pytest.raises(config.InputError, match=f"{gone.name} is gone, and not in the tree yet; bring it back"):
        sort_recordings.sort(command)
    (tmp_path / "kept.wav").rename(gone)
    sort_recordings.sort(command)
    assert len(reader.read(reader.SourceConfig(audio=str(tmp_path / "tree")))[0]) == 2
    with pytest.raises(config.InputError, match="holds a finished tree"):
        sort_recordings.sort(command)


def test_names_longer_than_a_file_system_takes_are_cut(data, tmp_path):
    (tmp_path / "audio").mkdir()
    names = ["ü" * 110, "ü" * 109 + "x"]
    for name in names:
        shutil.copy(next((data / "wav").iterdir()), tmp_path / "audio" / f"{name}.wav")
    rows = [f"{name}.wav,{'ü' * 190}{i}" for i, name in enumerate(names)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *rows]))
    sort_recordings.sort(settings(
        sort_recordings.SortConfig, audio=tmp_path / "audio", metadata=tmp_path / "labels.csv", val_share=0.0,
        output=tmp_path / "tree",
    ))  # fmt: skip
    read, _ = reader.read(reader.SourceConfig(audio=str(tmp_path / "tree")))
    assert {r.split for r in read} == {"train"}  # by the empty val/ too the tree is known
    assert sorted(r.label for r in read) == sorted(row.partition(",")[2] for row in rows)


def test_a_moved_link_still_leads_to_its_recording(tmp_path):
    (tmp_path / "x.wav").write_bytes(b"sound")
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "link.wav").symlink_to("../x.wav")
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    sort_recordings._HOW["move"](str(tmp_path / "audio" / "link.wav"), str(tmp_path / "tree" / "deep" / "link.wav"))
    assert (tmp_path / "tree" / "deep" / "link.wav").read_bytes() == b"sound"
    assert not list((tmp_path / "audio").iterdir())


def test_recordings_of_equal_audio_are_on_one_side(data, tmp_path):
    for i, path in enumerate(sorted((data / "wav").iterdir())[:8]):
        for name in (f"x{i}.wav", f"copy of {i}.wav"):
            (tmp_path / "audio" / "a").mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / "audio" / "a" / name)
    sort_recordings.sort(
        settings(sort_recordings.SortConfig, audio=tmp_path / "audio", output=tmp_path / "tree", val_share=0.5)
    )
    train, val = (
        {path.read_bytes() for path in (tmp_path / "tree" / side / "a").iterdir()} for side in ("train", "val")
    )
    assert len(train) == len(val) == 4 and not train & val

import os
import pathlib
import pickle

import pytest

from bird_tf import config, csv_files, files, temporaries
from tests import conftest


def test_a_file_appears_only_when_complete(tmp_path):
    path = str(tmp_path / "deep" / "x.txt")
    with pytest.raises(ZeroDivisionError), files.replacing(path) as temporary:
        with open(temporary, "w") as file:
            file.write("half")
        raise ZeroDivisionError
    assert os.listdir(tmp_path / "deep") == []
    files.write_text(path, "whole")
    assert files.read_text(path) == "whole"
    assert os.listdir(tmp_path / "deep") == ["x.txt"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = str(tmp_path / "x.txt")
    files.write_text(path, "old")
    with pytest.raises(ZeroDivisionError), files.replacing(path):
        raise ZeroDivisionError
    assert files.read_text(path) == "old"


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").touch()
    with files.replacing(str(path)) as temporary:
        os.mkdir(temporary)
        open(os.path.join(temporary, "new"), "w").close()
    assert os.listdir(path) == ["new"]


def test_nan_is_not_written_as_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(str(tmp_path / "x.json"), {"a": float("nan")})
    assert os.listdir(tmp_path) == []


def test_digest_does_not_depend_on_the_order_of_keys():
    assert files.digest({"a": 1, "b": 2}) == files.digest({"b": 2, "a": 1}) != files.digest({"a": 2, "b": 1})


def test_checksum_is_md5_of_the_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert files.checksum(str(tmp_path / "x")) == "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321


def test_remote_paths_are_told_by_their_scheme():
    assert files.is_remote("s3://bucket/x") and not files.is_remote("/data/x")


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    (tmp_path / "full.partial").symlink_to("/dev/full")
    monkeypatch.setattr(temporaries, "path_for", lambda path: str(tmp_path / "full.partial"))
    with pytest.raises(config.InputError, match=r"x\.txt: the disk is full"):
        files.write_text(str(tmp_path / "x.txt"), "more than fits")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_named_also_where_a_file_grows():
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        files.append("/dev/full", b"x")


def test_a_full_disk_is_named_across_processes():
    error = pickle.loads(pickle.dumps(files.DiskFullError("a/b")))
    assert str(error) == "a/b: the disk is full; make room and repeat the command"


def test_find_reads_a_linked_folder_once_and_no_loop(tmp_path):
    audio, other = tmp_path / "audio", tmp_path / "other disk"
    for folder in (audio / "deep", audio / "deep" / "empty", other):
        folder.mkdir(parents=True)
    (audio / "deep" / "A.WAV").touch()
    (other / "b.wav").touch()
    (tmp_path / "outside.wav").touch()
    (audio / "deep" / "loop").symlink_to(audio)
    (audio / "deep" / "above").symlink_to(tmp_path)
    (other / "back").symlink_to(audio / "deep")
    for name in ("linked", "linked again"):
        (audio / name).symlink_to(other)
    (audio / "another name").symlink_to(audio / "deep")
    assert files.find(str(audio), (".wav",)) == [str(audio / "deep" / "A.WAV"), str(audio / "linked" / "b.wav")]


@pytest.mark.parametrize("folder", [".hidden", "$RECYCLE.BIN/S-1", "__MACOSX", "a/@eaDir", "System Volume Information"])
def test_what_systems_keep_for_themselves_is_not_found(tmp_path, folder):
    for name in (folder, "a"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / "x.wav").touch()
    assert files.find(str(tmp_path), (".wav",)) == [str(tmp_path / "a" / "x.wav")]


def test_find_names_a_folder_that_cannot_be_read(tmp_path, caplog):
    assert files.find(str(tmp_path / "gone"), (".wav",)) == []
    assert "gone cannot be read (No such file or directory)" in caplog.text


def test_find_leaves_out_a_pipe_which_would_be_waited_for(tmp_path, caplog):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "broken link.wav").symlink_to(tmp_path / "gone")  # its reader says what is wrong
    (tmp_path / "itself.wav").symlink_to(tmp_path / "itself.wav")
    assert files.find(str(tmp_path), (".wav",)) == [f"{tmp_path}/broken link.wav", f"{tmp_path}/itself.wav"]
    assert "pipe.wav is neither a file nor a folder: it is left out" in caplog.text


def test_a_file_never_takes_the_place_of_a_folder(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").touch()
    for path in (str(tmp_path / "mine"), f"{tmp_path}/mine/"):
        with pytest.raises(config.InputError, match="mine is a folder; name a file"):
            files.write_text(path, "text")
    assert os.listdir(tmp_path) == ["mine"] and os.listdir(tmp_path / "mine") == ["precious"]


def test_two_copies_of_one_task_do_not_disturb_each_other(tmp_path):
    path = str(tmp_path / ("long name " * 20))
    with files.replacing(path, durable=True) as first, files.replacing(path) as second:
        pathlib.Path(first).write_text("equal")
        pathlib.Path(second).write_text("equal")
    assert pathlib.Path(path).read_text() == "equal" and len(os.listdir(tmp_path)) == 1


def test_other_text_than_utf_8_is_named_and_names_of_files_that_are_none_are_told(tmp_path):
    (tmp_path / "latin.txt").write_bytes("Grünfink".encode("latin-1"))
    with pytest.raises(config.InputError, match=r"latin\.txt: not UTF-8"):
        files.read_text(str(tmp_path / "latin.txt"))
    path = str(tmp_path / "t.csv")
    csv_files.write(path, ("file",), [(os.fsdecode(b"caf\xe9.wav"),)])
    assert conftest.table(path) == [{"file": "caf\\udce9.wav"}]


def test_a_text_that_is_too_large_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"0" * ((1 << 20) + 1))
    with pytest.raises(config.InputError, match="x: larger than 1 MB"):
        files.read_text(str(tmp_path / "x"), 1 << 20)


def test_numbers_that_are_none_become_null_at_any_depth():
    nan = float("nan")
    assert files.defined({"a": nan, "b": {"c": nan, "d": 1.0}, "e": "x"}) == {
        "a": None, "b": {"c": None, "d": 1.0}, "e": "x",
    }  # fmt: skip


def test_paths_below_their_common_folder_may_be_absolute_and_relative(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert files.below_common(["set/a", "set/b/c"]) == ["a", "b/c"]
    assert files.below_common([str(tmp_path / "noise" / "a"), str(tmp_path / "work" / "b")]) == ["noise/a", "work/b"]
    assert files.below_common([str(tmp_path / "noise" / "a"), "set/b"]) == ["../noise/a", "set/b"]
    assert files.below_common([]) == []

import errno
import os
import pathlib
import subprocess
import sys

import pytest

from bird_tf import files, temporaries


@pytest.fixture
def ended(monkeypatch):
    """Patches what follows as if a process did it that has ended since: a function that gives a monkeypatch context."""
    process = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)

    def patch():
        context = monkeypatch.context()
        context.__enter__().setattr(os, "getpid", lambda: int(process.stdout))
        return context

    return patch


def _folder(path, name):
    path.mkdir()
    (path / name).touch()
    return str(path)


def test_two_folders_change_their_names_in_one_step(tmp_path):
    first, second = _folder(tmp_path / "a", "old"), _folder(tmp_path / "b", "new")
    if not temporaries.exchange(first, second):
        pytest.skip("this file system cannot exchange two folders")
    assert os.listdir(first) == ["new"] and os.listdir(second) == ["old"]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        temporaries.exchange(first, str(tmp_path / "nowhere"))


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_takes_the_place_of_another_and_nothing_is_left(tmp_path, monkeypatch, can_exchange):
    if not can_exchange:
        monkeypatch.setattr(temporaries, "_renameat2", lambda: None)
    place = _folder(tmp_path / "model", "old")
    temporaries.put(_folder(tmp_path / "new.partial", "new"), place)
    assert os.listdir(tmp_path) == ["model"] and os.listdir(place) == ["new"]


def test_without_an_exchange_a_failure_gives_the_old_folder_its_name_back(tmp_path, monkeypatch):
    monkeypatch.setattr(temporaries, "_renameat2", lambda: None)
    place, rename = _folder(tmp_path / "model", "old"), os.rename

    def fail(source, target):
        if target == place and "partial" in source:
            raise OSError(errno.EIO, "broken disk")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="broken disk"):
        temporaries.put(_folder(tmp_path / "new.partial", "new"), place)
    assert os.listdir(place) == ["old"]


def test_a_file_system_without_an_exchange_is_no_error(tmp_path, monkeypatch):
    def refuse(*_):
        temporaries.ctypes.set_errno(errno.EINVAL)
        return -1

    monkeypatch.setattr(temporaries, "_renameat2", lambda: refuse)
    assert not temporaries.exchange(_folder(tmp_path / "a", "x"), _folder(tmp_path / "b", "y"))


def test_a_kill_between_the_two_steps_is_mended_by_the_next_command(tmp_path, monkeypatch, ended):
    monkeypatch.setattr(temporaries, "_renameat2", lambda: None)
    place, rename = _folder(tmp_path / "export-2", "old"), os.rename

    def killed(source, target):
        if os.path.basename(source).startswith("new"):
            raise KeyboardInterrupt
        if not source.endswith(".replaced"):  # the step back, which a killed process does not take
            rename(source, target)

    context = ended()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "rename", killed)
        temporaries.put(_folder(tmp_path / "new.partial", "new"), place)
    context.__exit__(None, None, None)
    assert not os.path.exists(place)
    files.clean_up(str(tmp_path))
    assert os.listdir(place) == ["old"]


def test_what_killed_processes_left_is_removed_and_what_others_write_is_kept(tmp_path, ended):
    path = str(tmp_path / "x")
    context = ended()
    pathlib.Path(temporaries.path_for(path)).mkdir()
    context.__exit__(None, None, None)
    host = temporaries._digest(temporaries.socket.gethostname())
    others = ["x.partial", f"x-{host}-{'9' * 30}-0.partial", f"x-{host}-y-0.partial"]
    for name in others:
        (tmp_path / name).touch()
    with files.replacing(path) as temporary:
        os.mkdir(temporary)
        temporaries.clean_up(str(tmp_path))
        assert sorted(os.listdir(tmp_path)) == sorted([os.path.basename(temporary), *others])
    assert sorted(os.listdir(tmp_path)) == sorted(["x", *others])


def test_a_folder_vanishes_from_its_place_before_its_files_go(tmp_path, monkeypatch):
    place = _folder(tmp_path / "notes", "plan")
    monkeypatch.setattr(temporaries.shutil, "rmtree", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        temporaries.remove(place)
    [left] = tmp_path.iterdir()
    assert left.suffix == temporaries.SUFFIX and os.listdir(left) == ["plan"]


def test_of_a_link_only_the_link_is_removed_and_nothing_is_no_error(tmp_path):
    folder = _folder(tmp_path / "other disk", "x")
    (tmp_path / "link").symlink_to(folder)
    temporaries.remove(str(tmp_path / "link"))
    temporaries.remove(str(tmp_path / "link"))
    assert os.listdir(tmp_path) == ["other disk"] and os.listdir(folder) == ["x"]


def test_all_below_a_folder_is_on_the_disk_when_it_is_synchronised(tmp_path, monkeypatch):
    _folder(tmp_path / "a", "x")
    synchronised = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synchronised.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    temporaries.synchronise(str(tmp_path))
    assert set(synchronised) == {str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "x")}

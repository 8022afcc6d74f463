import pytest

from bird_tf import config
from bird_tf.inference import result_files


def _write(folder, *names, text="x"):
    results = result_files.ResultFiles(str(folder))
    with results.writing():
        for name in names:
            path = folder / name
            assert results.path(name) == str(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def _names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.name != result_files.LIST)


def test_files_of_an_earlier_prediction_are_removed_and_those_of_others_stay(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine.txt").write_text("mine")
    _write(tmp_path, "a/1.txt", "b/2.txt", "b/line\nend é.txt", "3.txt")
    _write(tmp_path, "3.txt", "4.txt")
    assert _names(tmp_path) == ["3.txt", "4.txt", "a/mine.txt"]
    assert not (tmp_path / "b").exists()


def test_files_of_a_prediction_that_stopped_are_removed_by_the_next_one(tmp_path):
    _write(tmp_path, "1.txt")
    results = result_files.ResultFiles(str(tmp_path))
    with pytest.raises(KeyboardInterrupt), results.writing():
        for name in ("1.txt", "2.txt", "never written.txt"):
            results.path(name)
        (tmp_path / "2.txt").write_text("half")
        raise KeyboardInterrupt
    assert _names(tmp_path) == ["1.txt", "2.txt"]
    _write(tmp_path, "3.txt")
    assert _names(tmp_path) == ["3.txt"]


def test_a_file_that_a_person_has_changed_is_never_replaced_or_removed(tmp_path):
    _write(tmp_path, "1.txt", "2.txt")
    (tmp_path / "1.txt").write_text("corrected")
    with pytest.raises(config.InputError, match=r"1\.txt was changed after a prediction wrote it; move it"):
        result_files.ResultFiles(str(tmp_path))
    (tmp_path / "1.txt").unlink()
    _write(tmp_path, "2.txt")
    assert _names(tmp_path) == ["2.txt"]

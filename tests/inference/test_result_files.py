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


def test_a_file_that_no_earlier_run_wrote_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(config.InputError, match=r"mine\.txt is there already, and is not of a prediction; move it, or"):
        _write(tmp_path, "1.txt", "mine.txt")
    with pytest.raises(config.InputError, match="is there already"):
        result_files.ResultFiles(str(tmp_path)).check(["mine.txt"])
    assert (tmp_path / "mine.txt").read_text() == "mine"
    _write(tmp_path, "1.txt")
    with pytest.raises(config.InputError, match=r"is not of a prediction; move it, or name another --output$"):
        _write(tmp_path, "1.txt", "mine.txt")
    (tmp_path / result_files.LIST).unlink()  # nothing tells any more whose they are
    told = (
        r"1\.txt is there already, .* \(\S*results\.jsonl, which lists what a prediction has written, is not there\)$"
    )
    with pytest.raises(config.InputError, match=told):
        _write(tmp_path, "1.txt")


def test_one_kind_of_work_does_not_take_the_files_of_another_for_its_own(tmp_path):
    _write(tmp_path, "summary.json", "a.txt")
    results = result_files.ResultFiles(str(tmp_path), "evaluation", others_stay=True)
    with pytest.raises(config.InputError, match="is not of an evaluation"), results.writing(["summary.json"]):
        pass
    assert _names(tmp_path) == ["a.txt", "summary.json"]


def _evaluate(folder, *names):
    with result_files.ResultFiles(str(folder), "evaluation", others_stay=True).writing(names):
        for name in names:
            (folder / name).write_text("x")


def test_results_of_other_kind_stay_and_may_be_changed_until_they_would_be_replaced(tmp_path):
    _evaluate(tmp_path, "a", "b")
    (tmp_path / "a").write_text("corrected")
    _evaluate(tmp_path, "b", "c")
    with pytest.raises(config.InputError, match="a was changed after an evaluation wrote it"):
        _evaluate(tmp_path, "a")
    assert (tmp_path / "a").read_text() == "corrected"


def test_a_run_that_fails_before_it_writes_leaves_no_list(tmp_path):
    results = result_files.ResultFiles(str(tmp_path), "evaluation")
    with pytest.raises(ValueError, match="x"), results.writing(["a"]):
        raise ValueError("x")
    assert not list(tmp_path.iterdir())


def test_a_single_file_has_its_list_beside_it(tmp_path):
    path = tmp_path / "run.txt"
    for _ in range(2):
        with result_files.writing_beside("submission", str(path), f"{path}.json"):
            path.write_text("x")
    path.write_text("mine")
    with pytest.raises(config.InputError, match="was changed after a submission"):
        result_files.writing_beside("submission", str(path))
    assert _names(tmp_path) == ["run.txt", "run.txt.jsonl"]

import dataclasses
import json
import os

import pytest

from bird_tf import config, resume, temporaries
from tests import kills

PLAN = {
    "flags": {"epochs": 3, "seed": 0},
    "versions": {"numpy": "1.26"},
    "inputs": {"a.wav": {"size": 10, "label": "x"}},
}


def _claim(directory, **changes):
    return resume.Claim(**{"directory": str(directory), "plan": PLAN, "work": "test", "flag": "--output", **changes})


def test_a_new_or_empty_directory_may_begin_and_then_goes_on(tmp_path):
    for folder in (tmp_path / "new", tmp_path):
        assert not _claim(folder).goes_on()
    _claim(tmp_path).begin()
    assert _claim(tmp_path).goes_on()
    assert json.loads((tmp_path / resume.PLAN).read_text()) == PLAN


def test_what_a_process_left_that_was_killed_while_it_began_is_no_content(tmp_path):
    (tmp_path / (resume.PLAN + temporaries.SUFFIX)).touch()
    assert not _claim(tmp_path).goes_on()
    _claim(tmp_path).begin()
    assert _claim(tmp_path).goes_on()


def test_a_directory_with_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").touch()
    for overwrite in (None, False, True):
        with pytest.raises(config.InputError, match="holds something that is no test; name another --output, or move"):
            _claim(tmp_path, overwrite=overwrite).goes_on()
    assert not _claim(tmp_path, overwrite=True, earlier="thesis.txt").goes_on()


@pytest.mark.parametrize("read", ["", "models/export", "../linked"])
def test_what_the_work_reads_must_not_lie_in_its_directory(tmp_path, read):
    folder = tmp_path / "work"
    (folder / "models").mkdir(parents=True)
    (tmp_path / "linked").symlink_to(folder / "models")
    for overwrite in (False, True):
        with pytest.raises(config.InputError, match="which the test is written to; name another --output"):
            _claim(folder, reads=(str(folder / read),), overwrite=overwrite).goes_on()
    assert not _claim(tmp_path / "other", reads=("", str(folder), str(tmp_path / "other-2"))).goes_on()


@pytest.mark.parametrize("value", [float("inf"), [0.0, -float("inf")]])
def test_an_infinite_number_is_refused_before_anything_is_emptied(tmp_path, value):
    _claim(tmp_path).begin()
    (tmp_path / "result").write_text("mine")
    with pytest.raises(config.InputError, match=r"--minutes=.*inf: must be a finite number"):
        _claim(tmp_path, plan={**PLAN, "flags": {"minutes": value}}, overwrite=True).begin()
    assert (tmp_path / "result").exists()


@pytest.mark.parametrize(
    ("section", "values", "change"),
    [
        ("flags", {"epochs": 4, "seed": 0}, "--epochs was 3, is 4"),
        ("flags", {"epochs": 3, "seed": 0, "new": 1}, "--new was unset, is 1"),
        ("flags", {"epochs": 3}, "--seed was 0, is unset"),
        ("versions", {"numpy": "2.0"}, "version of numpy was 1.26, is 2.0"),
        ("inputs", {}, "a.wav is gone"),
        ("inputs", {**PLAN["inputs"], "b.wav": {}}, "b.wav is new"),
        ("inputs", {"a.wav": {"size": 11, "label": "x"}}, "a.wav has another size"),
        ("inputs", {"a.wav": {"size": 10, "label": "y"}}, "a.wav has another label"),
    ],
)
def test_another_plan_is_refused_and_the_difference_is_named(tmp_path, section, values, change):
    _claim(tmp_path).begin()
    other = {**PLAN, section: values}
    assert resume.differences(PLAN, other) == [change]
    with pytest.raises(config.InputError, match="holds a test that differs: ") as refused:
        _claim(tmp_path, plan=other).goes_on()
    assert change in str(refused.value) and "--overwrite" not in str(refused.value)
    assert not _claim(tmp_path, plan=other, overwrite=True).goes_on()


def test_another_model_at_the_same_place_is_a_difference_and_one_that_only_one_plan_knows_is_none(tmp_path):
    one, other = ({**PLAN, "models": {"runs/a": digest}} for digest in "xy")
    assert resume.differences(one, other) == ["runs/a is another model now"]
    for models in ({}, {"runs/b": "x"}):
        assert not resume.differences(one, {**PLAN, "models": models})
    assert not resume.differences(PLAN, one)  # plans of earlier versions
    _claim(tmp_path, plan=one).begin()
    assert _claim(tmp_path, plan=one).goes_on()
    with pytest.raises(config.InputError, match="runs/a is another model now"):
        _claim(tmp_path, plan=other).goes_on()


def test_a_library_that_is_no_longer_used_is_no_difference():
    assert not resume.differences({**PLAN, "versions": {**PLAN["versions"], "librosa": "0.11.0"}}, PLAN)
    assert resume.differences(PLAN, {**PLAN, "versions": {**PLAN["versions"], "soxr": "1.0"}})


def test_a_start_keeps_work_that_goes_on_and_overwriting_empties_the_directory(tmp_path):
    for overwrite, left in ((None, True), (False, True), (True, False)):
        claim = _claim(tmp_path, overwrite=overwrite)
        if not claim.has_plan:
            claim.start(claim.goes_on())
        (tmp_path / "result").touch()
        claim.start(claim.goes_on())
        assert claim.has_plan and (tmp_path / "result").exists() == left


def test_nothing_is_overwritten_where_a_person_has_put_something(tmp_path):
    claim = _claim(tmp_path, own=("result", "part-*"), overwrite=True)
    claim.start(claim.goes_on())
    for name in ("result", "part-1", "x.partial"):
        (tmp_path / name).touch()
    assert claim.goes_on()
    (tmp_path / "verdicts.csv").touch()
    with pytest.raises(config.InputError, match=r"verdicts\.csv, which the test has not written, and"):
        claim.goes_on()
    assert _claim(tmp_path, own=("result",)).goes_on()  # nothing is removed
    os.remove(tmp_path / "plan.json")
    with pytest.raises(config.InputError, match=r"holds part-1, verdicts\.csv, which"):
        _claim(tmp_path, own=("result",), overwrite=True, earlier="result").goes_on()


def test_only_the_sections_of_the_new_plan_are_compared():
    assert resume.differences(PLAN, {"flags": PLAN["flags"]}) == []
    assert resume.differences({}, {"flags": {"epochs": 3}}) == ["--epochs was unset, is 3"]


def test_at_most_three_differences_are_named(tmp_path):
    _claim(tmp_path, plan={"flags": dict.fromkeys("abcde", 0)}).begin()
    with pytest.raises(config.InputError, match="--c was 0, is 1 and 2 more;"):
        _claim(tmp_path, plan={"flags": dict.fromkeys("abcde", 1)}).goes_on()


def test_notes_lie_in_a_folder_of_their_own_where_there_is_one(tmp_path):
    (tmp_path / "result.csv").touch()
    assert not _claim(tmp_path, notes="unfinished").goes_on()
    _claim(tmp_path, notes="unfinished").begin()
    assert (tmp_path / "unfinished" / resume.PLAN).exists() and _claim(tmp_path, notes="unfinished").goes_on()


def test_a_lock_keeps_others_out_and_is_no_content(tmp_path):
    with _claim(tmp_path).locked():
        assert not _claim(tmp_path).goes_on()
        with (
            pytest.raises(config.InputError, match=r"another command is at work in it \(test, process"),
            _claim(tmp_path).locked(),
        ):
            pass
    with _claim(tmp_path).locked():
        pass


def test_outdated_work_is_replaced_and_a_kill_in_between_is_no_obstacle(tmp_path, monkeypatch, caplog):
    _claim(tmp_path).begin()
    for name in "ab":
        (tmp_path / name).touch()
    now = _claim(tmp_path, plan={**PLAN, "flags": {}}, outdated={"the flags have changed": PLAN})
    with kills.counting(monkeypatch, tmp_path, 2), pytest.raises(kills.Killed):
        now.start(now.goes_on())
    assert len(list(tmp_path.iterdir())) == 2 and (tmp_path / resume.PLAN).exists()
    now.start(now.goes_on())
    assert [path.name for path in tmp_path.iterdir()] == [resume.PLAN] and now.goes_on()
    assert "the flags have changed, so what the test has kept there is made anew" in caplog.text
    with pytest.raises(config.InputError, match="holds a test that differs"):
        _claim(tmp_path, plan={**PLAN, "flags": {"x": 1}}, outdated={"the flags have changed": PLAN}).goes_on()


def test_a_recording_of_the_same_size_that_was_written_later_is_another_one(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"12")
    before = resume.of_file(str(path))
    os.utime(path, ns=(1, 1))
    assert resume.of_file(str(path)) == {"size": 2, "time of change": 1} != before
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert resume.of_file(str(tmp_path / "loop")) == {"size": -1, "time of change": -1}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Flags:
    seed: int = config.option(0, "")
    shares: tuple[float, ...] = config.option((0.5, 1.0), "")
    output: str = config.option("", "")


def test_flags_that_are_newer_than_a_plan_had_their_declared_default(tmp_path):
    _claim(tmp_path, plan={"flags": {"seed": 3}}).begin()

    def claim(**flags):
        return _claim(tmp_path, plan={"flags": flags}, flags_of=_Flags)

    assert claim(seed=3, shares=[0.5, 1.0]).goes_on()
    with pytest.raises(config.InputError, match=r"differs: --shares was \[0\.5, 1\.0\], is \[0\.2\];"):
        claim(seed=3, shares=[0.2]).goes_on()
    with pytest.raises(config.InputError, match="differs: --seed was 3, is unset"):
        claim(shares=[0.5, 1.0]).goes_on()
    now, outdated = ({"flags": {"seed": seed, "shares": [0.5, 1.0]}} for seed in (4, 3))
    assert not _claim(tmp_path, plan=now, flags_of=_Flags, outdated={"why": outdated}).goes_on()
    _claim(tmp_path, plan={}).begin()  # as it is while a directory is emptied
    with pytest.raises(config.InputError, match="differs: --seed was unset, is 0"):
        claim(seed=0).goes_on()


def test_what_earlier_versions_did_not_note_is_not_compared():
    old, new = (
        {"inputs": {"a": {"size": 1}}},
        {"inputs": {"a": {"size": 1, "time of change": 2}}, "files": {"b": {"x": 1}}},
    )
    assert not resume.differences(old, new)
    assert resume.differences({"inputs": {"a": {"size": 2}}}, new) == ["a has another size"]
    assert resume.differences({**new, "files": {"b": {"x": 2}}}, new) == ["b has another x"]
    assert resume.differences({**new, "files": {"c": {"x": 1}}}, new) == ["b is new", "c is gone"]

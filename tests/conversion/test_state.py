import pytest

from bird_tf import config, convert
from bird_tf.conversion import state
from tests.test_convert import _settings


@pytest.fixture
def plan():
    return {
        "flags": {"noise_share": 0.1, "audio": "a"},
        "versions": {"soxr": "1.0"},
        "recordings": {"1": ["a/1.wav", 100, "x"], "2": ["a/2.wav", 100, "x"]},
    }


def test_equal_plans_do_not_differ(plan):
    assert state.differences(plan, plan) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"flags": {"noise_share": 0.7, "audio": "a"}}, "--noise_share was 0.1, is 0.7"),
        ({"versions": {"soxr": "1.1"}}, "version of soxr was 1.0, is 1.1"),
        ({"recordings": {"1": ["a/1.wav", 100, "x"]}}, "a/2.wav is gone"),
        ({"recordings": {"1": ["a/1.wav", 100, "x"], "2": ["a/2.wav", 99, "x"]}}, "a/2.wav has another size"),
        ({"recordings": {"1": ["a/1.wav", 100, "y"], "2": ["a/2.wav", 100, "x"]}}, "a/1.wav has another label"),
    ],
)
def test_what_differs_is_named(plan, change, words):
    [difference] = state.differences(plan, {**plan, **change})
    assert words in difference


def test_where_it_runs_makes_no_difference(data, tmp_path):
    first = state.describe(_settings(data, tmp_path / "a", workers=1), [])
    second = state.describe(_settings(data, tmp_path / "b", workers=7, scheduler="tcp://x:1"), [])
    assert state.differences(first, second) == []


def test_a_new_recording_in_an_unfinished_directory_is_named(data, tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "_run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        convert.convert(_settings(data, tmp_path / "x"))
    with pytest.raises(config.InputError, match=r"--max_classes was 0, is 4; .*RN\d+\.wav is gone"):
        convert.convert(_settings(data, tmp_path / "x", max_classes=4))


def test_overwrite_takes_away_records_and_nothing_else(data, tmp_path):
    with pytest.raises(config.InputError, match="holds something else"):
        (tmp_path / "thesis.txt").write_text("mine")
        convert.convert(_settings(data, tmp_path, overwrite=True))
    (tmp_path / "thesis.txt").rename(tmp_path / "x.txt")
    manifest = convert.convert(_settings(data, tmp_path / "x"))
    (tmp_path / "x.txt").rename(tmp_path / "x" / "thesis.txt")
    again = convert.convert(_settings(data, tmp_path / "x", overwrite=True, shard_minutes=1))
    assert len(again.shards["train"]) < len(manifest.shards["train"])
    names = {p.name for p in (tmp_path / "x").iterdir()}
    assert "thesis.txt" in names
    assert {n for n in names if n.endswith(".tfrecord")} == {s.name for part in again.shards.values() for s in part}

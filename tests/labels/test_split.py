import collections
import dataclasses
import time

import pytest

from bird_tf import config
from bird_tf.labels import groups, metadata, split
from tests.conftest import settings


def _by_author(**values):
    return settings(split.SplitConfig, group_by="author", **values)


def _recordings(counts, authors=None):
    recordings = []
    for label, n in counts.items():
        for i in range(n):
            author = authors[len(recordings) % len(authors)] if authors else ""
            recordings.append(metadata.Recording(recording_id=f"{label}{i}", path="", label=label, author=author))
    return recordings


def test_the_split_is_stratified_and_every_class_has_training_recordings():
    divided = split.split(_recordings({"a": 50, "b": 2, "c": 1, "d": 9}), split.SplitConfig())
    held_out = collections.Counter(r.label for r in divided if r.split == "val")
    assert held_out == {"a": 5, "b": 1, "d": 1}
    assert {r.label for r in divided if r.split == "train"} == {"a", "b", "c", "d"}


def test_split_by_author_never_divides_a_session():
    recordings = _recordings({"a": 20, "b": 12, "c": 7}, authors=[f"s{i}" for i in range(9)])
    divided = split.split(recordings, _by_author(val_share=0.2))
    sides = collections.defaultdict(set)
    for recording in divided:
        sides[recording.author].add(recording.split)
    assert all(len(side) == 1 for side in sides.values())
    for side in ("train", "val"):
        assert {r.label for r in divided if r.split == side} == {"a", "b", "c"}


def test_the_split_is_reproducible_and_depends_on_the_seed():
    recordings = _recordings({"a": 40, "b": 30})
    first = split.split(recordings, split.SplitConfig())
    assert {r.recording_id: r.split for r in split.split(recordings[::-1], split.SplitConfig())} == {
        r.recording_id: r.split for r in first
    }
    assert split.split(recordings, split.SplitConfig(split_seed=1)) != first


def test_negative_recordings_train_and_are_shared_by_the_folds():
    negative = [metadata.Recording(recording_id=f"n{i}", path="", negative=True) for i in range(10)]
    recordings = [*_recordings({"a": 10, "b": 10}), *negative]
    divided = split.split(recordings, split.SplitConfig(val_share=0.3))
    assert {r.split for r in divided if r.negative} == {"train"}
    assert collections.Counter(r.label for r in divided if r.split == "val") == {"a": 3, "b": 3}
    fold_of = split.folds(recordings, 5, split.SplitConfig())
    assert set(collections.Counter(fold_of[r.recording_id] for r in negative).values()) == {2}


def test_share_zero_puts_all_recordings_into_training():
    divided = split.split(_recordings({"a": 5}), split.SplitConfig(val_share=0.0))
    assert {r.split for r in divided} == {"train"}


def test_a_share_of_1_is_refused():
    with pytest.raises(config.InputError, match="--val_share=1"):
        split.split([], split.SplitConfig(val_share=1.0))


def test_a_small_session_is_preferred_to_one_with_most_of_a_class():
    recordings = _recordings({"a": 6, "b": 6})
    authors = ["many"] * 5 + ["few"] + ["many", "few", "few", "x", "y", "z"]
    recordings = [dataclasses.replace(r, author=a) for r, a in zip(recordings, authors, strict=True)]
    divided = split.split(recordings, _by_author(val_share=0.5))
    assert sum(r.split == "train" for r in divided if r.label == "a") >= 3


def test_folds_have_equal_shares_of_each_class_and_do_not_divide_sessions():
    recordings = _recordings({"a": 20, "b": 10, "c": 5}, authors=[f"s{i}" for i in range(35)])
    fold_of = split.folds(recordings, 5, _by_author())
    shares = collections.Counter((r.label, fold_of[r.recording_id]) for r in recordings)
    assert [shares["a", fold] for fold in range(5)] == [4] * 5
    assert [shares["b", fold] for fold in range(5)] == [2] * 5
    assert [shares["c", fold] for fold in range(5)] == [1] * 5
    sessions = _recordings({"a": 20, "b": 12}, authors=[f"s{i}" for i in range(7)])
    fold_of = split.folds(sessions, 3, _by_author())
    for author in {r.author for r in sessions}:
        assert len({fold_of[r.recording_id] for r in sessions if r.author == author}) == 1
    assert set(fold_of.values()) == {0, 1, 2}


def test_more_folds_than_groups_are_refused():
    with pytest.raises(config.InputError, match="--folds=4: need at least 2 and at most 3"):
        split.folds(_recordings({"a": 3}), 4, split.SplitConfig())


def test_large_sessions_do_not_make_validation_much_larger_than_its_share():
    """Ten classes of ten recordings; each class has two sessions of five, so no session is a tenth of its class."""
    recordings = _recordings({c: 10 for c in "abcdefghij"})
    recordings = [dataclasses.replace(r, author=f"{r.label}{i % 10 // 5}") for i, r in enumerate(recordings)]
    divided = split.split(recordings, _by_author(val_share=0.1))
    assert 0 < sum(r.split == "val" for r in divided) <= 12


def test_a_split_without_validation_is_warned_of_with_its_reason(caplog):
    mine = [dataclasses.replace(r, author="me") for r in _recordings({"a": 4, "b": 3})]
    assert all(r.split == "train" for r in split.split(mine, _by_author(val_share=0.3)))
    assert "by --group_by=author are too few or too large; --group_by=recording may help" in caplog.text
    caplog.clear()
    clips = [dataclasses.replace(r, path=f"XC100_{i}.wav") for i, r in enumerate(_recordings({"a": 2}))]
    split.split([*clips, *_recordings({"b": 1})], _by_author(val_share=0.3))  # of authors who are not known
    assert "by these records: each recording is the only one of a species" in caplog.text
    caplog.clear()
    split.split(mine, split.SplitConfig(val_share=0.3, grouping=groups.GroupConfig(group_by="recording")))
    split.split(mine, _by_author(val_share=0.0))
    assert "--val_share" not in caplog.text


@pytest.mark.parametrize(
    ("name", "part"),
    [("train", "train"), ("Training_Set", "train"), ("testing_list", "test"), ("val2", "val"), ("validate", "val"),
     ("evaluate", "test"), ("train test", ""),
     ("Test site", ""), ("train station", ""), ("set", ""), ("", "")],
)  # fmt: skip
def test_names_of_parts_are_told_by_all_of_their_words(name, part):
    assert split.part_of(name) == part


def test_the_time_of_a_split_grows_with_the_recordings():
    started = time.process_time()
    for counts in ({"a": 20000}, {f"c{i}": 2 for i in range(10000)}):
        found = _recordings(counts)
        assert sum(r.split == "val" for r in split.split(found, split.SplitConfig())) in (2000, 10000)
        assert set(split.folds(found, 5, split.SplitConfig()).values()) == set(range(5))
    assert time.process_time() - started < 30  # as its square: minutes

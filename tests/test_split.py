import collections

import pytest

from bird_tf import config, metadata, split


def _recordings(counts, authors=None):
    made = []
    for label, n in counts.items():
        for i in range(n):
            author = authors[len(made) % len(authors)] if authors else ""
            made.append(metadata.Recording(recording_id=f"{label}{i}", path="", label=label, author=author))
    return made


def test_split_is_stratified_and_keeps_every_class_on_both_sides():
    divided = split.split(_recordings({"a": 50, "b": 2, "c": 1, "d": 9}), split.SplitConfig())
    held_out = collections.Counter(r.label for r in divided if r.split == "val")
    assert held_out == {"a": 5, "b": 1, "d": 1}
    assert {r.label for r in divided if r.split == "train"} == {"a", "b", "c", "d"}


def test_split_by_author_never_divides_a_session():
    recordings = _recordings({"a": 20, "b": 12, "c": 7}, authors=[f"s{i}" for i in range(9)])
    divided = split.split(recordings, split.SplitConfig(group_by="author", val_share=0.2))
    sides = collections.defaultdict(set)
    for recording in divided:
        sides[recording.author].add(recording.split)
    assert all(len(side) == 1 for side in sides.values())
    for side in ("train", "val"):
        assert {r.label for r in divided if r.split == side} == {"a", "b", "c"}


def test_split_is_the_same_every_time_and_another_with_another_seed():
    recordings = _recordings({"a": 40, "b": 30})
    first = split.split(recordings, split.SplitConfig())
    assert {r.recording_id: r.split for r in split.split(recordings[::-1], split.SplitConfig())} == {
        r.recording_id: r.split for r in first
    }
    assert split.split(recordings, split.SplitConfig(split_seed=1)) != first


def test_share_zero_keeps_all_for_training():
    divided = split.split(_recordings({"a": 5}), split.SplitConfig(val_share=0.0))
    assert {r.split for r in divided} == {"train"}


def test_impossible_share_is_refused():
    with pytest.raises(config.InputError, match="--val_share=1"):
        split.split([], split.SplitConfig(val_share=1.0))

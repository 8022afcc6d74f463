import pytest

from bird_tf import config
from bird_tf.conversion import plan
from bird_tf.labels import metadata, taxonomy


def _recordings(lengths, **known):
    made = [metadata.Recording(recording_id=str(i), path="", label="a", **known) for i in range(len(lengths))]
    return made, {str(i): float(length) for i, length in enumerate(lengths)}


def _annotated(recording_id, *marks):
    spans = tuple(metadata.Annotation(start_seconds=s, end_seconds=e, label=label) for s, e, label in marks)
    return metadata.Recording(recording_id=recording_id, path="", label=spans[0].label, annotations=spans)


def test_shards_are_balanced_by_length():
    recordings, seconds = _recordings([60, 5, 5, 30, 30, 10, 20, 20])
    groups = plan.balance_shards(recordings, seconds, 60)
    assert [sum(seconds[r.recording_id] for r in group) for group in groups] == [60, 60, 60]
    assert sorted(r.recording_id for group in groups for r in group) == sorted(seconds)


def test_there_are_no_more_shards_than_recordings():
    recordings, seconds = _recordings([1000, 0])
    assert len(plan.balance_shards(recordings, seconds, 1)) == 2
    assert plan.balance_shards([], {}, 1) == []


def test_classes_are_chosen_by_name_by_id_and_by_number_of_recordings():
    recordings = [
        metadata.Recording(recording_id=str(i), path="", label=label, name=f"Genus {label}")
        for i, label in enumerate("aaabbc")
    ]
    assert plan.choose_classes(recordings, [], 0) == {"a", "b", "c"}
    assert plan.choose_classes(recordings, [], 2) == {"a", "b"}
    assert plan.choose_classes(recordings, ["genus C", "B"], 0) == {"b", "c"}
    assert plan.choose_classes(recordings, ["c", "b"], 1) == {"b"}
    with pytest.raises(
        config.InputError, match=r"--whitelist: no recording of dodo .*; there are 3 labels \(a, b, c\)"
    ):
        plan.choose_classes(recordings, ["a", "dodo"], 0)
    assert [r.label for r in plan.filter_classes(recordings, {"a"})] == ["a"] * 3


def test_an_annotated_recording_gets_a_label_that_is_wanted():
    [kept] = plan.filter_classes([_annotated("1", (0, 9, "a"), (9, 10, "b"))], {"b"})
    assert kept.label == "b" and len(kept.annotations) == 2


def test_recordings_without_late_annotations_keep_a_label_of_the_classes():
    classes = taxonomy.from_labels([("b", "b"), ("c", "c")])
    recordings = [
        _annotated("0", (0, 9, "a"), (0, 1, "b"), (99, 110, "c")), _annotated("1", (0, 9, "a"), (99, 100, "c")),
        _annotated("2", (0, 1, "c")), _annotated("3", (99, 100, "c")),
    ]  # fmt: skip
    seconds = dict.fromkeys("0123", 20.0)
    kept, left_out = plan.without_late(recordings, seconds, classes, 0.5)
    assert [(r.recording_id, r.label, r.partly_annotated) for r in kept] == [("0", "b", True), ("2", "c", False)]
    assert len(left_out) == 3
    with pytest.raises(config.InputError, match=r"1 of 4 recordings have annotations past their end alone.*no seconds"):
        plan.without_late(recordings, seconds, classes, 0.2)
    with pytest.raises(config.InputError, match="1 of 1 recordings"):
        plan.without_late(recordings[3:], seconds, classes, 1.0)

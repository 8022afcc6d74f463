import pytest

from bird_tf import config
from bird_tf.conversion import class_selection
from bird_tf.labels import metadata, taxonomy


def _annotated(recording_id, *marks):
    spans = tuple(metadata.Annotation(start_seconds=s, end_seconds=e, label=label) for s, e, label in marks)
    return metadata.Recording(recording_id=recording_id, path="", label=spans[0].label, annotations=spans)


def test_classes_are_chosen_by_name_by_id_and_by_number_of_recordings():
    recordings = [
        metadata.Recording(recording_id=str(i), path="", label=label, name=f"Genus {label}")
        for i, label in enumerate("aaabbc")
    ]
    assert class_selection.choose_classes(recordings, [], 0) == {"a", "b", "c"}
    assert class_selection.choose_classes(recordings, [], 2) == {"a", "b"}
    assert class_selection.choose_classes(recordings, ["genus C", "B"], 0) == {"b", "c"}
    assert class_selection.choose_classes(recordings, ["c", "b"], 1) == {"b"}
    with pytest.raises(
        config.InputError, match=r"--whitelist: no recording of dodo .*; there are 3 labels \(a, b, c\)"
    ):
        class_selection.choose_classes(recordings, ["a", "dodo"], 0)
    assert [r.label for r in class_selection.filter_classes(recordings, {"a"})] == ["a"] * 3


def test_a_name_is_that_of_all_its_classes_and_may_stand_in_annotations_alone():
    marks = [
        metadata.Annotation(start_seconds=i, end_seconds=i + 1, label=label, name="Parus major")
        for i, label in enumerate("bc")
    ]
    found = [metadata.Recording(recording_id="1", path="", label="a", name="Genus a", annotations=tuple(marks))]
    assert class_selection.choose_classes(found, ["parus major"], 0) == {"b", "c"}


def test_an_entry_of_a_whole_number_is_that_of_its_label(tmp_path):
    (tmp_path / "list.txt").write_text("12.0\n")
    recordings = [metadata.Recording(recording_id=label, path="", label=label, name=label) for label in ("12", "34")]
    _, classes = class_selection.of_classes(recordings, [str(tmp_path / "list.txt")], 0)
    assert classes.class_ids == ("12",)


def test_an_annotated_recording_gets_a_label_that_is_wanted():
    [kept] = class_selection.filter_classes([_annotated("1", (0, 9, "a"), (9, 10, "b"))], {"b"})
    assert kept.label == "b" and len(kept.annotations) == 2


def test_each_wanted_label_counts_once():
    given = {"label": "a", "further_labels": ("b", "c"), "background": ("b", "c")}
    found = [metadata.Recording(recording_id="1", path="", **given)]
    labels = [class_selection.filter_classes(found, set(wanted))[0].labels for wanted in ("b", "ac", "bc", "abc")]
    assert labels == [("b",), ("a", "c"), ("b", "c"), ("a", "b", "c")]


def test_recordings_without_late_annotations_keep_a_label_of_the_classes():
    classes = taxonomy.from_labels([("b", "b"), ("c", "c")])
    recordings = [
        _annotated("0", (0, 9, "a"), (0, 1, "b"), (99, 110, "c")), _annotated("1", (0, 9, "a"), (99, 100, "c")),
        _annotated("2", (0, 1, "c")), _annotated("3", (99, 100, "c")),
    ]  # fmt: skip
    seconds = dict.fromkeys("0123", 20.0)
    kept, left_out = class_selection.without_late(recordings, seconds, classes, 0.5)
    assert [(r.recording_id, r.label, r.partly_annotated) for r in kept] == [("0", "b", True), ("2", "c", False)]
    assert len(left_out) == 3
    with pytest.raises(config.InputError, match=r"1 of 4 recordings have annotations past their end alone.*no seconds"):
        class_selection.without_late(recordings, seconds, classes, 0.2)
    with pytest.raises(config.InputError, match="1 of 1 recordings"):
        class_selection.without_late(recordings[3:], seconds, classes, 1.0)

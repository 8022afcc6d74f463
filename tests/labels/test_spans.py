import dataclasses

import numpy as np
import pytest
import soundfile

from bird_tf import config
from bird_tf.labels import metadata, spans
from tests.labels import example_sets


@pytest.mark.parametrize(
    ("start", "end", "label", "background", "is_empty"),
    [
        (0.0, 1.0, "a", (), False),  # the chunk lies inside the annotation
        (1.5, 2.5, "a", (), False),  # the overlap is half of the chunk
        (1.6, 2.6, "", (), False),  # less than half: no label, and no noise
        (3.0, 4.0, "b", (), False),  # the overlap is the whole annotation
        (5.0, 6.0, "", (), True),
        (2.0, 3.0, "", (), True),  # the annotation before ends where the chunk begins
        (6.9, 7.9, "c", ("d", "e"), False),
    ],
)
def test_a_chunk_gets_a_label_if_the_overlap_reaches_the_share(start, end, label, background, is_empty):
    annotations = [
        example_sets.annotation(0, 2, "a"),
        example_sets.annotation(3.2, 3.4, "b"),
        example_sets.annotation(7, 9, "c", "e"),
        example_sets.annotation(7.8, 9, "d"),
    ]
    expected = spans.SpanLabels(label, background, is_empty)
    assert spans.labels_in_span(annotations, start, end, spans.AnnotationConfig()) == expected


def test_annotations_that_overlap_spans_are_found_in_the_order_of_time(generator):
    starts = generator.uniform(0, 90, 60)
    annotations = [
        example_sets.annotation(s, s + generator.choice([0.2, 3, 40]), f"s{i}") for i, s in enumerate(starts)
    ]
    found = spans.Overlapping(annotations)
    for start in np.arange(0, 100, 0.7):
        end = start + 2
        assert found.at(start, end) == [a for a in annotations if a.start_seconds < end and a.end_seconds > start]


def test_what_has_no_name_leaves_the_background_of_a_chunk_unknown():
    annotations = [example_sets.annotation(0, 2, "a"), example_sets.annotation(1.5, 2, "")]
    found = [spans.labels_in_span(annotations, start, start + 1, spans.AnnotationConfig()) for start in (0, 1, 2)]
    assert [(one.label, one.is_complete) for one in found] == [("a", True), ("a", False), ("", True)]


def test_the_flag_changes_the_share():
    annotations = [example_sets.annotation(0, 2, "a")]
    assert spans.labels_in_span(annotations, 1.6, 2.6, spans.AnnotationConfig(annotation_share=0.4)).label == "a"
    assert spans.labels_in_span(annotations, 1.5, 2.5, spans.AnnotationConfig(annotation_share=0.6)).label == ""


def test_negative_annotations_say_that_nothing_is_there():
    annotations = [example_sets.annotation(0, 4, "", negative=True), example_sets.annotation(2.5, 3, "a")]

    def found(start):
        return spans.labels_in_span(annotations, start, start + 1, spans.AnnotationConfig())

    assert found(0) == spans.SpanLabels("", (), True, is_negative=True)
    assert found(2) == spans.SpanLabels("a", (), False)
    assert found(3.6) == spans.SpanLabels("", (), True, is_negative=False)  # less than half
    negative = spans.with_annotations(metadata.Recording(recording_id="1", path="x"), annotations[:1])
    assert (negative.label, negative.labels) == ("", ())


def test_the_label_of_an_annotated_recording_is_the_species_with_the_longest_total_time():
    recording = metadata.Recording(recording_id="1", path="x.wav")
    annotated = spans.with_annotations(
        recording,
        [
            example_sets.annotation(0, 1, "a"),
            example_sets.annotation(0, 3, "b"),
            example_sets.annotation(4, 4.5, "a", "z"),
        ],
    )
    assert (annotated.label, annotated.name, annotated.background, annotated.labels) == (
        "b",
        "b",
        ("a", "z"),
        ("b", "a"),
    )
    with pytest.raises(config.InputError, match="name no species"):
        spans.with_annotations(recording, [example_sets.annotation(0, 1, "")])


def _recording(*spans_of, recording_id="0"):
    annotations = tuple(example_sets.annotation(start, end, label) for start, end, label in spans_of)
    recording = metadata.Recording(recording_id=recording_id, path=f"{recording_id}.wav")
    return spans.with_annotations(recording, annotations)


def test_annotations_past_the_end_are_warned_of(caplog):
    recordings = [_recording((0, end, "a"), recording_id=str(i)) for i, end in enumerate((20.5, 40, 40))]
    assert spans.without_late(recordings[:1], {"0": 20.0}) == (recordings[:1], [])
    assert not caplog.records
    found, left_out = spans.without_late(recordings, {"0": 20.0, "1": 20.0, "2": 0.0})
    assert [recording.partly_annotated for recording in found] == [False, True, False] and not left_out
    assert "1 annotations are past the end of their recordings, the first: 1.wav, up to 40.0 s" in caplog.text


@pytest.mark.parametrize(
    ("spans_of", "seconds", "used", "label"),
    [([(0, 9594, "a"), (0, 1, "b")], 60, ["b"], "b"), ([(0, 5, "a")], 2, ["a"], "a"), ([(0, 300, "a")], 140, [], ""),
     ([(0, 30, "a"), (50, 53, "b"), (57, 70, "c")], 60, ["a", "b", "c"], "a"),
     ([(0, 30, "a"), (57, 70, "c"), (90, 93, "c")], 60, ["a"], "a"), ([(90, 93, "a")], 60, [], ""),
     ([(0, 5, ""), (90, 93, "a")], 60, [], "")],
)  # fmt: skip
def test_annotations_far_past_the_end_or_beside_others_there_are_not_used(spans_of, seconds, used, label):
    found, left_out = spans.without_late([_recording(*spans_of)], {"0": seconds})
    assert [a.label for recording in found for a in recording.annotations] == used
    assert [recording.label for recording in found] == [label] * bool(used)
    assert all(recording.partly_annotated for recording in found)
    num = len(spans_of) - len(used) - (not used and len(spans_of) > 1)
    assert [(path, reason.split(",")[0]) for path, reason in left_out] == [
        ("0.wav", f"{num} annotations past its end")
    ] * bool(num)


def test_an_annotation_that_goes_on_in_the_next_recording_is_not_late(caplog):
    goes_on = dataclasses.replace(example_sets.annotation(2.5, 50, "a"), goes_on=True)
    recording = metadata.Recording(recording_id="0", path="0.wav", annotations=(goes_on,))
    assert spans.without_late([recording], {"0": 4.0}) == ([recording], []) and not caplog.records
    assert spans.without_late([recording], {"0": 2.0})[1]
    assert repr(goes_on) == repr(example_sets.annotation(2.5, 50, "a"))  # unfinished conversions go on


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_outside_0_and_1_is_refused(share):
    with pytest.raises(config.InputError, match="--annotation_share"):
        spans.AnnotationConfig(annotation_share=share)


def test_annotations_in_the_second_of_two_joined_files_are_not_late(tmp_path, caplog):
    soundfile.write(tmp_path / "x.flac", np.ones(8000 * 20) / 2, 8000)
    (tmp_path / "x.flac").write_bytes((tmp_path / "x.flac").read_bytes() * 2)
    annotation = metadata.Annotation(start_seconds=30.0, end_seconds=31.0, label="a")
    recording = metadata.Recording(recording_id="0", path=str(tmp_path / "x.flac"), annotations=(annotation,))
    assert spans.without_late([recording], {"0": 20.0}) == ([recording], [])
    assert not caplog.text

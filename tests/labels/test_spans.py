import pytest

from bird_tf import config
from bird_tf.labels import metadata, spans
from tests.labels.layouts import example_sets


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


def test_annotations_past_the_end_are_warned_of(caplog):
    recordings = [
        metadata.Recording(recording_id=str(i), path=f"{i}.wav", annotations=(example_sets.annotation(0, end, "a"),))
        for i, end in enumerate((20.5, 40, 40))
    ]
    assert spans.without_trust_in_late(recordings[:1], {"0": 20.0}) == recordings[:1]
    assert not caplog.records
    found = spans.without_trust_in_late(recordings, {"0": 20.0, "1": 20.0, "2": 0.0})
    assert [recording.partly_annotated for recording in found] == [False, True, False]
    assert "1 annotations are past the end of their recordings, the first: 1.wav, up to 40.0 s" in caplog.text


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_outside_0_and_1_is_refused(share):
    with pytest.raises(config.InputError, match="--annotation_share"):
        spans.AnnotationConfig(annotation_share=share)

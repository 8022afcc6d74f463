import pytest

from bird_tf import config
from bird_tf.labels import metadata, spans
from bird_tf.labels.layouts import selections

RAVEN = """Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies
1\tWaveform 1\t1\t1.5\t2.5\t500\t4000\tparmaj
1\tSpectrogram 1\t1\t1.5\t2.5\t500\t4000\tparmaj
2\tSpectrogram 1\t1\t0.25\t0.75\t500\t4000\tturmer
"""
AUDACITY = """1.500000\t2.500000\tparmaj
\\\t500.0\t4000.0
0,25\t0,75\tturmer
9.0\t10.0
"""


def _mark(start, end, label, *background):
    return metadata.Annotation(start_seconds=start, end_seconds=end, label=label, background=background)


def test_raven_tables_are_read_each_selection_once(tmp_path):
    (tmp_path / "x.txt").write_text(RAVEN)
    assert selections.read(str(tmp_path / "x.txt"), {}) == [_mark(0.25, 0.75, "turmer"), _mark(1.5, 2.5, "parmaj")]


def test_the_column_of_the_species_can_be_named(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text(RAVEN.replace("Species", "Who"))
    with pytest.raises(config.InputError, match=r"which column holds the species\? .*Who; say --columns=label=NAME"):
        selections.read(str(path), {})
    assert [a.label for a in selections.read(str(path), {"label": "Who"})] == ["turmer", "parmaj"]


def test_audacity_labels_are_read(tmp_path):
    (tmp_path / "x.txt").write_text(AUDACITY)
    expected = [_mark(0.25, 0.75, "turmer"), _mark(1.5, 2.5, "parmaj"), _mark(9.0, 10.0, "")]
    assert selections.read(str(tmp_path / "x.txt"), {}) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "neither a Raven"),
        ("Dear all\n", "neither a Raven"),
        ("a\tb\tc\n", "not times in seconds"),
        ("5\t4\tx\n", "after its start"),
        ("0\tnan\tx\n", "after its start"),
        ("0\tinf\tx\n", "after its start"),
    ],
)
def test_what_is_no_table_is_named(tmp_path, text, words):
    (tmp_path / "x.txt").write_text(text)
    with pytest.raises(config.InputError, match=words):
        selections.read(str(tmp_path / "x.txt"), {})


def test_text_in_another_encoding_is_named(tmp_path):
    (tmp_path / "x.txt").write_bytes("0\t1\tKäuzchen\n".encode("latin-1"))
    with pytest.raises(config.InputError, match="not UTF-8"):
        selections.read(str(tmp_path / "x.txt"), {})


@pytest.mark.parametrize(
    ("start", "end", "label", "background", "nothing"),
    [
        (0.0, 1.0, "a", (), False),  # wholly inside
        (1.5, 2.5, "a", (), False),  # half of it
        (1.6, 2.6, "", (), False),  # less than half: neither label nor noise
        (3.0, 4.0, "b", (), False),  # the whole of a short call
        (5.0, 6.0, "", (), True),
        (2.0, 3.0, "", (), True),  # ends where the call begins
        (6.9, 7.9, "c", ("d", "e"), False),
    ],
)
def test_a_label_needs_its_share(start, end, label, background, nothing):
    marks = [_mark(0, 2, "a"), _mark(3.2, 3.4, "b"), _mark(7, 9, "c", "e"), _mark(7.8, 9, "d")]
    expected = spans.SpanLabels(label, background, nothing)
    assert spans.labels_in_span(marks, start, end, spans.AnnotationConfig()) == expected


def test_the_share_is_a_setting():
    marks = [_mark(0, 2, "a")]
    assert spans.labels_in_span(marks, 1.6, 2.6, spans.AnnotationConfig(annotation_share=0.4)).label == "a"
    assert spans.labels_in_span(marks, 1.5, 2.5, spans.AnnotationConfig(annotation_share=0.6)).label == ""


def test_times_may_be_minutes_and_hours():
    assert spans.parse_annotation("x", "1:30", "1:02:03.5", "a") == _mark(90.0, 3723.5, "a")


def test_an_annotated_recording_is_named_after_the_species_marked_longest():
    bare = metadata.Recording(recording_id="1", path="x.wav")
    made = spans.with_annotations(bare, [_mark(0, 1, "a"), _mark(0, 3, "b"), _mark(4, 4.5, "a", "z")])
    assert (made.label, made.name, made.background, made.labels) == ("b", "b", ("a", "z"), ("b", "a"))
    with pytest.raises(config.InputError, match="name no species"):
        spans.with_annotations(bare, [_mark(0, 1, "")])


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(config.InputError, match="--annotation_share"):
        spans.AnnotationConfig(annotation_share=share)

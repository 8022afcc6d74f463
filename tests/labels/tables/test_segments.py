import pytest

from tests.labels import example_sets
from tests.labels.formats.test_csv_table import _read


def test_an_empty_label_is_a_negative_in_a_table_of_equal_segments_only(tmp_path):
    segments = "file,start,end,label\nx.wav,0,5,a\nx.wav,5,10,\n"
    assert example_sets.spans_of(_read(tmp_path, segments))[1] == (("x.wav",), 5.0, 10.0, None)
    boxes = segments.replace("5,10,", "5,5.7,")
    assert example_sets.spans_of(_read(tmp_path, boxes))[1] == (("x.wav",), 5.0, 5.7, ())
    assert _read(tmp_path, segments + "y.wav,,,\n").rows[2].labels == example_sets.NEGATIVE


@pytest.mark.parametrize(("more", "is_told"), [("", True), ("x.wav,5,10,\n", False)])
def test_an_empty_label_of_the_only_span_of_a_recording_is_told(tmp_path, caplog, more, is_told):
    source = _read(tmp_path, f"file,start,end,label\nx.wav,0,5,a\ny.wav,0,5,\n{more}")
    assert source.rows[1].labels == example_sets.NEGATIVE
    assert ("each recording has one span" in caplog.text) == is_told


@pytest.mark.parametrize(
    ("starts", "is_nothing"),
    [((0, 5, 10), True), ((5, 0, 10), True), ((0, 2.5, 5), True), ((0, 5, 12), False), ((5, 10, 15), False)],
)
def test_an_empty_label_says_nothing_where_spans_are_no_segments_of_the_whole_recording(
    tmp_path, starts, is_nothing, caplog
):
    caplog.set_level("INFO", logger="absl")
    rows_of = [f"x.wav,{start},{start + 5},{label}\n" for start, label in zip(starts, ("a", "", "b"), strict=True)]
    source = _read(tmp_path, "file,start,end,label\n" + "".join(rows_of))
    assert source.rows[1].labels.negative == is_nothing and source.rows[1].labels.missing != is_nothing
    assert ("in 1 segments the label is empty: nothing is there" in caplog.text) == is_nothing


def test_an_empty_label_beside_another_filled_column_of_labels_is_not_nothing(tmp_path, caplog):
    text = "file,start,end,ebird_code,ebird_code_multilabel\n"
    text += "x.wav,0,5,,[]\nx.wav,5,10,a,['a']\nx.wav,10,15,,\"['a', 'b']\"\n"
    assert [row.labels.negative for row in _read(tmp_path, text).rows] == [True, False, False]
    assert (
        "1 empty labels are not taken for nothing" in caplog.text and "ebird_code_multilabel is filled" in caplog.text
    )
    source = _read(tmp_path, text, "label=ebird_code_multilabel")
    assert [row.labels.species for row in source.rows] == [(), ("a",), ("a", "b")] and source.rows[0].labels.negative


@pytest.mark.parametrize(
    ("last", "is_nothing"),
    [("y.wav,5,10", False), ("y.wav,5.0,1", False), ("y.wav", False), ("y.wav,5,10,", True), ("y.wav,5,10\n", True)],
)
def test_a_cut_last_line_is_not_nothing(tmp_path, last, is_nothing):
    segments = "file,start,end,label\nx.wav,0,5,a\nx.wav,5,10,\ny.wav,0,5,b\n"
    row = _read(tmp_path, segments + last).rows[-1]
    assert row.labels.negative == is_nothing and bool(row.problem) != is_nothing


def test_segments_whose_lines_end_behind_the_last_filled_cell_are_read(tmp_path):
    read_rows = _read(tmp_path, "file,start,end,label\nx.wav,0,5,a\nx.wav,5,10\nx.wav,10,15").rows
    assert [row.labels.negative for row in read_rows] == [False, True, True]

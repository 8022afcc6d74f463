import dataclasses
import math

import pytest

from bird_tf.labels.tables import rows


@pytest.mark.parametrize(
    ("start", "end", "is_duration", "span"),
    [("1:30", "1:02:03.5", False, (90.0, 3723.5)), ("1,5", "2", True, (1.5, 3.5)), ("2", "2", False, (2.0, 2.0)),
     ("-0.5", "1", False, (0.0, 1.0)), ("-0.5", "1.5", True, (0.0, 1.0)), ("-4.5", "5.5", False, (0.0, 5.5))],
)  # fmt: skip
def test_times_are_read(start, end, is_duration, span):
    row = rows.spanned(rows.Row(where="x"), start, end, is_duration=is_duration)
    assert (row.start_seconds, row.end_seconds, row.problem, row.has_span) == (*span, "", True)


@pytest.mark.parametrize(
    ("start", "end"),
    [("a", "1"), ("5", "4"), ("0", "nan"), ("0", "inf"), ("-3", "3"), ("-10.5", "13.9"), ("", "")],
)
def test_times_that_cannot_be_read_are_a_problem(start, end):
    row = rows.spanned(rows.Row(where="x"), start, end)
    assert row.problem and not row.has_span


@pytest.mark.parametrize(
    ("cell", "score", "unread"),
    [("0.5", 0.5, ""), ("87 %", 0.87, ""), ("0", 0, ""), ("95", 0, "95"), ("high", 0, "high"), ("?", 0, "?")],
)
def test_a_score_that_cannot_be_read_is_no_sure_one(cell, score, unread):
    row = rows.scored(rows.Row(where="x"), cell)
    assert (row.score, row.unread_score) == (score, unread)
    assert math.isnan(rows.scored(rows.Row(where="x"), "").score)


@pytest.mark.parametrize(
    ("cell", "names"), [("a.wav", ("a.wav",)), ("101.0", ("101.0", "101")), ("a.0", ("a.0",)), ("", ())]
)
def test_a_number_as_pandas_writes_it_is_two_names(cell, names):
    assert rows.names(cell) == names


def test_zero_is_known():
    first = dataclasses.replace(rows.NOTHING, elevation=0.0, hour=0.0)
    for pair in ((first, rows.NOTHING), (rows.NOTHING, first), (first, dataclasses.replace(first, elevation=3.0))):
        assert (rows.merged(*pair).elevation, rows.merged(*pair).hour) == (0.0, 0.0)


def test_what_is_unknown_comes_from_the_second_source():
    first = dataclasses.replace(rows.NOTHING, author="Ann", latitude=1.0)
    second = dataclasses.replace(rows.NOTHING, author="Bob", longitude=2.0, background=("a",), background_known=True)
    merged = rows.merged(first, second)
    assert (merged.author, merged.latitude, merged.longitude, merged.background) == ("Ann", 1.0, 2.0, ("a",))
    assert merged.background_known and math.isnan(merged.hour)


@pytest.mark.parametrize(
    ("cell", "first", "channel"),
    [("1", 1, 1), ("2", 1, 2), ("0", 0, 1), ("1", 0, 2), ("", 1, 0), ("x", 0, 0), ("0", 1, 0)],
)
def test_channels_are_counted_from_one(cell, first, channel):
    assert rows.read_channel(cell, first) == channel


@pytest.mark.parametrize(
    ("cells", "is_told"),
    [(("thrush, hermit", "warbler, willow", "tit, great"), True), (("tit, great", "jay"), True),
     (("amerob, sonspa", "eurbla"), False), (("gretit1, sonspa",), False), (("wren, robin", "robin"), False),
     (("wren, robin", "robin, jay"), False), (("frog,insect",), False), (("robin, song",), False)],
)  # fmt: skip
def test_words_that_may_be_one_name_are_told(cells, is_told):
    found = [rows.labelled(rows.Row(where=cell), cell, rows.Options()) for cell in cells]
    assert rows.words_beside(found) == ({cell: cell for cell in cells if "," in cell} if is_told else {})

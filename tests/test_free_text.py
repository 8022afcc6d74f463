import math

import pytest

from bird_tf import free_text
from bird_tf.labels.layouts import reader
from tests.labels import example_sets


@pytest.mark.parametrize(
    ("text", "hour"),
    [("08:30", 8.5), ("9:30 am", 9.5), ("9:30 pm", 21.5), ("12:15 am", 0.25), ("~06h15", 6.25), ("18:00:36", 18.01),
     ("7.15", 7.25), ("0.2291667", math.nan), ("?", math.nan), ("", math.nan), ("25:10", math.nan),
     ("morning", math.nan), ("050045", 5.0125), ("256000", math.nan), ("9:30:36 pm", 21.51), ("6:00:36.5", 6.01)],
)  # fmt: skip
def test_times_in_free_text_are_read(tmp_path, text, hour):
    [recording], _ = reader.read(example_sets.birdclef_set(tmp_path, ("1", "a.wav", "x", f"<Time>{text}</Time>")))
    assert recording.hour == pytest.approx(hour, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "hour"),
    [("2023-05-01T05:10:24", 5 + 10.4 / 60), ("2023-05-01T05:45:36Z", 5.76), ("20230501T05:45:36", 5.76),
     ("2023/05/01_05:45", 5.75), ("05.06.2023 21:30", 21.5), ("31.05.2023, 05:30", 5.5), ("1. 5. 2023 21.30", 21.5),
     ("05.06. 21:30", 21.5), ("05.06.23 21:30", 21.5), ("5/31/2023 5:30:36.5 PM", 17.51), ("May 1, 2023 9:30 PM", 21.5),
     ("05:30 01/05/2023", 5.5), ("23.05.2023", math.nan), ("7.15.30", 7.25), ("5.30 - 6.15", 5.5)],
)  # fmt: skip
def test_dates_beside_a_time_are_not_taken_for_it(text, hour):
    assert free_text.hour_of_day(text) == pytest.approx(hour, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "day"),
    [("2016-12-31", 366.0), ("2014/1/31", 31.0), ("2014-00-00", math.nan), ("May 2014", math.nan), ("", math.nan)],
)
def test_dates_in_free_text_are_read(tmp_path, text, day):
    [recording], _ = reader.read(example_sets.birdclef_set(tmp_path, ("1", "a.wav", "x", f"<Date>{text}</Date>")))
    assert recording.day_of_year == pytest.approx(day, nan_ok=True)
    assert recording.date == ("" if math.isnan(day) else {"2014/1/31": "2014-01-31"}.get(text, text))


@pytest.mark.parametrize(
    ("texts", "place"),
    [(("52,5", "-13.4"), (52.5, -13.4)), (("0", "13.4"), (0, 13.4)), (("52", ""), (52, math.nan)),
     (("0.000000", "-0"), (math.nan, math.nan)), (("0", "x"), (0, math.nan)), (("-1", "-1.0"), (math.nan, math.nan)),
     (("-1", "36.8"), (-1, 36.8)), (("-1", "x"), (-1, math.nan))],
)  # fmt: skip
def test_places_are_read_but_for_those_that_programs_write_of_an_unknown_one(texts, place):
    assert free_text.place(*texts) == pytest.approx(place, nan_ok=True)


@pytest.mark.parametrize("text", ["ca. 12", "91", "", "1.2.3", "1_2", "٥", "nan", "1" + 5000 * "0"])
def test_invalid_coordinates_become_nan(tmp_path, text):
    [recording], _ = reader.read(
        example_sets.birdclef_set(tmp_path, ("1", "a.wav", "x", f"<Latitude>{text}</Latitude>"))
    )
    assert math.isnan(recording.latitude)


@pytest.mark.parametrize(
    ("text", "metres"),
    [("120", 120), ("ca. 1200 m", 1200), ("1,100-1,300", 1200), ("-2", -2), ("12.5m", 12.5), ("3000 ft", math.nan),
     ("?", math.nan), ("", math.nan), ("99999", math.nan), ("10-20-30", math.nan)],
)  # fmt: skip
def test_elevations_in_free_text_are_read(tmp_path, text, metres):
    [recording], _ = reader.read(
        example_sets.birdclef_set(tmp_path, ("1", "a.wav", "x", f"<Elevation>{text}</Elevation>"))
    )
    assert recording.elevation == pytest.approx(metres, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("1:30", 90.0), ("01:00:00,5", 3600.5), ("1,5", 1.5), ("3 s", 3.0), ("1:2:3:4", math.nan),
     (200 * ":", math.nan), (5000 * "9", math.nan), ("²", math.nan), ("1e999", math.nan), ("-1", -1.0),
     ("0 sec", 0.0), ("250ms", 0.25), ("1,5 Min.", 90.0), ("2 m", math.nan), ("1:30 s", math.nan),
     ("90:10", 5410.0), ("100:00:01", 360001.0), ("0:59.97", 59.97), ("0:60.0", 60.0), ("0:75", math.nan),
     ("0:60.5", math.nan), ("0:99:10", math.nan)],
)  # fmt: skip
def test_times_in_recordings_are_read(text, seconds):
    assert free_text.seconds(text) == pytest.approx(seconds, nan_ok=True)


def test_the_unit_of_a_time_itself_counts_before_that_of_its_column():
    assert [free_text.seconds(text, 60.0) for text in ("2", "2 s", "2 h")] == [120.0, 2.0, 7200.0]


@pytest.mark.parametrize(
    ("text", "date"),
    [("2014-01-31", "2014-01-31"), ("2014-01-31T05:30:00Z", "2014-01-31"), ("20140131", "2014-01-31"),
     ("31.01.2014", "2014-01-31"), ("1.2.14", "2014-02-01"), ("1/31/2014", "2014-01-31"), ("31 Jan 2014", "2014-01-31"),
     ("January 31, 2014", "2014-01-31"), ("1/2/2014", None), ("31.13.2014", None), ("3000 BC", None), ("", None)],
)  # fmt: skip
def test_dates_are_read(text, date):
    found = free_text.date(text)
    assert (found and found.isoformat()) == date


@pytest.mark.parametrize("text", ["0", "1", "0.5", "1.0", "1e-3", "1." + 30 * "0", ".5"])
def test_probabilities_are_read(text):
    assert free_text.probability(text) == float(text)


@pytest.mark.parametrize(
    "text",
    ["", "1.00000000000000000001", "-0.1", "0,5", " 0.5", "٠.٣", "nan", "inf", "1_0", "0." + 99 * "1", "1.1", "0x1"],
)
def test_what_is_no_probability_becomes_nan(text):
    assert math.isnan(free_text.probability(text))


def test_examples_are_the_first_of_a_list():
    assert free_text.examples([]) == ""
    assert free_text.examples("ab") == " (a, b)" and free_text.examples("abc", 2) == " (a, b, …)"


def test_signs_that_would_change_a_terminal_become_escapes():
    told = free_text.printable("a\x1b[31m\u202e\udce9\nÄ ✓ b\r")
    assert told == r"a\x1b[31m\u202e\udce9\nÄ ✓ b\r"
    assert free_text.printable("a\nb\tc\x07", kept="\n\t") == "a\nb\tc\\x07"


@pytest.mark.parametrize(
    ("text", "time"),
    [("0.2291667", "05:30"), ("0.2292", "05:30"), ("0,208854167", "05:00:45"), ("0.999999", "23:59:59"), ("0", "00:00"),
     ("05:00", "05:00")],
)  # fmt: skip
def test_shares_of_a_day_are_times(text, time):
    assert free_text.time_of_share(text) == time

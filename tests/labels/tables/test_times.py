import re

import pytest

from bird_tf import config
from bird_tf.labels import texts
from bird_tf.labels.tables import columns, times
from tests.labels import example_sets

CLOCK = "file,start time,end time,species\n"
AT_FIVE, AT_SIX = "20230501_050000.wav", "S1\\20230501_060000.wav"


@pytest.mark.parametrize(
    "lines",
    [f"{AT_FIVE},05:00,05:06,a\n{AT_SIX},06:00,06:01,a\n",
     f"{AT_FIVE},05:00:10,05:00:13,a\n{AT_FIVE},5:40:10,5:40:13,a\n{AT_SIX},6:00:02,6:00:05,a\n",
     f"{AT_FIVE},05:00,05:06,a\n{AT_SIX},NA,NA,\n",
     "a,0.000115740740740741,0.000231481481481481,a\nb,3.4722E-05,6.9444E-05,a\n"],
)  # fmt: skip
def test_times_of_the_clock_and_shares_of_a_day_are_refused(tmp_path, lines):
    document = texts.Document(example_sets.write_text(tmp_path / "t.csv", CLOCK + lines))
    with pytest.raises(config.InputError, match=r"the times in start time are like .* '--columns=start=start time'"):
        times.refuse_other_times(document, columns.find(document, ()), ())
    given = columns.parse(("start=start time",))
    times.refuse_other_times(document, columns.find(document, given), given)


@pytest.mark.parametrize(
    "lines",
    [f"{AT_FIVE},05:10,05:16,a\n", f"{AT_FIVE},05:00,05:06,a\n{AT_FIVE},0:10,0:16,a\n",
     "20230501_003000.wav,0:30,0:36,a\n", f"{AT_FIVE},5,6,a\n", "a.wav,05:00,05:06,a\n", "a.wav,0,0.04,a\n",
     "a.wav,0.01234,0.02345,a\n", ""],
)  # fmt: skip
def test_times_that_are_like_those_of_the_clock_by_chance_are_read(tmp_path, lines):
    document = texts.Document(example_sets.write_text(tmp_path / "t.csv", CLOCK + lines))
    times.refuse_other_times(document, columns.find(document, ()), ())


@pytest.mark.parametrize(
    "text",
    ["start_min,start_s,label\n1,2,a\n", "start_min,start_s,label\n0,3,a\n1.0,45.0,a\n", "Start (h),Start (min)\n1,5\n",
     "start_s,start_ms\n2,500\n", "end_min,end_sec\n1,5\n"],
)  # fmt: skip
def test_minutes_and_seconds_of_one_time_in_two_columns_are_refused(tmp_path, text):
    document = texts.Document(example_sets.write_text(tmp_path / "t.csv", text))
    with pytest.raises(config.InputError, match=r"line \d: .* are not the same time; .* '--columns=(start|end)="):
        times.refuse_other_times(document, columns.find(document, ()), ())
    given = columns.parse((f"start={document.header[1]}", f"end={document.header[1]}"))
    times.refuse_other_times(document, columns.find(document, given), given)


@pytest.mark.parametrize(
    "text",
    ["start_min,start_s\n0.52,31\n1,62\n0,5\n", "start_min,start_s\n1,62.5\n2,125\n,3\n",
     "start_s,start_ms\n2.5,2500\n", "start_min,start_s\n1.0333333,62\n1.0,60.2\n", "start_min,start_s\n0:01,62\n"],
)  # fmt: skip
def test_the_same_times_in_two_units_are_read(tmp_path, text):
    document = texts.Document(example_sets.write_text(tmp_path / "t.csv", text))
    times.refuse_other_times(document, columns.find(document, ()), ())


@pytest.mark.parametrize(
    ("header", "given", "units"),
    [("t_min,t_max", ("start=t_min", "end=t_max"), {"start": 1, "end": 1}),
     ("min,t_min,t_max,d", ("start=t_min", "duration=d"), {"start": 1, "duration": 1}),
     ("x_min,y_max", ("start=x_min", "end=y_max"), {"start": 1, "end": 1}),
     ("start_min,end_min", (), {"start": 60, "end": 60}), ("start_min,end_s", (), {"start": 60, "end": 1}),
     ("onset_ms,end", (), {"start": 0.001, "end": 1})],
)  # fmt: skip
def test_the_least_time_is_no_time_in_minutes(tmp_path, header, given, units):
    document = texts.Document(example_sets.write_text(tmp_path / "t.csv", f"{header}\n"))
    assert times.units(document, columns.find(document, columns.parse(given))) == units


@pytest.mark.parametrize(
    ("header", "lines", "told"),
    [("t_min,t_max,f_min,f_max", ("1,2,3,4",), ["t_min", "t_max"]),
     ("max time,min_time", ("1,2",), ["max time", "min_time"]),
     ("StartSeconds,EndSeconds", ("1,2",), ["StartSeconds", "EndSeconds"]),
     ("left,right", ("1,2", "3,4"), ["left", "right"]),
     ("Time 1 (s),Time 2 (s)", ("1,2",), ["Time 1 (s)", "Time 2 (s)"]), ("left,right", ("1,2", "5,4"), []),
     ("left,right", ("yes,no",), []), ("low_khz,length_s", ("1,2",), []), ("rise_s,fall_s", ("1,2", "2,1"), []),
     ("date,minute,class", ("1,2,3",), []), ("Von,Bis", ("2,5",), ["Von", "Bis"]), ("desde_s,hasta_s", ("2,5",),
     ["desde_s", "hasta_s"]), ("Zeit von,Aufgenommen von,Zeit,%", ("2,Anna,3,4",), ["Zeit von"])],
)  # fmt: skip
def test_columns_that_may_hold_times_are_known_by_name_or_as_pairs(tmp_path, header, lines, told):
    document = texts.Document(example_sets.write_text(tmp_path / "t.csv", "\n".join((header, *lines))))
    assert times.of_spans(document, header.split(",")) == told


@pytest.mark.parametrize(
    ("column", "cells", "is_told"),
    [("Time (s)", ("1.0", "3.0", "2.0"), True), ("time_s", ("1", "1", "2"), True), ("second", ("1", "2", "2"), True),
     ("detection_time", ("00:01", "00:03", "0:02"), True), ("timestamp", ("5:01", "5:03", "4:00"), True),
     ("timestamp", ("5:30", "5:30", "4:00"), False), ("interval", ("0-2", "2 - 4", "0-2"), True),
     ("time_range", ("00:00-00:02", "00:02–00:04", "00:00-00:02"), True), ("mid_s", ("1.5", "2", ""), True),
     ("time", ("5:30", "5:31", "5:30"), True), ("time", ("5:30", "5:30", "0:10"), False),
     ("time", ("530", "530", "610"), False), ("timestamp", ("2023-05-01 05:30", "x", ""), False),
     ("timestamp", ("1683000000", "1683000001", "1683000000"), False), ("time_zone", ("1", "2", "2"), False),
     ("center_freq", ("1", "2", "2"), False), ("minutes", ("5", "5", "10"), False),
     ("interval", ("2-0", "", ""), False),
     ("T", ("21.5", "22", "19"), False), ("T", ("21.5", "21.5", "19"), False), ("position", ("1", "2", "3"), False),
     ("local_time", ("530", "600", "610"), False), ("timestamp", ("530", "530", "610"), False),
     ("second", ("1", "1", "2"), False), ("peak", ("2000", "4000", "3000"), False),
     ("center_time", ("1", "", "2"), True), ("inter_call_interval", ("0.3", "0.5", "0.1"), False),
     ("position", ("0:05", "0:10", "1:23.5"), True), ("mm:ss", ("00:05", "00:10", ""), True),
     ("Zeit", ("0:05", "0:10", "0:15"), True), ("Zeit", ("00:10", "00:10", "00:40"), False),
     ("Zeit", ("2.5", "3", "1"), True), ("#", ("1", "2", "3"), False), ("minute", ("0", "1", "0"), True),
     ("clock", ("05:30", "05:30", "06:10"), False),
     ("Uhrzeit", ("5:30", "", "0:10"), False), ("odds", ("1:3", "2:1", "1:1"), False),
     ("hora", ("00:10", "00:10", "00:40"), False),
     ("visit", ("2023-05-01 05:30", "2023-05-01 05:40", "2023-05-01 05:30"), False),
     ("sunrise", ("5:30", "5:31", "5:30"), False), ("rec", ("XC1:05", "XC1:06", "a"), False),
     ("created", ("10:22", "10:23", "9:00"), False), ("annotated_at", ("10:22", "10:23", "9:00"), False),
     ("age", ("1:05", "2:05", "1:05"), False), ("page", ("1:05", "2:05", "1:05"), False),
     ("video", ("1:05", "2:05", "1:05"), True), ("time_block", ("0-2", "2-4", "0-2"), True),
     ("time_s", ("1", "1", "1"), False), ("window", ("hann", "hann", ""), False)],
)  # fmt: skip
def test_columns_that_may_hold_when_labels_are_are_known(tmp_path, column, cells, is_told):
    lines = [f"{file},{cell},a\n" for file, cell in zip(("x.wav", "x.wav", "y.wav"), cells, strict=True)]
    document = texts.Document(example_sets.write_text(tmp_path / "t.csv", f"file,{column},label\n" + "".join(lines)))
    assert times.moments(document, columns.find(document, ())) == [column] * is_told


def test_minutes_of_the_time_of_day_are_no_times_of_labels(tmp_path):
    text = "file,hour,minute,second,label\nx.wav,5,1,2,a\ny.wav,5,2,3,a\n"
    document = texts.Document(example_sets.write_text(tmp_path / "t.csv", text))
    assert times.moments(document, columns.find(document, ())) == []


@pytest.mark.parametrize(
    "text",
    ["file,start,end,label\n,min,min,\n", "file,start,end,freq,label\n-,[ms],[ms],Hz,\n",
     "start,end,label\nmin,min,\n", "file,start,end,label\n,samples,samples,\n", "file,start_ms,end_ms,label\n,s,s,\n",
     "file,start,end,label,score\n,s,s,,%\n", "file,Annotation,,\n,start,end,species\n",
     "file,Time (s),,Species\n,from,to,\n"],
)  # fmt: skip
def test_a_second_line_of_the_header_is_refused(tmp_path, text):
    document = texts.Document(example_sets.write_text(tmp_path / "t.csv", f"{text}a.wav,2,5,a,b\n"))
    with pytest.raises(config.InputError, match=r"line 2: (units below the header|a second line of names of columns)"):
        times.refuse_second_header(document, columns.find(document, ()))


def test_the_advice_for_units_below_the_header_contradicts_no_name(tmp_path):
    for columns_and_unit, advice in (
        ("start_ms,end_ms\n,s,s", "the name start_ms says ms, and this line s: write the right one into the name"),
        ("start,end\n,samples,samples", "write the times in seconds"), ("start,end\n,ms,ms", "as 'start (ms)'"),
    ):  # fmt: skip
        path = example_sets.write_text(tmp_path / "t.csv", f"file,{columns_and_unit}\na.wav,2,5\n")
        document = texts.Document(path)
        with pytest.raises(config.InputError, match=re.escape(advice)):
            times.refuse_second_header(document, columns.find(document, ()))


@pytest.mark.parametrize(
    "text",
    ["file,start,end,freq,label\n,s,sec,kHz,\n", "file,start_min,end_min,label\n,min,min,\n",
     "file,lat,label\n,deg,\n", "file,start,end,label\n,,to the end,start of song\n",
     "file,start,end,label\na.wav,1 min,2 min,song\n", "file,start,end,label\n,1,2,label\n", "file,label\n",
     "file,label,x\n,background,\n", "file,score (%),label\n,%,\n", "file,start,end,label\n,,,\n"],
)  # fmt: skip
def test_units_that_change_nothing_and_rows_of_labels_are_no_second_header(tmp_path, text):
    document = texts.Document(example_sets.write_text(tmp_path / "t.csv", text))
    times.refuse_second_header(document, columns.find(document, ()))


@pytest.mark.parametrize(
    ("header", "cells", "is_refused"),
    [("start_ms,end", "1000,2000", True), ("start,end_ms", "1,2000", True), ("start,duration_ms", "1000,2000", True),
     ("start_min,duration", "1,2.5", True),
     ("start_min,end", "1,2", True), ("start,end_h", "1,2", True), ("start,duration_min", "1.5,2", True),
     ("start,duration_ms", "1.5,200", False), ("start,duration_ms", "0,200", False),
     ("start,duration_min", "1:30,2", False), ("start,duration_s", "1,2", False), ("start_ms,duration_s", "1,2", False),
     ("start_s,end", "1,2", False), ("start_ms,end_ms,duration", "1,2,1", False)],
)  # fmt: skip
def test_a_unit_that_is_not_told_beside_another_one_than_seconds_is_refused(tmp_path, header, cells, is_refused):
    document = texts.Document(example_sets.write_text(tmp_path / "t.csv", f"file,{header},label\na.wav,{cells},a\n"))
    found = columns.find(document, ())
    if not is_refused:
        assert times.units(document, found)
        return
    with pytest.raises(config.InputError, match=r"only one of start\w* and (end|duration)\w* names its unit"):
        times.units(document, found)


@pytest.mark.parametrize(
    ("cells", "is_refused"),
    [(('"1,234"', "1236.5", "12.5", "13"), True), (('"1,234.5"', '"1,236"', "12", "13"), True),
     (('"1,5"', "2.5", "12.5", "13"), False), (('"1,234"', '"1,5"', "12", "13"), False),
     (("1.234", "1.5", "12", '"13,25"'), False)],
)  # fmt: skip
def test_commas_that_may_divide_thousands_are_refused_beside_points(tmp_path, cells, is_refused):
    text = "file,start,end,label\na.wav,{},{},a\nb.wav,{},{},b\n".format(*cells)
    problem = example_sets.source_of(tmp_path / "t.csv", text).problem
    assert ("does the comma divide thousands?" in problem) == is_refused and bool(problem) == is_refused
    assert bool(re.search(r"if it is the decimal sign, say '--columns=(start|end)=\1'", problem)) == is_refused
    given = {"columns": (("", "start", "start"), ("", "end", "end"))}
    assert not example_sets.source_of(tmp_path / "t.csv", text, **given).problem


@pytest.mark.parametrize(
    ("unit", "cells", "is_refused"),
    [("ms", ("1,234", "2,500", "950", "12,000"), True), ("ms", ("1.234", "2.500", "950", "12.000"), True),
     ("ms", ("1,234", "2,5", "950", "12,000"), False), ("ms", ("1.234", "1500", "950", "12.000"), False),
     ("ms", ("0.000", "2.500", "3.125", "12.000"), False), ("ms", ("950", "990", "3", "12"), False),
     ("s", ("1.234", "2.500", "1", "12.000"), False)],
)  # fmt: skip
def test_signs_that_may_divide_thousands_of_milliseconds_are_refused(tmp_path, unit, cells, is_refused):
    text = "file;start_{0};end_{0};label\na.wav;{1};{2};a\nb.wav;{3};{4};b\n".format(unit, *cells)
    problem = example_sets.source_of(tmp_path / "t.csv", text).problem
    assert ("does it divide thousands?" in problem) == is_refused and bool(problem) == is_refused
    given = columns.parse(("start=start_ms", "end=end_ms") if is_refused else ())
    assert not example_sets.source_of(tmp_path / "t.csv", text, columns=given).problem


@pytest.mark.parametrize(
    ("name", "is_refused"),
    [("FRAME", True), ("start_sample", True), ("sample_start_s", False), ("Start (hh:mm)", True), ("hh:mm:ss", False)],
)
def test_a_column_that_counts_no_seconds_is_refused(tmp_path, name, is_refused):
    given = columns.parse((f"start={name}", "duration=DURATION"))
    source = example_sets.source_of(tmp_path / "a.csv", f"{name},DURATION,LABEL\n44100,2,a\n", columns=given)
    assert ("write the times in seconds" in source.problem) == is_refused


@pytest.mark.parametrize(
    ("cells", "is_told"),
    [(("2023-05-01", "2023-05-02"), False), (("2023/05/01 05:00:00.0", ""), False),
     (("05/01/2023", "05/31/2023"), False), (("1.5", "2023-05-01"), True), (("", ""), True)],
)  # fmt: skip
def test_dates_are_no_times_of_labels(tmp_path, cells, is_told):
    text = "file,label,recording_start\na.wav,a,{}\nb.wav,b,{}\n".format(*cells)
    document = texts.Document(example_sets.write_text(tmp_path / "t.csv", text))
    assert times.of_spans(document, ["recording_start"]) == ["recording_start"] * is_told

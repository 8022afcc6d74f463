import pytest

from bird_tf import config
from bird_tf.labels import texts
from bird_tf.labels.tables import columns, times
from tests.labels import example_sets


@pytest.mark.parametrize("entry", ["fiel=Datei", "file", "t.csv:file", "t.csv:x=y"])
def test_a_wrong_mapping_is_refused(entry):
    with pytest.raises(config.InputError, match="--columns="):
        columns.parse((entry,))


def test_a_mapping_for_one_table_counts_more_than_one_for_all(tmp_path):
    given = columns.parse(("B*.csv:label=Art", "label=Bird"))
    for name, position in (("a.csv", 1), ("b1.csv", 2)):
        document = texts.Document(example_sets.write_text(tmp_path / name, "file,Bird,Art\n"))
        assert columns.find(document, given) == {"file": (0,), "label": (position,)}


@pytest.mark.parametrize(
    ("flags", "found"),
    [(("start=",), {"file", "label"}), (("end=",), {"file", "label", "start"}),
     (("label=",), {"file", "start", "end"}), (("u.csv:start=",), {"file", "label", "start", "end"}),
     (("start=", "t.csv:start=file"), {"file", "label", "start", "end"}),
     (("start=", "end=start"), {"file", "label", "end"})],
)  # fmt: skip
def test_a_column_may_be_said_to_be_none(tmp_path, flags, found):
    document = texts.Document(example_sets.write_text(tmp_path / "t.csv", "file,start,end,label\n"))
    assert columns.find(document, columns.parse(flags)).keys() == found


@pytest.mark.parametrize(
    ("cells", "label"), [("a,,b,,c", 2), (",,,,c", 4), ("a,s,b,,c", 1), ("a,,,x,", 1), ("a,,b,x,", 2), ("a,,,x,c", 4)]
)
def test_an_empty_column_of_labels_does_not_hide_a_filled_one(tmp_path, cells, label):
    document = texts.Document(
        example_sets.write_text(tmp_path / "t.csv", f"file,label,species,tags,common_name\n{cells}\nb.wav,,,,\n")
    )
    assert columns.find(document, ())["label"] == (label,)
    assert columns.find(document, columns.parse(("label=label",)))["label"] == (1,)


@pytest.mark.parametrize(
    ("header", "given", "found"),
    [("TIME,VALUE,DURATION,LABEL", (), {"start": (0,), "duration": (2,), "label": (3,)}),
     ("time,duration,label,file", (), {"time": (0,), "label": (2,), "file": (3,)}),
     ("time,length,label", ("start=time", "duration=length"), {"start": (0,), "duration": (1,), "label": (2,)})],
)  # fmt: skip
def test_a_time_of_a_label_is_not_that_of_the_day(tmp_path, header, given, found):
    document = texts.Document(example_sets.write_text(tmp_path / "t.csv", f"{header}\n1,2,3,4\n"))
    assert columns.find(document, columns.parse(given)) == found


@pytest.mark.parametrize(
    ("header", "places", "units"),
    [("Begin Time - ss.msec,End Time - ss.msec", (0, 1), (1.0, 1.0)),
     ("Begin Time - msec,Begin Time - hh:mm:ss.ms,End Time - msec,End Time - hh:mm:ss.ms", (0, 2), (0.001, 0.001)),
     ("Start (mm:ss),End (mm:ss)", (0, 1), (1.0, 1.0)), ("start_hh_mm_ss_sss,end_ss", (0, 1), (1.0, 1.0)),
     ("Start (µs),End (μs)", (0, 1), (1e-6, 1e-6)), ("start_us,end_ms", (0, 1), (1e-6, 0.001)),
     ("start_ms,end_ms", (0, 1), (0.001, 0.001)), ("start_s,end_s", (0, 1), (1.0, 1.0))],
)  # fmt: skip
def test_the_form_of_times_in_a_name_is_no_unit_but_seconds(tmp_path, header, places, units):
    document = texts.Document(example_sets.write_text(tmp_path / "t.csv", f"{header}\n1,2,3,4\n"))
    found = columns.find(document, ())
    assert (found["start"][0], found["end"][0]) == places
    assert tuple(times.units(document, found).values()) == units


def test_a_column_name_may_hold_a_comma(tmp_path):
    document = texts.Document(example_sets.write_text(tmp_path / "t.csv", "file;a,b;label\n"))
    assert columns.find(document, columns.parse(("label=a,b",)))["label"] == (1,)


def test_signs_and_case_do_not_count_in_the_names_of_columns():
    assert columns.normal("Start (s)") == columns.normal("START_S ") == "start s"


def test_a_duration_without_a_start_is_that_of_the_recording(tmp_path):
    document = texts.Document(example_sets.write_text(tmp_path / "t.csv", "file,duration\n"))
    assert set(columns.find(document, ())) == {"file"}


@pytest.mark.parametrize(
    ("header", "places"),
    [("start time,end time,begin time (s),end time (s)", {"start": (2,), "end": (3,)}),
     ("start,end,start_hour", {"start": (0,), "end": (1,)}), ("start,end,onset_ms", {"start": (2,), "end": (1,)}),
     ("begin (s),duration (s),end time", {"start": (0,), "duration": (1,)})],
)  # fmt: skip
def test_a_column_that_names_seconds_counts_before_one_that_may_hold_clock_times(tmp_path, header, places):
    document = texts.Document(example_sets.write_text(tmp_path / "t.csv", f"{header}\n"))
    assert columns.find(document, ()) == places


@pytest.mark.parametrize(("end", "is_used"), [("3", True), ("05:00:03", False)])
def test_an_end_beside_the_length_of_the_recording_counts_if_it_is_no_clock_time(tmp_path, end, is_used):
    text = f"file,start_s,end,duration_s\nx.wav,1,{end},60\n"
    found = columns.find(texts.Document(example_sets.write_text(tmp_path / "t.csv", text)), ())
    assert ("end" in found) == is_used and "duration" in found


@pytest.mark.parametrize(
    ("line", "text"),
    [(["NA", " a  b "], "a b"), (["", "<na>", "NaN"], ""), (["'=a()", "b"], "=a()"), (["a\n b", "c"], "a;b"), ([], "")],
)
def test_the_first_filled_cell_counts_and_na_is_none(line, text):
    assert columns.filled(line, (0, 1, 2), between_lines=";") == text


@pytest.mark.parametrize(
    ("line", "file"),
    [(["x.wav", "D:\\X.wav", "f"], "D:\\X.wav"), (["x.wav", "NA", "f"], "f/x.wav"), (["g/x.wav", "", "f"], "g/x.wav"),
     (["NA", "", "f"], ""), (["a  x .wav", "", ""], "a  x .wav"), (["a.wav\n", "", ""], "a.wav")],
)  # fmt: skip
def test_a_recording_that_is_named_without_its_folder_gets_it_from_its_column(line, file):
    assert columns.cells_of(line, {"file": (0,), "path": (1,), "folder": (2,)})["file"] == file


def test_filled_columns_without_a_name_are_numbered(tmp_path):
    text = ",file,,label,\n0,a.wav,5,a,\n1,b.wav,,a,\n"
    assert columns.nameless(texts.Document(example_sets.write_text(tmp_path / "t.csv", text))) == ("column 3",)

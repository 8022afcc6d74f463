import math

import pytest

from bird_tf.labels import label_cells, metadata
from bird_tf.labels.formats import csv_table, formats
from bird_tf.labels.tables import columns, rows
from tests.labels import example_sets

KAGGLE = """primary_label,secondary_labels,type,latitude,longitude,scientific_name,common_name,author,time,url,filename
asbfly,[],['call'],39.2,-70.1,Muscicapa dauurica,Asian Brown Flycatcher,Ann,09:30,https://x,asbfly/XC1.ogg
barswa,"['asbfly', 'comsan']",['song'],,,Hirundo rustica,Barn Swallow,Bob,?,https://x,barswa/XC2.ogg
"""


def _read(folder, text, *given, encoding="utf-8"):
    return example_sets.source_of(folder / "table.csv", text, encoding, columns=columns.parse(given))


def test_kaggles_train_metadata_is_read(tmp_path):
    source = _read(tmp_path, KAGGLE)
    assert source.format == csv_table.FORMAT.name
    assert example_sets.whole_labels(source) == [(("asbfly/XC1.ogg",), ("asbfly",)), (("barswa/XC2.ogg",), ("barswa",))]
    first, second = (row.about for row in source.rows)
    assert (first.name, first.author, first.latitude, first.longitude, first.hour) == (
        "Muscicapa dauurica", "Ann", 39.2, -70.1, 9.5,
    )  # fmt: skip
    assert (first.background, first.background_known) == ((), True)
    assert (second.background, second.background_known) == (("asbfly", "comsan"), True)
    assert math.isnan(second.latitude) and math.isnan(second.hour)


# what other programs write, and the spans in it
SPANS = {
    "BirdNET": "Start (s),End (s),Scientific name,Common name,Confidence,File\n0.0,3.0,Parus major,x,0.8,a.wav\n",
    "BirdNET of Excel": "Start (s);End (s);Scientific name;Confidence;File\n0,0;3,0;Parus major;0,8;a.wav\n",
    "OpenSoundscape": "audio_file,annotation_file,annotation,start_time,end_time\na.wav,,Parus major,0.0,3.0\n",
    "Kaggle 2026": "filename,start,end,primary_label\na.wav,00:00:00,00:00:03,Parus major\n",
    "Zenodo": "Filename,Start Time (s),End Time (s),Low Freq (Hz),Species eBird Code\na.wav,0,3,50,Parus major\n",
    "Crowsetta": "label,onset_s,offset_s,notated_path,annot_path\nParus major,0.0,3.0,a.wav,x\n",
    "DCASE": "Audiofilename,Starttime,Endtime,Label\na.wav,0,3,Parus major\n",
    "a duration": "file,start_time_s,duration,label\na.wav,0,3,Parus major\n",
    "milliseconds": "file,start_ms,end_ms,species\na.wav,0,3000,Parus major\n",
    "minutes and a clock": "file;Begin (min);Duration [s];species\na.wav;0:00;3,0;Parus major\n",
    "a genus": "file,start (min),stop_min,genus,species\na.wav,0,0.05,Parus,major\n",
    "tabs": "file\tstart\tend\tlabel\na.wav\t0:00\t0:03\t\"Parus major\"\n",
}  # fmt: skip


@pytest.mark.parametrize("text", SPANS.values(), ids=SPANS)
def test_columns_are_known_by_the_names_that_programs_give_them(tmp_path, text):
    assert example_sets.spans_of(_read(tmp_path, text)) == [(("a.wav",), 0.0, 3.0, ("Parus major",))]


EXCEL = 'file;species;lat;lon;date;time\r\na.wav;"Parus major";52,5;13,4;31.05.2023;05:30 Uhr\r\n'


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(EXCEL, "utf-8-sig"), ("sep=;\r\n" + EXCEL, "utf-8"), (EXCEL.replace(";", "\t"), "utf-16"), (EXCEL, "utf-16-le"),
     (EXCEL + "ä.wav;Zeisig;;;;\r\n", "cp1252"), (EXCEL.replace(",", ".").replace(";", ","), "utf-8"),
     (EXCEL.replace("\r\n", ";;\r\n"), "utf-8")],
)  # fmt: skip
def test_tables_of_spreadsheets_are_read(tmp_path, text, encoding):
    row = _read(tmp_path, text, encoding=encoding).rows[0]
    assert (row.files, row.labels.species) == (("a.wav",), ("Parus major",))
    about = row.about
    assert (about.latitude, about.longitude, about.date, about.hour) == (52.5, 13.4, "2023-05-31", 5.5)


@pytest.mark.parametrize(
    ("dates", "days"),
    [(("5/31/2023", "1/2/2023"), ("2023-05-31", "2023-01-02")),
     (("31/5/2023", "1/2/2023"), ("2023-05-31", "2023-02-01")),
     (("1/2/2023", "3/4/2023"), ("", "")), (("13/2/2023", "2/13/2023"), ("2023-02-13", "2023-02-13"))],
)  # fmt: skip
def test_the_order_of_dates_is_that_of_the_whole_table(tmp_path, dates, days):
    text = "file,label,date\n" + "".join(f"{i}.wav,a,{date}\n" for i, date in enumerate(dates))
    assert tuple(row.about.date for row in _read(tmp_path, text).rows) == days


@pytest.mark.parametrize(
    ("times", "hours", "told"),
    [(("0.229166666666667", "0.25", "", "0,5"), (5.5, 6.0, math.nan, 12.0), "0.2291666666666"),
     (("0.15", "5.30"), (0.25, 5.5), ""), (("0", "0.99999"), (0.0, 23 + 59 / 60), "0 is 00:00"),
     (("0.229166666666667", "05:30"), (math.nan, 5.5), "")],
)  # fmt: skip
def test_times_that_are_all_below_1_are_shares_of_a_day(tmp_path, caplog, times, hours, told):
    text = "file;label;time\n" + "".join(f"{i}.wav;a;{time}\n" for i, time in enumerate(times))
    found = [row.about.hour for row in _read(tmp_path, text).rows]
    assert found == pytest.approx(hours, nan_ok=True)
    assert ("shares of a day" in caplog.text) == bool(told) and told in caplog.text


def test_the_background_is_unknown_without_a_column_for_it(tmp_path):
    [row] = _read(tmp_path, "file,label\nx.wav,a\n").rows
    assert not row.about.background_known


def test_other_names_of_columns_are_given_by_the_flag(tmp_path):
    text = "Datei,Art,Tag\nÄ x.WAV,Käuzchen,2014-02-01\n"
    assert "Datei, Art, Tag" in _read(tmp_path, text).problem
    [row] = _read(tmp_path, text, "file=Datei", "label=Art", "date=Tag").rows
    assert (row.files, row.labels.species, row.about.day_of_year) == (("Ä x.WAV",), ("Käuzchen",), 32.0)


def test_of_several_annotators_the_first_that_is_filled_counts(tmp_path):
    text = "file,Ann,Bob\nx.wav,,b\ny.wav,a,b\n"
    labels = [row.labels.species for row in _read(tmp_path, text, "label=Ann,Bob").rows]
    assert labels == [("b",), ("a",)]


def test_a_column_of_lengths_is_a_duration_even_if_it_is_given_as_the_end(tmp_path):
    source = _read(tmp_path, "file,label,start,Duration (s)\nx.wav,a,2,3\n", "end=Duration (s)")
    assert example_sets.spans_of(source) == [(("x.wav",), 2.0, 5.0, ("a",))]


def test_a_column_that_is_given_and_missing_is_named(tmp_path):
    assert "no column Nowhere" in _read(tmp_path, "file,label\nx.wav,a\n", "file=Nowhere").problem


@pytest.mark.parametrize(
    ("row", "words"),
    [("x.wav,a,0", ""), ("x.wav,a,0,1,2", "5 cells"), ("x.wav,a,x,1", "not times"), ("x.wav,a,2,1", "after its start"),
     ("x.wav,a,-1,1", "after its start"), ("x.wav,a,0,nan", "not times"), (",a,0,1", "names no recording"),
     ("x.wav," + 300 * "a" + ",0,1", "300 characters"), ('x.wav,"[""a""",0,1', "list")],
)  # fmt: skip
def test_a_row_that_cannot_be_read_costs_this_row(tmp_path, row, words):
    source = _read(tmp_path, f"file,label,start,end\nx.wav,a,1,2\n{row}\nx.wav,b,3,4\n")
    assert [bool(r.problem) for r in source.rows] == [False, True, False]
    assert words in source.rows[1].problem and source.rows[1].where.endswith("table.csv, line 3")


@pytest.mark.parametrize(
    ("cell", "files"), [("101.0", ("101.0", "101")), ("101.5", ("101.5",)), ("x.0", ("x.0",)), ("1", ("1",))]
)
def test_a_name_that_is_a_whole_number_is_found_as_pandas_writes_it(tmp_path, cell, files):
    assert _read(tmp_path, f"file,label\n{cell},a\n").rows[0].files == files


@pytest.mark.parametrize(
    ("header", "row", "is_refused"),
    [("start,end,species", "2,3,b", True), ("start.1,end.1,species.1", "2,3,b", True),
     ("start_2,end2,Species", "2,3,b", True),
     ("start.1,end.1,species.1", ",,", False), ("start.1,end.1,species.1", "0,1,a", False),
     ("start.1,end.1,note", "2,3,b", False), ("start_date,end_date,species_group", "2,3,b", False)],
)  # fmt: skip
def test_several_annotations_in_a_row_are_refused(tmp_path, header, row, is_refused):
    source = _read(tmp_path, f"file,start,end,species,{header}\nx.wav,0,1,a,,,\ny.wav,0,1,a,{row}\n")
    assert ("line 3: it tells a second annotation" in source.problem) == is_refused
    assert is_refused or len(source.rows) == 2


@pytest.mark.parametrize("text", ["file,label\n", "start,file,label\n1,x.wav,a\n", 'file,label\n"x.wav,a\ny.wav,b\n'])
def test_incomplete_tables_are_refused(tmp_path, text):
    assert _read(tmp_path, text).problem


def test_spans_without_any_in_them_are_a_negative_recording(tmp_path):
    source = _read(tmp_path, "Start (s),End (s),Scientific name,Confidence\n")
    assert [row.labels for row in source.rows] == [example_sets.NEGATIVE]


def test_a_table_that_names_no_species_still_tells_of_its_recordings(tmp_path):
    source = _read(tmp_path, "file,recordist,site\nx.wav,Ann,Moor\n")
    assert not source.is_labelling
    assert source.rows[0].about == metadata.Recording(recording_id="", path="", author="Ann", site="Moor")


def test_an_unrelated_table_is_not_recognised(tmp_path):
    assert formats.read(example_sets.write_text(tmp_path / "t.csv", "day,rain\n1,2\n"), rows.Options()).problem


def test_cells_of_place_and_time_that_cannot_be_read_are_told(tmp_path, caplog):
    _read(tmp_path, "file,label,lat,lon,date\nx.wav,a,52.5 N,8,1/2/2023\ny.wav,a,,,?\nz.wav,a,0.0,0,?\n")
    assert "1 cells of latitude" in caplog.text and "'52.5 N'" in caplog.text
    assert "cells of longitude" not in caplog.text  # 0, 0 is no place
    assert "1 cells of date" in caplog.text and "line 2" in caplog.text


def test_spans_without_a_column_for_the_species_are_refused(tmp_path):
    problem = _read(tmp_path, "file,start,end,Vogel\nx.wav,0,1,a\n").problem
    assert "which column holds label?" in problem and "Vogel" in problem


def test_labels_that_a_column_denies_are_not_used(tmp_path, caplog):
    text = "file,start,end,label,{}\nx.wav,0,1,a,TRUE\nx.wav,1,2,b,no\nx.wav,2,3,c,\n"
    assert [row.labels.species for row in _read(tmp_path, text.format("Correct")).rows] == [("a",), (), ()]
    assert "1 labels are not used: the column Correct says no" in caplog.text
    assert [row.labels.species for row in _read(tmp_path, text.format("checked")).rows] == [("a",), ("b",), ("c",)]
    assert "if a no in checked means that a species is not there, say --columns=present=NAME" in caplog.text
    assert [row.labels.species for row in _read(tmp_path, text.format("checked"), "present=checked").rows][1] == ()


@pytest.mark.parametrize(
    ("column", "cells"),
    [("count", ("2", "0")), ("Individual_Count", ("10", "0")), ("valid", ("present", "Not present"))],
)
def test_counts_and_words_deny_too(tmp_path, column, cells):
    text = f"file,label,{column}\nx.wav,a,{cells[0]}\nx.wav,b,{cells[1]}\n"
    assert [row.labels.species for row in _read(tmp_path, text).rows] == [("a",), ()]


def test_a_column_called_present_that_holds_something_else_is_not_used(tmp_path, caplog):
    text = "file,label,present\nx.wav,a,a;b\ny.wav,b,song\n"
    source = _read(tmp_path, text)
    assert [row.labels.species for row in source.rows] == [("a",), ("b",)] and source.unused_columns == ("present",)
    assert "the column present holds neither yes, no nor counts, as 'a;b': all its labels count" in caplog.text
    assert "must hold yes, no or counts" in _read(tmp_path, text, "present=present").problem


@pytest.mark.parametrize(
    ("name", "cells", "scores"),
    [("Confidence (%)", "90 1 90% 0,5 ", [0.9, 0.01, 0.9, 0.005]), ("match ratio %", "1", [1]),
     ("Confidence (%)", "1 0", [1, 0]), ("Confidence (%)", "1 2", [0.01, 0.02]),
     ("Confidence (%)", "0.9 1 0.25", [0.9, 1, 0.25]), ("confidence", "1 0.9", [1, 0.9])],
)  # fmt: skip
def test_a_score_is_in_percent_if_the_name_of_its_column_says_so(tmp_path, caplog, name, cells, scores):
    text = f"file;label;{name}\n" + "".join(f"{i}.wav;a;{cell}\n" for i, cell in enumerate(cells.split()))
    with caplog.at_level("INFO", logger="absl"):
        assert [row.score for row in _read(tmp_path, text).rows] == scores
    assert "cannot be read" not in caplog.text
    assert (f"the numbers in {name} are read as per cent" in caplog.text) == ("90" in cells or "2" in cells.split())


def test_scores_of_which_only_some_are_in_percent_are_refused(tmp_path):
    text = "file,label,score,own_percent\na.wav,a,0.5,\n"
    assert "only some are in %" in _read(tmp_path, text, "score=own_percent,score").problem


def test_a_score_that_cannot_be_read_is_no_sure_one(tmp_path):
    text = "file,label,confidence\nv.wav,a,87 %\nw.wav,a,0.5\nx.wav,a,87\ny.wav,a,-0.5\nz.wav,a,\n"
    rows = _read(tmp_path, text).rows
    assert [row.score for row in rows[:4]] == [0.87, 0.5, 0, 0] and math.isnan(rows[4].score)
    assert [row.unread_score for row in rows] == ["", "", "87", "-0.5", ""]


def test_a_table_whose_header_lacks_a_name_is_refused_with_a_hint(tmp_path):
    for header in ("file,start,end,label", "file,label,a,b", "file,start,end,Parus major"):
        problem = _read(tmp_path, f"{header}\n1,a.wav,0,5,1\n2,b.wav,5,10,0\n").problem
        assert "line 2: 5 cells, but the first line has 4; so have all: name each column" in problem
    source = _read(tmp_path, "file,latitude\n1,a.wav,50\n2,b.wav,50\n")  # it tells no labels
    assert not source.problem and all(row.problem for row in source.rows)


def test_columns_that_may_hold_times_are_told(tmp_path, caplog):
    [row] = _read(tmp_path, "file,label,start_sample,end_sample\nx.wav,a,0,44100\n").rows
    assert not row.has_span
    assert "if the columns start_sample, end_sample hold their times in seconds" in caplog.text


@pytest.mark.parametrize("header", ["time_s", "center_time,duration"])
def test_columns_that_may_hold_moments_are_told(tmp_path, caplog, header):
    _read(tmp_path, f"file,label,{header}\nx.wav,a,1,2\n")
    assert f"if {header.replace(',', ', ')} tells when they are, write where each begins and ends" in caplog.text


def test_a_second_column_of_species_is_told(tmp_path, caplog):
    assert _read(tmp_path, "file,label,species\nx.wav,song,a\n").rows[0].labels.species == ("song",)
    assert "the column label holds the labels, and species is not used" in caplog.text
    caplog.clear()
    _read(tmp_path, KAGGLE)
    assert caplog.text == ""


def test_lines_of_a_cell_are_several_labels_or_one_text(tmp_path):
    [row] = _read(tmp_path, 'file,label,site\nx.wav,"a\r\nb ","North\nwood"\n').rows
    assert (row.labels.species, row.about.site) == (("a", "b"), "North wood")


@pytest.mark.parametrize(
    ("text", "labels"),
    [("species,scientific_name\nmontanus,Passer montanus\nmontanus,Poecile montanus\nsong,Parus major\n",
      ["Passer montanus", "Poecile montanus", "song"]),
     ("Genus,Species\nPasser,Montanus\nPoecile,Montanus\nParus,Major\n",
      ["Passer montanus", "Poecile montanus", "Parus major"]),
     ("genus,species\nTurdus,sp.\nParus,sp. 1\nParus,cf. major\nParus,indet.\n",
      ["Turdus sp.", "Parus sp. 1", "Parus cf. major", "Parus indet."]),
     ("genus,species\nPasser,Haussperling\nPasser,Feldsperling\nPasser,domesticus\n",
      ["Haussperling", "Feldsperling", "Passer domesticus"])],
)  # fmt: skip
def test_second_words_of_latin_names_get_their_genus(tmp_path, text, labels):
    header, *lines = text.splitlines()
    table = "".join(f"{'file' if line is header else f'{i}.wav'},{line}\n" for i, line in enumerate([header, *lines]))
    assert [row.labels.species for row in _read(tmp_path, table).rows] == [(label,) for label in labels]


def test_an_unknown_species_of_a_genus_has_no_name(tmp_path):
    [row] = _read(tmp_path, "file,genus,species\na.wav,Parus,unknown\n").rows
    assert row.labels == label_cells.Labels()


@pytest.mark.parametrize("header", ["file,start,end,species", "file,start,end,Parus major"])
def test_a_row_without_a_name_makes_no_noise_of_the_recording_above(tmp_path, header):
    label = "Parus major" if header.endswith("species") else 1
    source = _read(tmp_path, f"{header}\n,0,3,{label}\na.wav,0,3,{label}\n,3,6,{label}\n")
    assert [(row.files, row.problem) for row in source.rows] == [
        ((), "it names no recording"), (("a.wav",), ""), (("a.wav",), "it names no recording"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "given", "name"),
    [("file,species,name\nx.wav,Parus major,Ann\n", (), ""),
     ("file,class_id,name\nx.wav,a,Great Tit\n", (), "Great Tit"),
     ("file,label,name\nx.wav,a,Parus major\n", (), "Parus major"),
     ("file,label,name\nx.wav,a,Tit\n", ("name=name",), "Tit"),
     ("file,label,name,scientific_name\nx.wav,a,Ann,Parus spec.\n", (), "Parus spec.")],
)  # fmt: skip
def test_the_name_of_an_observer_is_no_name_of_a_species(tmp_path, text, given, name):
    assert [row.about.name for row in _read(tmp_path, text, *given).rows] == [name]


def test_recordings_of_records_tell_which_labels_are_of_the_whole(tmp_path, caplog):
    header = "recording_id,file,label,name,background,background_known,annotated"
    lines = (
        "1,a.wav,x,Xus xus,y,False,whole",
        "2,b.wav,x,Xus xus,,True,whole",
        "3,c.wav,x,Xus xus,y,True,in time",
        "4,d.wav,x,Xus xus,,False,in part",
    )
    source = example_sets.source_of(tmp_path / "known.csv", "\n".join((header, *lines)))
    assert example_sets.whole_labels(source) == [
        (("a.wav",), ("x",)), (("b.wav",), ("x",)), (("c.wav",), ()), (("d.wav",), ()),
    ]  # fmt: skip
    told = [(row.labels.stated, row.about.name, row.background, row.about.background_known) for row in source.rows]
    assert told == [
        (True, "Xus xus", ("y",), False),
        (True, "Xus xus", (), True),
        (False, "", (), False),
        (False, "", (), False),
    ]
    assert "known.csv: 2 labels are not used: they are of times in their recordings" in caplog.text
    assert "if a no in background_known" not in caplog.text and "background_known" not in source.unused_columns


def test_recordings_of_records_of_earlier_versions_tell_whether_the_background_is_known(tmp_path, caplog):
    text = "recording_id,file,label,background,background_known\n1,a.wav,x,y,False\n2,b.wav,x,,True\n"
    source = example_sets.source_of(tmp_path / "known.csv", text)
    assert [row.about.background_known for row in source.rows] == [False, True] and not caplog.records


def test_recordings_of_records_tell_the_hour_and_other_tables_do_not(tmp_path):
    header = "recording_id,file,label,background_known,day_of_year,hour,date,utc_offset_hours"
    text = f"{header}\n1,a.wav,x,True,121,6.5,2018-05-01,2\n2,b.wav,x,True,32,,,\n3,c.wav,x,True,,0,,\n"
    known, other = _read(tmp_path, text), _read(tmp_path, text.replace("recording_id", "number"))
    told = [(r.about.date, r.about.day_of_year, r.about.hour, r.about.utc_offset_hours) for r in known.rows]
    assert str(told) == "[('2018-05-01', 121.0, 6.5, 2.0), ('', 32.0, nan, nan), ('', nan, 0.0, nan)]"
    assert "hour" not in known.unused_columns and "hour" in other.unused_columns
    assert all(math.isnan(row.about.hour) for row in other.rows)


@pytest.mark.parametrize(
    ("labels", "is_told"),
    [(("song", "song"), True), (("gretit", "eurbla"), False), (("gretit", "noise"), False),
     (("noise", "noise"), False), (("Parus major", "Parus major"), False)],
)  # fmt: skip
def test_a_label_beside_several_common_names_is_told(tmp_path, caplog, labels, is_told):
    text = "file,label,common_name\n1.wav,{},Great Tit\n2.wav,{},Blackbird\n3.wav,gretit,Great Tit (female)\n"
    _read(tmp_path, text.format(*labels))
    assert ("'song' stands beside several of common_name, as Great Tit and Blackbird" in caplog.text) == is_told


def test_cells_that_r_wrote_as_missing_are_empty(tmp_path, caplog):
    text = "file,start,end,label,recordist,site,latitude,date,confidence,background\n"
    source = _read(tmp_path, text + 2 * "x.wav,0,3,a,NA,NA,NA,NA,NA,NA\n" + "y.wav,NA,NA,NA,NA,nan,NA,NA,NA,NA\n")
    x, _, y = source.rows
    assert not caplog.text
    assert (x.about, y.labels.negative, math.isnan(x.score), math.isnan(y.start_seconds)) == (
        rows.NOTHING, True, True, True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("header", "is_told"),
    [("duration", False), ("Dauer (s)", False), ("from,duration", True), ("timestamp,duration", True),
     ("file_duration_s", False), ("audio_file duration (min)", False), ("call_duration", True)],
)  # fmt: skip
def test_the_length_of_whole_recordings_is_not_told(tmp_path, caplog, header, is_told):
    _read(tmp_path, f"file,label,{header}\nx.wav,a,1,2\n")
    assert ("may hold" in caplog.text or "hold their times" in caplog.text) == is_told


def test_times_that_are_said_to_be_none_are_not_used(tmp_path, caplog):
    text = "file,start,end,class\nx.wav,12.5,15.5,a\n"
    source = example_sets.source_of(tmp_path / "t.csv", text, columns=(("", "label", "class"), ("", "start", "")))
    assert example_sets.whole_labels(source) == [(("x.wav",), ("a",))] and not source.is_in_time
    assert source.unused_columns == ("start", "end") and caplog.text == ""
    raven = "Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\n1\t1\t2\ta\n"
    for table, problem in (("", ""), ("x.txt", "--columns=x.txt:start= cannot be used")):
        source = example_sets.source_of(tmp_path / "x.txt", raven, columns=((table, "start", ""),))
        assert problem in source.problem and bool(source.problem) == bool(problem)

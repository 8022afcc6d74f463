import pytest

from tests.labels import example_sets


@pytest.mark.parametrize(
    ("header", "cells", "is_told"),
    [("date,time,timezone", "2023-05-01,05:00,UTC", True), ("date,UTC offset", "2023-05-01T05:00:00,+2", True),
     ("date,time,Time Zone", "2023-05-01,05:00,", False), ("date,tz", "2023-05-01,UTC", False),
     ("time,zone", "05:00,B", False)],
)  # fmt: skip
@pytest.mark.parametrize("species", ["species,", ""])
def test_columns_of_zones_are_told_beside_times_of_the_day(tmp_path, caplog, header, cells, is_told, species):
    label = "Parus major," if species else ""
    example_sets.source_of(tmp_path / "t.csv", f"file,{species}{header}\nx.wav,{label}{cells}\n")
    assert (f"{header.rpartition(',')[2]} is not used: its times count as those of the place" in caplog.text) == is_told
    assert "have a zone" not in caplog.text


@pytest.mark.parametrize(
    ("header", "cell", "is_told"),
    [("time", "05:00+02:00", True), ("time", "05:00Z", True), ("time", "05:00:00 UTC", True),
     ("time", "05:00:00-06:00", True), ("date", "2023-05-01T05:00:00.000Z", True), ("date", "2023-05-01", False),
     ("time", "05:00", False), ("time", "05:00-06:00", False), ("time", "0530-0600", False), ("time", "", False),
     ("time", "2023-05-01 05:00 - 06:00", False), ("start", "05:00Z", False)],
)  # fmt: skip
def test_zones_behind_times_are_told_once(tmp_path, caplog, header, cell, is_told):
    table = tmp_path / "t.csv"
    example_sets.source_of(table, f"file,species,{header},note\nx.wav,a,,\ny.wav,a,{cell},\nz.wav,a,{cell},\n")
    told = f"2 times have a zone, which is not used: they count as those of the place; the first: {table}, line 3 ("
    assert caplog.text.count(told) == caplog.text.count("have a zone") == is_told


def test_zones_are_told_of_tables_with_a_column_for_each_species(tmp_path, caplog):
    given = (("", "time", "hour"),)
    text = "file,hour,tz,Parus major,Turdus merula\nx.wav,05:00Z,UTC,1,0\n"
    example_sets.source_of(tmp_path / "t.csv", text, columns=given)
    assert "tz is not used" in caplog.text and "1 times have a zone" in caplog.text

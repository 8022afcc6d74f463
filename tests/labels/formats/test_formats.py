import json
import random
import string

import pytest

from bird_tf import config
from bird_tf.labels import texts
from bird_tf.labels.formats import formats
from bird_tf.labels.layouts import assembly, matching, sorted_tree
from bird_tf.labels.tables import columns, rows
from tests.labels import example_sets
from tests.labels.formats import (
    test_audacity,
    test_csv_table,
    test_kaleidoscope,
    test_one_hot,
    test_raven,
    test_text_grid,
    test_xeno_canto,
)

# a sample of each kind of text; mutations of it are read
SAMPLES = {
    "a.xml": example_sets.XML.format(
        media_id="1", file="a.wav", label="x", species="major", more="<Date>2014-01-01</Date>"
    ),
    "a.txt": test_audacity.TRACK,
    "a.Table.1.selections.txt": test_raven.SEQUENCE,
    "t.csv": test_csv_table.KAGGLE,
    "e.csv": test_csv_table.EXCEL,
    "s.csv": test_csv_table.SPANS["BirdNET"],
    "id.csv": test_kaleidoscope.TABLE,
    "o.csv": test_one_hot.TABLE,
    "k.csv": "row_id,site,audio_id,seconds,birds\n7019_COR_5,COR,7019,5,nocall\n",
    "v.csv": "0.0,3.0,Parus major\n3.5,1.0,Turdus merula\n",
    "i.csv": "id,observed_on,sound_url,scientific_name,latitude\n77,2023-05-31,https://x/9000.m4a?1,Parus major,52\n",
    "m.csv": "ML Catalog Number,Scientific Name,Date,Time\n1,Parus major,5/14/1990,0730\n",
    "a.TextGrid": test_text_grid.LONG,
    "x.json": json.dumps({"recordings": [test_xeno_canto.ENTRY]}),
    "n.json": json.dumps(
        {"annotations": [{"xc_nr": "XC1", "start_time": "0", "end_time": "3", "scientific_name": "a b"}]}
    ),
    "sorter.json": json.dumps({"sci-name": "Parus major", "background": ["x"], "filename": "a.wav", "hour": 5}),
}
JUNK = (
    "\x00", "\ufeff", "\u200b", '"', "[", "]", "{", "}", ";", ",", "\t", "\n", "\r", "٣", "²", 300 * ":", 5000 * "9",
    5000 * "-", "1e999", "nan", "\x1a", "\ud7ff", "<!DOCTYPE a>", "&b;", "[{[]:1}]",
)  # fmt: skip
ENCODINGS = ("utf-8", "utf-8", "utf-16", "utf-16-be", "latin-1")


def mutated(sample, generator):
    """The sample with a few changes, as bytes."""
    text = sample
    for _ in range(generator.randint(1, 4)):
        start = generator.randrange(len(text) + 1)
        end = min(len(text), start + generator.choice((0, 1, 5, 50)))
        text = (
            text[:start]
            + generator.choice((*JUNK, generator.choice(string.printable), text[start:end] * 2))
            + text[end:]
        )
    content = bytearray(text.encode(generator.choice(ENCODINGS), "replace"))
    for _ in range(generator.choice((0, 0, 1, 3))):
        content[generator.randrange(len(content))] = generator.randrange(256)
    return bytes(content)


@pytest.mark.parametrize("count", [60, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SAMPLES)
def test_no_damage_ends_in_anything_but_a_problem(tmp_path, name, count):
    generator = random.Random(f"{name} {count}")
    known = matching.Recordings([str(tmp_path / "a.wav"), str(tmp_path / "XC123.mp3")], str(tmp_path))
    for _ in range(count):
        path = tmp_path / name
        path.write_bytes(mutated(SAMPLES[name], generator))
        source = formats.read(str(path), rows.Options())
        found = assembly.assemble([source], known)
        for recording in found.recordings:
            assert all(0 <= a.start_seconds < a.end_seconds for a in recording.annotations)
            assert all(len(label) <= 200 for label in recording.labels)
        if name == "sorter.json":
            try:
                sorted_tree.parse(str(path), rows.Options())
            except config.InputError as error:
                assert "\n" not in str(error)[:100]


def test_a_file_of_no_format_is_named_with_its_columns(tmp_path):
    source = example_sets.source_of(tmp_path / "t.csv", "Datum,Regen\n1,2\n")
    assert not source.format and "Datum, Regen" in source.problem


def test_filled_columns_without_a_name_are_among_those_that_are_not_used(tmp_path):
    source = example_sets.source_of(tmp_path / "t.csv", "file,label,,rain\na.wav,a,b,1\nc.wav,a,,0\n")
    assert source.unused_columns == ("rain", "column 3")


def test_a_further_column_of_the_name_of_one_that_is_used_is_told(tmp_path, caplog):
    text = "file,start,end,species,species,note,note\na.wav,2,5,AMRO,,x,y\nb.wav,2,5,EATO,SOSP,x,y\n"
    source = example_sets.source_of(tmp_path / "t.csv", text)
    assert [row.labels.species for row in source.rows] == [("AMRO",), ("EATO",)]
    told = "t.csv, line 3: of 2 columns called species only the first one is used, and another one tells 'SOSP'; give"
    assert told in caplog.text
    assert (caplog.text.count("only the first one is used"), source.unused_columns) == (1, ("note", "note"))
    assert "say --columns=label=NAME" not in caplog.text
    example_sets.source_of(tmp_path / "u.csv", "file,species,file,Species\na.wav,AMRO,a.wav,b\n")
    assert "u.csv, line" not in caplog.text


def test_every_suffix_is_looked_for():
    suffixes = {".xml", ".json", ".csv", ".tsv", ".txt", ".parquet", ".jsonl", ".ndjson", ".textgrid"}
    assert suffixes == set(formats.SUFFIXES)


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path):
    (tmp_path / "t.csv").mkdir()
    assert "cannot be read" in formats.read(str(tmp_path / "t.csv"), rows.Options()).problem
    assert texts.Document(str(tmp_path / "t.csv")).path


RAVEN = "Selection\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tSpecies\tFile\tProb\n1\t0\t3\t0\ta\t{}\t0.4\n"
KALEIDOSCOPE = "INDIR,FOLDER,IN FILE,OFFSET,DURATION,DATE,AUTO ID,Prob\nD,,x.wav,0,3,2023-05-01,a,0.4\n"


@pytest.mark.parametrize(("name", "text"), [("x.txt", RAVEN.format("x.wav")), ("id.csv", KALEIDOSCOPE)])
def test_a_given_score_is_used(tmp_path, name, text):
    [row] = example_sets.source_of(tmp_path / name, text, columns=columns.parse(["score=Prob"])).rows
    assert row.score == 0.4
    text = text.replace("Prob", "Prob (%)").replace("0.4", "40")
    [row] = example_sets.source_of(tmp_path / name, text, columns=columns.parse(["score=Prob (%)"])).rows
    assert row.score == 0.4


@pytest.mark.parametrize(
    ("name", "text", "given"),
    [("x.txt", RAVEN.format("x.wav"), "date=File"), ("x.txt", RAVEN.format("x.wav"), "start=Low Freq (Hz)"),
     ("id.csv", KALEIDOSCOPE, "date=DATE"), ("x.json", SAMPLES["x.json"], "x.json:label=gen"),
     ("k.csv", SAMPLES["k.csv"], "label=audio_id"), ("m.csv", SAMPLES["m.csv"], "m.csv:label=Common Name"),
     ("i.csv", SAMPLES["i.csv"], "label=sound_url"), ("s.csv", "1,3,5,0.5,a\n", "site=3")],
)  # fmt: skip
def test_a_given_column_that_a_format_would_not_use_is_refused(tmp_path, name, text, given):
    given = [given, "start=1", "end=2", "label=5"] if given == "site=3" else [given]
    problem = example_sets.source_of(tmp_path / name, text, columns=columns.parse(given)).problem
    assert f"--columns={given[0]} cannot be used" in problem


@pytest.mark.parametrize("given", ["start=Begin Time (s)", "other.csv:date=Date", "label=Species", "file=File"])
def test_given_columns_that_are_used_anyway_or_belong_to_other_tables_are_fine(tmp_path, given):
    assert not example_sets.source_of(tmp_path / "x.txt", RAVEN.format("x.wav"), columns=columns.parse([given])).problem


CHANNELS = {
    "x.Table.1.selections.txt": (
        "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tSpecies\n1\tS\t1\t0\t3\ta\n2\tS\t2\t3\t6\tb\n"
    ),
    "id.csv": "INDIR,FOLDER,IN FILE,CHANNEL,OFFSET,DURATION,AUTO ID\nD,,x.wav,0,0,3,a\nD,,x.wav,1,3,3,b\n",
    "from_1.csv": "file,start,end,channel,species\nx.wav,0,3,1,a\nx.wav,3,6,2,b\n",
    "from_0.csv": "file,start,end,Channel,species\nx.wav,0,3,0,a\nx.wav,3,6,1.0,b\n",
    "sides.csv": "file,species,channel\nx.wav,a,Left\nx.wav,b,R\n",
}


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize(
    ("channel", "used", "words"),
    [("1", [("a",), ()], "1 selections are of other channels than --channel=1"), ("2", [(), ("b",)], "--channel=2"),
     ("", [("a",), ("b",)], ""), ("mix", [("a",), ("b",)], ""), ("loudest", [("a",), ("b",)], ""),
     ("3", [("a",), ("b",)], "all 2 selections are of other channels than --channel=3")],
)  # fmt: skip
def test_selections_of_channels_that_are_not_heard_are_not_used(tmp_path, caplog, name, channel, used, words):
    [source] = formats.in_channel([example_sets.source_of(tmp_path / name, CHANNELS[name])], channel)
    assert [row.labels.species for row in source.rows] == used
    assert words in caplog.text and bool(words) == bool(caplog.text)
    assert not any(row.labels.negative or row.labels.missing for row in source.rows)


@pytest.mark.parametrize(
    ("line", "num_rows"),
    [("x.wav,a,1", 2), ("x.wav,a,2", 3), ("x.wav,b,1", 3), (",a,1", 3)],
)  # fmt: skip
def test_a_line_that_stands_there_twice_counts_once(tmp_path, line, num_rows):
    source = example_sets.source_of(tmp_path / "t.csv", f"file,label,note\nx.wav,a,1\ny.wav,a,1\n{line}\n")
    assert len(source.rows) == num_rows


_RAVEN = "Selection\tView\tBegin Time (s)\tEnd Time (s)\tNotes\tSpecies\n"


@pytest.mark.parametrize(
    ("name", "header", "good", "bad"),
    [("a.txt", _RAVEN, "1\tS\t1\t2\t\tAMRO", "2\tS\t5\t6\tfar\tfaint\tSOSP"),
     ("a.txt", _RAVEN, "1\tS\t1\t2\t\tAMRO", "2\tS\t5\t6\t\tSOSP3\tS\t7\t8\t\tSOSP"),
     ("o.csv", "file,start_time,end_time,Parus major,Turdus merula\n", "a.wav,5,10,1,0", "a.wav,0,5,0,0,1"),
     ("id.csv", "IN FILE,OFFSET,DURATION,NOTES,MANUAL ID\n", "a.wav,1,2,,AMRO", "a.wav,5,2,far, faint,SOSP"),
     ("i.csv", "id,observed_on,place_guess,scientific_name\n", "1,2023-05-01,Bonn,Parus major",
      "2,2023-05-01,Berlin, DE,Parus major"),
     ("m.csv", "ML Catalog Number,Locality,Scientific Name\n", "1,Bonn,Parus major", "2,Berlin, DE,Parus major"),
     ("k.csv", "row_id,site,audio_id,seconds,birds\n", "a_5,C,a,5,amerob", "a_10,C,a,10,nocalla_15,C,a,15,nocall"),
     ("v.csv", "", "2.0,0.5,AMRO", "3.0,0.5,far, SOSP")],
)  # fmt: skip
def test_a_line_of_more_cells_than_the_first_one_cannot_be_used(tmp_path, name, header, good, bad):
    first, second = example_sets.source_of(tmp_path / name, f"{header}{good}\n{bad}\n").rows
    assert "cells, but the first line has" in second.problem and not second.labels.stated and not first.problem
    assert (second.files, second.or_namesake) == (first.files, first.or_namesake)


@pytest.mark.parametrize("ends", ["\t,\t", "\t,"])
def test_lines_may_end_with_a_separator(tmp_path, ends):
    first, second = ends.split(",")
    text = f"{_RAVEN}1\tS\t1\t2\t\tAMRO{first}\n2\tS\t5\t6\t\tSOSP{second}\n"
    found = example_sets.source_of(tmp_path / "a.txt", text).rows
    assert [row.labels.species for row in found] == [("AMRO",), ("SOSP",)] and not any(row.problem for row in found)


def test_a_table_whose_lines_all_have_too_many_cells_is_refused_if_it_tells_labels(tmp_path):
    text = "ML Catalog Number,Locality,Scientific Name\n1,2,Bonn,Parus major\n2,3,Bonn,Parus major\n"
    source = example_sets.source_of(tmp_path / "m.csv", text)
    assert source.problem.startswith("line 2: 4 cells, but the first line has 3; so have all")


@pytest.mark.parametrize(
    ("header", "lines", "num_rows"),
    [("file,label,md5", ("x.wav,a,1", "x.wav,a,2"), 1), ("file,label,file_url", ("x.wav,a,1", "x.wav,a,2"), 1),
     (",file,label", ("1,x.wav,a", "2,x.wav,a"), 1), (",file,label", ("5,x.wav,a", "9,x.wav,a"), 2),
     ("id,file,label", ("1,x.wav,a", "2,x.wav,a"), 1), ("id,file,label", ("1,x.wav,a", "2,x.wav,b"), 2),
     ("file,class_id", ("x.wav,1", "x.wav,2"), 2), ("file,label,clip_id", ("x.wav,a,1", "x.wav,a,2"), 2),
     ("id,file,label,annotator", ("1,x.wav,a,Ann", "2,x.wav,a,Bob"), 2)],
)  # fmt: skip
def test_lines_that_differ_only_in_their_numbers_say_the_same(tmp_path, header, lines, num_rows):
    assert len(example_sets.source_of(tmp_path / "t.csv", "\n".join((header, *lines, ""))).rows) == num_rows

import pytest

from bird_tf.labels import label_cells, spans
from bird_tf.labels.formats import csv_table, one_hot
from bird_tf.labels.layouts import reader
from bird_tf.labels.tables import columns
from tests.labels import example_sets

TABLE = """file,start_time,end_time,Parus major,Turdus merula
a.wav,0.0,3.0,1,1.0
a.wav,3.0,6.0,False,0
a.wav,6.0,9.0,,0
"""


def test_a_column_for_each_species_is_read(tmp_path):
    source = example_sets.source_of(tmp_path / "t.csv", TABLE)
    assert source.format == one_hot.FORMAT.name
    assert example_sets.spans_of(source) == [
        (("a.wav",), 0.0, 3.0, ("Parus major", "Turdus merula")),
        (("a.wav",), 3.0, 6.0, None),
        (("a.wav",), 6.0, 9.0, ()),  # not looked at: neither there nor not there
    ]


def test_json_lines_may_have_a_field_for_each_species(tmp_path):
    text = '{"file": "a.wav", "AMRO": true, "EATO": false}\n{"file": "b.wav", "AMRO": false, "EATO": true}\n'
    source = example_sets.source_of(tmp_path / "t.jsonl", text)
    assert example_sets.whole_labels(source) == [(("a.wav",), ("AMRO",)), (("b.wav",), ("EATO",))]


def test_probabilities_and_labels_are_no_such_table(tmp_path):
    for text in (TABLE.replace("1.0\n", "0.7\n"), "file,start,end,label\na.wav,0,3,1\n"):
        assert example_sets.source_of(tmp_path / "t.csv", text).format == csv_table.FORMAT.name


def test_the_head_of_a_column_is_one_name(tmp_path):
    text = TABLE.replace("Turdus merula", '"Warbler, Yellow"')
    assert example_sets.spans_of(example_sets.source_of(tmp_path / "t.csv", text))[0][3] == (
        "Parus major", "Warbler, Yellow",
    )  # fmt: skip
    [row, *_] = example_sets.source_of(tmp_path / "t.csv", TABLE.replace("Turdus merula", "a;b")).rows
    assert row.problem == "its label is 'a;b', which a table would not hold as one name; rename the class"


def test_columns_that_are_no_species_are_told(tmp_path, caplog):
    text = "file,start,end,Parus major,verified,is_train,Fold 1,channel,correct,Channel-billed Cuckoo,22961\n"
    source = example_sets.source_of(tmp_path / "t.csv", text + "a.wav,0,3,1,1,0,1,1,1,1,0\na.wav,3,6,0,1,1,1,1,0,1,0\n")
    assert example_sets.spans_of(source) == [
        (("a.wav",), 0.0, 3.0, ("Parus major", "Channel-billed Cuckoo")), (("a.wav",), 3.0, 6.0, ()),
    ]  # fmt: skip
    assert "columns that are not taken for species: verified, is_train, Fold 1, channel" in caplog.text


def test_the_voice_of_people_is_a_class_and_who_verified_is_none(tmp_path):
    text = "file,start,end,bird,human,human verified\na.wav,0,3,0,1,1\n"
    source = example_sets.source_of(tmp_path / "t.csv", text)
    assert example_sets.spans_of(source) == [(("a.wav",), 0.0, 3.0, ("human",))]


@pytest.mark.parametrize(
    ("column", "cells"), [("comments", ("", "")), ("annotator", ("Ann", "Bob")), ("low_f", ("2000", "450.5")),
                          ("channel", ("1", "2"))],
)  # fmt: skip
def test_a_further_column_of_segments_is_told_and_is_no_species(tmp_path, column, cells, caplog):
    text = f"file,start,end,{column},NOCA,EATO\n" + "".join(f"a.wav,{i},{i + 3},{cells[i]},0,{i}\n" for i in (0, 1))
    source = example_sets.source_of(tmp_path / "t.csv", text)
    assert example_sets.spans_of(source) == [(("a.wav",), 0.0, 3.0, None), (("a.wav",), 1.0, 4.0, ("EATO",))]
    assert f"columns that are not taken for species: {column}" in caplog.text


@pytest.mark.parametrize("cells", [("0", "3"), ("0.7", "0.2")])
def test_counts_and_probabilities_beside_0_and_1_are_not_passed_over(tmp_path, cells):
    text = "file,start,end,NOCA,EATO,AMRO\n" + "".join(f"a.wav,{i},{i + 3},0,1,{cells[i]}\n" for i in (0, 1))
    assert example_sets.source_of(tmp_path / "t.csv", text).format == csv_table.FORMAT.name


def test_a_column_for_each_species_may_tell_of_whole_recordings(tmp_path):
    source = example_sets.source_of(tmp_path / "t.csv", "filename,asbfly,barswa,fold\na.wav,1,1,3\nb.wav,0,0,4\n")
    assert source.format == one_hot.FORMAT.name
    assert example_sets.whole_labels(source) == [(("a.wav",), ("asbfly", "barswa")), (("b.wav",), ())]
    assert source.rows[1].labels.negative and not source.rows[0].has_span


@pytest.mark.parametrize(
    "text", ["file,asbfly\na.wav,1\n", "file,rain,wind\na.wav,0,1\n", "file,a,b,site\na.wav,0,1,S\n"]
)
def test_what_may_tell_of_the_conditions_of_a_recording_is_no_such_table(tmp_path, text):
    assert example_sets.source_of(tmp_path / "t.csv", text).format != one_hot.FORMAT.name


def test_a_table_without_rows_says_nothing(tmp_path):
    [row] = example_sets.source_of(tmp_path / "t.csv", "file,start,end,NOCA,EATO\n").rows
    assert row.labels == label_cells.Labels() and not row.problem


def test_a_column_with_na_is_none_of_a_species(tmp_path):
    source = example_sets.source_of(tmp_path / "t.csv", TABLE.replace("9.0,,0", "9.0,NA,0"))
    assert source.format == csv_table.FORMAT.name and "which column holds label?" in source.problem
    assert source.problem.endswith("line 4, Parus major has 'NA': write 0 or 1, or nothing where it is not known")


@pytest.mark.parametrize("cell", ["-1", "0.5", "?", "2"])
@pytest.mark.parametrize("is_whole", [True, False])
def test_the_first_cell_that_is_no_answer_is_named(tmp_path, cell, is_whole):
    text = f"file,start,end,NOCA,EATO\na.wav,0,3,0,1\nb.wav,0,3,1,0\nc.wav,0,3,1,{cell}\nd.wav,0,3,?,0\n"
    if is_whole:
        text = text.replace(",start,end", "").replace(",0,3", "")
    source = example_sets.source_of(tmp_path / "t.csv", text)
    assert f"line 4, EATO has {cell!r}: write 0 or 1" in source.problem


CLIPS = """clip,fname,site,date,min_t,subset,species_number,SPHSUR,BOABIS
a_0_3,a,INCT4,2019-11-13,0,train,1,1,0
a_3_6,a,INCT4,2019-11-13,3,test,0,0,0
"""


def test_a_column_for_each_species_may_stand_beside_others_if_the_recordings_are_given(tmp_path, caplog):
    given = {"columns": (("", "file", "clip"),)}
    source = example_sets.source_of(tmp_path / "t.csv", CLIPS, **given)
    assert source.format == one_hot.FORMAT.name
    assert example_sets.whole_labels(source) == [(("a_0_3",), ("SPHSUR",)), (("a_3_6",), ())]
    assert source.rows[1].labels.negative and source.rows[0].about.site == "INCT4"
    assert source.rows[0].about.date == "2019-11-13" and source.rows[0].about.background_known
    assert "columns that are not taken for species: fname, min_t, subset, species_number" in caplog.text
    assert "such as SPHSUR and BOABIS, become the classes" in caplog.text
    assert example_sets.source_of(tmp_path / "t.csv", "clip,AMRO,EATO\na,0,1\n", **given).format == one_hot.FORMAT.name


@pytest.mark.parametrize(
    ("old", "new"), [("clip", "file"), ("SPHSUR", "indoors"), ("BOABIS", "RAIN"), ("a_3_6", "a_0_3"),
                     ("fname", "AMRO"), ("subset", "label")],
)  # fmt: skip
def test_what_may_be_another_table_is_not_taken_for_one_of_species(tmp_path, old, new):
    text = CLIPS.replace(",a,", ",0,", 1).replace(",a,", ",0.5,").replace(old, new)
    options = {} if old == "clip" else {"columns": (("", "file", "clip"),)}
    assert example_sets.source_of(tmp_path / "t.csv", text, **options).format != one_hot.FORMAT.name
    others = {"columns": (("", "file", "clip"), ("", "label", "SPHSUR"))}
    assert example_sets.source_of(tmp_path / "t.csv", CLIPS, **others).format == csv_table.FORMAT.name


@pytest.mark.parametrize(
    ("header", "cells", "other"),
    [("clip,windy,rainy", "a,0,1", "windy"), ("clip,AMRO,LOUD CALL", "a,0,1", "LOUD CALL"),
     ("clip,start,end,spp,indoors,AMRO", "a,0,3,robin,0,1", "indoors"), ("clip,AMRO,WIND", "a,0,1", "WIND"),
     ("clip,start,end,AMRO,DUET", "a,0,3,0,1", "DUET")],
)  # fmt: skip
def test_beside_given_columns_those_of_species_are_called_so(tmp_path, header, cells, other):
    source = example_sets.source_of(tmp_path / "t.csv", f"{header}\n{cells}\n", columns=(("", "file", "clip"),))
    assert source.format != one_hot.FORMAT.name
    assert source.problem.endswith(f"beside --columns, {other!r} must be a Latin name or a code")


@pytest.mark.parametrize(("header", "is_one_hot"), [("file,rainy,windy", False), ("file,AMRO,EATO", True)])
def test_columns_of_another_table_make_no_classes_of_conditions(tmp_path, header, is_one_hot):
    given = {"columns": (("a.csv", "file", "snd"),)}
    source = example_sets.source_of(tmp_path / "t.csv", f"{header}\na.wav,0,1\nb.wav,1,0\n", **given)
    assert (source.format == one_hot.FORMAT.name) == is_one_hot


@pytest.mark.parametrize(
    ("lines", "is_known"),
    [("a.wav,1,\nb.wav,0,1\n", False), ("a.wav,POS,UNK\nb.wav,NEG,POS\n", False), ("a.wav,1,UNK\nb.wav,,1\n", False),
     ("a.wav,1,\nb.wav,,1\n", True),  # all zeros are left empty
     ("a.wav,1,0\nb.wav,,1\n", True)],
)  # fmt: skip
@pytest.mark.parametrize("in_time", [True, False])
def test_beside_a_species_others_may_be_there_if_their_cells_are_not_known(tmp_path, lines, is_known, in_time):
    for name in ("a.wav", "b.wav"):
        example_sets.write_wav(tmp_path / name)
    table = f"file,AMRO,SOSP\n{lines}".replace(",", ",start,end,", 1) if in_time else f"file,AMRO,SOSP\n{lines}"
    table = table.replace(".wav,", ".wav,0,5,") if in_time else table
    example_sets.write_text(tmp_path / "t.csv", table)
    first, _ = sorted(reader.read(reader.SourceConfig(audio=str(tmp_path)))[0], key=lambda r: r.path)
    assert first.label == "AMRO" and not first.partly_annotated
    if in_time:
        in_span = spans.labels_in_span(first.annotations, 0, 5, spans.AnnotationConfig())
        assert (in_span.label, in_span.is_complete) == ("AMRO", is_known)
    else:
        assert first.background_known == is_known


def test_numbers_of_selections_and_frequencies_are_no_species(tmp_path):
    text = "sound.files,selec,start,end,bottom.freq,top.freq,sp\na.wav,1,0.5,1,0,1,AMRO\nb.wav,1,0.5,1,0,1,EATO\n"
    assert "say --columns=label=NAME" in example_sets.source_of(tmp_path / "t.csv", text).problem
    named = columns.parse(("label=sp",))
    assert example_sets.spans_of(example_sets.source_of(tmp_path / "t.csv", text, columns=named)) == [
        (("a.wav",), 0.5, 1.0, ("AMRO",)), (("b.wav",), 0.5, 1.0, ("EATO",)),
    ]  # fmt: skip


def test_numbers_of_channels_and_overlaps_are_no_species(tmp_path):
    text = "file,start,end,AMRO,n,n_channels,channels,overlap\na.wav,0,3,1,1,1,1,0\na.wav,3,6,0,0,1,1,1\n"
    source = example_sets.source_of(tmp_path / "t.csv", text)
    assert example_sets.spans_of(source) == [(("a.wav",), 0.0, 3.0, ("AMRO", "n")), (("a.wav",), 3.0, 6.0, None)]

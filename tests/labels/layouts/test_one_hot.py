from bird_tf.labels.layouts import csv_table, one_hot
from tests.labels.layouts import example_sets

TABLE = """file,start_time,end_time,Parus major,Turdus merula
a.wav,0.0,3.0,1,1.0
a.wav,3.0,6.0,False,0
a.wav,6.0,9.0,,0
"""


def test_a_column_for_each_species_is_read(tmp_path):
    source = example_sets.source_of(tmp_path / "t.csv", TABLE)
    assert source.format == one_hot.NAME
    assert example_sets.spans_of(source) == [
        (("a.wav",), 0.0, 3.0, ("Parus major", "Turdus merula")),
        (("a.wav",), 3.0, 6.0, None),
        (("a.wav",), 6.0, 9.0, ()),  # not looked at: neither there nor not there
    ]


def test_probabilities_and_labels_are_no_such_table(tmp_path):
    assert example_sets.source_of(tmp_path / "t.csv", TABLE.replace("1.0\n", "0.7\n")).format == csv_table.NAME
    assert example_sets.source_of(tmp_path / "t.csv", "file,start,end,label\na.wav,0,3,1\n").format == csv_table.NAME


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

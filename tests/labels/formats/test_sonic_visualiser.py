import pytest

from bird_tf.labels.formats import sonic_visualiser
from bird_tf.labels.tables import columns
from tests.labels import example_sets


def test_start_duration_and_label_are_read(tmp_path):
    source = example_sets.source_of(tmp_path / "a.csv", "0.0,3.0,Parus major\n3.5,1.0,Turdus merula\n")
    assert source.format == sonic_visualiser.FORMAT.name
    assert example_sets.spans_of(source) == [((), 0.0, 3.0, ("Parus major",)), ((), 3.5, 4.5, ("Turdus merula",))]


@pytest.mark.parametrize("text", ["1.0,3.0,Parus major\n", "0.0,2000,3.0,Parus major\n"])
def test_what_can_be_an_end_or_a_duration_is_not_guessed(tmp_path, text):
    assert "--columns=duration=2" in example_sets.source_of(tmp_path / "a.csv", text).problem


def test_columns_are_given_by_their_numbers(tmp_path):
    given = columns.parse(("start=1", "duration=3", "label=4"))
    source = example_sets.source_of(tmp_path / "a.csv", "1.0,2000,3.0,Parus major\n", columns=given)
    assert example_sets.spans_of(source) == [((), 1.0, 4.0, ("Parus major",))]


def test_a_numbered_column_holds_the_score(tmp_path):
    given = columns.parse(("start=1", "end=2", "label=3", "score=4"))
    source = example_sets.source_of(tmp_path / "a.csv", "1.0,2,Parus major,0.4\n", columns=given)
    assert source.rows[0].score == 0.4


@pytest.mark.parametrize("name", ["list.csv", "list.txt", "list.tsv"])
def test_a_list_of_recordings_and_labels_is_read_by_its_numbers(tmp_path, name):
    given = columns.parse(("file=1", "label=2"))
    delimiter = "," if name == "list.csv" else "\t"
    text = "a.wav,Parus major,x\nb.wav,none\n,c\n".replace(",", delimiter)
    source = example_sets.source_of(tmp_path / name, text, columns=given)
    assert example_sets.whole_labels(source)[0] == (("a.wav",), ("Parus major",))
    assert source.rows[1].labels.negative and not source.rows[0].about.background_known
    assert source.rows[2].problem == "it names no recording"


def test_numbers_in_a_header_line_are_names(tmp_path):
    given = columns.parse(("file=2", "label=1"))
    source = example_sets.source_of(tmp_path / "list.csv", "1,2\nAMRO,a.wav\n", columns=given)
    assert example_sets.whole_labels(source) == [(("a.wav",), ("AMRO",))]


def test_numbers_of_times_without_an_end_name_no_list(tmp_path):
    given = columns.parse(("file=1", "start=2", "label=3"))
    assert "has no column 2" in example_sets.source_of(tmp_path / "list.csv", "a.wav,1,b\n", columns=given).problem

from bird_tf.labels.formats import kaggle_segments
from tests.labels import example_sets


def test_the_labels_of_2021_are_read(tmp_path):
    text = "row_id,site,audio_id,seconds,birds\n7019_COR_5,COR,7019,5,nocall\n7019_COR_10,COR,7019,10,amerob sonspa\n"
    source = example_sets.source_of(tmp_path / "train_soundscape_labels.csv", text)
    assert source.format == kaggle_segments.FORMAT.name
    assert example_sets.spans_of(source) == [
        (("7019_COR",), 0.0, 5.0, None), (("7019_COR",), 5.0, 10.0, ("amerob", "sonspa")),
    ]  # fmt: skip
    assert source.rows[0].about.site == "COR"


def test_the_labels_of_2020_name_the_file(tmp_path):
    text = "filename_seconds,birds,filename,seconds\nBLK_5,sonspa,BLK,5\n"
    source = example_sets.source_of(tmp_path / "t.csv", text)
    assert example_sets.spans_of(source) == [(("BLK",), 0.0, 5.0, ("sonspa",))]


def test_a_table_with_nocall_needs_no_number_of_segments(tmp_path):
    text = "filename,seconds,birds\nx.wav,5,nocall\nx.wav,10,acafly gretit1\nx.wav,15,Parus major\n"
    source = example_sets.source_of(tmp_path / "t.csv", text)
    assert source.format == kaggle_segments.FORMAT.name
    assert example_sets.spans_of(source)[:2] == [
        (("x.wav",), 0.0, 5.0, None), (("x.wav",), 5.0, 10.0, ("acafly", "gretit1")),
    ]  # fmt: skip
    assert "are no codes" in source.rows[2].problem


def test_names_are_not_divided_at_their_blanks(tmp_path):
    source = example_sets.source_of(tmp_path / "t.csv", "filename,seconds,birds\nx.wav,12,Parus major\n")
    assert (source.format, source.rows) == ("", ()) and "its first line has filename, seconds, birds" in source.problem
    text = "row_id,site,audio_id,seconds,birds\n7019_COR_5,COR,7019,5,Parus major\n7019_COR_10,COR,7019,10,amerob\n"
    first, second = example_sets.source_of(tmp_path / "t.csv", text).rows
    assert first.problem == "its birds 'Parus major' are no codes divided by blanks" and not first.labels.species
    assert second.labels.species == ("amerob",) and not second.problem


def test_a_segment_of_two_ends_is_not_used(tmp_path):
    table = "row_id,site,audio_id,seconds,birds\n1_A_5,A,1,5,amerob\n1_A_10,A,1,15,amerob\n1_A_x,A,1,20,amerob\n"
    problems = [row.problem for row in example_sets.source_of(tmp_path / "t.csv", table).rows]
    assert problems == ["", "its row_id ends in 10, and seconds are 15: correct one of them", ""]
    starts = table.replace("1_A_5", "1_A_0")  # the ids tell something else
    assert not any(row.problem for row in example_sets.source_of(tmp_path / "t.csv", starts).rows)

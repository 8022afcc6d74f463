import pytest

from bird_tf import config
from bird_tf.labels import taxonomy


def test_classes_are_sorted_and_named_by_majority():
    classes = taxonomy.from_labels(
        [("zosjap", "Zosterops j."), ("aaaaaa", "A a"), ("zosjap", "Z j"), ("zosjap", "Z j")]
    )
    assert classes.class_ids == ("aaaaaa", "zosjap")
    assert classes.names == ("A a", "Z j")
    assert classes.index("zosjap") == 1


def test_names_are_resolved_in_any_case_and_unknown_names_are_left_out():
    classes = taxonomy.Taxonomy(("aaa", "bbb", "ccc"), ("Parus major", "Turdus merula", "Sitta europaea"))
    assert classes.resolve(["turdus MERULA", "Homo sapiens", "aaa", "Turdus merula"]) == [0, 1]


def test_two_ids_with_the_same_name_are_two_classes():
    classes = taxonomy.from_labels([("aaa", "Parus major"), ("bbb", "Parus major")])
    assert len(classes) == 2
    assert classes.resolve(["Parus major"]) == [0]


def test_a_saved_class_list_is_loaded_equal(tmp_path):
    classes = taxonomy.Taxonomy(("a", "b"), ("Ö, ö", 'x "y"'))
    path = str(tmp_path / "classes.csv")
    taxonomy.save(path, classes)
    assert taxonomy.load(path) == classes
    assert taxonomy.load(path).digest == classes.digest


def test_another_order_gives_another_digest():
    assert taxonomy.Taxonomy(("a", "b"), ("", "")).digest != taxonomy.Taxonomy(("b", "a"), ("", "")).digest


@pytest.mark.parametrize(
    "text",
    ["", "class_id\na\n", "index,class_id,name\n1,a,A\n0,b,B\n", "index,class_id,name\n0,a,A\n1,a,A\n",
     "index,class_id,name\n0,a\n"],
)  # fmt: skip
def test_a_damaged_list_is_refused(tmp_path, text):
    (tmp_path / "classes.csv").write_text(text)
    with pytest.raises(config.InputError, match=r"classes\.csv"):
        taxonomy.load(str(tmp_path / "classes.csv"))


def test_names_in_birdnets_form_are_resolved_by_their_latin_part():
    classes = taxonomy.Taxonomy(("fox", "a_b", "blackb"), ("Fox", "A b", "Turdus merula"))
    assert classes.resolve(["turdus merula_Eurasian Blackbird"]) == [2]
    assert classes.resolve(["a_b"]) == [1]
    assert classes.resolve(["fox_cub", "Turdus_song"]) == []


def test_another_spelling_of_one_class_alone_is_that_class():
    classes = taxonomy.Taxonomy(("gretit1", "Blue_Tit", "song", "Song"), ("Parus major", "Blue_Tit", "song", "Song"))
    assert [classes.resolve([name]) for name in ("GRETIT1", "Parus_major", "blue tit", "Song")] == [[0], [0], [1], [3]]
    assert classes.resolve(["Great Tit", "gretit", "so ng", ""]) == []
    two = taxonomy.Taxonomy(("a b", "a_b"), ("a b", "a_b"))
    assert (two.resolve(["a b"]), two.resolve(["A_B"])) == ([0], [1]) and two.resolve(["a  b"]) == [0]
    assert two.resolve(["A__B"]) == []


def test_whole_numbers_with_and_without_a_fraction_are_the_same_unless_both_are_classes():
    classes = taxonomy.Taxonomy(("22961.0", "12345"), ("22961.0", "12345"))
    assert classes.resolve(["22961"]) == classes.resolve(["22961.0"]) == [0]
    assert classes.resolve(["12345.0"]) == [1] and classes.resolve(["22961.5", "229"]) == []
    both = taxonomy.Taxonomy(("22961.0", "22961"), ("22961.0", "22961"))
    assert (both.resolve(["22961.0"]), both.resolve(["22961"])) == ([0], [1])


def test_the_union_begins_with_the_first_classes_in_their_order():
    first, second = taxonomy.Taxonomy(("b", "a"), ("B one", "A one")), taxonomy.Taxonomy(("c", "a"), ("C one", "other"))
    assert taxonomy.union([first, second]) == taxonomy.Taxonomy(("b", "a", "c"), ("B one", "A one", "C one"))


def test_the_union_tells_of_species_with_two_ids(caplog):
    codes = taxonomy.Taxonomy(("fistul", "song1", "song2"), ("Fistulator duplex", "Cadens acutus", "Cadens acutus"))
    taxonomy.union([codes, codes, taxonomy.Taxonomy(("x",), ("Other one",))])
    assert caplog.text == ""
    taxonomy.union([taxonomy.Taxonomy(("Fistulator duplex",), ("fistulator duplex",)), codes])
    assert "1 species count as two classes each" in caplog.text
    assert "'Fistulator duplex' and 'fistul' (Fistulator duplex)" in caplog.text
    caplog.clear()
    folders = [taxonomy.Taxonomy(names, names) for names in (("Parus major", "Turdus merula"), ("Turdus_merula",))]
    taxonomy.union(folders)
    assert "1 species count as two classes each" in caplog.text
    assert "'Turdus merula' and 'Turdus_merula' (Turdus_merula)" in caplog.text


def test_a_name_counts_more_than_the_id_of_recordings_that_tell_none():
    """As with verdicts, or further species of a recording."""
    found = taxonomy.from_labels([("turmer", "turmer"), ("turmer", "turmer"), ("turmer", "Turdus merula"), ("b", "b")])
    assert found.names == ("b", "Turdus merula")

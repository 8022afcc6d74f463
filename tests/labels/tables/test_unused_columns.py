import pytest

from tests.labels import example_sets
from tests.labels.tables.test_presence import _source, _used


@pytest.mark.parametrize("kind", ["csv", "Raven", "Kaleidoscope"])
def test_a_column_that_may_deny_is_told(tmp_path, kind, caplog):
    source = _source(tmp_path, kind, "Checked", ("no", "yes"))
    assert source.unused_columns == ("Checked",)
    assert "if a no in Checked means that a species is not there, say --columns=present=NAME" in caplog.text


@pytest.mark.parametrize(
    ("column", "answers", "is_told"),
    [("Reviewed", ("y", "n", "?"), True), ("Status", ("confirmed", "rejected", "see notes"), True),
     ("y/n", ("y", "n", ""), True), ("Status", ("done", "pending"), True), ("Review", ("TP", "FP", "UNK"), True),
     ("OK?", ("1", "0", "?"), True), ("sex", ("f", "f"), False), ("quality", ("A", "F"), False),
     ("others", ("0", "-"), False), ("others", ("0", "2"), False), ("bird-seen", ("yes", "no"), False),
     ("Status", ("confirmed", ""), False)],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["csv", "Raven", "Kaleidoscope"])
def test_a_no_beside_other_words_is_told(tmp_path, kind, column, answers, is_told, caplog):
    assert all(_used(_source(tmp_path, kind, column, answers)))
    assert ("say --columns=present=NAME" in caplog.text) == is_told


@pytest.mark.parametrize(("column", "cells"), [("overlap", ("0.0", "0.0")), ("start_min", ("0", "1"))])
@pytest.mark.parametrize("kind", ["csv", "Raven", "Kaleidoscope"])
def test_a_column_of_zeros_or_times_is_not_taken_for_one_that_denies(tmp_path, kind, column, cells, caplog):
    _source(tmp_path, kind, column, cells)
    assert "--columns=present=NAME" not in caplog.text


def test_a_table_without_labels_is_not_warned_of(tmp_path, caplog):
    text = "file,author,count,indoors\nx.wav,Ann,see notes,no\ny.wav,Bob,,yes\n"
    assert not example_sets.source_of(tmp_path / "t.csv", text).problem
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("column", "cells", "is_told"),
    [("heard too", ("Wren", "", "jay"), True), ("heard too", ("Jay", "Jay", "Wren"), False),
     ("heard too", ("Robin", "Crane", "Jay"), False), ("birdnet_1", ("Wren", "", "Jay"), False),
     ("playback_species", ("Wren", "", "Jay"), False), ("corrected species", ("", "Wren", "Robin"), True),
     ("Label_verified", ("Jay", "Wren", "Robin"), True), ("Species2", ("Wren", "", ""), True),
     ("confirmed_id", ("Ann", "", "Bob"), False), ("final species", ("Blue Jay", "Blue Jay", "House Wren"), False),
     ("final_id", ("A", "jay", ""), False), ("class id", ("Wren", "Jay", "Robin"), False),
     ("second species", ("A", "B", ""), False), ("heard too", ("['Wren']", "[]", "['Jay']"), True),
     ("heard too", ("['Jay']", "['Jay']", "['Wren']"), False), ("heard too", ("Wren;Robin", "", "Jay|Wren"), True),
     ("heard too", ('"Jay, Wren"', "", "Jay;Robin"), True), ("remarks", ('"Jay, loud"', "far; dull", "near"), False)],
)  # fmt: skip
def test_columns_that_hold_labels_of_other_rows_are_told(tmp_path, caplog, column, cells, is_told):
    lines = [f"x.wav,{label},{cell}\n" for label, cell in zip(("Jay", "Jay", "Wren"), cells, strict=True)]
    example_sets.source_of(tmp_path / "t.csv", f"file,species,{column}\n" + "".join(lines))
    assert (f"say '--columns=label={column},NAME' if it corrects" in caplog.text) == is_told


@pytest.mark.parametrize(
    ("column", "cells", "is_told"),
    [("Species 2", ("Corvus corax", "", "Pica pica"), True), ("species_3", ("Raven", "", ""), True),
     ("Other species", ("", "Crow, Raven", ""), True), ("secondary_species", ("Raven", "Crow", "Crow"), True),
     ("also heard", ("", "", "Raven"), True), ("Other species present", ("none", "no", "Raven"), True),
     ("Species 2", ("Jay", "", "Wren"), False), ("Species 1", ("Raven", "", ""), False),
     ("other species", ("yes", "no", "?"), False), ("other species", ("2", "0", "3"), False),
     ("other species", ("none", "no birds", "unknown"), False), ("also heard", ("noise", "", "nocall"), False),
     ("other species", ("many", "see notes", "wind"), False), ("Species 2", ("male", "0 species", "same"), False),
     ("number of other species", ("Raven", "", ""), False), ("other", ("Raven", "", ""), False),
     ("species notes", ("Raven", "", ""), False), ("other_birds", ("seen", "", ""), False),
     ("species group 2", ("owls", "", ""), False), ("present", ("Raven", "", ""), False)],
)  # fmt: skip
def test_columns_called_as_those_of_further_species_are_told_if_they_hold_any(tmp_path, caplog, column, cells, is_told):
    lines = [f'x.wav,{label},"{cell}"\n' for label, cell in zip(("Jay", "Jay", "Wren"), cells, strict=True)]
    example_sets.source_of(tmp_path / "t.csv", f"file,species,{column}\n" + "".join(lines))
    assert (f"or '--columns=background={column}' if it tells further species" in caplog.text) == is_told


def test_a_list_of_what_other_columns_tell_is_not_told(tmp_path, caplog):
    header = "filepath,ebird_code,ebird_code_secondary,ebird_code_multilabel\n"
    lines = "x.ogg,eurbla,['gretit1'],\"['eurbla', 'gretit1']\"\ny.ogg,gretit1,[],['gretit1']\n"
    source = example_sets.source_of(tmp_path / "t.csv", header + lines)
    assert [row.about.background for row in source.rows] == [("gretit1",), ()]
    assert source.rows[1].about.background_known and "is not used, although" not in caplog.text
    example_sets.source_of(
        tmp_path / "t.csv", (header + lines).replace("_secondary", "_x").replace("['gretit1'],", "a,")
    )
    assert "--columns=background=ebird_code_multilabel" in caplog.text


def test_a_column_of_other_names_is_not_told_if_backgrounds_have_them(tmp_path, caplog):
    header = "file,ebird_code,latin,background\n"
    lines = "x.wav,gretit1,Parus major,Turdus merula\ny.wav,eurbla,Turdus merula,Parus major\n"
    example_sets.source_of(tmp_path / "t.csv", header + lines)
    assert "is not used, although" not in caplog.text


@pytest.mark.parametrize(
    ("column", "cells", "is_told"),
    [("subset", ("train", "test"), True), ("Split", ("test_1", "train"), True), ("fold", ("1", "5"), True),
     ("is_test", ("0", "1"), True), ("test set", ("yes", "no"), True), ("data_split", ("Test", "dev"), True),
     ("subset", ("test", "test"), False), ("set", ("A", "B"), False), ("is_tested", ("no", "yes"), False),
     ("purpose", ("training", "Validation set"), True), ("dataset", ("train", "", "test"), True),
     ("status", ("valid", "test"), False), ("type", ("train", "song"), False),
     ("training", ("song", "call"), False), ("validation", ("yes", "no"), False),
     ("val", ("0.2", "1"), False), ("fold", ("a", "b"), False), ("is_val", ("0.2", "1"), False)],
)  # fmt: skip
def test_a_split_in_a_column_is_told(tmp_path, caplog, column, cells, is_told):
    assert all(_used(_source(tmp_path, "csv", column, cells)))
    assert (f"the split in the column {column} is not used" in caplog.text) == is_told
    assert not is_told or "means that a species is not there" not in caplog.text


def test_the_split_of_our_own_records_is_not_told(tmp_path, caplog):
    text = "file,label,split,background_known\nx.wav,a,train,1\ny.wav,a,val,0\n"
    example_sets.source_of(tmp_path / "recordings.csv", text)
    assert "the split" not in caplog.text


@pytest.mark.parametrize(
    ("column", "cells", "is_told"),
    [("n_calls", ("3", "0"), True), ("N", ("2", "0", ""), True), ("number", ("2.0", "0.0"), True),
     ("No. of birds", ("1", "0"), True), ("number", ("1", "2"), False), ("segment number", ("0", "2"), False),
     ("n", ("0", "0.5"), False), ("wind", ("0", "2"), False), ("No", ("0", "1", "2"), False),
     ("n_background", ("1", "0"), False), ("number of observers", ("1", "0"), False)],
)  # fmt: skip
def test_columns_that_may_count_are_told_if_they_hold_a_zero(tmp_path, caplog, column, cells, is_told):
    assert all(_used(_source(tmp_path, "csv", column, cells)))
    assert (f"if a no in {column} means that a species is not there" in caplog.text) == is_told
    caplog.clear()
    used = [cell not in ("0", "0.0") for cell in cells]
    assert _used(_source(tmp_path, "csv", column, cells, f"present={column}")) == used


@pytest.mark.parametrize(
    ("column", "is_told"),
    [("Unnamed: 0", False), ("id", False), ("index", False), ("row", False), ("clip_id", False), ("id correct", True),
     ("0", True)],
)  # fmt: skip
def test_columns_that_number_rows_deny_nothing(tmp_path, caplog, column, is_told):
    assert all(_used(_source(tmp_path, "csv", column, ("0", "1"))))
    assert ("say --columns=present=NAME" in caplog.text) == is_told

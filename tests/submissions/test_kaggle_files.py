import csv
import io

import numpy as np
import pytest

from bird_tf import config
from bird_tf.labels import taxonomy
from bird_tf.submissions import kaggle_files

CLASSES = taxonomy.Taxonomy(("abethr1", "barswa", "comsan"), ("A", "B", "C"))
SCORES = {"soundscape_2": np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]), "soundscape_1": np.array([[0.7, 0.8, 1.0]])}
PRIOR = np.array([0.5, 0.3, 0.2])


def _form(tmp_path, text):
    (tmp_path / "sample.csv").write_text(text)
    return kaggle_files.read_sample(str(tmp_path / "sample.csv"))


def _table(form, names=("soundscape_2", "soundscape_1")):
    form, begins = kaggle_files.for_recordings(form, names)
    text = kaggle_files.write(form, {begins[name]: SCORES[f"soundscape_{name[11]}"] for name in names}, CLASSES, PRIOR)
    assert list(kaggle_files.errors(text, form)) == []
    return [
        {name: cell if name == "row_id" else float(cell) for name, cell in row.items()}
        for row in csv.DictReader(io.StringIO(text))
    ]


def test_without_a_sample_all_classes_and_rows_are_written():
    rows = _table(kaggle_files.form_of(CLASSES))
    assert list(rows[0]) == ["row_id", "abethr1", "barswa", "comsan"]
    assert [row["row_id"] for row in rows] == ["soundscape_2_5", "soundscape_2_10", "soundscape_1_5"]
    assert rows[1] == {"row_id": "soundscape_2_10", "abethr1": 0.4, "barswa": 0.5, "comsan": 0.6}


def test_a_sample_decides_columns_rows_and_order(tmp_path, caplog):
    form = _form(
        tmp_path, "row_id,comsan,zitcis1,abethr1\nsoundscape_1_5,0,0,0\nsoundscape_9_5,0,0,0\nsoundscape_2_10,0,0,0\n"
    )
    rows = _table(form)
    assert [list(row.values()) for row in rows] == [
        ["soundscape_1_5", 1.0, 0.2, 0.7],  # a class that the model lacks has the lowest prior
        ["soundscape_9_5", 0.2, 0.2, 0.5],  # no recording
        ["soundscape_2_10", 0.6, 0.2, 0.4],
    ]
    assert "1 rows that no recording has, as soundscape_9_5: they get the training prior" in caplog.text


def test_a_sample_of_other_recordings_shows_the_columns_alone(tmp_path):
    rows = _table(_form(tmp_path, "row_id,barswa\nsoundscape_7_5,0.5\nsoundscape_7_10,0.5\n"))
    assert [list(row.values()) for row in rows] == [
        ["soundscape_2_5", 0.2],
        ["soundscape_2_10", 0.5],
        ["soundscape_1_5", 0.8],
    ]


def test_row_ids_of_2021_leave_out_the_date(tmp_path):
    form = _form(tmp_path, "row_id,barswa\nsoundscape_2_5,0\nsoundscape_2_10,0\nsoundscape_1_5,0\n")
    rows = _table(form, ("soundscape_2_20170701", "soundscape_1_20170702"))
    assert [row["row_id"] for row in rows] == ["soundscape_2_5", "soundscape_2_10", "soundscape_1_5"]
    with pytest.raises(config.InputError, match="two recordings would have the rows soundscape_2_5"):
        kaggle_files.for_recordings(form, ("soundscape_2_20170701", "soundscape_2_20170702"))


@pytest.mark.parametrize(
    "text", ["row_id,birds\na_5,nocall\n", "row_id,target\na_b_5,False\n", "id,a\n", "row_id,a,a\n", ""]
)
def test_other_samples_are_refused(tmp_path, text):
    with pytest.raises(config.InputError, match="--sample_submission="):
        _form(tmp_path, text)


@pytest.mark.parametrize("sign", [";", "\t"])
def test_a_sample_that_was_saved_with_other_delimiters_is_read(tmp_path, sign):
    text = 'row_id,comsan,"a b"\nsoundscape_1_5,0.5,0\n'
    expected = _form(tmp_path, text)
    assert _form(tmp_path, "\ufeff" + text.replace(",", sign).replace("0.5", "0,5")) == expected
    assert expected.columns == ("row_id", "comsan", "a b")


@pytest.mark.parametrize(("rows", "words"), [
    (("soundscape_1_5", "soundscape_1_5"), "the row 'soundscape_1_5' is there twice; correct it"),
    (("soundscape_1_5", "soundscape_9_7"), "the row 'soundscape_9_7' is no name and end of 5 seconds"),
    (("soundscape_1_5", "soundscape_1_0"), "the row 'soundscape_1_0' is no name and end"),
    (("soundscape_1_5", "x"), "the row 'x' is no name and end"),
    (("soundscape_1_5", "soundscape\u200b_9_5"), r"a row_id holds the sign '\\u200b'"),
])  # fmt: skip
def test_rows_of_a_sample_that_a_submission_cannot_have_are_refused_before_the_scoring(tmp_path, rows, words):
    form = _form(tmp_path, "".join(f"{line}\n" for line in ("row_id,comsan", *(f"{row},0" for row in rows))))
    with pytest.raises(config.InputError, match=words):
        kaggle_files.for_recordings(form, ["soundscape_1", "soundscape_2"])
    others, _ = kaggle_files.for_recordings(form, ["other"])  # the rows count for nothing
    assert others.row_ids == () and others.columns == ("row_id", "comsan")


def test_a_class_with_the_name_of_the_column_is_refused():
    with pytest.raises(config.InputError, match="row_id"):
        kaggle_files.form_of(taxonomy.Taxonomy(("row_id",), ("A",)))


GOOD = "row_id,a,b\ns_1_5,0.5,0\ns_1_10,1,1e-3\n"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("\ufeff" + GOOD, "line 1: begins with a byte order mark"),
        ("", "line 1: no column row_id"),
        ("row_id\ns_5\n", "line 1: no column of a class"),
        ("row_id,a,a\ns_5,1,1\n", "line 1: the column a is there twice"),
        (GOOD + "s_1_15,0.5\n", "line 4: 2 fields, expected 3"),
        (GOOD + "s_1_5,0,0\n", "line 4: s_1_5 is in line 2 already"),
        (GOOD + "s_1_7,0,0\n", "line 4: 's_1_7' is no name and end"),
        (GOOD + "s_1_0,0,0\n", "line 4: 's_1_0' is no name"),
        (GOOD + "x,0,0\n", "line 4: 'x' is no name"),
        (GOOD + "s_1_15,nan,0\n", "line 4: a is 'nan', not a number"),
        (GOOD + "s_1_15,0,1.1\n", "line 4: b is '1.1'"),
        (GOOD + "s_1_15,0,\n", "line 4: b is ''"),
        (GOOD + "s_1_15,0,1.00000000000000000001\n", "line 4: b is '1.00000000000000000001'"),
        (GOOD + "s_1_15,0,٠.٣\n", "line 4: b is '٠.٣'"),
        (GOOD + "s_1_15,0,1_0\n", "line 4: b is '1_0'"),
        (GOOD + 's_1_15,0,"0,5"\n', "line 4: b is '0,5'"),
        (GOOD + "s_1_15,0, 1\n", "line 4: b is ' 1'"),
        (GOOD + "s_1_١٥,0,1\n", "line 4: 's_1_١٥' is no name"),
        (GOOD + f"s_1_{5000 * '5'},0,1\n", "line 4: 's_1_5"),
        (GOOD + "s_\u200b1_15,0,1\n", r"line 4: holds the sign '\u200b', which nobody sees"),
        (GOOD + f"{200_000 * 'x'},0,1\n", "run: no table"),
        (GOOD + "s_1_20,0,0\n", "run: s_1 has 3 rows, but s_1_15 is missing"),
        ("row_id,a\n", "run: no row"),
    ],
)
def test_errors_name_line_and_rule(text, rule):
    assert list(kaggle_files.errors(GOOD, None)) == []
    assert any(error.startswith(rule) for error in kaggle_files.errors(text, None))


def test_columns_and_rows_are_compared_with_the_sample_and_the_model():
    form = kaggle_files.Form(columns=("row_id", "a", "b"), row_ids=("s_1_5", "s_1_10", "s_2_5"))
    assert list(kaggle_files.errors(GOOD, form)) == ["run: s_2_5 is missing"]
    swapped = kaggle_files.Form(columns=("row_id", "b", "a"))
    assert list(kaggle_files.errors(GOOD, swapped)) == ["line 1: column 2 is a, expected b"]
    shorter = kaggle_files.Form(columns=("row_id", "a"))
    assert list(kaggle_files.errors(GOOD, shorter)) == ["line 1: column 3 is b, expected the end"]
    classes = taxonomy.Taxonomy(("a",), ("A",))
    assert list(kaggle_files.errors(GOOD, None, classes)) == ["line 1: column b is no class of the model"]

import csv
import pathlib

import numpy as np
import pytest

from bird_tf import config, csv_files
from tests import conftest


def _file(folder, content):
    path = folder / "x.file"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_tables_quote_what_they_must(tmp_path):
    path = str(tmp_path / "t.csv")
    csv_files.write(path, ("a", "b"), [("x, y", 'say "hi"'), ("Türkentaube", 1)])
    assert pathlib.Path(path).read_text() == 'a,b\n"x, y","say ""hi"""\nTürkentaube,1\n'
    csv_files.write(path, ("a", "b"), [("x\ry", "x\ny")])
    assert pathlib.Path(path).read_bytes() == b'a,b\n"x\ry","x\ny"\n'


def test_tables_are_read_as_they_were_written(tmp_path):
    path = str(tmp_path / "t.csv")
    names = ['x, "y"', "=1+1", "'=1", "a\nb", "a\rb", " c ", "\u202ed", "<script>", "é\t", "-", "'", "\x1b[31m"]
    csv_files.write(path, ("name", "number"), [(name, i / 8) for i, name in enumerate(names)])
    rows = list(csv_files.read(path, ("number", "name")))
    assert [row.text("name") for row in rows] == names
    assert [row.number("number", 0, 2) for row in rows] == [i / 8 for i in range(len(names))]
    assert [row.line for row in rows][-1] == len(names) + 3  # two names have line ends


@pytest.mark.parametrize("empty", ["", ",", ",,", '"",""'])
def test_rows_without_text_are_left_out(tmp_path, empty):
    rows = list(csv_files.read(_file(tmp_path, f"a,b\n1,2\n{empty}\n3,\n{empty}\n"), ("a", "b")))
    assert [(row.line, row.cells) for row in rows] == [(2, {"a": "1", "b": "2"}), (4, {"a": "3", "b": ""})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no column a"),
        ("b\n1\n", "no column a"),
        ("a,a\n1,2\n", "twice"),
        ("a,b\n1\n", "line 2: 1 cells, expected 2"),
        ("a,b\n1,2\n\n1,2,3\n", "line 4: 3 cells, expected 2"),
        ('a,b\n1,"2\n', "line 2: not a table"),
        ("a,b\n" + "1" * 200_000 + ",2\n", "not a table"),
        ("a,b\n" + "," * (2 << 20), "not a table: line 2 is longer than"),
        ('a,b\n"' + '\n","' * (1 << 19), "not a table: the row that ends after line"),
        ("a\n1\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_what_is_no_table_of_ours_is_refused_by_line(tmp_path, content, message):
    with pytest.raises(config.InputError, match=rf"x\.file.*{message}"):
        list(csv_files.read(_file(tmp_path, content), ("a",)))


@pytest.mark.parametrize("cell", ["x", "٣", "1_0", "nan", "inf", "0x1", "2", "9" * 50, "-1", "1e9"])
def test_cells_that_are_no_numbers_are_named(cell):
    row = csv_files.Row("t.csv", 7, {"a": cell, "empty": ""})
    with pytest.raises(config.InputError, match=r"t\.csv, line 7: a must be a number from 0 to 1, not '"):
        row.number("a", 0, 1)
    assert np.isnan(row.number("empty", 0, 1)) and np.isnan(row.number("none", 0, 1))
    assert row.count("empty", 3) == row.count("none", 3) == 3
    with pytest.raises(config.InputError, match="line 7: empty is missing"):
        row.text("empty")


@pytest.mark.parametrize("cell", ["", "x", "٣", "1.5", "1.00", ".0", "1.0.0", "-1", "9" * 16])
def test_cells_that_are_no_counts_are_named(cell):
    with pytest.raises(config.InputError, match="line 7: a must be a whole number"):
        csv_files.Row("t.csv", 7, {"a": cell}).count("a")


def test_a_count_may_be_as_pandas_writes_it():
    assert csv_files.Row("t.csv", 7, {"a": "41.0"}).count("a") == 41


FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "'=1", "''=1", "=1;2"]
PLAIN = ["", "-", "=", "-3.5", "+49", "-1e-3", "'quoted'", "it's", "Avis alba", "a=1", "-inf"]


def test_names_of_files_stay_as_they_are_beside_defused_cells(tmp_path):
    path = str(tmp_path / "table.csv")
    with csv_files.writing(path, ["file", "name"], as_they_are=["file"]) as append:
        append(["-1.wav", "=1+1"])
    with open(path, encoding="utf-8") as file:
        assert file.read() == "file,name\n-1.wav,'=1+1\n"


def test_formulas_are_defused_in_tables_and_read_as_they_were(tmp_path):
    path = str(tmp_path / "t.csv")
    csv_files.write(path, ("=name", "x"), [(text, 1) for text in [*FORMULAS, *PLAIN]])
    with open(path, newline="") as file:
        cells = [row[0] for row in csv.reader(file)]
    assert cells == ["'=name", *(f"'{text}" for text in FORMULAS), *PLAIN]
    assert [row["=name"] for row in conftest.table(path)] == [*FORMULAS, *PLAIN]


def test_a_table_with_a_byte_order_mark_is_read_without_it(tmp_path):
    path = str(tmp_path / "t.csv")
    csv_files.write(path, ("é",), [("ü",)], byte_order_mark=True)
    assert (tmp_path / "t.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert conftest.table(path) == [{"é": "ü"}]


@pytest.mark.parametrize("parts", [[], ["a"], ["a b", "c;d", 'e"f', "", "g\nh"], [""]])
def test_texts_joined_in_a_cell_are_divided_again(parts):
    assert csv_files.divided(csv_files.joined(parts)) == parts

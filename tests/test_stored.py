import dataclasses
import io
import zipfile

import numpy as np
import pytest

from bird_tf import config, files, stored
from tests import damage


@dataclasses.dataclass(frozen=True)
class Thing:
    format_version: int
    name: str


def _file(folder, content):
    path = folder / "x.file"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_json_is_read_as_a_dataclass(tmp_path):
    path = _file(tmp_path, '{"format_version": 2, "name": "ü", "more": 1}')
    assert stored.read_json(path, Thing, partial=True) == Thing(2, "ü")
    assert [stored.version_of(value) for value in (stored.read_any(path), [], {"format_version": "2"})] == [2, 0, 0]
    with pytest.raises(config.InputError, match=r"x\.file: more must be absent.*make it anew"):
        stored.read_json(path, Thing)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{\x00", b"[1]", b"\x80\x04N.", b'{"format_version": 1}'])
def test_what_is_not_as_it_was_written_is_refused_by_name(tmp_path, content):
    with pytest.raises(config.InputError, match=r"x\.file"):
        stored.read_json(_file(tmp_path, content), Thing)


def test_lines_of_json_are_read_up_to_one_that_a_kill_has_cut(tmp_path):
    assert stored.read_json_lines(_file(tmp_path, '["a", 1]\n["b", 2]\n["c'), tuple[str, int]) == [("a", 1), ("b", 2)]
    with pytest.raises(config.InputError, match=r"x\.file, line 2: \[1\] must be a whole number"):
        stored.read_json_lines(_file(tmp_path, '["a", 1]\n["b", "2"]\n'), tuple[str, int])


def test_tables_are_read_as_they_were_written(tmp_path):
    path = str(tmp_path / "t.csv")
    names = ['x, "y"', "=1+1", "'=1", "a\nb", "a\rb", " c ", "\u202ed", "<script>", "é\t", "-", "'", "\x1b[31m"]
    files.write_table(path, ("name", "number"), [(name, i / 8) for i, name in enumerate(names)])
    rows = list(stored.read_table(path, ("number", "name")))
    assert [row.text("name") for row in rows] == names
    assert [row.number("number", 0, 2) for row in rows] == [i / 8 for i in range(len(names))]
    assert [row.line for row in rows][-1] == len(names) + 3  # two names have line ends


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
        list(stored.read_table(_file(tmp_path, content), ("a",)))


@pytest.mark.parametrize("cell", ["x", "٣", "1_0", "nan", "inf", "0x1", "2", "9" * 50, "-1", "1e9"])
def test_cells_that_are_no_numbers_are_named(cell):
    row = stored.Row("t.csv", 7, {"a": cell, "empty": ""})
    with pytest.raises(config.InputError, match=r"t\.csv, line 7: a must be a number from 0 to 1, not '"):
        row.number("a", 0, 1)
    assert np.isnan(row.number("empty", 0, 1)) and np.isnan(row.number("none", 0, 1))
    assert row.count("empty", 3) == row.count("none", 3) == 3
    with pytest.raises(config.InputError, match="line 7: empty is missing"):
        row.text("empty")


@pytest.mark.parametrize("cell", ["", "x", "٣", "1.0", "-1", "9" * 16])
def test_cells_that_are_no_counts_are_named(cell):
    with pytest.raises(config.InputError, match="line 7: a must be a whole number"):
        stored.Row("t.csv", 7, {"a": cell}).count("a")


ARRAYS = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3), "text": np.array("xü"), "none": np.zeros((0, 5)),
    "columns": np.asfortranarray(np.eye(2, 3)), "half": np.ones(2, np.float16), "count": np.array(5),
    "yes": np.ones(3, bool),
}  # fmt: skip


def test_arrays_are_read_as_they_were_written(tmp_path):
    np.savez(tmp_path / "x.npz", **ARRAYS)
    found = stored.read_arrays(str(tmp_path / "x.npz"))
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype and found[name].flags.writeable
    assert stored.text_of("x", found["text"]) == "xü"
    assert set(stored.read_arrays(str(tmp_path / "x.npz"), {"matrix": "f2"})) == {"matrix"}
    for kinds in ({"matrix": "f1"}, {"matrix": "i2"}, {"other": "f2"}):
        with pytest.raises(config.InputError, match=r"x\.npz: .* is missing, or is of another type"):
            stored.read_arrays(str(tmp_path / "x.npz"), kinds)


def _npy(header, content=b""):
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


@pytest.mark.parametrize(
    "member",
    [
        b"",
        b"\x93NUMPY",
        _npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }\n"),
        _npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", b"1234"),
        _npy(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", b"\x80\x04N."),
        _npy(b"{'descr': '<U0', 'fortran_order': False, 'shape': (9,), }\n"),
        _npy(b"(" * 60_000),
    ],
    ids=range(7),
)
def test_arrays_of_objects_or_of_sizes_that_are_not_there_are_refused(tmp_path, member):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", member)
    with pytest.raises(config.InputError, match=r"x\.npz: no arrays that can be read"):
        stored.read_arrays(str(tmp_path / "x.npz"))


def test_compressed_arrays_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", a=np.zeros(1_000_000))
    with pytest.raises(config.InputError, match="compressed"):
        stored.read_arrays(str(tmp_path / "x.npz"))


def test_a_text_of_no_characters_is_refused():
    with pytest.raises(config.InputError, match=r"x\.npz"):
        stored.text_of("x.npz", np.frombuffer(b"\xff" * 4, "<U1").reshape(()))


@damage.counts
def test_no_damage_of_arrays_ends_in_anything_but_a_refusal(tmp_path, count):
    buffer = io.BytesIO()
    np.savez(buffer, **ARRAYS)
    path = tmp_path / "x.npz"
    path.write_bytes(buffer.getvalue())
    damage.check_reader(path, lambda: stored.read_arrays(str(path)), count)

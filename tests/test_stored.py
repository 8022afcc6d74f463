import dataclasses
import io
import zipfile

import numpy as np
import pytest

from bird_tf import config, stored
from tests import damage


@dataclasses.dataclass(frozen=True)
class Thing:
    format_version: int
    name: str


def _file(folder, content):
    path = folder / "x.file"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_what_a_newer_version_wrote_needs_an_update_and_other_versions_their_remedy():
    stored.check_version("x.json", 2, range(1, 3), "make it anew")
    for found, told in (
        (3, r"^x\.json: a newer bird_tf wrote it \(version 3, .* up to 2\); update"),
        (0, "make it anew"),
    ):
        with pytest.raises(config.InputError, match=told):
            stored.check_version("x.json", found, range(1, 3), "make it anew")


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

import importlib.util

import pytest

from bird_tf import config, lines
from bird_tf.labels import parquet, texts

pyarrow = pytest.importorskip("pyarrow")
pyarrow_parquet = pytest.importorskip("pyarrow.parquet")


def _write(path, **columns):
    pyarrow_parquet.write_table(pyarrow.table(columns), path, row_group_size=2)
    return str(path)


def test_a_table_is_read_as_cells_of_text(tmp_path, monkeypatch):
    path = _write(tmp_path / "t.PARQUET", file=["a.wav", "b,\nö.wav", None], start=[0.25, float("nan"), 3.0])
    expected = [(1, ["file", "start"]), (2, ["a.wav", "0.25"]), (3, ["b,\nö.wav", ""]), (4, ["", "3.0"])]
    for rows_at_once in (1, 2, 100):
        monkeypatch.setattr(parquet, "_BATCH", rows_at_once)
        assert texts.Document(path).lines == expected


def test_what_is_no_parquet_file_is_refused(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(config.InputError, match=r"t\.parquet: not a Parquet file"):
        list(parquet.rows(str(tmp_path / "t.parquet")))
    with pytest.raises(config.InputError, match=r"none\.parquet: not a Parquet file"):
        list(parquet.rows(str(tmp_path / "none.parquet")))


def test_a_table_of_too_many_rows_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MOST", 2)
    with pytest.raises(config.InputError, match="more than 2 rows"):
        list(parquet.rows(_write(tmp_path / "t.parquet", a=[1, 2, 3])))


def test_without_pyarrow_the_file_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(config.InputError, match=r"x\.parquet needs pyarrow: pip install"):
        list(parquet.rows("x.parquet"))

import importlib.util

import pytest

from bird_tf import config
from bird_tf.inference.writers import parquet, rows, tables
from tests.conftest import settings
from tests.inference.writers.conftest import CLASSES, read_rows

pyarrow_parquet = pytest.importorskip("pyarrow.parquet")


@pytest.mark.parametrize("group", [1, 5, 20_000])
def test_the_tables_equal_those_in_csv(tmp_path, write, monkeypatch, group):
    monkeypatch.setattr(parquet, "_GROUP", group)
    write(format="csv,parquet")
    for name in ("detections", "chunks", "recordings"):
        table = pyarrow_parquet.read_table(tmp_path / f"{name}.parquet")
        expected = read_rows(tmp_path / f"{name}.csv")
        assert table.column_names == list(expected[0])
        for found, row in zip(table.to_pylist(), expected, strict=True):
            for column, value in found.items():
                if column in rows.DIGITS or column in CLASSES.class_ids:
                    cell = float(row[column]) if row[column] else None
                    assert value == (cell if cell is None else pytest.approx(cell, abs=1e-6)), column
                else:
                    assert (value or "") == row[column], column
    assert str(table.schema.field("aaaaaa").type) == "float"


def test_no_detection_gives_a_table_without_rows(tmp_path, write):
    write(format="parquet", min_probability="1")
    table = pyarrow_parquet.read_table(tmp_path / "detections.parquet")
    assert (table.num_rows, table.column_names) == (0, list(rows.DETECTIONS))


def test_without_pyarrow_the_format_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(config.InputError, match=r"--format=parquet needs pyarrow: pip install"):
        settings(tables.TableConfig, format="csv,parquet")
    assert settings(tables.TableConfig).format == "csv"

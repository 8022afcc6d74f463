import pytest

from bird_tf.inference.writers import about, rows, tables
from tests.inference.writers.conftest import context


@pytest.fixture
def known(tmp_path):
    """A context with place and time."""
    return context(tmp_path, origins_known=True)


def test_every_format_and_column_is_explained(known):
    text = about.write(known, tables.FORMATS.values(), ["runs/x/export"], "")
    for column in (*rows.DETECTIONS, *rows.CHUNKS, *rows.recording_columns(known)):
        assert f"\n  {column} " in text
    assert all(f"{each.files[0]}: {each.meaning}" in text for each in tables.FORMATS.values())
    assert "not calibrated" in text and "runs/x/export" in text
    assert "calibrated on 12 recordings of x" in about.write(
        known, [tables.FORMATS["csv"]], ["m"], "12 recordings of x"
    )


def test_tables_that_are_not_there_are_not_explained(known):
    assert "clock_time" not in about.write(known, [tables.FORMATS["raven"]], ["m"], "")

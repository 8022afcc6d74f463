import math

import pytest

from bird_tf.inference.writers import about, detections, rows, tables
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


@pytest.mark.parametrize(
    ("found_by", "calibrated_on", "told"),
    [({}, "", "is at least 0.5, as the model has no thresholds of its own. Neighbouring ones of one species are join"),
     ({"threshold": "precision"}, "x", "the model's own threshold of the species by the rule 'precision' (--thre"),
     ({"min_probability": "0.05", "merge_seconds": -1.0}, "x",
      "at least 0.05 (--min_probability). Each chunk has a row of its own (--merge_seconds)."),
     ({"min_probability": "own.csv", "top": 2, "merge_seconds": 3.0}, "x",
      "in own.csv (--min_probability); for others, the model's own threshold of the species by the rule 'f1' "
      "(--threshold). Of each chunk, only the 2 most probable species count (--top). Those of one species with a gap "
      "of at most 3 s are joined (--merge_seconds)."),
     ({"top": 1, "merge_seconds": math.inf}, "",
      "Of each chunk, only the most probable species counts (--top). All of one species in a recording are joined (")],
)  # fmt: skip
def test_detections_are_explained_as_they_were_found(tmp_path, found_by, calibrated_on, told):
    ours = context(tmp_path, found_by=detections.DetectionConfig(**found_by))
    text = " ".join(about.write(ours, [tables.FORMATS["csv"]], ["m"], calibrated_on).split())
    assert told in text


@pytest.mark.parametrize("expected", ["", "species list a.txt"])
def test_a_species_list_is_advised_where_none_was_given(tmp_path, expected):
    text = " ".join(about.write(context(tmp_path, expected=expected), [tables.FORMATS["csv"]], ["m"], "").split())
    assert ("--species_list" in text) == (not expected) and expected in text

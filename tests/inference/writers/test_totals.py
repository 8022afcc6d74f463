import dataclasses

import pytest

from bird_tf.inference.writers import totals
from tests.conftest import table
from tests.inference.writers.conftest import context, criteria, prediction


def _counted(**changed):
    """Two recordings, the first one changed."""
    told, one = totals.Totals(), prediction()
    told.add(dataclasses.replace(one, scores=dataclasses.replace(one.scores, **changed)))
    told.add(prediction("there/x.wav", criteria(min_probability="1.0")))
    return told


def test_recordings_and_detections_are_counted():
    told = _counted()
    assert (told.num_recordings, told.num_with_detections, told.seconds) == (2, 1, 8.0)
    assert told.of_species.total() == len(prediction().detections) and set(told.of_species) == {0, 1}


def test_damaged_and_strange_recordings_are_named(tmp_path, caplog):
    told = _counted(strangeness=2.5, lost_seconds=1.25, note="it ends early")
    told.write_tables(context(tmp_path))
    assert table(tmp_path / "damaged.csv") == [{"file": "here/x.wav", "lost_seconds": "1.250", "note": "it ends early"}]
    assert table(tmp_path / "unlike.csv") == [{"file": "here/x.wav", "strangeness": "2.500"}]
    assert told.num_unlike == 1 and told.unlike.startswith("1 of 1 recordings")
    told.warn_of_unlike("out")
    assert "out/unlike.csv names them" in caplog.text


@pytest.mark.parametrize(("strangeness", "num_unlike"), [(float("nan"), None), (0.5, 0)])
def test_there_is_no_table_without_a_row(tmp_path, caplog, strangeness, num_unlike):
    told = _counted(strangeness=strangeness)
    told.write_tables(context(tmp_path))
    told.warn_of_unlike("out")
    assert told.num_unlike == num_unlike and not list(tmp_path.iterdir()) and not caplog.text

import dataclasses

import numpy as np
import pytest
from absl import logging

from bird_tf import config
from bird_tf.inference import occurrence_table
from tests.inference.test_occurrence import CLASSES, HEADER, NOTHING


def _on(date):
    day = np.datetime64(date) - np.datetime64(f"{date[:4]}-01-01")
    return dataclasses.replace(NOTHING, date=date, day_of_year=float(day.astype(int) + 1))


def test_weeks_are_counted_in_sevens_or_four_a_month():
    dates = ["2023-01-01", "2023-01-07", "2023-01-08", "2023-01-22", "2023-01-31", "2024-02-29", "2023-12-31"]
    assert [occurrence_table.week_of(_on(date), 52) for date in dates] == [0, 0, 1, 3, 4, 8, 51]
    assert [occurrence_table.week_of(_on(date), 48) for date in dates] == [0, 0, 1, 3, 3, 7, 47]
    days = [dataclasses.replace(NOTHING, day_of_year=day) for day in (1.0, 59.0, 60.0, 366.0)]
    assert [occurrence_table.week_of(day, 48) for day in days] == [0, 7, 8, 47]
    assert occurrence_table.week_of(NOTHING, 48) is None


def _weekly(tmp_path, weeks):
    """A table in which aa is as frequent as the number of the week in percent."""
    path = tmp_path / "weekly.csv"
    path.write_text(HEADER + "".join(f"18,-66,{week},aa,{week / 100}\n" for week in weeks))
    return str(path)


def test_a_table_of_48_weeks_is_read_as_such(tmp_path):
    path = _weekly(tmp_path, range(1, 49))
    assert occurrence_table.Table(path, CLASSES).at(_on("2023-07-04"))[0] == pytest.approx(0.25)  # week 25 of 48
    assert occurrence_table.Table(path, CLASSES, 52).frequencies.shape[1] == 52
    whole = occurrence_table.Table(_weekly(tmp_path, range(1, 53)), CLASSES)
    assert whole.at(_on("2023-07-04"))[0] == pytest.approx(0.27)  # week 27 of 52


def test_a_gap_in_the_weeks_is_warned_of(tmp_path, caplog):
    logging.set_verbosity(logging.INFO)
    occurrence_table.Table(_weekly(tmp_path, range(1, 53)), CLASSES)
    assert not caplog.records
    occurrence_table.Table(_weekly(tmp_path, [*range(3, 20), *range(21, 53)]), CLASSES)
    [record] = caplog.records
    assert "at 18, -66 there is no row for week 1–2, 20;" in record.getMessage()


def test_two_frequencies_of_a_species_at_one_place_and_week_are_refused(tmp_path):
    path = tmp_path / "twice.csv"
    rows = ["18,-66,,aa,0.5", "18,-66,1,aa,0.2", "18,-66,,bb,0.1", "19,-66,,aa,0.1", "18,-66,,of others,0.1"]
    path.write_text(HEADER + "\n".join([*rows, "18.0,-66,0,aa,0.50", "18,-66,,of others,0.2"]) + "\n")
    assert occurrence_table.Table(str(path), CLASSES).frequencies[0, :2, 0].tolist() == [0.2, 0.5]
    path.write_text(HEADER + "\n".join([*rows, "18.0,-66,0,aa,0"]) + "\n")
    with pytest.raises(config.InputError, match=r"line 7: aa has another frequency at this place and week in line 2"):
        occurrence_table.Table(str(path), CLASSES)


def test_a_table_of_more_frequencies_than_memory_takes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(occurrence_table, "_MOST_FREQUENCIES", 48 * len(CLASSES))
    path = _weekly(tmp_path, [1, 48])
    assert len(occurrence_table.Table(path, CLASSES).places) == 1
    with open(path, "a") as file:
        file.write("19,-66,1,aa,0.5\n")
    with pytest.raises(config.InputError, match=r"weekly\.csv: 2 places, 48 weeks .* leave out places"):
        occurrence_table.Table(path, CLASSES)

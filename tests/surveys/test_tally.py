import dataclasses

import numpy as np
import pytest

from bird_tf.surveys import tally
from tests.inference.writers.conftest import CLASSES, criteria, prediction

Cell = tally.Cell


def long_prediction(file, minutes, starts, found_by=None, **known):
    """A recording of some minutes, with a detection of the first class that begins at each of `starts` (minutes)."""
    start = 60.0 * np.array(starts)
    one = prediction(file, found_by or criteria(merge_seconds=-1.0), **known)
    scores = dataclasses.replace(
        one.scores, duration_seconds=60.0 * minutes, start_seconds=start, end_seconds=start + 1.0,
        probabilities=np.tile(np.array([[0.9, 0.1]], np.float32), (len(start), 1)),
    )  # fmt: skip
    return dataclasses.replace(one, scores=scores, pooled=np.array([0.9, 0.1]))


def survey_of(*found):
    """The survey of some predictions."""
    survey = tally.Survey(CLASSES)
    for one in found:
        survey.add(one)
    return survey


def test_a_long_recording_is_divided_at_the_hours_also_over_midnight():
    night = {"date": "2024-02-29", "hour": 22.75, "site": "a", "utc_offset_hours": 1.0}
    survey = survey_of(long_prediction("1.wav", 120, [0, 14, 15, 74, 75, 120], **night))
    late, later, next_day = Cell("a", "2024-02-29", 22), Cell("a", "2024-02-29", 23), Cell("a", "2024-03-01", 0)
    assert {cell: (e.recordings, e.seconds) for cell, e in survey.effort.items()} == {
        late: (1, 900.0), later: (1, 3600.0), next_day: (1, 2700.0),
    }  # fmt: skip
    assert survey.detections == {(late, 0): 2, (later, 0): 2, (next_day, 0): 2}
    assert survey.present == {(late, 0): 1, (later, 0): 1, (next_day, 0): 1} and survey.num_present == {0: 1}
    assert survey.hours(lambda cell: cell.date) == pytest.approx({"2024-02-29": 1.25, "2024-03-01": 0.75})


def test_a_present_species_counts_when_it_was_heard_not_when_its_recording_begins():
    night = {"date": "2023-05-01", "hour": 23.5, "site": "a"}
    dawn = Cell("a", "2023-05-02", 4)
    assert set(survey_of(long_prediction("1.wav", 600, [300], **night)).present) == {(dawn, 0)}
    # without a detection, as where the threshold of a chunk is higher than that of a recording
    one = long_prediction("1.wav", 600, [0, 300, 400], **night)
    scores = dataclasses.replace(one.scores, probabilities=np.array([[0.1, 0.1], [0.3, 0.1], [0.2, 0.1]], np.float32))
    survey = survey_of(dataclasses.replace(one, scores=scores))
    assert not survey.detections and survey.present == {(dawn, 0): 1}


def test_recordings_of_unknown_time_are_counted_as_such():
    survey = survey_of(
        long_prediction("1.wav", 1, [0]), long_prediction("2.wav", 2, [0], date="2024-05-01"),
        long_prediction("3.wav", 3, [0], hour=23.5),
    )  # fmt: skip
    assert {cell: e.seconds / 60 for cell, e in survey.effort.items()} == {
        Cell("", "", -1): 1, Cell("", "2024-05-01", -1): 2, Cell("", "", 23): 3,
    }  # fmt: skip
    assert [tally.hour_name(cell) for cell in sorted(survey.effort)] == ["", "23", ""]


def test_species_are_sorted_by_detections():
    found_by = criteria(merge_seconds=-1.0)
    survey = survey_of(prediction("x.wav", found_by), prediction("y.wav", found_by))
    assert survey.species == [0, 1]
    assert survey.by(lambda cell: cell.site, survey.detections) == {0: {"": 6}, 1: {"": 4}}
    assert survey_of(long_prediction("1.wav", 1, [])).species == [0]

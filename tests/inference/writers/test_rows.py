import dataclasses

import numpy as np

from bird_tf.inference.writers import rows
from tests.inference.writers.conftest import CLASSES, context, criteria, prediction


def test_columns_of_the_detections_do_not_depend_on_what_is_known():
    for known, degrees in (({}, ["", ""]), ({"latitude": 18.25, "longitude": -66.5}, ["18.250000", "-66.500000"])):
        row, *_ = rows.detections(CLASSES, prediction(**known))
        text = dict(zip(rows.DETECTIONS, rows.as_text(rows.DETECTIONS, row), strict=True))
        assert [text["latitude"], text["longitude"]] == degrees
        assert (text["file"], text["start_seconds"], text["probability"]) == ("here/x.wav", "0.000", "0.900000")


def test_clock_times_are_those_of_the_detections():
    """Over midnight, with the zone only if it is known; a date alone stays a date."""
    night = {"date": "2024-02-29", "hour": 23 + 59 / 60 + 58 / 3600, "site": "Höhe 7"}
    for known, times in (
        ({**night, "utc_offset_hours": -4.5}, ["2024-02-29T23:59:58.000-04:30", "2024-03-01T00:00:01.000-04:30"]),
        (night, ["2024-02-29T23:59:58.000", "2024-03-01T00:00:01.000"]),
        ({"date": "2024-02-29"}, ["2024-02-29", "2024-02-29"]),
        ({"hour": 5.0}, [None, None]),
    ):
        found = list(rows.detections(CLASSES, prediction(found_by=criteria(merge_seconds=-1.0), **known)))
        column = rows.DETECTIONS.index("clock_time")
        assert [found[0][column], found[-1][column]] == times
        assert found[0][column + 1] == known.get("site")


def test_no_species_is_the_best_in_silence(tmp_path):
    ours, best = context(tmp_path), rows.recording_columns(context(tmp_path)).index("best")
    silent = dataclasses.replace(prediction(), pooled=np.zeros(2))
    assert [rows.recording(ours, each)[best] for each in (prediction(), silent)] == ["aaaaaa", None]


def test_columns_of_place_and_time_of_recordings_are_there_if_one_is_known(tmp_path):
    for known in (False, True):
        ours = context(tmp_path, origins_known=known)
        columns = rows.recording_columns(ours)
        assert ("latitude" in columns) == known
        assert len(columns) == len(rows.recording(ours, prediction()))
    assert not rows.origin_is_known(prediction().recording)
    assert rows.origin_is_known(prediction(latitude=1.0, longitude=2.0).recording)

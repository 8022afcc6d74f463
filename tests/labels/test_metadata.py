import math

import pytest

from bird_tf.labels import metadata
from bird_tf.labels.layouts import reader
from tests.labels.layouts.test_reader import birdclef_set


def test_birdclef_xml_is_read_in_full(tmp_path):
    more = """<Date>2014-02-01</Date><Time>~06h15</Time><Latitude>-3.5</Latitude><Longitude>-70</Longitude>
    <AuthorID>A7</AuthorID><BackgroundSpecies>Turdus merula, Sitta europaea</BackgroundSpecies>"""
    recordings, unmatched = reader.read(birdclef_set(tmp_path, ("42", "X_RN42.wav", "parmaj", more)))
    assert unmatched == []
    assert recordings == [
        metadata.Recording(
            recording_id="42", path=str(tmp_path / "wav" / "X_RN42.wav"), label="parmaj", name="Parus major",
            background=("Turdus merula", "Sitta europaea"), background_known=True, author="A7",
            latitude=-3.5, longitude=-70.0, day_of_year=32.0, hour=6.25,
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("element", "background", "known"),
    [
        ("", (), False),
        ("<BackgroundSpecies/>", (), True),
        ("<BackgroundSpecies>A a,B b</BackgroundSpecies>", ("A a", "B b"), True),
    ],
)
def test_unknown_background_is_not_the_same_as_none(tmp_path, element, background, known):
    [recording], _ = reader.read(birdclef_set(tmp_path, ("1", "a.wav", "x", element)))
    assert (recording.background, recording.background_known) == (background, known)


@pytest.mark.parametrize(
    ("text", "hour"),
    [("08:30", 8.5), ("9:30 am", 9.5), ("9:30 pm", 21.5), ("12:15 am", 0.25), ("~06h15", 6.25), ("18:00:30", 18.0),
     ("7.15", 7.25), ("?", math.nan), ("", math.nan), ("25:10", math.nan), ("morning", math.nan)],
)  # fmt: skip
def test_times_are_free_text(tmp_path, text, hour):
    [recording], _ = reader.read(birdclef_set(tmp_path, ("1", "a.wav", "x", f"<Time>{text}</Time>")))
    assert recording.hour == pytest.approx(hour, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "day"),
    [("2016-12-31", 366.0), ("2014/1/31", 31.0), ("2014-00-00", math.nan), ("May 2014", math.nan), ("", math.nan)],
)
def test_dates_are_free_text(tmp_path, text, day):
    [recording], _ = reader.read(birdclef_set(tmp_path, ("1", "a.wav", "x", f"<Date>{text}</Date>")))
    assert recording.day_of_year == pytest.approx(day, nan_ok=True)


@pytest.mark.parametrize("text", ["ca. 12", "91", "", "12,5"])
def test_coordinates_that_are_none_become_nan(tmp_path, text):
    [recording], _ = reader.read(birdclef_set(tmp_path, ("1", "a.wav", "x", f"<Latitude>{text}</Latitude>")))
    assert math.isnan(recording.latitude)


@pytest.mark.parametrize("name", ["X_RN123.wav", "LIFECLEF2017_BIRD_XC_WAV_RN123.mp3"])
def test_media_id_is_the_number_after_rn(name):
    assert metadata.media_id(f"/some/{name}") == "123"
    assert metadata.media_id("/some/other_RN1x.wav") == "other_RN1x"


@pytest.mark.parametrize(
    ("text", "metres"),
    [("120", 120), ("ca. 1200 m", 1200), ("1,100-1,300", 1200), ("-2", -2), ("12.5m", 12.5), ("3000 ft", math.nan),
     ("?", math.nan), ("", math.nan), ("99999", math.nan), ("10-20-30", math.nan)],
)  # fmt: skip
def test_elevations_are_free_text(tmp_path, text, metres):
    [recording], _ = reader.read(birdclef_set(tmp_path, ("1", "a.wav", "x", f"<Elevation>{text}</Elevation>")))
    assert recording.elevation == pytest.approx(metres, nan_ok=True)

import dataclasses
import datetime
import math

import pytest

from bird_tf import config, free_text
from bird_tf.labels import clock, metadata
from tests.audio import test_wav

PLAIN = clock.ClockConfig()


def _read(name, **values):
    return clock.read(f"/root/{name}", "/root", clock.ClockConfig(**values))


@pytest.mark.parametrize(
    ("name", "start", "site"),
    [
        ("20230501_050000.WAV", "2023-05-01T05:00:00", ""),
        ("site A/20230501_050000T.WAV", "2023-05-01T05:00:00", "site A"),
        ("S4A12345_20230501_050000.wav", "2023-05-01T05:00:00", "S4A12345"),
        ("site A/Data/S4A12345_20230501_050000.wav", "2023-05-01T05:00:00", "site A"),
        ("north/plot 2/20230501/2MM00001_20230501_050000.wav", "2023-05-01T05:00:00", "north/plot 2"),
        ("SM2_0+1_20230501$050000.wav", "2023-05-01T05:00:00", "SM2_0+1"),
        ("2023-05-01T05-00-00Z.flac", "2023-05-01T05:00:00+00:00", ""),
        ("20230501T050000+1000_REC.wav", "2023-05-01T05:00:00+10:00", ""),
        ("REC_2023-05-01_05h00m30.mp3", "2023-05-01T05:00:30", "REC"),
        ("2023-05-01-birdnet-05:00:07.mp3", "2023-05-01T05:00:07", ""),
        ("H02_20230420_0740.ogg", "2023-04-20T07:40:00", "H02"),
        ("20230501_050000_UTC.wav", "2023-05-01T05:00:00+00:00", ""),
        ("2023-05-01 05.30.12 PM.m4a", "2023-05-01T17:30:12", ""),
        ("2023-05-01 05-30 PM.wav", "2023-05-01T17:30:00", ""),
        ("2023-05-01_12.30.00_AM.wav", "2023-05-01T00:30:00", ""),
        ("20230501_123000_AM.wav", "2023-05-01T12:30:00", ""),
        ("20230501_173000_PM.wav", "2023-05-01T17:30:00", ""),
        ("20230501_053000_PM_1.wav", "2023-05-01T05:30:00", ""),
        ("20230501_0530PM.wav", "2023-05-01T17:30:00", ""),
        ("20230501 1230 am.wav", "2023-05-01T00:30:00", ""),
        ("2023-05-01_05-30-00_PM.wav", "2023-05-01T17:30:00", ""),
        ("P1_20230501_0500-0530.wav", "2023-05-01T05:00:00", "P1"),
        ("P1_20230501_2000-0500.wav", "2023-05-01T20:00:00", "P1"),
        ("S1_20230501_050000-0700.wav", "2023-05-01T05:00:00-07:00", "S1"),
        ("S1_20230501_050000_-0400.wav", "2023-05-01T05:00:00-04:00", "S1"),
        ("S1_20230501_050000_-27.12+153.34.wav", "2023-05-01T05:00:00", "S1"),
        ("SITE_20230401_2023-05-01_05-00-00.wav", "2023-05-01T05:00:00", "SITE_20230401"),
        ("20230501_050000_GMT+1.wav", "2023-05-01T05:00:00+01:00", ""),
        ("20230501_050000-5:00.wav", "2023-05-01T05:00:00-05:00", ""),
        ("20230501_050000_CEST.wav", "2023-05-01T05:00:00", ""),
        ("64A1B2C3.WAV", "2023-07-02T17:24:19+00:00", ""),
    ],
)
def test_clocks_in_file_names_are_read(name, start, site):
    origin = _read(name)
    assert origin.start.isoformat() == start and origin.site == site


def _with_texts(path, comment="", guano=""):
    info = test_wav.chunk(b"LIST", b"INFO" + test_wav.chunk(b"ICMT", comment.encode()))
    return test_wav.write(path, before=info, after=test_wav.chunk(b"guan", guano.encode()) if guano else b"")


@pytest.mark.parametrize(
    ("zone", "offset"), [("UTC", 0), ("UTC+2", 2), ("UTC-3:30", -3.5), ("UTC+05:30", 5.5)]
)  # fmt: skip
def test_the_comment_of_audiomoth_counts_more_than_the_name(tmp_path, zone, offset):
    comment = f"Recorded at 05:00:10 01/05/2023 ({zone}) by AudioMoth 24F319046043D8C1 at medium gain"
    origin = clock.read(_with_texts(tmp_path / "20230501_040000.WAV", comment), str(tmp_path), PLAIN)
    assert origin.start.replace(tzinfo=None) == datetime.datetime(2023, 5, 1, 5, 0, 10)
    assert origin.start.utcoffset() == datetime.timedelta(hours=offset)
    assert origin.recorder == origin.site == "24F319046043D8C1"


@pytest.mark.parametrize("zone", ["+02:00", "+02", " +0200", ".25+02"])
def test_guano_tells_time_place_and_recorder(tmp_path, zone):
    guano = f"GUANO|Version: 1.0\nTimestamp: 2023-05-01T21:30:00{zone}\nLoc Position: 48.5 -11.25\nLoc Elevation: 520\n"
    (tmp_path / "a").mkdir()
    path = _with_texts(tmp_path / "a" / "x.wav", guano=guano + "Serial: SMU1\n")
    origin = clock.read(path, str(tmp_path), PLAIN)
    assert (origin.latitude, origin.longitude, origin.elevation) == (48.5, -11.25, 520)
    assert (origin.start.isoformat(), origin.site, origin.recorder) == ("2023-05-01T21:30:00+02:00", "a", "SMU1")


def test_known_zones_are_changed_to_that_of_the_place():
    assert _read("2023-05-01T23-30-00Z.wav", timezone="Europe/Berlin").start.isoformat() == "2023-05-02T01:30:00+02:00"
    assert _read("2023-01-01T23-30-00Z.wav", timezone="UTC-4").date.isoformat() == "2023-01-01"
    # a name without a zone: the clock of the recorder, which is that of the place unless the flag says another
    assert _read("20230501_050000.wav", timezone="Europe/Berlin").start.isoformat() == "2023-05-01T05:00:00+02:00"
    assert _read("20230501_050000.wav", timezone="Europe/Berlin", recorder_timezone="UTC").hour == 7


@pytest.mark.parametrize("name", ["Europe/Nowhere", "UTC+99", "/etc/passwd", "../x", "x" * 1000])
def test_unknown_zones_are_refused(name):
    with pytest.raises(config.InputError, match="--timezone="):
        clock.ClockConfig(timezone=name)
    with pytest.raises(config.InputError, match="--recorder_timezone needs"):
        clock.ClockConfig(recorder_timezone="UTC")


def test_only_what_is_unknown_is_filled():
    name = "/root/plot/S4A1_20230501_050000.wav"
    known = metadata.Recording(recording_id="1", path=name, day_of_year=200.0, hour=1.0, site="mine")
    dated = metadata.Recording(recording_id="2", path=name, day_of_year=121.0)
    [unchanged, same_day, filled, foldered] = [
        *clock.fill([known, dated, metadata.Recording(recording_id="3", path=name)], "/root", PLAIN),
        *clock.fill([known.__class__(recording_id="4", path=name)], "/root", PLAIN, folders_are_sites=False),
    ]
    assert unchanged == known
    assert (same_day.date, same_day.hour) == ("2023-05-01", 5.0)
    assert (filled.date, filled.day_of_year, filled.hour, filled.site) == ("2023-05-01", 121.0, 5.0, "plot")
    assert filled.start == datetime.datetime(2023, 5, 1, 5)
    assert foldered.site == "S4A1" and math.isnan(foldered.latitude)


def test_noted_times_of_known_zone_are_changed_to_that_of_the_place(caplog):
    noted = metadata.Recording(recording_id="1", path="a.wav", date="2023-05-02", day_of_year=122.0, hour=4.5)
    universal = dataclasses.replace(noted, utc_offset_hours=0.0)
    [moved, same] = clock.fill([universal, noted], "", clock.ClockConfig(timezone="America/Los_Angeles"))
    assert (moved.date, moved.day_of_year, moved.hour, moved.utc_offset_hours) == ("2023-05-01", 121.0, 21.5, -7.0)
    assert same == noted and not caplog.text
    assert clock.fill([universal], "", PLAIN) == [universal]
    assert "the time of 1 of 1 recordings is noted as UTC" in caplog.text


def test_the_zone_of_a_filled_time_is_kept():
    recording = metadata.Recording(recording_id="1", path="2023-05-01T05-00-00Z.flac")
    [filled] = clock.fill([recording], "", clock.ClockConfig(timezone="Europe/Berlin"))
    assert filled.start.isoformat() == "2023-05-01T07:00:00+02:00" and filled.utc_offset_hours == 2.0


def _sites(names, **flags):
    recordings = [metadata.Recording(recording_id=name, path=f"/root/{name}") for name in names]
    return [r.site for r in clock.fill(recordings, "/root", PLAIN, **flags)]


def test_a_folder_is_a_site_for_all_its_recordings():
    names = ["a/20230501_050000.mp3", "a/plain name.mp3", "b c/x.mp3", "Data/y.mp3", "z.mp3", "S1_20230501_050000.wav"]
    assert _sites(names) == ["a", "a", "", "", "", "S1"]
    assert _sites(names, every_folder=True) == ["a", "a", "b c", "", "", "S1"]
    assert _sites(names, folders_are_sites=False) == ["", "", "", "", "", "S1"]


@pytest.mark.parametrize(
    ("date", "hour", "start", "is_warned"),
    [("2023-05-01", math.nan, "2023-05-02T09:30:45+10:00", False), ("2023-05-02", math.nan, "2023-05-02T09:30:45+10:00",
     False), ("2023-04-20", math.nan, None, True), ("2023-05-01", 23.5, "2023-05-02T09:30:45+10:00", False),
     ("2023-05-01", 22.0, "2023-05-01T22:00:00", False), ("", 23.5, "2023-05-02T09:30:45+10:00", False)],
)  # fmt: skip
def test_date_and_hour_are_of_one_clock(caplog, date, hour, start, is_warned):
    day = free_text.day_of_year(free_text.date(date))
    told = metadata.Recording(recording_id="1", path="20230501_233045.wav", date=date, day_of_year=day, hour=hour)
    flags = clock.ClockConfig(timezone="Australia/Brisbane", recorder_timezone="UTC")
    [found] = clock.fill([told], "", flags)
    assert (found.start.isoformat() if found.start else None) == start
    assert ("1 of 1 recordings stays unknown" in caplog.text) == is_warned and "after midnight" not in caplog.text
    assert found.date == date or start.startswith(found.date)


@pytest.mark.parametrize(
    ("name", "date", "start"),
    [("20230502_023000.wav", "2023-05-01", "2023-05-02T02:30:00"), ("20230501_220000.wav", "2023-05-01",
     "2023-05-01T22:00:00"), ("20230502_220000.wav", "2023-05-01", None), ("20230502_023000.wav", "2023-05-03", None),
     ("20240101_023000.wav", "2023-12-31", "2024-01-01T02:30:00"), ("20240502_023000.wav", "2023-05-01", None)],
)  # fmt: skip
def test_the_date_of_the_evening_is_that_of_a_night(caplog, name, date, start):
    day = free_text.day_of_year(free_text.date(date))
    told = metadata.Recording(recording_id="1", path=name, date=date, day_of_year=day)
    [found] = clock.fill([told], "", PLAIN)
    assert (found.start.isoformat() if found.start else None) == start
    assert ("after midnight" in caplog.text) == (start is not None and not start.startswith(date))
    assert ("stays unknown" in caplog.text) == (start is None)


def test_zones_that_cannot_be_read_are_told(tmp_path, caplog):
    guano = "GUANO|Version: 1.0\nTimestamp: 2023-05-01 05:00:00 Berlin\n"
    paths = ["20230501_050000_CEST.wav", _with_texts(tmp_path / "x.wav", guano=guano), "20230501_050000_UTC.wav"]
    recordings = [metadata.Recording(recording_id=path, path=path) for path in paths]
    for flags in ({}, {"timezone": "UTC+2", "recorder_timezone": "UTC"}):
        clock.fill(recordings, "", clock.ClockConfig(**flags))
    assert "zone of" not in caplog.text
    found = clock.fill(recordings, "", clock.ClockConfig(timezone="UTC+2"))
    assert "time zone of 2 of 3 recordings is not known, as of 20230501_050000_CEST.wav (CEST)" in caplog.text
    assert [r.hour for r in found] == [5, 5, 7]


def test_pieces_of_the_app_of_audiomoth_have_the_zone_of_their_folder(tmp_path, caplog):
    split = "Split from 20230501_040000.WAV as file 1 of 2."
    for name in ("card", "cut"):
        (tmp_path / name).mkdir()
    paths = [
        _with_texts(tmp_path / "card/20230501_030000.WAV", "Recorded at 03:00:00 01/05/2023 (UTC) by AudioMoth"),
        _with_texts(tmp_path / "card/20230501_040000.WAV", split),
        _with_texts(tmp_path / "card/S4A1_20230501_060000.WAV"),
        _with_texts(tmp_path / "cut/20230501_040000.WAV", split),
    ]
    recordings = [metadata.Recording(recording_id=path, path=path) for path in paths]
    found = clock.fill(recordings, str(tmp_path), clock.ClockConfig(timezone="UTC+2"))
    assert [r.hour for r in found] == [5, 6, 6, 4]
    assert f"zone of 2 of 4 recordings is not known, as of {paths[2]} (others in its folder" in caplog.text
    found = clock.fill(recordings, str(tmp_path), PLAIN)
    assert [r.utc_offset_hours == 0 for r in found] == [True, True, False, False]


@pytest.mark.parametrize(
    ("names", "number"),
    [(["20230501_180000", "20230501_190000", "20230501_200000"], 3), (["20230501_181000"], 1),
     (["20230601_180000"], 1), (["20230501_180000", "20230501_180000_2"], 0), (["20230501_200000"], 0),
     (["a", "b"], 0)],
)  # fmt: skip
def test_names_that_tell_another_time_than_the_header_are_told(tmp_path, caplog, names, number):
    comment = "Recorded at 18:00:02 01/05/2023 (UTC) by AudioMoth"
    paths = [_with_texts(tmp_path / f"{name}.WAV", comment) for name in names]
    clock.fill([metadata.Recording(recording_id=p, path=p) for p in paths], str(tmp_path), PLAIN)
    assert (f"the names of {number} of {len(names)} recordings tell" in caplog.text) == (number > 0)
    assert ("which count" in caplog.text) == (number > 0)

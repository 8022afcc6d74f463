import datetime
import math

import pytest

from bird_tf.labels import recorders
from tests.audio import test_wav

AUDIOMOTH = "Recorded at 05:00:10 01/05/2023 (UTC+2) by AudioMoth 24F319046043D8C1 at medium gain"


def _name(name):
    return recorders.read(f"/root/{name}").name


@pytest.mark.parametrize(
    "name",
    ["a.wav", "XC123456.mp3", "20231301_050000.wav", "20230230_050000.wav", "19700101_000000.WAV", "12345678.mp3",
     "20230501.wav", "DEADBEEF.wav", "1220230501_0500001.wav", "LIFECLEF2017_BIRD_XC_WAV_RN123.wav", "300-2023.wav",
     "٢٠٢٣٠٥٠١_٠٥٠٠٠٠.wav"],
)  # fmt: skip
def test_other_names_tell_no_time(name):
    assert recorders.read(f"folder/{name}").origin == recorders.Origin()


def test_a_date_or_a_time_alone_are_kept():
    assert _name("10534_SSW_20170429.ogg").date == datetime.date(2017, 4, 29)
    assert _name("garden_05-30-00.wav").hour == 5.5
    assert _name("2023-05-01.wav").day_of_year == 121 and _name("2023-05-01.wav").start is None


def test_frontier_labs_names_tell_the_place():
    origin = _name("20190501T050000+1000_REC_[-27.1234+153.1234].flac")
    assert (origin.latitude, origin.longitude) == (-27.1234, 153.1234)


@pytest.mark.parametrize(
    ("name", "site"),
    [("2023-11-26-birdnet-RTSP_1-19:10:40", "RTSP_1"), ("2023-11-26-birdnet-19:10:40", ""),
     # detections
     ("Common_Blackbird-71-2023-11-26-birdnet-RTSP_1-19:10:40", "RTSP_1"), ("Wren-100-2023-11-26-birdnet-19-10-40", ""),
     ("actitis_macularius_79p_20231126T191040Z", ""), ("Site-87-2023-11-26_19-10-40", "Site-87"),
     ("camera_720p_20231126T191040", "camera_720p"), ("site_9_20231126T191040Z", "site_9"),
     # Frontier Labs' start and end
     ("S20231126T191040.123456+1000_E20231126T201040.000000+1000_-12.34567+130.98102", ""),
     ("North_S20231126T191040+1000_E20231126T201040+1000", "North"), ("S_20231126_191040", "S"),
     ("SITES20231126T191040+1000_E20231126T201040+1000", "SITES")],
)  # fmt: skip
def test_what_stands_before_the_clock_is_the_site_but_for_what_programs_write(name, site):
    origin = recorders.read(f"/root/{name}.wav").origin
    assert origin.site == site and f"{origin.start:%Y%m%d%H%M%S}" == "20231126191040"


@pytest.mark.parametrize(
    ("text", "time", "offset"),
    [("2023-05-02 04:30:00 UTC", "2023-05-02 04:30:00", 0), ("2023-05-02T04:30:00Z", "2023-05-02T04:30:00", 0),
     ("04:30+0530", "04:30", 5.5), ("4:30 -07:00", "4:30", -7), ("2023-05-02", "2023-05-02", math.nan),
     ("4:30 - 7:00", "4:30 - 7:00", math.nan), ("4:30 PM", "4:30 PM", math.nan), ("UTC", "UTC", math.nan)],
)  # fmt: skip
def test_zones_behind_times_are_read(text, time, offset):
    found = recorders.without_zone(text)
    assert found[0] == time and found[1] == pytest.approx(offset, nan_ok=True)


@pytest.mark.parametrize(
    ("name", "site"),
    [("0.901_12_S1_20230503_050003_0.0s_3.0s", "S1"), ("0.901_12_20230503_050003_0.0s_3.0s", ""),
     ("0.5_S1_20230503_050003", "S1"), ("12_S1_20230503_050003", "12_S1")],
)  # fmt: skip
def test_confidence_and_number_of_a_clip_that_birdnet_cut_are_no_site(name, site):
    assert recorders.from_name(name).site == site


@pytest.mark.parametrize(
    ("name", "start"),
    [("0.901_12_S1_20230503_235003_0.0s_3.0s", "2023-05-03T23:50:03"),
     ("0.901_12_S1_20230503_235003_3603.0s_3606.0s", "2023-05-04T00:50:06"),
     ("S1_20230503_235003Z_57.0s_60.0s", "2023-05-03T23:51:00+00:00"),
     ("2023-05-03_23-50-03_5s-10s", "2023-05-03T23:50:08"),
     ("20230503_235003_5_10", "2023-05-03T23:50:03"), ("20230503_235003_60s", "2023-05-03T23:50:03")],
)  # fmt: skip
def test_a_clip_begins_later_than_its_recording(name, start):
    assert recorders.from_name(name).start.isoformat() == start


@pytest.mark.parametrize("zone", [" (UTC)", ""])
def test_early_firmware_of_audiomoth_notes_utc_and_the_same_number_in_all_recorders(tmp_path, zone):
    comment = f"Recorded at 19:10:00 06/04/2018{zone} by AudioMoth 0FE081F80FE081F0 at gain setting 2"
    info = test_wav.chunk(b"LIST", b"INFO" + test_wav.chunk(b"ICMT", comment.encode()))
    origin = recorders.read(test_wav.write(tmp_path / "5AC7C4A8.WAV", before=info)).origin
    assert origin.start.isoformat() == "2018-04-06T19:10:00+00:00" and origin.recorder == origin.site == ""


@pytest.mark.parametrize("suffix", ["flac", "mp3", "opus"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_the_comment_of_audiomoth_is_found_among_the_tags_of_a_converted_file(tmp_path, suffix, encoding):
    path = tmp_path / f"20230501_050010.{suffix}"
    path.write_bytes(b"\xff\xfbtags\0\0" + f"comment={AUDIOMOTH}".encode(encoding) + bytes(range(256)))
    origin = recorders.read(str(path)).origin
    assert origin.start.isoformat() == "2023-05-01T05:00:10+02:00" and origin.site == "24F319046043D8C1"
    path.write_bytes(b"comment=Split from 20230501_040000.WAV as file 1 of 2.")
    assert recorders.read(str(path)).origin.lost_zone == recorders.LOST_BY_SPLIT

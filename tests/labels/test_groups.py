import dataclasses

import pytest

from bird_tf import config
from bird_tf.labels import groups, metadata
from tests.conftest import settings


def _recordings(*paths, **known):
    return [metadata.Recording(recording_id=str(i), path=path, **known) for i, path in enumerate(paths)]


def _together(recordings, **flags):
    """The sets of paths that stay together, sorted."""
    group_of = groups.assign(recordings, settings(groups.GroupConfig, **flags))
    found = {}
    for recording in recordings:
        found.setdefault(group_of[recording.recording_id], []).append(recording.path)
    return sorted(found.values())


@pytest.mark.parametrize(
    ("stem", "source"),
    [
        ("0.91_XC123_3.0s_6.0s", "XC123"),
        ("XC123_004", "XC123"),
        ("XC123 (1)", "XC123"),
        ("Turdus merula - ML45678 - song", "ML45678"),
        ("iNat987654", "INAT987654"),
        ("SM4_20200501_050000_chunk3", "SM4_20200501_050000"),
        ("0.713_SM4_20200501_050000_6.0s_9.0s", "SM4_20200501_050000"),
        ("0.91_dawn chorus_3.0s_6.0s", "dawn chorus"),
        ("0.901_12_S1_20230503_050003_0.0s_3.0s", "S1_20230503_050003"),
        ("0.901_2_dawn chorus_0.0s_3.0s", "dawn chorus"),
        ("1.000_12_dawn", "dawn"),
        ("0.91_12_0.0s_3.0s", "12"),
        ("0.91_20230503_050003", "20230503_050003"),
        ("dawn_0.0_1.5", "dawn"),
        ("dawn-3s-6s", "dawn"),
        ("dawn_clip12", "dawn"),
        ("dawn segment 4", "dawn"),
        ("dawn.Selection 2", "dawn"),
        ("dawn Sel.02.Ch01", "dawn"),
        ("dawn_2of3", "dawn"),
        ("dawn_start_0_end_3", "dawn"),
        ("dawn_00m03s_00m06s", "dawn"),
        ("dawn_ch2", "dawn"),
        ("dawn.left", "dawn"),
        ("1-100032-A-0", "1-100032"),
        # these do not say that they were cut
        ("robin_001", ""),
        ("robin_1_2", ""),
        ("0.91_robin", ""),
        ("dawn_6.0_3.0", ""),
        ("LIFECLEF2014_BIRDAMAZON_XC_WAV_RN7007", ""),
        ("100032-3-0-0", ""),
        ("3-2023-A-1", ""),
        ("robin_CH", ""),
        ("Green-winged Teal", ""),
        ("dawn_3000_6000", ""),
        ("10534_SSW_20170429", ""),
    ],
)
def test_names_of_clips_tell_their_recording(stem, source):
    assert groups.source_of_clip(stem) == source


def test_clips_of_one_recording_stay_together_whatever_groups_are_made_by():
    recordings = _recordings("a/XC123_1.wav", "b/XC123_2.wav", "a/XC124_1.wav", "a/other.wav")
    assert _together(recordings) == [["a/XC123_1.wav", "b/XC123_2.wav"], ["a/XC124_1.wav"], ["a/other.wav"]]
    assert len(_together([*recordings[:2], *recordings[3:]], group_by="folder")) == 1


def test_clips_that_are_counted_behind_a_number_stay_together():
    clips = ["a/557838-0.wav", "a/557838-1.wav", "b/11713_1.wav", "c/11713_7.wav"]
    assert _together(_recordings(*clips, "a/557839-0.wav")) == [clips[:2], ["a/557839-0.wav"], clips[2:]]


@pytest.mark.parametrize(
    "names",
    ["20230501-0 20230501-1 20230502-0 20230502-1", "230501_1 230501_2 010623_1 010623_2",
     "0530_1 0530_2 1730_1 1730_2", "2022-1 2022-2 2023-1 2023-2",
     "12345_001 12345_002 12346_001 12346_002", "12345_1 12345_2 12346_1",
     "12345_1 12345_2 12345_3 12346_1 12346_2", "12345_7 12345_9 12346_3 12346_8"],
)  # fmt: skip
def test_counted_recordings_of_days_and_recorders_are_no_clips_of_one(names):
    assert len(_together(_recordings(*(f"{name}.wav" for name in names.split())))) == len(names.split())


@pytest.mark.parametrize(("labels", "num_groups"), [("abc", 9), ("aab", 3), ("aaa", 3)])
def test_numbers_of_species_are_none_of_recordings(labels, num_groups):
    paths = [f"{number}_{clip}.wav" for number in (176000, 176001, 176002) for clip in (1, 2, 3)]
    recordings = [dataclasses.replace(r, label=labels[i // 3]) for i, r in enumerate(_recordings(*paths))]
    assert len(_together(recordings)) == num_groups


def test_common_names_tell_of_one_recording_in_their_folder_only():
    recordings = _recordings("a/song_part1.wav", "a/song_part2.wav", "b/song_part1.wav")
    assert _together(recordings) == [["a/song_part1.wav", "a/song_part2.wav"], ["b/song_part1.wav"]]


def test_groups_by_folder_do_not_depend_on_where_the_recordings_lie():
    paths = ("a/1.wav", "a/2.wav", "b/c/3.wav")
    here, there = (
        groups.assign(_recordings(*(root + path for path in paths)), settings(groups.GroupConfig, group_by="folder"))
        for root in ("", "/data/x/")
    )
    assert here == there and here["0"] == here["1"] != here["2"]


def test_groups_by_day_are_of_one_site():
    days = (("A", "2020-05-01"), ("A", "2020-05-01"), ("B", "2020-05-01"), ("A", "2020-05-02"), ("A", ""), ("A", ""))
    recordings = [metadata.Recording(recording_id=str(i), path=f"{i}", site=s, date=d) for i, (s, d) in enumerate(days)]
    assert _together(recordings, group_by="day") == [["0", "1"], ["2"], ["3"], ["4"], ["5"]]
    assert _together(recordings, group_by="site") == [["0", "1", "3", "4", "5"], ["2"]]


@pytest.mark.parametrize(
    ("sites", "is_told"),
    [([f"UHH_{k:03}_S{k % 3}" for k in range(6)], True), ([f"UHH_{k:03}_S{k % 3}" for k in range(5)], False),
     ([f"UHH_{k:03}" for k in range(9)], False), ([f"S{k}" for k in range(9)], False),
     ([f"{'AB'[k % 2]}_P{k}" for k in range(9)], False), ([f"{k % 3}_{k // 3}" for k in range(9)], False),
     ([f"{k // 2}_S{k // 2 % 3}" for k in range(18)], False)],
)  # fmt: skip
def test_sites_that_differ_by_a_running_number_are_told(sites, is_told, caplog):
    found = [
        metadata.Recording(recording_id=f"{i}", path=f"a/{site}_20230501_0500{i:02}.wav", site=site)
        for i, site in enumerate(sites)
    ]
    _together(found, group_by="site")
    assert ("such as UHH_000_S0; if 000 is a running number" in caplog.text) == is_told
    caplog.clear()
    _together([dataclasses.replace(r, site=f"north {i}") for i, r in enumerate(found)], group_by="site")
    _together(found, group_by="author")
    assert "running number" not in caplog.text


def test_groups_by_a_pattern_have_the_text_in_its_parentheses_in_common():
    recordings = _recordings("p1_x.wav", "p1_y.wav", "p2_x.wav", "q.wav")
    flags = {"group_by": "pattern", "group_pattern": r"(p\d)_"}
    assert _together(recordings, **flags) == [["p1_x.wav", "p1_y.wav"], ["p2_x.wav"], ["q.wav"]]
    assert len(_together(recordings, group_by="pattern", group_pattern=r"p\d_[xy]")) == 4


def test_recordings_whose_group_is_unknown_are_told_of(caplog):
    known = _recordings("1.wav", "2.wav", author="x")
    assert len(_together([*known, metadata.Recording(recording_id="9", path="9.wav")], group_by="author")) == 2
    assert "--group_by=author: it is not known of 1 of 3 recordings" in caplog.text


def test_equal_audio_joins_groups():
    recordings = [
        metadata.Recording(recording_id=i, path=i, author=a, digest=d)
        for i, a, d in (
            ("1", "A", ""),
            ("2", "A", "x"),
            ("3", "B", "x"),
            ("4", "B", ""),
            ("5", "", "y"),
            ("6", "", "y"),
        )
    ]
    assert _together(recordings, group_by="author") == [["1", "2", "3", "4"], ["5", "6"]]


def test_recorders_of_one_schedule_are_told_apart_by_their_sites():
    names = ("A/20230501_050000.wav", "A/20230502_050000.wav", "B/20230501_050000.wav", "B/20230501_050000_clip1.wav")
    placed = [dataclasses.replace(r, site=r.path[0]) for r in _recordings(*names)]
    assert _together(placed, group_by="site") == [[*names[:2]], [*names[2:]]]
    assert _together(placed, group_by="recording") == [[names[0]], [names[1]], [*names[2:]]]
    # of one recorder, as far as one knows: clips in the folders of two species
    assert _together(_recordings(*names), group_by="recording") == [[names[0], *names[2:]], [names[1]]]


@pytest.mark.parametrize("flags", [{"group_by": "pattern"}, {"group_pattern": "x"}])
def test_a_pattern_without_its_flag_is_refused(flags):
    with pytest.raises(config.InputError, match="belong together"):
        settings(groups.GroupConfig, **flags)


def test_a_pattern_that_is_none_is_refused():
    with pytest.raises(config.InputError, match="no regular expression"):
        settings(groups.GroupConfig, group_by="pattern", group_pattern="(")


def test_copies_in_other_formats_stay_together_and_are_told(caplog):
    recordings = _recordings("a/dawn.wav", "a/dawn.mp3", "b/dawn.wav", "a/dusk.wav")
    assert _together(recordings, group_by="recording") == [["a/dawn.wav", "a/dawn.mp3"], ["a/dusk.wav"], ["b/dawn.wav"]]
    groups.tell(recordings)
    assert "1 recordings lie in several formats in one folder, as dawn.wav and dawn.mp3" in caplog.text


def test_copies_of_equal_audio_are_told_elsewhere(caplog):
    groups.tell(_recordings("a/dawn.wav", "a/dawn.flac", digest="x"))
    assert not caplog.text


def test_a_given_split_that_divides_clips_of_one_recording_is_told(caplog):
    def tree(*paths):
        return [dataclasses.replace(r, split=r.path.split("/")[1]) for r in _recordings(*paths)]

    groups.tell(tree("t/train/A/XC100_1.wav", "t/train/A/XC100_2.wav", "t/val/A/x_part1.wav", "t/train/B/x_part2.wav"))
    assert not caplog.text
    groups.tell(tree("t/train/A/20230501_050000.wav", "t/val/A/20230501_050000.wav"))  # of two recorders
    assert not caplog.text
    groups.tell(tree("t/train/A/XC100_1.wav", "t/val/A/XC100_2.wav", "t/val/A/x_part1.wav", "t/train/A/x_part2.wav"))
    assert "the given split has clips of 2 recordings on both sides, as XC100_1.wav and XC100_2.wav" in caplog.text


def test_relative_and_absolute_paths_are_grouped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = _recordings("set/dawn_part1.wav", "set/dawn_part2.wav", "/noise/wind.wav")
    assert len(_together(found, group_by="author")) == len(_together(found, group_by="folder")) == 2


@pytest.mark.parametrize("by", ["author", "site"])
def test_spellings_of_one_name_are_together(by):
    names = ("José Lima", "josé  lima", "Jose\u0301 Lima", "Jo Lima")
    found = [metadata.Recording(recording_id=str(i), path=f"{i}.wav", **{by: name}) for i, name in enumerate(names)]
    assert _together(found, group_by=by) == [["0.wav", "1.wav", "2.wav"], ["3.wav"]]

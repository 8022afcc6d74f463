import collections

import pytest

from bird_tf import config
from bird_tf.labels import metadata
from bird_tf.labels.layouts import folders, reader
from tests.labels import example_sets


def _read(folder, *names, **flags):
    for name in names:
        example_sets.write_wav(folder / name)
    return reader.read(reader.SourceConfig(audio=str(folder), **flags))[0]


def test_the_folder_is_the_label(tmp_path):
    recordings = _read(tmp_path, "Parus major/deep/1.wav", "Parus major/2.WAV", "Öl käuzchen/1.wav")
    assert collections.Counter(r.label for r in recordings) == {"Parus major": 2, "Öl käuzchen": 1}
    assert len({r.recording_id for r in recordings}) == 3
    assert not any(r.background_known for r in recordings)


def test_a_folder_without_recordings_is_told(tmp_path, caplog):
    (tmp_path / "Sitta europaea").mkdir()
    with caplog.at_level("INFO", logger="absl"):
        _read(tmp_path, "Parus major/1.wav", "Öl käuzchen/1.wav")
    assert "1 folders hold no recording and are no classes, the first: Sitta europaea" in caplog.text


def test_a_folder_can_name_several_species_or_none(tmp_path):
    recordings = _read(tmp_path, "Parus major,Turdus merula/1.wav", "noise/2.wav", "-Parus major/3.wav")
    assert [(r.labels, r.negative) for r in recordings] == [
        (("Parus major", "Turdus merula"), False), ((), True), ((), True),
    ]  # fmt: skip


def test_a_folder_can_name_several_other_folders(tmp_path):
    recordings = _read(tmp_path, "parus_major/1.wav", "Alarm/2.wav", "Parus major; alarm/3.wav", "-alarm/4.wav")
    assert [r.labels for r in recordings] == [("Parus major",), ("Alarm",), ("Parus major", "Alarm"), ()]


@pytest.mark.parametrize("name", ["Parus major; alarm", "Parus major;noise", "song,type2", "[a", "-minus"])
def test_a_folder_whose_name_may_be_one_class_or_something_else_is_refused(tmp_path, name):
    with pytest.raises(config.InputError, match=r"1 files do not match.*rename the class"):
        _read(tmp_path, f"{name}/1.wav", "Parus major/2.wav")


@pytest.mark.parametrize(
    "name", ["Warbler, Yellow", "Parus major, song", "Parus major - alarm", "a&b", "Parus major + x"]
)
def test_a_folder_with_signs_is_one_class(tmp_path, name):
    recordings = _read(tmp_path, f"{name}/1.wav", "Parus major/2.wav")
    assert {r.labels for r in recordings} == {(name,), ("Parus major",)}


def test_a_folder_of_a_latin_and_a_common_name_is_one_class(tmp_path):
    names = ("Turdus merula, Merle noir", "Parus major, Great tit", "Sturnus vulgaris, Common starling",
             "Alauda arvensis, Eurasian skylark")  # fmt: skip
    recordings = _read(tmp_path, *(f"{name}/1.wav" for name in names))
    assert {r.labels for r in recordings} == {(name.partition(",")[0],) for name in names}


def test_spellings_of_one_species_are_one_class(tmp_path):
    recordings = _read(tmp_path, *(f"{name}/1.wav" for name in ("Parus major", "parus major", "Parus_major")))
    assert {r.label for r in recordings} == {"Parus major"}


def test_the_recordings_of_folders_of_what_has_no_name_are_left_out(tmp_path, caplog):
    names = ("a/1.wav", "b/1.wav", "unknown/1.wav", "Sonus naturalis/1.wav", "Mystery_mystery/2.wav")
    assert {recording.label for recording in _read(tmp_path, *names)} == {"a", "b"}
    assert "3 rows or recordings are left out, the first: " in caplog.text and "its species is unknown" in caplog.text


def test_tables_tell_more_of_the_recordings(tmp_path):
    example_sets.write_text(tmp_path / "places.csv", "file;recordist;lat\na/1.wav;Ann;52,5\n")
    [recording] = _read(tmp_path, "a/1.wav")
    assert (recording.label, recording.author, recording.latitude) == ("a", "Ann", 52.5)


def test_the_layout_can_be_told_although_a_table_has_labels(tmp_path):
    example_sets.write_text(tmp_path / "t.csv", "file,label,recordist\na/1.wav,b,Ann\n")
    [recording] = _read(tmp_path, "a/1.wav", layout="folders")
    assert (recording.label, recording.author) == ("a", "Ann")


@pytest.mark.parametrize(
    "names",
    [("2023/a", "2024/a"), ("train/a", "Test/b"), ("audio/a", "audio/b"), ("x/Parus major", "y/Turdus merula"),
     ("Parus/major", "Turdus/merula"), ("2023/a", "2024/b", "2023"), ("train/a", "train/b", "more"),
     ("audio/a", *["audio/b"] * 9, "audio"),
     ("2023-05-01/Great_Tit", "2023-05-02/Jay"), ("20230501/a", "Wren/b"),
     ("wav/AMRO", "mp3/EATO"), ("S1/AMRO", "S2/EATO"), ("A/gretit1", "B/eurjay1", "B/blutit2"),
     ("Site A/Jay", "Site A/Wren", "Site B/Jay", "Site B/Wren"), ("S1/Parus_major", "S2/Turdus_merula"),
     ("x/Parus major_Great Tit", "y/Turdus merula_Blackbird"),
     ("S1/Parus major", "S2/Turdus merula", "S1/noise", "S2/Unidentified")],
)  # fmt: skip
def test_folders_that_are_not_the_species_are_refused(tmp_path, names):
    names = [f"{name}/{i}.wav" for i, name in enumerate(names)]
    with pytest.raises(config.InputError, match=r"are the classes folders such as .*--layout=folders"):
        _read(tmp_path, *names)
    assert {r.label for r in _read(tmp_path, layout="folders")} == {name.split("/")[0] for name in names}


def test_negatives_do_not_hide_that_folders_are_not_the_species(tmp_path):
    with pytest.raises(config.InputError, match="are the classes folders such as audio"):
        _read(tmp_path, "audio/Parus major/1.wav", "audio/Turdus merula/2.wav", "noise/3.wav", "other/wind/4.wav")


@pytest.mark.parametrize(
    "names",
    [("a/song", "a/call", "b/song"), ("Parus major/2023", "b/2023"), ("audio/a", "b"),
     (*["a/song", "a/call"] * 9, "b"), ("a/song", "a/call", "a"), ("AMRO/S1", "AMRO/S2", "EATO/S1", "EATO/S2"),
     ("AMRO/Anna", "AMRO/Bob", "EATO/Anna", "EATO/Bob"), ("Jay/Site A", "Jay/Site B", "Wren/Site A", "Wren/Site B"),
     ("sp01/male", "sp01/female", "sp02/male", "sp02/female"), ("Jay/Alarm_call", "Jay/Song", "Wren/Flight_call"),
     ("Great Tit/Old_tapes", "Jay/Old_tapes"), ("gretit1/HARV", "eurjay1/NIWO"), ("1139490/a", "20313/b"),
     ("Jay/plot1", "Jay/plot2", "Wren/forest1"), ("Jay/bird10", "Wren/bird11", "Owl/bird12"), ("12/fold1", "13/fold2"),
     ("Amsel/song", "Robin/raw", "Osprey/wav"), ("Great Tit/a", "Jay/b", "Wren/c", "wav/d"),
     ("22961/a", "22962/b", "20101015/c"), ("sp01/Ann", "sp01/Bob", "sp02/Ann"), ("ind_01/EVEN", "ind_02/EVEN"),
     ("01 Great Tit/A", "01 Great Tit/B", "02 Jay/A", "02 Jay/B")],
)  # fmt: skip
def test_folders_in_those_of_species_are_fine(tmp_path, caplog, names):
    found = _read(tmp_path, *(f"{name}/{i}.wav" for i, name in enumerate(names)))
    assert {r.label for r in found} == {name.split("/")[0] for name in names}
    assert "the same folders" not in caplog.text


def test_folders_that_repeat_in_others_are_told(tmp_path, caplog):
    found = _read(tmp_path, *(f"{who}/{what}/{who}{what}.wav" for who in ("Anna", "Bob") for what in ("Jay", "Wren")))
    assert {r.label for r in found} == {"Anna", "Bob"}
    assert "if these are the species, all is well; but the same folders are in several of them" in caplog.text
    assert "such as Jay; if those are the species, put them above" in caplog.text


@pytest.mark.parametrize(
    ("first", "second"),
    [("wav", "mp3"), ("train", "test"), ("May", "June"), ("A", "B"), ("DE", "FR"), ("AudioMoth", "SM4"),
     ("left", "right"), ("raw", "clean"), ("day", "night"), ("Song Type A", "Song Type B"), ("bird1", "bird2"),
     ("forest1", "forest2"), ("garden1", "forest1"), ("device1", "device2")],
)  # fmt: skip
@pytest.mark.parametrize("outer", [("Jay", "Wren"), ("blutit", "eurbla")])
def test_folders_that_repeat_and_can_be_no_species_are_not_told(tmp_path, caplog, outer, first, second):
    _read(tmp_path, *(f"{a}/{b}/{a}{b}.wav" for a in outer for b in (first, second)))
    assert "the same folders" not in caplog.text


def test_a_single_class_beside_negatives_is_one(tmp_path):
    found = _read(tmp_path, "bird/Ann/1.wav", "bird/Bob/2.wav", "noise/3.wav")
    assert {r.label for r in found} == {"bird", ""}
    with pytest.raises(config.InputError, match="are the classes folders such as bird"):
        _read(tmp_path / "alone", "bird/Ann/1.wav", "bird/Bob/2.wav")


def test_folders_that_a_table_tells_as_sites_or_days_are_no_species(tmp_path):
    paths = ["S1/1.wav", "S1/2.wav", "2023-05-01/3.wav"]
    table = "file,site,date,AMRO,NOCA\n1.wav,s1,,1,0\n2.wav,S1,,0,1\n3.wav,S2,2023-05-01,1,1\n"
    example_sets.write_text(tmp_path / "t.csv", table)
    with pytest.raises(config.InputError, match=r"the folders, such as S1, are those of sites, authors or days"):
        _read(tmp_path, *paths)
    assert {r.label for r in _read(tmp_path, *paths, layout="folders")} == {"S1", "2023-05-01"}
    example_sets.write_text(tmp_path / "t.csv", table.replace("3.wav,S2,2023-05-01", "3.wav,S2,2023-05-02"))
    assert {r.label for r in _read(tmp_path, *paths)} == {"S1", "2023-05-01"}


@pytest.mark.parametrize(
    ("labels", "is_told"),
    [(("song", "call", "song"), True), (("parmaj", "parmaj", "turmer"), False),
     (("Parus_major", "Parus major", "song"), False)],
)  # fmt: skip
def test_folders_of_latin_names_that_labels_of_files_do_not_name_are_told(tmp_path, caplog, labels, is_told):
    names = ("Parus major/a.wav", "Parus major/b.wav", "Turdus_merula/c.wav")
    recordings = [
        metadata.Recording(recording_id=name, path=str(tmp_path / name), label=label)
        for name, label in zip(names, labels, strict=True)
    ]
    folders.warn_of_unused(recordings, str(tmp_path))
    assert ("folders such as Parus major and Turdus_merula are not used" in caplog.text) == is_told


def test_recordings_in_the_folder_of_another_class_than_their_label_are_told(tmp_path, caplog):
    of_files = {
        "Parus_major/a.wav": {"label": "turmer", "name": "Turdus merula"},
        "Parus_major/b.wav": {"label": "parmaj", "name": "Parus major"},
        "Parus_major/c.wav": {"label": "turmer", "name": "Turdus merula", "background": ("Parus major",)},
        "Turdus_merula/d.wav": {"negative": True},
        "Site 1/turmer/e.wav": {"label": "turmer"},
    }
    recordings = [
        metadata.Recording(recording_id=path, path=str(tmp_path / path), **told) for path, told in of_files.items()
    ]
    folders.warn_of_others(recordings, str(tmp_path))
    assert caplog.text.count("recordings lie") == 1
    assert "1 recordings lie in the folder of another class" in caplog.text
    assert "a.wav lies in Parus_major, and is labelled turmer" in caplog.text


def test_folders_that_are_no_classes_of_the_labels_are_not_told(tmp_path, caplog):
    recordings = [
        metadata.Recording(recording_id=path, path=str(tmp_path / path), label=label)
        for path, label in (("Great Tit/a.wav", "Parus major"), ("1/b.wav", "0"), ("0/c.wav", "1"), ("d.wav", "song"))
    ]
    folders.warn_of_others(recordings, str(tmp_path))
    assert not caplog.text


@pytest.mark.parametrize(
    ("names", "are"),
    [(["2023-05-01", "x"], False), (["Site A", "plot_b", "x"], True), (["gretit1"], False),
     (["20313"], False), (["Sitella"], False), (["fold1", "fold2"], True), (["sp01", "sp02"], False),
     (["ind_01", "ind_02"], False), (["01 Great Tit", "02 Jay"], False), (["GRTI1", "GRTI2"], False),
     (["type_1", "type_2"], False), (["45kHz", "55kHz"], False), (["A1", "B2", "C3"], False), (["S1", "S2"], True)],
)  # fmt: skip
def test_places_are_told_by_digits_or_their_first_word(names, are):
    assert folders.are_places(names) == are

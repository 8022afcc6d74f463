import unicodedata

import pytest

from bird_tf.inference import audio_files
from bird_tf.labels.layouts import matching, reader
from tests.labels import example_sets


def _recordings(*below, tables_root=""):
    return matching.Recordings([f"/audio/{name}" for name in below], "/audio", tables_root)


@pytest.mark.parametrize(
    ("below", "cell", "table", "found"),
    [
        (("A/x.wav", "B/x.wav"), "/audio/B/x.wav", "", "B/x.wav"),  # the exact path
        (("A/x.wav", "B/x.wav"), "B/x.wav", "", "B/x.wav"),
        (("A/x.wav", "B/x.wav"), "B\\x.wav", "", "B/x.wav"),
        (("A/x.wav", "B/x.wav"), "D:\\2023\\B\\x.wav", "", "B/x.wav"),  # the path on another machine
        (("A/x.wav", "B/x.wav"), "x.wav", "/audio/B/t.csv", "B/x.wav"),  # the folder of the table
        (("x.wav", "B/x.wav"), "x.wav", "/audio/B/t.csv", "B/x.wav"),
        (("A/x.wav", "B/x.wav"), "x.wav", "/tables/B/t.csv", "B/x.wav"),  # the folder of the same name
        (("x.wav", "B/x.wav"), "x.wav", "", "x.wav"),
        (("A/deep/x.wav",), "x.wav", "", "A/deep/x.wav"),  # the name alone
        (("A/x.WAV",), "A/x.wav", "", "A/x.WAV"),
        (("A/x.ogg", "B/x.ogg"), "B/x.wav", "", "B/x.ogg"),  # another suffix
        (("A/XC1.mp3",), "XC1", "", "A/XC1.mp3"),  # none
        (("SITE_1.2.wav", "SITE_1.3.wav"), "SITE_1.3", "", "SITE_1.3.wav"),
        (("REC.WAV", "rec.wav"), "rec.wav", "", "rec.wav"),  # as it is written
        (("REC.WAV", "rec.wav"), "REC", "", "REC.WAV"),
        (("a  x.wav", "a x.wav"), "a  x.wav", "", "a  x.wav"),  # blanks as they are written
        (("a  x.wav", "a x.wav"), "a x", "", "a x.wav"),
        ((" x.wav", "x.wav"), " x.wav", "", " x.wav"),
        (("A/a  x .wav",), "a\u00a0x.wav", "", "A/a  x .wav"),
        (("x.wav",), " x.wav ", "", "x.wav"),
        (("x.wav",), "y.wav", "", None),
        (("x.wav",), "../../etc/x.flac.txt", "", None),
        (("x.wav",), "", "", None),
        (("x.wav",), "..", "", None),
    ],
)
def test_a_cell_means_a_recording(below, cell, table, found):
    path = _recordings(*below, tables_root="/tables").find(cell, table)
    assert path == (found and f"/audio/{found}")


@pytest.mark.parametrize(
    ("below", "cell"),
    [(("A/x.wav", "B/x.wav"), "x.wav"), (("A/x.wav", "B/x.wav"), "C/x.wav"), (("x.wav", "x.ogg"), "x.mp3"),
     (("A/REC.wav", "A/Rec.wav"), "A/rec.wav")],
)  # fmt: skip
def test_two_candidates_are_an_error_that_names_both(below, cell):
    with pytest.raises(matching.AmbiguousError) as error:
        _recordings(*below).find(cell)
    assert all(f"/audio/{name}" in str(error.value) for name in below)


def test_composed_and_decomposed_letters_are_the_same():
    composed, decomposed = (unicodedata.normalize(form, "Zürich/Grünfink.wav") for form in ("NFC", "NFD"))
    assert _recordings(decomposed).find(composed) == f"/audio/{decomposed}"
    assert _recordings(composed).find(decomposed.upper()) == f"/audio/{composed}"


@pytest.mark.parametrize(
    ("file", "found"),
    [("/audio/A/x.txt", "A/x.wav"), ("/audio/B/x.Table.1.selections.txt", "B/x.wav"), ("/audio/x.wav.csv", None),
     ("/audio/A/x.wav.labels.txt", "A/x.wav"), ("/tables/B/x.BirdNET.results.csv", "B/x.wav"),
     ("/audio/SITE_1.2.txt", "SITE_1.2.wav"), ("/audio/README.txt", None)],
)  # fmt: skip
def test_a_file_belongs_to_the_recording_that_it_is_named_after(file, found):
    recordings = _recordings("A/x.wav", "B/x.wav", "SITE_1.2.wav", tables_root="/tables")
    if file == "/audio/x.wav.csv":
        with pytest.raises(matching.AmbiguousError):
            recordings.find_namesake(file)
    else:
        assert recordings.find_namesake(file) == (found and f"/audio/{found}")


def test_a_file_is_not_taken_for_that_of_a_longer_name_in_other_letters():
    recordings = _recordings("A.wav", "a.labels.wav", "b.WAV", "c.1.wav", "c.wav")
    with pytest.raises(matching.AmbiguousError, match=r"/audio/A\.wav or /audio/a\.labels\.wav"):
        recordings.find_namesake("/audio/A.labels.txt")
    for file, found in (
        ("a.labels.txt", "a.labels.wav"),
        ("B.Wav.txt", "b.WAV"),
        ("b.wav.txt", "b.WAV"),
        ("C.1.txt", "c.1.wav"),
        ("c.1.txt", "c.1.wav"),
    ):
        assert recordings.find_namesake(f"/audio/{file}") == f"/audio/{found}"


def test_files_of_recordings_with_other_suffixes_are_found_again():
    names = ["two.wav", "two.flac", "one.wav"]
    for name, stem in audio_files.stems(names).items():
        assert _recordings(*names).find_namesake(f"/audio/{stem}.labels.txt") == f"/audio/{name}"


SITES = ("S1/x.wav", "S2/y.wav", "S1/Data/z.wav", "v.wav")


@pytest.mark.parametrize(
    ("path", "names", "site", "table", "elsewhere"),
    [
        ("S1/x.wav", ["x.wav"], "", "/audio/S2/t.csv", True),  # the folder of the table
        ("S1/x.wav", ["x.wav"], "", "/audio/labels/S2/t.csv", True),
        ("S1/x.wav", [], "", "/elsewhere/S2/x.txt", True),
        ("v.wav", ["v.wav"], "", "/audio/S2/t.csv", True),
        ("S1/x.wav", ["D:\\S2\\x.wav"], "", "/audio/t.csv", True),  # that of the cell
        ("S1/Data/z.wav", ["S2/Data/z.wav"], "", "/audio/t.csv", True),
        ("S1/x.wav", ["x.wav"], "s2", "/audio/t.csv", True),  # the site
        ("S1/x.wav", ["D:\\data\\x.wav"], "", "/audio/t.csv", False),  # another machine
        ("S1/x.wav", ["S1/x.flac"], "S2", "/audio/S2/t.csv", False),  # the path
        ("S1/x.wav", ["D:\\S1\\x.wav"], "", "/audio/S2/t.csv", False),
        ("S1/x.wav", ["x.wav"], "Moor", "/audio/t.csv", False),
        ("S1/x.wav", [], "", "/audio/labels/x.txt", False),  # a folder of labels alone
        ("S1/x.wav", [], "", "/audio/labels/S1/x.txt", False),
        ("S1/Data/z.wav", [], "", "/audio/S1/labels/z.txt", False),
        ("S1/Data/z.wav", [], "", "/audio/S1/z.txt", False),
    ],
)  # fmt: skip
def test_a_row_may_mean_another_folder_with_recordings(path, names, site, table, elsewhere):
    assert _recordings(*SITES).claim(f"/audio/{path}", names, site, table).is_elsewhere == elsewhere


def test_names_by_the_clock_and_those_of_several_recordings_may_repeat():
    below = ("S1/20230501_050000.WAV", "S1/x.wav", "S2/x.wav", "XC123.mp3", "y.wav")
    known = _recordings(*below)
    assert [known.may_repeat(f"/audio/{name}") for name in below] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("below", "found"),
    [("XC123.mp3", True), ("123.mp3", True), ("XC123 - Great Tit.mp3", True), ("a/xc123-2.mp3", True),
     ("XC1234.mp3", False), ("x123.mp3", False)],
)  # fmt: skip
def test_catalogue_numbers_begin_the_names_of_files(below, found):
    assert (_recordings(below).find_catalogued(("XC123", "123")) is not None) == found


def test_a_file_name_never_names_a_file_outside_of_the_audio_folder(tmp_path):
    source = example_sets.birdclef_set(tmp_path / "set", ("1", "a.wav", "x", ""))
    example_sets.write_wav(tmp_path / "secret.wav")
    for name in (f"{tmp_path}/secret.wav", "../../secret.wav", "..\\..\\secret.wav"):
        known = matching.Recordings([str(tmp_path / "set" / "wav" / "a.wav")], source.audio)
        assert known.find(name) is None


def test_recorders_that_name_files_by_the_clock_are_told_apart_by_their_folders(tmp_path):
    for site, label in (("A", "x"), ("B", "y")):
        example_sets.write_wav(tmp_path / "wav" / site / "20230501_050000.WAV")
        xml = example_sets.XML.format(media_id=site, file="20230501_050000.wav", label=label, species="ater", more="")
        example_sets.write_text(tmp_path / "xml" / site / "20230501_050000.xml", xml)
    source = reader.SourceConfig(audio=str(tmp_path / "wav"), metadata=str(tmp_path / "xml"))
    found, unmatched = reader.read(source)
    assert [(r.label, r.path.split("/")[-2]) for r in found] == [("x", "A"), ("y", "B")] and not unmatched


@pytest.mark.parametrize(
    ("below", "cell", "site", "found"),
    [
        (("S1/x.wav", "S2/x.wav"), "x.wav", "S2", "S2/x.wav"),
        (("S1/a/x.wav", "S2/a/x.wav"), "x.wav", "s1", "S1/a/x.wav"),
        (("S1/a/x.wav", "S2/a/x.wav"), "a/x.wav", "S1", "S1/a/x.wav"),
        (("x.wav", "S1/x.wav"), "x", "S1", "S1/x.wav"),
        (("S1/x.wav", "S2/x.wav"), "S1/x.wav", "S2", "S1/x.wav"),  # the path counts more
        (("S1/x.wav",), "x.wav", "S2", "S1/x.wav"),
    ],
)
def test_a_site_tells_recordings_of_one_name_apart(below, cell, site, found):
    assert _recordings(*below).find(cell, site=site) == f"/audio/{found}"
    with pytest.raises(matching.AmbiguousError):
        _recordings("S1/x.wav", "S2/x.wav").find("x.wav", site="Berlin")


@pytest.mark.parametrize(
    ("below", "cell", "is_found"),
    [("A/XC12 - Robin.mp3", "12", True), ("A/XC12.mp3", "xc12", True), ("song_ML12_a.wav", "12.0", True),
     ("Parus-major-12.wav", "12", True), ("A/Robin-12.wav", "12", False), ("12.wav", "1", False),
     ("A/XC12.mp3", "1", False), ("Parus-major-12.wav", "2", False), ("XC12.mp3", "", False),
     ("ML12.mp3", "XC12", False), ("ML12.mp3", "ML12", True), ("Parus-major-12.wav", "XC12", True)],
)  # fmt: skip
def test_catalogue_numbers_in_names_are_known(below, cell, is_found):
    assert _recordings(below).find_numbered(cell) == (f"/audio/{below}" if is_found else None)


@pytest.mark.parametrize(
    ("below", "labels", "found"),
    [(("x.wav", "y_2.wav"), ("x_labels.txt", "Y_2_labels.txt"), ("x.wav", "y_2.wav")),
     (("S1/x.wav", "S2/x.wav"), ("S1/x annotations.txt", "S2/x annotations.txt"), ("S1/x.wav", "S2/x.wav")),
     (("x.wav", "y.wav"), ("x_labels.txt", "y.txt"), (None, "y.wav")),  # one may be of another recording
     (("x.wav", "y.wav"), ("x_left.txt", "y_left.txt", "x.txt"), (None, None, "x.wav")),
     (("x.wav", "y.wav"), ("x_2.txt", "y_2.txt"), (None, None)),
     (("x.wav", "y.wav"), ("x_jay.txt", "y_jay.txt", "x_owl.txt"), (None, None, None)),
     (("x.wav", "y.wav"), ("x_anna.txt", "y_anna.txt", "x_bob.txt", "y_bob.txt"), ("x.wav", "y.wav", "x.wav", "y.wav")),
     (("x.wav", "x_a.wav", "y.wav"), ("x_a_b.txt", "y_b.txt"), ("x_a.wav", "y.wav")),
     (("x.wav", "y.wav"), ("S1/x_b.txt", "S2/x_b.txt", "y_b.txt"), (None, None, None))],
)  # fmt: skip
def test_a_word_behind_the_names_of_several_recordings_calls_files_after_them(below, labels, found):
    known = _recordings(*below)
    files = [f"/audio/{name}" for name in labels]
    known.learn_endings(files)
    assert [known.find_namesake(file) for file in files] == [name and f"/audio/{name}" for name in found]


def test_a_catalogue_number_of_several_recordings_names_none():
    known = _recordings("XC12_1.mp3", "XC12_2.mp3")
    assert known.numbered("12") == ["/audio/XC12_1.mp3", "/audio/XC12_2.mp3"]
    with pytest.raises(matching.AmbiguousError, match=r"XC12_1\.mp3 or /audio/XC12_2"):
        known.find_numbered("12")


def test_a_number_of_xeno_canto_is_found_behind_a_latin_name():
    known = _recordings("Parus-major-12.mp3", "Parus-major-13.mp3", "ML14.mp3")
    assert known.find_catalogued(("XC12", "12")) == "/audio/Parus-major-12.mp3"
    assert known.find_catalogued(("ML12", "12")) is None and known.find_catalogued(("XC14", "14")) is None

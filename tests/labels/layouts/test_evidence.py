import pytest

from bird_tf import config
from bird_tf.labels.formats import formats
from bird_tf.labels.layouts import evidence, matching
from bird_tf.labels.tables import rows
from tests.labels import example_sets


def _choose(folder, texts, layout="auto", named=""):
    for name, text in texts.items():
        example_sets.write_text(folder / name, text)
    known = matching.Recordings([str(folder / "x.wav")], str(folder))
    used, problems, _ = evidence.choose(evidence.read(str(folder), layout, rows.Options()), known, layout, named)
    return {s.path.rsplit("/", 1)[1] for s in used}, {path.rsplit("/", 1)[1] for path, _ in problems}


TEXTS = {
    "x.txt": "0\t1\ta\n",
    "y.txt": "0\t1\ta\n",
    "x.csv": "what is this",
    "t.csv": "file,label\nx.wav,a\n",
    "README.txt": "Dear all",
    "x.json": "{}",
    "broken.json": "{",
    "z.xml": "no xml",
}


@pytest.mark.parametrize(
    ("layout", "used", "problems"),
    [
        ("auto", {"x.txt", "t.csv"}, {"x.csv", "z.xml"}),
        ("csv", {"t.csv"}, {"x.txt", "x.csv", "z.xml"}),
        ("birdclef", set(), {"z.xml"}),
    ],
)
def test_files_count_that_name_recordings_or_have_their_names(tmp_path, layout, used, problems):
    assert _choose(tmp_path, TEXTS, layout) == (used, problems)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("file,start,end,label\nx.wav,0,0.03125,a\ny.wav,0,0.03125,a\nz.wav,0,0.03125,a\n", {"t.csv"}),
        ("file,start,label\nx.wav,0,a\n", {"t.csv"}),
        ("file,label\n", set()),
        ("IN FILE,OFFSET,DURATION,MANUAL ID\n", set()),
        ("what,is,this\n1,2,3\n", set()),
    ],
)
def test_a_table_of_a_known_format_that_is_refused_is_a_problem(tmp_path, text, problems):
    assert _choose(tmp_path, {"t.csv": text}) == (set(), problems)


def test_the_first_file_that_is_not_used_is_named_with_its_reason(tmp_path, caplog):
    with caplog.at_level("INFO", logger="absl"):
        _choose(tmp_path, {"y.txt": TEXTS["y.txt"], "z.csv": "A;B\n1;2\n"})
    assert "2 files are not used, the first" in caplog.text and "names no recording" in caplog.text


def test_a_named_file_that_names_no_recording_is_refused(tmp_path):
    with pytest.raises(config.InputError, match="names no recording"):
        _choose(tmp_path, {"y.txt": TEXTS["y.txt"]}, named=str(tmp_path / "y.txt"))


def test_one_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(config.InputError, match="known formats"):
        evidence.read(example_sets.write_text(tmp_path / "t.doc", "x"), "auto", rows.Options())


LABELS = {
    "y.txt": "0\t1\tAMRO\n1\t2\tNOCA\n",
    "birdnet.csv": "Start (s),End (s),Scientific name,Common name,Confidence\n0,3,Parus major,Great Tit,0.9\n",
    "german.csv": "Datei;Art\nx.wav;Amsel\ny;Amsel\nz.wav;Meise\n",
    "known_file.csv": "filename,category\nx.wav,dog\ny.wav,cat\nz.wav,cat\n",
    "one_hot.csv": "filename,weather,AMRO,NOCA\nx.wav,dry,1,0\ny.wav,wet,0,1\nz.wav,dry,1,1\n",
    "site.csv": "Datei;Ort;Art\nx.wav;S1;Amsel\ny.wav;S1;Amsel\nz.wav;S2;Meise\n",
}
NO_LABELS = {
    "species.csv": "Art;Anzahl\nAmsel;2\nMeise;2\nKleiber;7\n",
    "counts.txt": "1\t20\t3\n2\t30\t4\n",
    "empty.csv": "Datei;Art\n",
    "measures.csv": "Datei;Pegel;Rate\nx.wav;-20,5;44100\ny.wav;-21;44100\nz.wav;-20,5;48000\n",
    "notes.csv": "Datei;Bemerkung\nx.wav;kurz\ny.wav;lang, Wind\nz.wav;leise\n",
    "places.csv": "Datei;site;recordist\nx.wav;Moor;Ann\ny.wav;Moor;Bob\nz.wav;Wald;Bob\n",
    "only_sites.csv": "Datei;Ort\nx.wav;S1\ny.wav;S1\nz.wav;S2\n",
    "quoted.csv": 'Datei;Art\nx.wav;"Amsel\n',
}


def _refuse_folders(folder, name, text, folders):
    sources = [formats.read(example_sets.write_text(folder / name, text), rows.Options())]
    paths = [str(folder / below) for below in ("S1/x.wav", "S1/y.wav", "S2/z.wav")]
    evidence.refuse_folders(sources, matching.Recordings(paths, str(folder)), folders, rows.Options())


@pytest.mark.parametrize("name", LABELS)
def test_folders_are_not_species_beside_a_file_that_may_tell_others(tmp_path, name):
    with pytest.raises(config.InputError, match=r"the folders, such as S1, say --layout=folders"):
        _refuse_folders(tmp_path, name, LABELS[name], {"S1", "S2"})
    _refuse_folders(tmp_path, name, LABELS[name], {"Parus major", "Turdus_merula"})


@pytest.mark.parametrize("name", ["german.csv", "known_file.csv", "one_hot.csv"])
@pytest.mark.parametrize("folders", [{"Great Tit", "Jay"}, {"gretit1", "eurjay1"}])
def test_beside_folders_called_as_species_columns_called_so_may_tell_others(tmp_path, name, folders):
    with pytest.raises(config.InputError, match=rf"the folders, such as {min(folders)}, say --layout=folders"):
        _refuse_folders(tmp_path, name, LABELS[name], folders)


@pytest.mark.parametrize(
    "folders", [{"Great Tit", "Jay"}, {"gretit1", "eurjay1"}, {"1139490", "20313"}, {"Parus major_Great Tit", "Jay"}]
)
@pytest.mark.parametrize("column", ["ring", "bird_id", "Art der Aufnahme", "group of birds"])
def test_other_columns_beside_folders_called_as_species_do_no_harm(tmp_path, folders, column):
    table = f"filename,{column}\nx.wav,one\ny.wav,one\nz.wav,another\n"
    _refuse_folders(tmp_path, "t.csv", table, folders)
    with pytest.raises(config.InputError, match="the folders, such as S1"):
        _refuse_folders(tmp_path, "t.csv", table.replace(column, "gatunek"), {"S1", "S2"})


@pytest.mark.parametrize(
    "text",
    ["filename,quality,type,age class\nx.wav,A,song,1y\ny.wav,A,call,1y\nz.wav,B,song,adult\n",
     "filename,rain,wind\nx.wav,1,0\ny.wav,0,0\nz.wav,1,1\n", "filename,grade\nx.wav,A\ny.wav,B\nz.wav,B\n"],
)  # fmt: skip
@pytest.mark.parametrize("folders", [{"S1", "S2"}, {"Great Tit", "Jay"}])
def test_columns_of_recordings_do_no_harm_to_any_folders(tmp_path, text, folders):
    _refuse_folders(tmp_path, "t.csv", text, folders)


def test_the_columns_that_may_tell_labels_are_named(tmp_path):
    with pytest.raises(config.InputError, match=r"\(Art\): say --columns=file=Datei --columns=label=NAME"):
        _refuse_folders(tmp_path, "t.csv", LABELS["site.csv"], {"S1", "S2"})
    with pytest.raises(config.InputError, match=r"\(category\): say --columns=label=NAME"):
        _refuse_folders(tmp_path, "t.csv", LABELS["known_file.csv"], {"S1", "S2"})


@pytest.mark.parametrize("name", NO_LABELS)
def test_tables_of_something_else_do_no_harm_to_folders(tmp_path, name):
    _refuse_folders(tmp_path, name, NO_LABELS[name], {"S1", "S2"})


@pytest.mark.parametrize(
    ("name", "folders"),
    [("y.txt", {"amro", "NOCA"}), ("birdnet.csv", {"Great_Tit"}), ("one_hot.csv", {"AMRO", "NOCA", "OVEN"}),
     ("german.csv", {"Amsel", "Meise"})],
)  # fmt: skip
def test_folders_that_the_file_itself_has_as_species_are_species(tmp_path, name, folders):
    _refuse_folders(tmp_path, name, LABELS[name], folders)


@pytest.mark.parametrize(
    ("folders", "are"),
    [(["S1", "S2"], True), (["2023-05-01", "x"], False), (["Site A", "plot_b", "x"], True), (["gretit1"], False),
     (["20313"], False), (["Sitella"], False)],
)  # fmt: skip
def test_places_are_told_by_digits_or_their_first_word(folders, are):
    assert evidence.are_places(folders) == are

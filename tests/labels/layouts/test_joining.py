import pytest

from bird_tf.labels.layouts import reader
from tests.labels import example_sets
from tests.labels.layouts.test_assembly import _assemble


def test_tables_beside_recordings_belong_to_those_beside_them(tmp_path):
    tables = {f"{site}/20230501_050000.txt": f"0\t3\t{site}\n" for site in "AB"}
    tables |= {f"{site}/t.csv": f"file,recordist\n20230501_050000.WAV,of {site}\n" for site in "AB"}
    found, _ = _assemble(tmp_path, tables, "A/20230501_050000.WAV", "B/20230501_050000.WAV")
    assert [(name, r.label, r.author) for name, r in found.items()] == [
        (f"{site}/20230501_050000.WAV", site, f"of {site}") for site in "AB"
    ]


def test_a_row_of_another_folder_does_not_count_for_the_only_recording_of_that_name(tmp_path):
    text = "file,label\nA/x.wav,a\nB/x.wav,b\n"
    found, whole = _assemble(tmp_path, {"t.csv": text}, "A/x.wav")
    assert found["A/x.wav"].labels == ("a",)
    [(where, reason)] = whole.unmatched
    assert where.endswith("line 3") and "'B/x.wav' is not here" in reason


RAVEN = "Selection\tView\tBegin Time (s)\tEnd Time (s)\tBegin File\tSpecies\n1\tS\t3\t6\t{}.WAV\t{}\n"
KALEIDOSCOPE = "INDIR,FOLDER,IN FILE,OFFSET,DURATION,MANUAL ID\n"


@pytest.mark.parametrize(
    "tables",
    [
        {"S1/x.txt": "0\t3\ta\n", "S2/x.txt": "3\t6\tb\n"},
        {"lab/S1/x.txt": "0\t3\ta\n", "lab/S2/x.txt": "3\t6\tb\n"},
        {"S1/t.csv": "file,start,end,label\nx.WAV,0,3,a\n", "S2/t.csv": "file,start,end,label\nx.WAV,3,6,b\n"},
        {"S1/x.Table.1.selections.txt": RAVEN.format("x", "a"), "S2/x.Table.1.selections.txt": RAVEN.format("x", "b")},
        {"t.csv": "site,file,start,end,label\nS1,x.WAV,0,3,a\nS2,x.WAV,3,6,b\n"},
        {"t.csv": "folder,file,start,end,label\nS1,x.WAV,0,3,a\nS2,x.WAV,3,6,b\n"},
        {"t.csv": f"{KALEIDOSCOPE}D:\\S1,,x.WAV,0,3,a\nD:\\S2,,x.WAV,3,3,b\n"},
        {"t.csv": f"{KALEIDOSCOPE}D:\\S1,Data,x.WAV,0,3,a\nD:\\S2,Data,x.WAV,3,3,b\n"},
        {"t.csv": "file,start,end,label\nS1/Data/x.WAV,0,3,a\nS2/Data/x.WAV,3,6,b\n"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("others", [["S2/y.WAV"], []])
@pytest.mark.parametrize("own", ["S1/x.WAV", "S1/Data/x.WAV"])
def test_labels_of_a_missing_recording_are_not_those_of_its_namesake_at_another_site(tmp_path, tables, others, own):
    found, whole = _assemble(tmp_path, tables, own, *others)
    assert found[own].labels == ("a",)
    [(where, reason)] = whole.unmatched
    assert "S2" in where or "line 3" in where
    assert "is not here" in reason


CLOCK = "20230501_050000.wav"


def test_a_recording_by_the_clock_that_lies_in_neither_of_two_folders_belongs_to_none(tmp_path):
    text = f"site,file,label\nS1,{CLOCK},a\nS2,{CLOCK},b\nS1,y.wav,a\n"
    found, whole = _assemble(tmp_path, {"t.csv": text}, CLOCK, "y.wav")
    assert list(found) == ["y.wav"] and len(whole.unmatched) == 2
    assert "this one names s1" in whole.unmatched[0][1]


@pytest.mark.parametrize(
    ("text", "below"),
    [
        ("site,file,label\nS2,{},b\n", "S1/{}"),
        ("site,file,label\nS2,{},b\n", "{}"),
        ("file,label\nD:\\S2\\{},b\n", "S1/{}"),
    ],
)
def test_one_row_of_another_folder_is_of_a_recording_that_was_moved_if_its_name_cannot_repeat(
    tmp_path, caplog, text, below
):
    for name, is_moved in (("XC123.wav", True), (CLOCK, False)):
        caplog.clear()
        with caplog.at_level("INFO", logger="absl"):
            found, whole = _assemble(tmp_path, {"t.csv": text.format(name)}, below.format(name), "S2/z.wav")
        assert (len(found), len(whole.unmatched)) == ((1, 0) if is_moved else (0, 1))
        assert ("as if moved" in caplog.text) == is_moved


def test_a_name_in_several_folders_that_are_here_is_that_of_none_of_them_elsewhere(tmp_path):
    tables = {"t.csv": "site,file,label\nS1,x.wav,a\nS2,x.wav,b\n"}
    found, whole = _assemble(tmp_path, tables, "x.wav", "S1/y.wav", "S2/z.wav")
    assert not found and len(whole.unmatched) == 2
    files = {"S2/x.txt": "0\t1\ta\n", "S3/x.txt": "0\t1\tb\n"}
    found, whole = _assemble(tmp_path, files, "S1/x.wav", "S2/y.wav", "S3/z.wav")
    assert not found and len(whole.unmatched) == 2


@pytest.mark.parametrize(
    "text",
    [
        "file,start,end,label\n/Users/anna/Birds/x.wav,0,1,a\nC:\\Users\\bob\\Birds\\x.wav,1,2,b\n",
        f"{KALEIDOSCOPE}C:\\rec,,x.wav,0,1,a\nD:\\rec,,x.wav,1,1,b\n",
        "file,start,end,label,location\nx.wav,0,1,a,tree\nx.wav,1,2,b,ground\n",
        "file,start,end,label,site\nx.wav,0,1,a,Moor North\nx.wav,1,2,b,Moor-North\n",
        "file,start,end,label,dir\nx.wav,0,1,a,N\nx.wav,1,2,b,SW\n",
    ],
)
@pytest.mark.parametrize("below", ["x.wav", "audio/x.wav"])
def test_places_that_are_no_folders_here_do_not_contradict_each_other_and_are_told(tmp_path, caplog, text, below):
    found, whole = _assemble(tmp_path, {"t.csv": text}, below)
    assert found[below].labels == ("a", "b") and not whole.unmatched
    assert "several folders or sites" in caplog.text


def test_a_table_in_a_folder_may_list_recordings_of_the_next(tmp_path):
    text = "file,label\nx.wav,a\ny.wav,b\n"
    found, whole = _assemble(tmp_path, {"A/t.csv": text}, "A/x.wav", "B/y.wav")
    assert found["B/y.wav"].labels == ("b",) and not whole.unmatched


@pytest.mark.parametrize(
    ("tables", "below"),
    [
        ({"t.csv": "file,label\nD:\\data\\x.wav,a\nD:\\data\\y.wav,a\n"}, ("S1/x.wav", "S2/y.wav")),
        ({"labels/x.txt": "0\t1\ta\n", "labels/y.txt": "0\t1\ta\n"}, ("S1/x.wav", "S2/Data/y.wav")),
        ({"texts/S1/x.txt": "0\t1\ta\n", "texts/S2/y.txt": "0\t1\ta\n"}, ("audio/S1/x.wav", "audio/S2/y.wav")),
        ({"S1/x.txt": "0\t1\ta\n", "S2/labels/y.txt": "0\t1\ta\n"}, ("S1/Data/x.wav", "S2/Data/y.wav")),
        ({"S1/t.csv": "file,label\nx.wav,a\n", "all.csv": "file,label\nC:/ann/x.wav,a\ny.wav,a\n"},
         ("S1/x.wav", "S2/y.wav")),
        ({"t.csv": "site,file,label\nMoor,x.wav,a\nWood,y.wav,a\n"}, ("S1/x.wav", "S1/y.wav")),
    ],
)  # fmt: skip
def test_folders_of_labels_and_of_other_machines_are_no_sites(tmp_path, tables, below):
    found, whole = _assemble(tmp_path, tables, *below)
    assert set(found) == set(below) and not whole.unmatched


def test_label_files_in_several_folders_beside_that_of_the_recording_all_count_and_are_told(tmp_path, caplog):
    tables = {"ann/x.txt": "0\t3\ta\n", "bob/x.txt": "3\t6\tb\n"}
    found, _ = _assemble(tmp_path, tables, "x.wav")
    assert found["x.wav"].labels == ("a", "b")
    assert "files in several folders" in caplog.text and "bob" in caplog.text


def test_addresses_name_recordings_as_they_are_written_or_by_their_codes(tmp_path):
    for name in ("a b.wav", "c#1.wav", "ü.wav"):
        example_sets.write_wav(tmp_path / name)
    names = ("https://x.org/s/a%20b.wav?raw=1", "gs://x/c#1.wav", "file:///C:/x/%C3%BC.wav", "https://x.org/1/download")
    example_sets.write_text(
        tmp_path / "t.csv", "file,label\n" + "".join(f"{name},{i}\n" for i, name in enumerate(names))
    )
    found, unmatched = reader.read(reader.SourceConfig(audio=str(tmp_path), skip_unmatched=True))
    assert {r.recording_id: r.label for r in found} == {"a b": "0", "c#1": "1", "ü": "2"}
    assert ["1/download" in reason for _, reason in unmatched if "not below" in reason] == [True]


def test_two_candidates_and_no_candidate_are_listed(tmp_path):
    text = "file,label\nx.wav,a\ny.wav,a\nz.wav,\n"
    found, whole = _assemble(tmp_path, {"t.csv": text}, "A/x.wav", "B/x.wav", "z.wav")
    assert not found
    reasons = [reason for _, reason in whole.unmatched]
    assert "A/x.wav" in reasons[0] and "B/x.wav" in reasons[0]
    assert "'y.wav' is not below" in reasons[1] and "no label" in reasons[2]


def test_catalogues_may_tell_of_recordings_that_are_not_here(tmp_path):
    text = "ML Catalog Number,Scientific Name\n1,a\n2,b\n"
    found, whole = _assemble(tmp_path, {"t.csv": text}, "ML1.mp3")
    assert found["ML1.mp3"].labels == ("a",) and not whole.unmatched


def test_a_label_of_names_that_other_rows_have_is_several(tmp_path):
    text = 'file,label\nx.wav,"Great Tit, Blue Tit"\ny.wav,Great tit\nz.wav,Blue Tit\nv.wav,"Tit, Great"\n'
    text += "u.wav,Blue Tit & Great Tit\nt.wav,Blue Tit + Jay\n"
    found, _ = _assemble(tmp_path, {"t.csv": text}, *(f"{name}.wav" for name in "tuvxyz"))
    assert found["u.wav"].labels == ("Blue Tit", "Great Tit") and found["t.wav"].labels == ("Blue Tit + Jay",)
    assert found["x.wav"].labels == ("Great Tit", "Blue Tit") and found["v.wav"].labels == ("Tit, Great",)


@pytest.mark.parametrize(("mark", "zero"), [("-1", "0"), ("-1.0", "3"), ("-99", "0")])
def test_numbers_below_0_that_mark_what_has_no_label_are_no_negatives(tmp_path, caplog, mark, zero):
    text = f"file,start,end,label\nx.wav,0,1,1\nx.wav,1,2,{mark}\nx.wav,2,3,{zero}\ny.wav,0,1,2\n"
    found, _ = _assemble(tmp_path, {"t.csv": text}, "x.wav", "y.wav")
    assert [(a.label, a.negative) for a in found["x.wav"].annotations] == [("1", False), ("", False), (zero, False)]
    assert "1 labels such as -1 beside numbers of classes count as something without a name" in caplog.text
    assert ("0 is a class: if it stands for that" in caplog.text) == (zero == "0")


@pytest.mark.parametrize(("labels", "is_negative"), [("1 -1", True), ("1.0 0.0 -1.0", True), ("1 0 -99", False),
                                                   ("1 AMRO -1", False), ("2 -1", False)])  # fmt: skip
def test_minus_1_denies_1_if_there_are_no_other_numbers(tmp_path, labels, is_negative):
    cells = labels.split()
    text = "file,label\n" + "".join(f"{i}.wav,{cell}\n" for i, cell in enumerate(cells))
    found, _ = _assemble(tmp_path, {"t.csv": text}, *(f"{i}.wav" for i in range(len(cells))))
    last = f"{len(cells) - 1}.wav"
    assert (last in found and found[last].negative) == is_negative


def test_a_number_below_0_that_is_no_mark_denies_its_species(tmp_path, caplog):
    text = "file,label\nx.wav,22961\ny.wav,-22961\nz.wav,-1\n"
    found, whole = _assemble(tmp_path, {"t.csv": text}, "x.wav", "y.wav", "z.wav")
    assert found["y.wav"].negative and "z.wav" not in found
    assert "its species is unknown" in whole.left_out[0][1]


def test_a_code_has_the_latin_name_that_stands_beside_its_common_name(tmp_path):
    header = "Selection\tView\tBegin Time (s)\tEnd Time (s)\tCommon Name\tSpecies Code\n"
    lines = ["1\tS\t0\t3\tGreat Tit\tgretit1\n", "2\tS\t3\t6\tAmsel\teurbla\n", "3\tS\t6\t9\tGreat Tit\tParus major\n"]
    table = "Start (s),End (s),Scientific name,Common name,File\n0,3,Parus major,Great Tit,y.wav\n"
    amsel = "3,6,Turdus merula,Amsel,y.wav\n6,9,Turdus philomelos,Amsel,y.wav\n"
    found, _ = _assemble(tmp_path, {"x.txt": header + "".join(lines), "y.csv": table + amsel}, "x.wav", "y.wav")
    assert [(a.label, a.name) for a in found["x.wav"].annotations] == [
        ("gretit1", "Parus major"), ("eurbla", ""), ("Parus major", ""),
    ]  # fmt: skip


LATIN = "file,scientific_name,common_name,background\nx.wav,Parus major,Great Tit,{}\ny.wav,Turdus merula,Blackbird,\n"
CODES = "file,label,common_name,secondary_labels,background\nx.wav,gretit,Great Tit,{},wind\ny.wav,eurbla,Blackbird,,\n"


@pytest.mark.parametrize(
    ("table", "name", "background"),
    [(LATIN, "blackbird", "Turdus merula"), (LATIN, "Common Blackbird (Turdus merula)", "Turdus merula"),
     (LATIN, "Turdus merula (Blackbird)", "Turdus merula"), (LATIN, "Blue Tit", "Blue Tit"),
     (CODES, "Blackbird", "eurbla"), (CODES, "Blackbird (male)", "eurbla"), (CODES, "['eurbla']", "eurbla")],
)  # fmt: skip
def test_background_species_are_called_as_labels_are(tmp_path, table, name, background):
    found, _ = _assemble(tmp_path, {"t.csv": table.format(name)}, "x.wav", "y.wav")
    assert (found["x.wav"].background, found["x.wav"].background_known) == ((background,), True)


@pytest.mark.parametrize(
    ("label", "background", "is_known"),
    [("Parus major", "Blue Tit", False), ("Parus major", "Larus canus", True), ("gretit", "Larus canus", False),
     ("gretit", "eurbla", True), ("gretit", "eurbla, some wind", False), ("Great Tit", "Blue Tit", True),
     ("Parus major_Great Tit", "Larus canus_Gull", True)],
)  # fmt: skip
def test_a_background_named_as_no_label_is_not_known(tmp_path, caplog, label, background, is_known):
    found, _ = _assemble(tmp_path, {"t.csv": f'file,label,background\nx.wav,{label},"{background}"\n'}, "x.wav")
    assert found["x.wav"].background_known == is_known
    assert ("1 background species are named as no species of the set is" in caplog.text) != is_known


@pytest.mark.parametrize(
    ("cells", "labels"),
    [("AMRO|song,call;EATO", ("AMRO", "EATO")), ("AMRO;adult male,AMRO", ("AMRO", "AMRO")),
     ("AMRO;song;EATO,EATO", ("AMRO", "EATO", "EATO")), ("AMRO;song,song", ("AMRO", "song", "song")),
     ("song;call,call;alarm", ("song", "call", "call", "alarm")),
     ("dog;Song Sparrow,AMRO", ("dog", "Song Sparrow", "AMRO")),
     ("Great Tit;song,22961;song", ("Great Tit", "22961")), ("Parus major;song,AMRO;SONG", ("Parus major", "AMRO"))],
)  # fmt: skip
def test_kinds_of_sounds_beside_species_are_no_classes(tmp_path, caplog, cells, labels):
    x, y = cells.split(",")
    found, _ = _assemble(tmp_path, {"t.csv": f"file,label\nx.wav,{x}\ny.wav,{y}\n"}, "x.wav", "y.wav")
    assert (*found["x.wav"].labels, *found["y.wav"].labels) == labels
    told = "kinds of sounds stand beside species in a cell, the first: " in caplog.text
    assert told == any(word in cells and word not in labels for word in ("song", "male"))


@pytest.mark.parametrize(
    ("cells", "labels"),
    [("AMRO;0.97,EATO;83%", ("AMRO", "EATO")), ("song;0.9,call;0.8", ("song", "call")),
     ("AMRO;0.9,AMRO;0.8;song", ("AMRO", "AMRO")), ("Parus major;1.0,EATO", ("Parus major", "EATO")),
     ("AMRO;0.97,noise;0.97", ("AMRO",)), ("3;0.97,3;song", ("3", "3"))],
)  # fmt: skip
def test_scores_beside_names_are_no_classes(tmp_path, caplog, cells, labels):
    x, y = cells.split(",")
    found, _ = _assemble(tmp_path, {"t.csv": f"file,label\nx.wav,{x}\ny.wav,{y}\n"}, "x.wav", "y.wav")
    assert (*found["x.wav"].labels, *found["y.wav"].labels) == labels
    assert "scores stand beside names in a cell, the first: " in caplog.text


@pytest.mark.parametrize(
    ("cells", "labels", "is_told"),
    [("AMRO|2,AMRO;song", ("AMRO", "2", "AMRO"), True), ("3;7,7;AMRO", ("3", "7", "7", "AMRO"), False),
     ("AMRO;3,3", ("AMRO", "3", "3"), False), ("22961;gretit1,gretit1", ("22961", "gretit1", "gretit1"), False),
     ("3;song,7;call", ("3", "7"), False), ("12;male,AMRO;12", ("12", "AMRO", "12"), False)],
)  # fmt: skip
def test_whole_numbers_beside_names_are_classes(tmp_path, caplog, cells, labels, is_told):
    x, y = cells.split(",")
    found, _ = _assemble(tmp_path, {"t.csv": f"file,label\nx.wav,{x}\ny.wav,{y}\n"}, "x.wav", "y.wav")
    assert {*found["x.wav"].labels, *found["y.wav"].labels} == {*labels}
    assert ("1 numbers stand beside names in a cell and are classes, the first: '2'" in caplog.text) == is_told


@pytest.mark.parametrize(
    "cells", ["click;buzz,click", "whistle;call,AMRO;call", "adult;pup,pup", "Song;Trill,Trill", "AMRO;song,song"]
)
def test_kinds_of_sounds_beside_names_that_may_be_kinds_are_classes(tmp_path, caplog, cells):
    x, y = cells.split(",")
    found, _ = _assemble(tmp_path, {"t.csv": f"file,label\nx.wav,{x}\ny.wav,{y}\n"}, "x.wav", "y.wav")
    assert (*found["x.wav"].labels, *found["y.wav"].labels) == tuple(cells.replace(",", ";").split(";"))
    assert "1 kinds of sounds stand beside other names in a cell and are classes, the first: " in caplog.text


@pytest.mark.parametrize(
    "table",
    ["site,file,label\nS1,{0},a\nS2,{0},b\n", "filename,filepath,label\n{0},S1/{0},a\n{0},D:\\S2\\{0},b\n",
     "file,sound file,label\n{0},S1/{0},a\n{0},S2/{0},b\n"],
)  # fmt: skip
def test_sites_and_paths_tell_recordings_of_one_name_apart(tmp_path, table):
    found, whole = _assemble(tmp_path, {"t.csv": table.format(CLOCK)}, f"S1/{CLOCK}", f"S2/{CLOCK}")
    assert {name: r.label for name, r in found.items()} == {f"S1/{CLOCK}": "a", f"S2/{CLOCK}": "b"}
    assert not whole.unmatched


def test_a_latin_and_a_common_name_in_a_cell_are_one_label(tmp_path):
    robin = "Erithacus rubecula, Rougegorge familier"
    text = f'file,label,background\nx.wav,"Turdus merula, Merle noir","{robin}"\ny.wav,"{robin}",Merle noir\n'
    others = ("Parus major, Great tit", "Sturnus vulgaris, Common starling", "Alauda arvensis, Eurasian skylark")
    text += "".join(f'{i}.wav,"{name}",\n' for i, name in enumerate(others))
    found, _ = _assemble(tmp_path, {"t.csv": text}, "x.wav", "y.wav", "0.wav", "1.wav", "2.wav")
    assert found["x.wav"].labels == ("Turdus merula, Merle noir",) and found["x.wav"].background == (robin,)
    assert found["y.wav"].background == ("Turdus merula, Merle noir",)


def test_cells_of_two_words_that_may_be_one_name_are_told(tmp_path, caplog):
    found, _ = _assemble(tmp_path, {"x.txt": "0\t3\ttit, great\n", "y.txt": "0\t3\tjay\n"}, "x.wav", "y.wav")
    assert found["x.wav"].labels == ("great", "tit")
    assert "1 cells of two words in small letters are two classes each, the first: 'tit, great'" in caplog.text

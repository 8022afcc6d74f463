import json

import pytest

from bird_tf import config
from bird_tf.labels.formats import formats
from bird_tf.labels.layouts import matching, unread_labels
from bird_tf.labels.tables import rows
from tests.labels import example_sets

LABELS = {
    "lines.jsonl": "".join(
        f'{{"audio": "{f}", "category": "{c}"}}\n' for f, c in zip("xyz", ("Jay", "Owl", "Jay"), strict=True)
    ),
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
    "nothing.txt": "",
    "blank.csv": "\n\n",
    "measures.csv": "Datei;Pegel;Rate\nx.wav;-20,5;44100\ny.wav;-21;44100\nz.wav;-20,5;48000\n",
    "notes.csv": "Datei;Bemerkung\nx.wav;kurz\ny.wav;lang, Wind\nz.wav;leise\n",
    "places.csv": "Datei;site;recordist\nx.wav;Moor;Ann\ny.wav;Moor;Bob\nz.wav;Wald;Bob\n",
    "only_sites.csv": "Datei;Ort\nx.wav;S1\ny.wav;S1\nz.wav;S2\n",
    "quoted.csv": 'Datei;Art\nx.wav;"Amsel\n',
}


def _refuse_folders(folder, name, text, folders):
    sources = [formats.read(example_sets.write_text(folder / name, text), rows.Options())]
    paths = [str(folder / below) for below in ("S1/x.wav", "S1/y.wav", "S2/z.wav")]
    unread_labels.refuse_folders(sources, matching.Recordings(paths, str(folder)), folders, rows.Options())


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
@pytest.mark.parametrize("column", ["ring", "bird_id", "Art der Aufnahme", "group of birds", "#"])
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


def test_the_advice_is_the_flag_that_reads_the_table(tmp_path):
    with pytest.raises(config.InputError, match=r"\(AMRO, NOCA\): say --columns=file=filename; if"):
        _refuse_folders(tmp_path, "t.csv", LABELS["one_hot.csv"], {"S1", "S2"})


def test_the_columns_that_may_tell_labels_are_named(tmp_path):
    with pytest.raises(config.InputError, match=r"\(Art\): say --columns=file=Datei --columns=label=NAME"):
        _refuse_folders(tmp_path, "t.csv", LABELS["site.csv"], {"S1", "S2"})
    with pytest.raises(config.InputError, match=r"\(category\): say --columns=label=NAME"):
        _refuse_folders(tmp_path, "t.csv", LABELS["known_file.csv"], {"S1", "S2"})


@pytest.mark.parametrize(
    ("column", "cells", "folders", "is_refused"),
    [("class_id", "230", {"Moor", "Wald"}, True), ("species", "230", {"S1", "S2"}, True),
     ("class", "1234", {"Great Tit", "Jay"}, False), ("label", "123", {"Moor", "Wald"}, False),
     ("species_id", "23230", {"ff1010bird", "warblr"}, True), ("hasbird", "0110", {"ff1010bird", "warblr"}, True),
     ("species_id", "0330", {"train", "test"}, True),
     ("class_id", "0011", {"Great Tit", "Jay"}, False), ("class_id", "0110", {"Great Tit", "Jay"}, False),
     ("class_id", "2302", {"gretit1", "eurjay1"}, False), ("has_bird", "0110", {"AMRO", "EATO"}, False),
     ("Bird-Presence", "0110", {"Great Tit", "Jay"}, True), ("bird_seen", "0110", {"Great Tit", "Jay"}, False),
     ("num_birds", "0110", {"Great Tit", "Jay"}, False), ("sea_waves", "0110", {"Great Tit", "Jay"}, False),
     ("has_bird", "0110", {"Great Tit", "Jay", "Wren", "Owl"}, False), ("rain", "0110", {"Great Tit", "Jay"}, False),
     ("bird_id", "2302", {"Great Tit", "Jay"}, False), ("age class", "2302", {"Great Tit", "Jay"}, False),
     ("class_id", "2302", {"Parus major", "Sitta europaea"}, False)],
)  # fmt: skip
def test_numbers_of_classes_that_cross_few_folders_may_tell_others(tmp_path, column, cells, folders, is_refused):
    several, paths = sorted(folders), [f"{i}.wav" for i in range(2 * len(cells))]
    table = f"itemid,{column}\n" + "".join(f"{path},{cells[i % len(cells)]}\n" for i, path in enumerate(paths))
    source = formats.read(example_sets.write_text(tmp_path / "t.csv", table), rows.Options())
    below = [str(tmp_path / several[i // len(cells) % len(several)] / path) for i, path in enumerate(paths)]
    if cells == "0011":  # each folder has its number
        below = [str(tmp_path / several[int(cells[i % len(cells)])] / path) for i, path in enumerate(paths)]
    known = matching.Recordings(below, str(tmp_path))
    if is_refused:
        with pytest.raises(config.InputError, match=rf"may tell species \({column}\): say --columns=file=itemid"):
            unread_labels.refuse_folders([source], known, folders, rows.Options())
    else:
        unread_labels.refuse_folders([source], known, folders, rows.Options())


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
    ("text", "folders", "is_refused"),
    [("folder,species\nalpha,Parus major\nbeta,Turdus merula\ngamma,Parus major\n", {"alpha", "beta", "gamma"}, True),
     ("point,species\nS1,Parus major\nS2,Turdus merula\n", {"S1", "S2"}, True),
     ("folder,species\nAMRO,American Robin\nEATO,Eastern Towhee\n", {"AMRO", "EATO"}, False),
     ("code,species,category\nAMRO,Robin,bird\nEATO,Towhee,bird\n", {"AMRO", "EATO"}, False),
     ("folder,species\nAMRO,Robin\nEATO,Towhee\nNOIS,\nBAD,\nSOSP,Sparrow\nLISP,Sparrow\n", {"AMRO", "EATO"}, False),
     ("folder,species\na,Robin\na,Towhee\nb,Robin\nb,Towhee\n", {"a", "b"}, True),
     ("folder,species\nAMRO_song,AMRO\nAMRO_call,AMRO\nEATO,EATO\n", {"AMRO_song", "AMRO_call", "EATO"}, False),
     ("folder,species\nAMRO_song,Turdus migratorius\nAMRO_male call,Turdus migratorius\nEATO,Pipilo erythrophthalmus\n",
      {"AMRO_song", "AMRO_male call", "EATO"}, False),
     ("folder,species\nAMRO_1,AMRO\nAMRO_2,AMRO\n", {"AMRO_1", "AMRO_2"}, True),
     ("folder,sound type\nTit,song\nJay,song\n", {"Tit", "Jay"}, False),
     ("site,habitat\nS1,Moor\nS2,Moor\n", {"S1", "S2"}, False)],
)  # fmt: skip
def test_a_table_may_tell_the_species_of_folders(tmp_path, text, folders, is_refused):
    if is_refused:
        with pytest.raises(config.InputError, match=r"names the folders, and may tell their species \(species\)"):
            _refuse_folders(tmp_path, "t.csv", text, folders)
    else:
        _refuse_folders(tmp_path, "t.csv", text, folders)


@pytest.mark.parametrize(
    ("folders", "is_refused"),
    [(("song", "call"), False), (("Gesang", "Ruf"), False), (("male", "female"), False), (("day", "night"), True)],
)
def test_folders_of_kinds_of_sounds_may_hold_the_same_species(tmp_path, folders, is_refused):
    latin = ("Parus major", "Turdus merula")
    paths = [str(tmp_path / each / f"XC{i} - Bird - {latin[i % 2]}.mp3") for each in folders for i in range(4)]
    known = matching.Recordings(paths, str(tmp_path))
    if is_refused:
        with pytest.raises(config.InputError, match="names of recordings tell other species than the folders"):
            unread_labels.refuse_folders((), known, folders, rows.Options())
    else:
        unread_labels.refuse_folders((), known, folders, rows.Options())


FILES = ("S1/x.wav", "S1/y.wav", "S2/z.wav")
PAIRS = dict(zip(FILES, ("AMRO", "EATO", "AMRO"), strict=True))
LISTS = {
    "list.csv": "S1/x.wav,AMRO\nS1/y.wav,EATO\nS2/z.wav,AMRO\n",
    "title.csv": "Labels of May,\nfile,species\nx.wav,AMRO\ny.wav,EATO\nz.wav,AMRO\n",
    "comment.csv": "# Labels of May\nfile,species\nx.wav,AMRO\ny.wav,EATO\nz.wav,AMRO\n",
    "call.csv": "recording_name,call\nx.wav,AMRO\ny.wav,EATO\nz.wav,AMRO\n",
    "pairs.json": json.dumps(PAIRS),
    "list.json": json.dumps([{"file": file, "label": label} for file, label in PAIRS.items()]),
    "within.json": json.dumps({"sounds": [{"path": f, "tags": [label]} for f, label in PAIRS.items()]}),
    "coco.json": json.dumps(
        {"sounds": [{"id": 1, "file_name_path": f} for f in FILES], "categories": [{"name": "AMRO"}]}
    ),
}
NO_LISTS = {
    "formats.txt": "S1/x.wav 44100 mono\nS1/y.wav 44100 stereo\nS2/z.wav 44100 mono\n",
    "log.txt": "processed x.wav in 3 s ok\nprocessed y.wav in 3 s slow\nprocessed z.wav in 3 s ok\n",
    "title.csv": "Recordings of 2023\nfile,recordist,site\nx.wav,Ann,Moor\ny.wav,Bob,Moor\nz.wav,Ann,Wald\n",
    "authors.json": json.dumps(
        [
            {"file": f, "author": a, "date": "May", "cnt": c}
            for f, a, c in zip(FILES, ("Ann", "Bob", "Ann"), ("Peru", "Chile", "Peru"), strict=True)
        ]
    ),
    "speakers.jsonl": "".join(json.dumps({"file": f, "speaker": "Ann" if "x" in f else "Bob"}) + "\n" for f in FILES),
    "sums.txt": "d41d8cd98f00b204 S1/x.wav\ne41d8cd98f00b204 S1/y.wav\nf41d8cd98f00b204 S2/z.wav\n",
    "files.txt": "S1/x.wav\nS1/y.wav\nS2/z.wav\n",
    "calls.csv": "recording_name,call\nx.wav,alarm call\ny.wav,song\nz.wav,song\n",
    "devices.json": json.dumps(
        [{"file": f, "device": d} for f, d in zip(FILES, ("SM4", "SM4", "AudioMoth"), strict=True)]
    ),
    "no_tags.json": json.dumps({"recordings": [{"path": file} for file in FILES], "tags": []}),
    "sites.json": json.dumps({file: file[:2] for file in FILES}),
    "broken.jsonl": "{",
    "empty.txt": "",
    "words.txt": "Dear all\nthese are the recordings of May\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_a_file_of_any_form_may_tell_that_folders_are_places(tmp_path, name):
    for folders in ({"S1", "S2"}, {"S1_clips", "S2_wav"}):
        with pytest.raises(config.InputError, match=r"may tell species .*the folders, such as S1.*, say --layout=f"):
            _refuse_folders(tmp_path, name, LISTS[name], folders)
    _refuse_folders(tmp_path, name, LISTS[name], {"Great Tit", "Jay"})


@pytest.mark.parametrize("name", NO_LISTS)
def test_lists_of_something_else_do_no_harm_to_folders(tmp_path, name):
    _refuse_folders(tmp_path, name, NO_LISTS[name], {"S1", "S2"})


def test_folders_that_json_has_as_species_are_species(tmp_path):
    coco = {"sounds": [{"file": file} for file in FILES], "categories": [{"name": "S1"}, {"name": "S2"}]}
    _refuse_folders(tmp_path, "t.json", json.dumps(coco), {"S1", "S2"})
    _refuse_folders(
        tmp_path, "t.json", LISTS["coco.json"], {"01_Aves_Paridae_Parus_major", "02_Aves_Turdidae_Turdus_merula"}
    )


_OF_XENO_CANTO = "id,gen,sp,en\n1,Parus,major,Great Tit\n2,Turdus,merula,Blackbird\n"


@pytest.mark.parametrize(
    "text", ["xc_id,species\n1,jay\n2,owl\n3,jay\n4,owl\n", _OF_XENO_CANTO + "3,Parus,major,\n4,Turdus,merula,\n"]
)
@pytest.mark.parametrize(
    ("folders", "is_refused", "is_told"),
    [("Anna Anna Bob Bob", False, True), ("S1 S1 S2 S2", True, False), ("gretit1 eurbla gretit1 eurbla", False, False),
     ("Anna Anna Anna Anna", False, False), ("bird bird bird nobird", False, False),
     ("song song call call", False, False)],
)  # fmt: skip
def test_catalogue_numbers_name_recordings_if_species_cross_the_folders(
    tmp_path, text, folders, is_refused, is_told, caplog
):
    paths = [str(tmp_path / folder / f"XC{i} - x.mp3") for i, folder in enumerate(folders.split(), start=1)]
    known = matching.Recordings(paths, str(tmp_path))
    sources = [formats.read(example_sets.write_text(tmp_path / "m.csv", text), rows.Options())]
    if not is_refused:
        unread_labels.refuse_folders(sources, known, {*folders.split()}, rows.Options())
        assert ("names recordings by catalogue numbers" in caplog.text) == is_told
        return
    with pytest.raises(
        config.InputError, match=r"names recordings in its column (xc_)?id, .*: say --columns=file=(xc_)?id"
    ):
        unread_labels.refuse_folders(sources, known, {*folders.split()}, rows.Options())


def test_names_of_recordings_count_before_catalogue_numbers(tmp_path):
    paths = [str(tmp_path / folder / f"XC{i}.mp3") for i, folder in enumerate(("Jay", "Jay", "Owl"), start=1)]
    table = "id,snd,species\n1,XC1.mp3,x1a\n2,XC2.mp3,x1a\n3,XC3.mp3,x2a\n"
    sources = [formats.read(example_sets.write_text(tmp_path / "m.csv", table), rows.Options())]
    with pytest.raises(config.InputError, match=r"in its column snd, .* say --columns=file=snd"):
        unread_labels.refuse_folders(sources, matching.Recordings(paths, str(tmp_path)), {"Jay", "Owl"}, rows.Options())

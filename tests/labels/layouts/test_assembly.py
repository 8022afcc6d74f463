import pytest

from bird_tf.labels.layouts import assembly, columns, formats, matching, rows
from tests.labels.layouts import example_sets


def _assemble(folder, tables, *below, min_confidence=0.0, given=()):
    """Reads tables {name: text} that lie beside the recordings; names below the folder take the place of paths."""
    options = rows.Options(columns=columns.parse(given))
    sources = [formats.read(example_sets.write_text(folder / name, text), options) for name, text in tables.items()]
    assert not any(source.problem for source in sources)
    known = matching.Recordings([str(folder / name) for name in below], str(folder))
    found = assembly.assemble(sources, known, min_confidence)
    return {known.below(r.path): r for r in found.recordings}, found


def test_rows_with_times_annotate_their_recordings(tmp_path):
    text = "file,label,start,end,background\nx.wav,a,0,2,none\nx.wav,b,2.5,8,c\ny.wav,a,1,2,\n"
    found, _ = _assemble(tmp_path, {"t.csv": text}, "x.wav", "y.wav")
    x, y = found["x.wav"], found["y.wav"]
    assert x.annotations == (example_sets.annotation(0.0, 2.0, "a"), example_sets.annotation(2.5, 8.0, "b", "c"))
    assert (x.label, x.background, x.background_known, y.background_known) == ("b", ("a", "c"), True, False)


def test_several_labels_of_a_span_are_an_annotation_each(tmp_path):
    found, _ = _assemble(tmp_path, {"t.csv": "file,start,end,label\nx.wav,0,5,a;b\n"}, "x.wav")
    assert [a.label for a in found["x.wav"].annotations] == ["a", "b"]


def test_several_labels_of_a_recording_are_all_of_its_classes(tmp_path):
    text = "file,label,background\nx.wav,a;b,c\ny.wav,a,none\ny.wav,b,none\n"
    found, _ = _assemble(tmp_path, {"t.csv": text}, "x.wav", "y.wav")
    for name, background in (("x.wav", ("b", "c")), ("y.wav", ("b",))):
        assert (found[name].labels, found[name].background) == (("a", "b"), background)


def test_a_table_tells_author_and_place_of_recordings_with_annotations(tmp_path):
    tables = {
        "metadata.csv": "file,species,recordist,lat,date\nx.wav,a,Ann,52.5,2023-05-01\n",
        "x.txt": "1\t3\tb\n",
    }
    found, _ = _assemble(tmp_path, tables, "x.wav")
    x = found["x.wav"]
    assert (x.labels, x.author, x.latitude, x.date) == (("b",), "Ann", 52.5, "2023-05-01")


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


def test_a_recording_that_lies_in_neither_of_two_folders_belongs_to_none(tmp_path):
    text = "site,file,label\nS1,x.wav,a\nS2,x.wav,b\nS1,y.wav,a\n"
    found, whole = _assemble(tmp_path, {"t.csv": text}, "x.wav", "y.wav")
    assert list(found) == ["y.wav"] and len(whole.unmatched) == 2


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


def test_two_candidates_and_no_candidate_are_listed(tmp_path):
    text = "file,label\nx.wav,a\ny.wav,a\nz.wav,\n"
    found, whole = _assemble(tmp_path, {"t.csv": text}, "A/x.wav", "B/x.wav", "z.wav")
    assert not found
    reasons = [reason for _, reason in whole.unmatched]
    assert "A/x.wav" in reasons[0] and "B/x.wav" in reasons[0]
    assert "'y.wav' is not below" in reasons[1] and "no label" in reasons[2]


def test_rows_that_cannot_be_used_cost_the_row_and_not_the_recording(tmp_path):
    text = "file,label,start,end\nx.wav,a,0,2\nx.wav,b,x,2\nx.wav,c,5,5\nx.wav,,7,8\nx.wav,d,,\n"
    found, whole = _assemble(tmp_path, {"t.csv": text}, "x.wav")
    assert found["x.wav"].labels == ("a",)
    # what is known to be there without a name is no place for noise
    assert [(a.start_seconds, a.label, a.negative) for a in found["x.wav"].annotations] == [
        (0.0, "a", False), (5.0, "", False), (7.0, "", False),
    ]  # fmt: skip
    assert sorted(where.rsplit(" ", 1)[1] for where, _ in whole.left_out) == ["3", "4", "5", "6"]
    assert not whole.unmatched


@pytest.mark.parametrize("row", ["x.wav,b,x,2", "x.wav,b,4,3", "x.wav,b,,"])
def test_where_a_label_is_not_known_nothing_is_noise(tmp_path, row):
    found, _ = _assemble(
        tmp_path, {"t.csv": f"file,label,start,end\nx.wav,a,0,2\n{row}\ny.wav,a,0,2\n"}, "x.wav", "y.wav"
    )
    assert [found[name].partly_annotated for name in ("x.wav", "y.wav")] == [True, False]


def test_a_recording_without_any_row_that_can_be_used_is_no_negative(tmp_path):
    found, whole = _assemble(tmp_path, {"x.txt": "5\t4\ta\n"}, "x.wav")
    assert not found and "none of its 1 rows" in whole.unmatched[0][1]


def test_labels_below_the_least_confidence_are_neither_there_nor_not_there(tmp_path):
    text = "File,Start (s),End (s),Scientific name,Confidence\nx.wav,0,3,a,0.9\nx.wav,3,6,b,0.2\ny.wav,0,3,a,0.1\n"
    found, whole = _assemble(tmp_path, {"t.csv": text}, "x.wav", "y.wav", min_confidence=0.5)
    assert [(a.label, a.negative) for a in found["x.wav"].annotations] == [("a", False), ("", False)]
    assert "y.wav" not in found and not whole.unmatched and "--min_confidence" in whole.left_out[0][1]


@pytest.mark.parametrize("label", ["noise", "-a", "no call"])
def test_negative_rows_make_negative_recordings_and_stretches(tmp_path, label):
    tables = {
        "t.csv": f"file,label\nx.wav,{label}\n",
        "s.csv": f"file,label,start,end\ny.wav,{label},1,2\ny.wav,a,3,4\n",
    }
    found, _ = _assemble(tmp_path, tables, "x.wav", "y.wav")
    assert found["x.wav"].negative and found["x.wav"].labels == ()
    assert found["y.wav"].annotations[0] == example_sets.annotation(1.0, 2.0, "", negative=True)


def test_files_that_contradict_each_other_are_both_named(tmp_path):
    tables = {"1.csv": "file,label\nx.wav,a\ny.wav,b\n", "2.csv": "file,label\nx.wav,b\ny.wav,b\n"}
    found, whole = _assemble(tmp_path, tables, "x.wav", "y.wav")
    assert list(found) == ["y.wav"]
    assert "1.csv says a, and" in whole.unmatched[0][1] and "2.csv says b" in whole.unmatched[0][1]


def test_catalogues_may_tell_of_recordings_that_are_not_here(tmp_path):
    text = "ML Catalog Number,Scientific Name\n1,a\n2,b\n"
    found, whole = _assemble(tmp_path, {"t.csv": text}, "ML1.mp3")
    assert found["ML1.mp3"].labels == ("a",) and not whole.unmatched


def test_a_sequence_of_recordings_is_read_from_one_table(tmp_path):
    header = "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tSpecies\n"
    text = header + "1\t2\t5\ta.wav\t2\tParus major\n2\t30\t33\tb.wav\t10\tTurdus merula\n"
    found, _ = _assemble(tmp_path, {"a.Table.1.selections.txt": text}, "a.wav", "b.wav")
    assert found["b.wav"].annotations == (example_sets.annotation(10.0, 13.0, "Turdus merula"),)
    assert found["a.wav"].labels == ("Parus major",)


def test_rows_that_repeat_a_species_without_times_are_refused(tmp_path):
    text = "file,label,t0,t1\nx.wav,a,0,1\nx.wav,a,5,6\n"
    found, whole = _assemble(tmp_path, {"t.csv": text}, "x.wav")
    assert not found and "--columns=start=NAME" in whole.unmatched[0][1]


def test_a_table_whose_labels_are_empty_leaves_them_to_the_annotations(tmp_path):
    header = "Selection\tView\tBegin Time (s)\tEnd Time (s)\tSpecies\n"
    tables = {"t.csv": "file,label,author\nx.wav,,Ann\ny.wav,,Ann\n", "x.txt": "0\t1\ta\n", "y.txt": header}
    found, whole = _assemble(tmp_path, tables, "x.wav", "y.wav")
    assert (found["x.wav"].label, found["y.wav"].negative, found["y.wav"].author) == ("a", True, "Ann")
    assert not whole.unmatched


def test_a_label_of_names_that_other_rows_have_is_several(tmp_path):
    text = 'file,label\nx.wav,"Great Tit, Blue Tit"\ny.wav,Great tit\nz.wav,Blue Tit\nv.wav,"Tit, Great"\n'
    text += "u.wav,Blue Tit & Great Tit\nt.wav,Blue Tit + Jay\n"
    found, _ = _assemble(tmp_path, {"t.csv": text}, *(f"{name}.wav" for name in "tuvxyz"))
    assert found["u.wav"].labels == ("Blue Tit", "Great Tit") and found["t.wav"].labels == ("Blue Tit + Jay",)
    assert found["x.wav"].labels == ("Great Tit", "Blue Tit") and found["v.wav"].labels == ("Tit, Great",)


def test_a_minus_before_what_is_no_label_is_refused(tmp_path):
    text = "file,label\nx.wav,a\ny.wav,-a\nz.wav,-Parus major\nv.wav,-loud\n"
    found, assembled = _assemble(tmp_path, {"t.csv": text}, *(f"{name}.wav" for name in "tuvxyz"))
    assert found["y.wav"].negative and found["z.wav"].negative
    [reason] = [reason for path, reason in assembled.unmatched if path.endswith("v.wav")]
    assert "no other label is loud; rename the class, or say --negative_labels=-loud" in reason


def test_an_old_version_beside_the_new_one_is_refused(tmp_path):
    tables = {"x.txt": "0\t6\ta\n", "x.old.txt": "0\t6\tb\n", "y.txt": "0\t6\tb\n", "y.old.txt": "0\t5\tb\n"}
    found, assembled = _assemble(tmp_path, tables, "x.wav", "y.wav")
    assert list(found) == ["y.wav"]
    [(_, reason)] = assembled.unmatched
    assert "x.old.txt says b" in reason and "x.txt says a" in reason and "move the old version away" in reason


def test_files_that_may_both_be_right_are_told(tmp_path, caplog):
    header = "Selection\tView\tBegin Time (s)\tEnd Time (s)\tSpecies\n"
    tables = {"x.txt": "0\t6\ta\n", "x.Table.1.selections.txt": header + "1\tS\t0\t6\tb\n"}
    tables |= {f"{name}.csv": f"file,start,end,label\ny.wav,1,2,{name}\n" for name in "ab"}
    found, assembled = _assemble(tmp_path, tables, "x.wav", "y.wav")
    assert found["x.wav"].labels == found["y.wav"].labels == ("a", "b") and not assembled.unmatched
    assert "2 recordings have files that say different species of the same span" in caplog.text


def test_where_a_selection_of_another_recording_goes_on_is_no_noise(tmp_path):
    header = "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tEnd File\tFile Offset (s)\tSpecies\n"
    text = header + "1\t9\t18\ta.wav\tb.wav\t9\tParus major\n2\t21\t24\tb.wav\tb.wav\t9\tTurdus merula\n"
    found, assembled = _assemble(tmp_path, {"a.Table.1.selections.txt": text}, "a.wav", "b.wav")
    assert found["b.wav"].partly_annotated and not found["a.wav"].partly_annotated
    assert found["b.wav"].labels == ("Turdus merula",) and "b.wav" in assembled.left_out[0][1]


def test_a_code_has_the_latin_name_that_stands_beside_its_common_name(tmp_path):
    header = "Selection\tView\tBegin Time (s)\tEnd Time (s)\tCommon Name\tSpecies Code\n"
    lines = ["1\tS\t0\t3\tGreat Tit\tgretit1\n", "2\tS\t3\t6\tAmsel\teurbla\n", "3\tS\t6\t9\tGreat Tit\tParus major\n"]
    table = "Start (s),End (s),Scientific name,Common name,File\n0,3,Parus major,Great Tit,y.wav\n"
    amsel = "3,6,Turdus merula,Amsel,y.wav\n6,9,Turdus philomelos,Amsel,y.wav\n"
    found, _ = _assemble(tmp_path, {"x.txt": header + "".join(lines), "y.csv": table + amsel}, "x.wav", "y.wav")
    assert [(a.label, a.name) for a in found["x.wav"].annotations] == [
        ("gretit1", "Parus major"), ("eurbla", ""), ("Parus major", ""),
    ]  # fmt: skip

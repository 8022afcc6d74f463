import pytest

from bird_tf import config
from bird_tf.labels import label_cells, metadata
from bird_tf.labels.formats import formats
from bird_tf.labels.layouts import assembly, matching
from bird_tf.labels.tables import columns, rows
from tests.labels import example_sets


def _assemble(folder, tables, *below, min_confidence=0.0, given=(), with_points=False):
    """Reads tables {name: text} that lie beside the recordings; names below the folder take the place of paths."""
    options = rows.Options(columns=columns.parse(given))
    sources = [formats.read(example_sets.write_text(folder / name, text), options) for name, text in tables.items()]
    assert not any(source.problem for source in sources)
    known = matching.Recordings([str(folder / name) for name in below], str(folder))
    found = assembly.assemble(sources, known, min_confidence, with_points=with_points)
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


def test_labels_of_whole_recordings_that_do_not_count_beside_those_in_time_are_told(tmp_path, caplog):
    tables = {"known.csv": "file,label\nx.wav,a\n", "t.csv": "file,label,start,end\ny.wav,b,0,1\n"}
    _assemble(tmp_path, tables, "x.wav", "y.wav")
    assert "labels in time" not in caplog.text  # each recording has one of the two
    found, _ = _assemble(tmp_path, tables | {"known.csv": "file,label\nx.wav,a\ny.wav,a\n"}, "x.wav", "y.wav")
    assert "1 recordings have labels in time, and others of the whole recording, the first: " in caplog.text
    assert found["y.wav"].labels == ("b",)


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


def test_the_species_of_a_point_in_time_is_background_and_no_label(tmp_path):
    text = "file,label,start,end,confidence\nx.wav,a,0,2,1\nx.wav,c,1,1,0.9\nx.wav,d,1.5,1.5,0.1\n"
    found, whole = _assemble(tmp_path, {"t.csv": text}, "x.wav", min_confidence=0.5)
    assert (found["x.wav"].labels, found["x.wav"].background) == (("a",), ("c",))
    assert [(a.start_seconds, a.label, a.background) for a in found["x.wav"].annotations] == [
        (0.0, "a", ()), (1.0, "", ("c",)), (1.5, "", ()),
    ]  # fmt: skip
    assert len(whole.left_out) == 2


def test_a_point_in_time_is_an_annotation_where_points_count(tmp_path):
    tables = {"x.txt": "1.5\t1.5\ta\n", "y.txt": "2\t2\t\n3\t4\ta\n"}
    found, whole = _assemble(tmp_path, tables, "x.wav", "y.wav", with_points=True)
    point = found["x.wav"].annotations[0]
    assert (point.start_seconds, point.end_seconds, point.label) == (1.5, pytest.approx(1.501), "a")
    assert [reason for _, reason in whole.left_out] == ["it has no label: the chunks there are not used"]


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


@pytest.mark.parametrize(("of_times", "times"), [(",start,end", ",0,1"), ("", "")])
def test_a_recording_without_any_sure_label_is_left_out_and_the_others_go_on(tmp_path, of_times, times):
    text = f"file,label,correct{of_times}\nx.wav,a,y{times}\ny.wav,a,n{times}\nz.wav,????,y{times}\n"
    found, whole = _assemble(tmp_path, {"t.csv": text}, "x.wav", "y.wav", "z.wav")
    assert list(found) == ["x.wav"] and not whole.unmatched
    assert [path.rsplit("/", 1)[1] for path, _ in whole.left_out] == ["y.wav", "z.wav"]


@pytest.mark.parametrize(("channel", "words"), [(0, "unknown"), (2, "unknown or of another channel")])
def test_a_label_of_another_channel_is_told_as_such(channel, words):
    row = rows.unsure(rows.Row(where="t.csv, line 2", channel=channel, labels=label_cells.parse("a")))
    with pytest.raises(config.InputError, match=f"t.csv, line 2: its species is {words}$"):
        assembly.with_label(metadata.unknown("x.wav"), [row])


def test_a_label_of_a_whole_recording_that_is_not_sure_leaves_its_background_unknown(tmp_path):
    text = "file,label,background,confidence\n"
    text += "x.wav,a,none,0.9\nx.wav,b,none,0.2\ny.wav,a,none,0.9\nz.wav,a,none,0.9\nz.wav,?,none,0.9\n"
    found, _ = _assemble(tmp_path, {"t.csv": text}, "x.wav", "y.wav", "z.wav", min_confidence=0.5)
    assert [found[name].background_known for name in ("x.wav", "y.wav", "z.wav")] == [False, True, False]


def test_what_has_no_name_beside_a_species_is_heard_as_well(tmp_path):
    tables = {"t.csv": "file,label,background\nx.wav,a;?,none\n", "y.txt": "0\t3\ta;?\n3\t6\ta;-\n"}
    found, _ = _assemble(tmp_path, tables, "x.wav", "y.wav")
    assert found["x.wav"].labels == ("a",) and not found["x.wav"].background_known
    assert [(a.start_seconds, a.label) for a in found["y.wav"].annotations] == [(0.0, ""), (0.0, "a"), (3.0, "a")]


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


def test_rows_of_one_table_that_contradict_each_other_are_told_and_persons_who_agree_are_fine(tmp_path, caplog):
    tables = {
        "s.csv": "file,start,end,species,annotator\nx.wav,0,2,a,Ann\nx.wav,0,2,b,Bob\ny.wav,0,2,a,A\ny.wav,0,2,a,B\n",
        "t.csv": "file,species,Annotated_By\nv.wav,a,Ann\nv.wav,a,Bob\nw.wav,a,Ann\nw.wav,none,Ann\n",
    }
    found, assembled = _assemble(tmp_path, tables, *(f"{name}.wav" for name in "vwxy"))
    assert {name: r.labels for name, r in found.items()} == {
        "x.wav": ("a", "b"), "y.wav": ("a",), "v.wav": ("a",), "w.wav": ("a",),
    }  # fmt: skip
    assert not assembled.unmatched and "2 recordings have rows of one file that contradict each other" in caplog.text
    assert "a (Ann) and b (Bob) at 0 to 2 s" in caplog.text and "several rows without times" not in caplog.text


def test_tables_that_may_be_versions_of_each_other_are_told(tmp_path, caplog):
    tables = {"t.csv": "file,species\nx.wav,a\n", "t_old.csv": "file,species\nx.wav,a\ny.wav,b\n"}
    found, _ = _assemble(tmp_path, tables, "x.wav", "y.wav")
    assert list(found) == ["x.wav", "y.wav"]
    assert "1 pairs of files are named as versions" in caplog.text and "t_old.csv" in caplog.text


@pytest.mark.parametrize(
    ("header", "rows_of_x", "is_told"),
    [("lat,lon", ("52.5,13.4", "10,13.4"), True), ("lat,lon", ("52.5,13.4", "52.51,13.4"), False),
     ("lat,date", ("52.5,2023-05-01", "52.5,2023-05-02"), True), ("lat,date", ("52.5,2023-05-01", ","), False)],
)  # fmt: skip
def test_rows_of_a_recording_at_different_places_are_told(tmp_path, caplog, header, rows_of_x, is_told):
    text = "".join(f"x.wav,{label},{told}\n" for label, told in zip("ab", rows_of_x, strict=True))
    found, _ = _assemble(tmp_path, {"t.csv": f"file,species,{header}\n{text}y.wav,a,1,\n"}, "x.wav", "y.wav")
    assert found["x.wav"].latitude == 52.5
    assert ("1 recordings have rows that name different places or days" in caplog.text) == is_told


def test_where_a_selection_of_another_recording_goes_on_is_no_noise(tmp_path):
    header = "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tEnd File\tFile Offset (s)\tSpecies\n"
    text = header + "1\t9\t18\ta.wav\tb.wav\t9\tParus major\n2\t21\t24\tb.wav\tb.wav\t9\tTurdus merula\n"
    found, assembled = _assemble(tmp_path, {"a.Table.1.selections.txt": text}, "a.wav", "b.wav")
    assert found["b.wav"].partly_annotated and not found["a.wav"].partly_annotated
    assert [a.goes_on for name in ("a.wav", "b.wav") for a in found[name].annotations] == [True, False]
    assert found["b.wav"].labels == ("Turdus merula",) and "b.wav" in assembled.left_out[0][1]


@pytest.mark.parametrize(
    ("name", "text"),
    [("t.csv", "file,start,end,label,score\nx.wav,0,1,a,95\nx.wav,2,3,b,0.8\n"),
     ("id.csv", "IN FILE,OFFSET,DURATION,AUTO ID,MATCH RATIO\nx.wav,0,1,a,95\nx.wav,2,1,b,0.8\n"),
     ("x.txt", "0\t1\ta\t95\n2\t3\tb\t0.8\n"),
     ("x.txt", "Selection\tBegin Time (s)\tEnd Time (s)\tConfidence\tSpecies\n1\t0\t1\thigh\ta\n2\t2\t3\t0.8\tb\n")],
)  # fmt: skip
def test_scores_that_cannot_be_read_are_told_where_they_count(tmp_path, caplog, name, text):
    for min_confidence in (0.0, 0.5):
        found, _ = _assemble(tmp_path, {name: text}, "x.wav", min_confidence=min_confidence)
        assert found["x.wav"].labels == (("b",) if min_confidence else ("a", "b"))
        assert ("1 labels have a score that cannot be read, and are not used" in caplog.text) == (min_confidence > 0)

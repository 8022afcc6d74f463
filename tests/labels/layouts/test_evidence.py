import pytest

from bird_tf import config
from bird_tf.labels.formats import formats
from bird_tf.labels.layouts import evidence, matching
from bird_tf.labels.tables import columns, rows
from tests.labels import example_sets


def _choose(folder, texts, layout="auto", named="", recordings=("x.wav",), **options):
    for name, text in texts.items():
        example_sets.write_text(folder / name, text)
    known = matching.Recordings([str(folder / name) for name in recordings], str(folder))
    sources = evidence.read(str(folder), layout, rows.Options(**options))
    used, problems, _ = evidence.choose(sources, known, layout, named)
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


@pytest.mark.parametrize(
    ("texts", "used"),
    [({"x.csv": "1.0,1.0,a\n", "y.csv": "", "z.csv": " \n"}, {"x.csv", "y.csv", "z.csv"}),
     ({"x.tsv": "0\t1\ta\n", "y.csv": ""}, {"x.tsv"}), ({"t.csv": "file,label\nx.wav,a\n", "y.csv": ""}, {"t.csv"})],
)  # fmt: skip
def test_an_empty_file_tells_of_nothing_if_such_files_have_annotations(tmp_path, caplog, texts, used):
    columns_of = tuple(("?.csv", what, number) for what, number in (("start", "1"), ("duration", "2"), ("label", "3")))
    given = () if "t.csv" in texts else columns_of
    found = _choose(tmp_path, texts, recordings=("x.wav", "y.wav", "z.wav"), columns=given)
    assert found == (used, set(texts) - used)
    num_empty = sum(not texts[name].strip() for name in used)
    assert (f"{num_empty} annotation files are empty, the first: {tmp_path / 'y.csv'}" in caplog.text) == (
        num_empty > 0
    )


def test_the_first_file_that_is_not_used_is_named_with_its_reason(tmp_path, caplog):
    with caplog.at_level("INFO", logger="absl"):
        _choose(tmp_path, {"y.txt": TEXTS["y.txt"], "z.csv": "A;B\n1;2\n"})
    assert "2 files are not used, the first" in caplog.text and "names no recording" in caplog.text


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [("y.txt", TEXTS["y.txt"], "say --columns=file=NAME"), ("y.csv", "start,end,label\n5:00,5:01,a\n", "file=NAME"),
     ("y.csv", "clip,start,end,label\nx.wav,06:30,about,a\n", "say --columns=file=NAME"),
     ("y.csv", "the clip,start,end,label\nz.wav,1,2,a\nz,2,3,b\n", "say --columns=file='the clip'"),
     ("y.json", '{"audio": [], "categories": [{"id": 1, "name": "a", "genus": "b"}]}', "save it as a table"),
     ("y.csv", "start,end,label\n", "it holds no annotation")],
)  # fmt: skip
def test_a_named_file_that_names_no_recording_is_refused(tmp_path, name, text, hint):
    with pytest.raises(config.InputError, match=f"names no recording, .*{hint}"):
        _choose(tmp_path, {name: text}, named=str(tmp_path / name), recordings=("z.wav",))


@pytest.mark.parametrize(
    ("text", "hint"),
    [("fname,kind\nz,a\n", "names recordings in its column fname: say --columns=file=fname --columns=label=NAME"),
     ("audio,start,end,label\nz.wav,1,2,a\n", "rename it after its recording, or say --columns=file=audio"),
     ("id,gen,sp,file\n7,Parus,major,//x\n", "names recordings in its column id: say --columns=file=id"),
     ("a,z.wav\nb,z\n", "names recordings in its column 2: say --columns=file=2 --columns=label=NAME"),
     ("My labels,,\nfile,label,n\nz.wav,a,1\nz,b,2\n", "its first line has My labels"),
     ("filename,Bird\nz.wav,a\nz,b\n", "names recordings in its column filename: say --columns=label=NAME"),
     ("file,AMRO,EATO\nz,1,0\nz.wav,2,1\n", "say --columns=label=NAME; if its columns of 0 and 1 are species: "),
     ("day,rain\n1,2\n", "none of the known formats")],
)  # fmt: skip
def test_the_column_that_names_recordings_is_told_if_nothing_else_tells_species(tmp_path, text, hint):
    source = formats.read(example_sets.write_text(tmp_path / "t.csv", text), rows.Options())
    known = matching.Recordings([str(tmp_path / "z.wav"), str(tmp_path / "XC7 - Tit.wav")], str(tmp_path))
    assert hint in evidence.not_recognised(str(tmp_path), [source], known)


@pytest.mark.parametrize(("layout", "reason"), [("auto", evidence.NAMELESS), ("csv", "not used with --layout=csv")])
def test_the_reason_is_told_why_xml_is_not_used(tmp_path, layout, reason):
    path = example_sets.write_text(tmp_path / "meta.xml", "<archive><core/></archive>")
    known = matching.Recordings([], str(tmp_path))
    sources = evidence.read(str(tmp_path), layout, rows.Options())
    assert evidence.choose(sources, known, layout, "")[1] == [(path, reason)]


def test_one_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(config.InputError, match="known formats"):
        evidence.read(example_sets.write_text(tmp_path / "t.doc", "x"), "auto", rows.Options())


@pytest.mark.parametrize(("text", "is_told"), [("1.0,0.5,a\n3.0,0.7,a\n", True), ("1.0,0.5,a\n3.0,1.7,a\n", False)])
def test_durations_that_may_be_heights_of_texts_are_told(tmp_path, caplog, text, is_told):
    caplog.set_level("INFO", logger="absl")
    assert _choose(tmp_path, {"x.csv": "1.0,0.9,a\n", "x.b.csv": text})[0] == {"x.csv", "x.b.csv"}
    assert ("if it holds the heights of a text layer" in caplog.text) == is_told
    caplog.clear()
    given = columns.parse(("start=1", "duration=2", "label=3"))
    evidence.read(str(tmp_path), "auto", rows.Options(columns=given))
    assert "text layer" not in caplog.text


@pytest.mark.parametrize(
    ("header", "told"),
    [("file,time,site", ""), ("file,time,timezone", "timezone is not"), ("file,site,datetime", "datetime not used")],
)
def test_of_tables_about_recordings_columns_that_are_not_used_are_told(tmp_path, caplog, header, told):
    example_sets.write_text(tmp_path / "notes.txt", "Dear all")
    example_sets.write_text(tmp_path / "t.csv", f"{header}\nx.wav,05:00,UTC\n")
    with caplog.at_level("INFO", logger="absl"):
        evidence.about_recordings(str(tmp_path))
    assert "1 files are not used, the first: " in caplog.text and told in caplog.text
    assert [record.levelname for record in caplog.records if record.levelname == "WARNING"] == ["WARNING"] * bool(told)


@pytest.mark.parametrize("text", ["file,date,start_time\nx.wav,2023-05-01,06:00\n", "site,latitude\nA,1\n"])
def test_errors_of_tables_about_recordings_advise_no_flag_of_labels(tmp_path, text):
    table = example_sets.write_text(tmp_path / "t.csv", text)
    with pytest.raises(config.InputError, match=r"columns file, date, time, site.* file must be there") as raised:
        evidence.about_recordings(table)
    assert "--columns" not in str(raised.value) and str(raised.value).startswith(f"{table}: ")


_BIRDNET = "Start (s),End (s),Scientific name,Common name,Confidence\n0,3,Parus major,Great Tit,0.12\n"


@pytest.mark.parametrize(
    ("other", "text", "is_told"),
    [
        ("x.txt", "0\t1\tParus major\n", True),
        ("x.txt", "0\t1\tnoise\n", False),
        ("more.csv", "file,start,end,label\nx.wav,3,4,Parus major\n", True),
        ("more.csv", "file,start,end,label,score\nx.wav,3,4,Parus major,0.9\n", False),
        ("more.csv", "file,label\nx.wav,Parus major\n", False),  # labels in time count alone, as another warning says
    ],
)
def test_labels_with_scores_beside_others_are_told(tmp_path, caplog, other, text, is_told):
    example_sets.write_text(tmp_path / other, text)
    example_sets.write_text(tmp_path / "x.BirdNET.results.csv", _BIRDNET)
    evidence.warn_of_scores(evidence.read(str(tmp_path), "auto", rows.Options()))
    assert ("labels with scores from 1 x" in caplog.text) == is_told


@pytest.mark.parametrize(
    ("first", "second", "is_told"),
    [("train_tp.csv", "train_fp.csv", True), ("true_positives.csv", "False positives.csv", True),
     ("positives.csv", "negatives.csv", True), ("tp/a.csv", "fp/a.csv", True), ("tp/tp.csv", "tp/fp.csv", True),
     ("train.csv", "test.csv", False), ("train_tp.csv", "other_fp.csv", False), ("stp.csv", "sfp.csv", False),
     ("fp.csv", "tn.csv", False)],
)  # fmt: skip
def test_files_of_labels_that_may_deny_those_of_others_are_told(tmp_path, caplog, first, second, is_told):
    text = "file,label,start,end\nx.wav,a,0,1\n"
    used = [example_sets.source_of(tmp_path / "tp" / name, text) for name in (first, second)]
    evidence.warn_of_denials(used)
    assert ("if they tell what is not there, move the file away" in caplog.text) == is_told
    caplog.clear()
    evidence.warn_of_denials(
        [used[0], example_sets.source_of(tmp_path / "tp" / second, text.replace(",a,", ",noise,"))]
    )
    evidence.warn_of_denials(used[:1])
    assert not caplog.text


@pytest.mark.parametrize(
    ("table", "judged", "synonyms", "is_told"),
    [
        ("file,label\nx.wav,Parus major\n", "parmaj,yes", {}, True),
        ("file,label\nx.wav,parmaj\n", "Parus major,yes", {}, True),
        ("file,label\nx.wav,Parus major\n", "parmaj,yes", {"parmaj": "Parus major"}, False),
        ("file,label\nx.wav,Parus major\n", "parmaj,yes", {"parusmajor": "parmaj"}, False),
        ("file,label,name\nx.wav,parmaj,Parus major\n", "Parus major,yes", {}, False),
        ("file,label,background\nx.wav,Parus major,parmaj\n", "parmaj,yes", {}, False),
        ("file,label\nx.wav,Parus major\n", "Turdus merula,yes", {}, False),  # a class that no label has
        ("file,label\nx.wav,Parus major\ny.wav,song\n", "parmaj,yes", {}, False),
        ("file,label\nx.wav,noise\n", "parmaj,yes", {}, False),
        ("file,label\nx.wav,Parus major\n", "parmaj,no", {}, False),
    ],
)  # fmt: skip
def test_classes_of_verdicts_in_another_form_than_all_labels_are_told(
    tmp_path, caplog, table, judged, synonyms, is_told
):
    text = f"file,start_seconds,end_seconds,class_id,verdict\nz.wav,0,1,{judged}\n"
    used = [example_sets.source_of(tmp_path / name, each) for name, each in (("a.csv", table), ("v.csv", text))]
    evidence.warn_of_other_names(used, synonyms)
    assert ("1 classes of verdicts are labels of no other file" in caplog.text) == is_told


def test_verdicts_that_cannot_be_read_are_refused_beside_other_labels(tmp_path):
    header = "file,start_seconds,end_seconds,class_id,verdict\n"
    labels = {"t.csv": "file,label\nx.wav,a\n"}
    with pytest.raises(config.InputError, match=r"v\.csv: line 2: need a verdict out of yes, no"):
        _choose(tmp_path, {**labels, "v.csv": f"{header}x.wav,0,1,a,none\n"})
    # nobody has judged a clip, or the folders count whatever lies there
    assert _choose(tmp_path, {**labels, "v.csv": header})[0] == {"t.csv"}
    assert _choose(tmp_path, {**labels, "v.csv": f"{header}x.wav,0,1,a,none\n"}, "folders")[0] == {"t.csv"}

import numpy as np
import pytest
import soundfile

from bird_tf import config, files
from bird_tf.evaluation import calls
from bird_tf.inference import audio_files
from bird_tf.labels import class_names, taxonomy
from bird_tf.labels.layouts import corrections, reader

CLASSES = taxonomy.Taxonomy(class_ids=("gretit1", "eurbla"), names=("Parus major", "Turdus merula"))
RAVEN = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies\n"


@pytest.fixture
def audio(tmp_path):
    for name in ("a", "b"):
        path = tmp_path / "audio" / "site 1" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(8000 * 20), 8000)
    return str(tmp_path / "audio")


def _read(truth, audio, channel="", columns=()):
    source = reader.SourceConfig(audio=audio, columns=columns)
    return calls.read(str(truth), source, audio_files.find_below(audio), CLASSES, channel)


def _selections(path, *rows):
    path.parent.mkdir(exist_ok=True)
    lines = [f"{i}\tSpectrogram 1\t1\t{s}\t{e}\t1\t2\t{name}\n" for i, (s, e, name) in enumerate(rows, 1)]
    path.write_text(RAVEN + "".join(lines))
    return path


def test_a_table_of_ours_is_read(audio, tmp_path, caplog):
    (tmp_path / "truth.csv").write_text(
        "Media_ID,class_id,start_seconds,end_seconds\na,eurbla,1.5,2\nsite 1/a.wav,gretit1,0,1"
    )
    truth = _read(tmp_path / "truth.csv", audio)
    assert truth == calls.Truth({"site 1/a.wav": [(1.5, 2.0, 1), (0.0, 1.0, 0)]})
    assert "has no row of 1 of 2 recordings: they count as recordings without a call" in caplog.text


def test_a_further_column_of_our_table_may_deny_calls(audio, tmp_path, caplog):
    text = "media_id,class_id,start_seconds,end_seconds,{}\na,eurbla,1,2,y\na,eurbla,3,4,n\nb,eurbla,0,1,n\n"
    (tmp_path / "truth.csv").write_text(text.format("Correct"))
    truth = _read(tmp_path / "truth.csv", audio)
    assert truth.calls == {"site 1/a.wav": [(1.0, 2.0, 1)]}
    assert [(path.rsplit("/", 1)[1], why) for path, why in truth.unknown.items()] == [
        ("b.wav", "no call of it is sure")
    ]
    assert "2 labels are not used: the column Correct says no" in caplog.text
    (tmp_path / "truth.csv").write_text(text.format("Reviewed"))
    assert len(_read(tmp_path / "truth.csv", audio).calls["site 1/a.wav"]) == 2
    assert "if a no in Reviewed means that a species is not there" in caplog.text


def test_species_that_the_model_does_not_know_are_not_judged_in_our_table_either(audio, tmp_path, caplog):
    rows = ("a,eurbla,1,2", "a,parmaj,3,4", "a,Parus major,5,6", "a,?,7,8", "a,,9,10", "b,nocall,0,20")
    (tmp_path / "truth.csv").write_text("\n".join(("media_id,class_id,start_seconds,end_seconds", *rows)))
    truth = _read(tmp_path / "truth.csv", audio)
    assert truth == calls.Truth({"site 1/a.wav": [(1.0, 2.0, 1), (5.0, 6.0, 0)], "site 1/b.wav": []})
    assert "1 calls of 1 species that the model does not know: parmaj (1); they are not judged" in caplog.text
    assert "2 annotations have no sure name" in caplog.text and "count as recordings without" not in caplog.text


def test_our_table_heeds_synonyms_and_scores_as_annotations_do(audio, tmp_path, caplog):
    table, synonyms = tmp_path / "truth.csv", tmp_path / "synonyms.csv"
    synonyms.write_text("old,new\nParus ater,Parus major\nblabir,eurbla\n")
    names = class_names.NameConfig(synonyms=str(synonyms))
    source = reader.SourceConfig(audio=audio, names=names, min_confidence=0.5)
    header = "media_id,class_id,start_seconds,end_seconds"
    cells = [("Blabir", 1, 90), ("gretit1", 3, 20), ("PARUS_ATER", 5, 50), ("nocall", 9, 10), ("eurbla", 11, "")]
    for name in (header, header.replace("media_id", "file")):
        lines = (f"a,{label},{start},{start + 1},{score}" for label, start, score in cells)
        table.write_text("\n".join((f"{name},Confidence (%)", *lines)).replace("file,class_id", "file,label"))
        truth = calls.read(str(table), source, audio_files.find_below(audio), CLASSES)
        assert truth.calls == {"site 1/a.wav": [(1, 2, 1), (5, 6, 0), (11, 12, 1)]}
        assert "2 annotations have no sure name" in caplog.text
        caplog.clear()
    table.write_text(f"{header}\na,eurbla,1,2\n")
    calls.read(str(table), source, audio_files.find_below(audio), CLASSES)
    assert "--min_confidence=0.5 changes nothing: no label has a score" in caplog.text


def test_columns_of_other_names_are_read_as_by_the_converter(audio, tmp_path):
    (tmp_path / "truth.csv").write_text("clip,from,to,heard\na.wav,1,2,eurbla\nb.wav,0,1,Parus major\n")
    columns = ("file=clip", "start=from", "end=to", "label=heard")
    truth = _read(tmp_path / "truth.csv", audio, columns=columns)
    assert truth.calls == {"site 1/a.wav": [(1.0, 2.0, 1)], "site 1/b.wav": [(0.0, 1.0, 0)]}


def test_annotations_of_other_programs_are_read(audio, tmp_path, caplog):
    folder = tmp_path / "raven"
    _selections(folder / "a.Table.1.selections.txt", (1.5, 2.5, "Parus major"), (3, 4, "eurbla"), (5, 6, "Strix aluco"))
    (folder / "b.txt").write_text("0.5\t1.5\tTurdus merula\n")
    truth = _read(folder, audio)
    assert truth.calls == {"site 1/a.wav": [(1.5, 2.5, 0), (3.0, 4.0, 1)], "site 1/b.wav": [(0.5, 1.5, 1)]}
    assert not truth.unknown
    assert "1 calls of 1 species that the model does not know: Strix aluco (1); they are not judged" in caplog.text
    [table, _] = sorted(folder.iterdir())
    assert _read(table, audio).calls == {"site 1/a.wav": truth.calls["site 1/a.wav"]}


def test_annotations_without_a_sure_name_are_counted(audio, tmp_path, caplog):
    _selections(tmp_path / "a.Table.1.selections.txt", (1.5, 2.5, "Parus major"), (3, 4, "?"))
    truth = _read(tmp_path / "a.Table.1.selections.txt", audio)
    assert truth.calls == {"site 1/a.wav": [(1.5, 2.5, 0)]}
    assert "1 annotations have no sure name: what is there counts as no call" in caplog.text


@pytest.mark.parametrize("form", ["media_id,class_id,start_seconds,end_seconds", "file,species,start,end"])
@pytest.mark.parametrize("name", ["eurbla?", "cf. eurbla", "gretit1/eurbla", "gretit1 and AMRO", "unknown tit"])
def test_calls_of_a_name_in_doubt_are_not_sure(audio, tmp_path, caplog, form, name):
    (tmp_path / "truth.csv").write_text(f"{form}\na,eurbla,1,2\na,{name},3,4\nb,{name},0,1\n")
    truth = _read(tmp_path / "truth.csv", audio)
    assert truth.calls == {"site 1/a.wav": [(1.0, 2.0, 1)]}
    assert list(truth.unknown.values()) == ["no call of it is sure"]
    assert "annotations have no sure name" in caplog.text


def test_a_class_of_the_model_is_sure_whatever_its_name_and_strangers_are_none_in_doubt(audio, tmp_path):
    text = "media_id,class_id,start_seconds,end_seconds\na,eurbla?,1,2\nb,Black-and-white Warbler,0,1\n"
    (tmp_path / "truth.csv").write_text(text)
    classes = taxonomy.Taxonomy(class_ids=("eurbla?",), names=("eurbla?",))
    source = reader.SourceConfig(audio=audio)
    truth = calls.read(str(tmp_path / "truth.csv"), source, audio_files.find_below(audio), classes)
    assert truth == calls.Truth({"site 1/a.wav": [(1.0, 2.0, 0)], "site 1/b.wav": []})


@pytest.mark.parametrize("name", ["wind and rain", "vehicle/truck", "AMRO/EATO"])
def test_several_strangers_are_none_in_doubt(audio, tmp_path, name):
    (tmp_path / "truth.csv").write_text(f"file,species,start,end\na,eurbla,1,2\nb,{name},0,1\n")
    assert _read(tmp_path / "truth.csv", audio) == calls.Truth({"site 1/a.wav": [(1.0, 2.0, 1)], "site 1/b.wav": []})


def test_selections_of_another_channel_are_no_calls(audio, tmp_path, caplog):
    table = _selections(tmp_path / "a.Table.1.selections.txt", (1.5, 2.5, "Parus major"), (3, 4, "eurbla"))
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:2], lines[2].replace("Spectrogram 1\t1", "Spectrogram 2\t2")]))
    assert _read(table, audio, "1").calls == {"site 1/a.wav": [(1.5, 2.5, 0)]}
    assert "1 selections are of other channels than --channel=1" in caplog.text
    assert _read(table, audio, "2").calls == {"site 1/a.wav": [(3.0, 4.0, 1)]}
    for both in ("mix", "3"):
        assert len(_read(table, audio, both).calls["site 1/a.wav"]) == 2


@pytest.mark.parametrize("columns", ["media_id,class_id,start_seconds,end_seconds", "file,species,start,end"])
def test_a_point_in_time_is_a_call_in_every_form(audio, tmp_path, columns, caplog):
    (tmp_path / "truth.csv").write_text(f"{columns}\na,gretit1,5,9\na,eurbla,12,12\n")
    truth = _read(tmp_path / "truth.csv", audio)
    [first, second] = truth.calls["site 1/a.wav"]
    assert first == (5.0, 9.0, 0) and second == pytest.approx((12.0, 12.0, 1), abs=0.01)
    assert "no sure name" not in caplog.text


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.txt", "1.5\t1.5\teurbla\n"), ("truth.csv", "file,start,end,species\na.wav,1.5,1.5,eurbla\n"),
     ("truth.csv", "media_id,class_id,start_seconds,end_seconds\na,eurbla,1.5,1.5\n")],
)  # fmt: skip
def test_a_recording_with_a_point_in_time_alone_is_judged(audio, tmp_path, name, text, caplog):
    (tmp_path / name).write_text(text)
    truth = _read(tmp_path / name, audio)
    assert truth.calls["site 1/a.wav"] == [pytest.approx((1.5, 1.5, 1), abs=0.01)] and not truth.unknown
    assert "left out" not in caplog.text


def test_a_recording_of_which_no_annotation_can_be_used_is_not_judged(audio, tmp_path):
    (tmp_path / "truth.csv").write_text("file,start,end,species\na.wav,1,2,gretit1\nb.wav,x,3,eurbla\n")
    truth = _read(tmp_path / "truth.csv", audio)
    assert set(truth.calls) == {"site 1/a.wav"} and [path[-5:] for path in truth.unknown] == ["b.wav"]


def test_a_recording_that_is_annotated_in_part_is_not_judged(audio, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text(
        "filename,start,end,species\na.wav,1,2,Parus major\na.wav,x,3,Parus major\nb.wav,1,2,Parus major\n"
    )
    truth = _read(table, audio)
    assert set(truth.calls) == {"site 1/b.wav"}
    [(path, reason)] = truth.unknown.items()
    assert path.endswith("a.wav") and "in part only" in reason


def test_recordings_of_which_nothing_was_judged_are_not_silent(audio, tmp_path, caplog):
    """Verdicts tell of spans. Beside them, a table of Raven tells of a whole recording."""
    soundfile.write(f"{audio}/site 1/c.wav", np.zeros(8000 * 20), 8000)
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "verdicts.csv").write_text("file,start_seconds,end_seconds,class_id,verdict\na.wav,0,1,eurbla,yes\n")
    for path in (folder, folder / "verdicts.csv"):
        with pytest.raises(config.InputError, match=r"of no recording as a whole, .*a\.wav .* --verdicts"):
            _read(path, audio)
    _selections(folder / "b.Table.1.selections.txt", (1.5, 2.5, "Parus major"))
    truth = _read(folder, audio)
    assert set(truth.calls) == {"site 1/b.wav"}
    reasons = {path[-5:]: reason for path, reason in truth.unknown.items()}
    assert set(reasons) == {"a.wav", "c.wav"}
    assert "in part only" in reasons["a.wav"] and "no span of it was judged" in reasons["c.wav"]
    assert "count as recordings without a call" not in caplog.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("filename,start,end,species\na.wav,1,2,Strix aluco\n", "1 calls of 1 species that the model does not know"),
        ("filename,start,end,species\na.wav,1,2,Parus major\na.wav,x,3,Parus major\n", "of no recording as a whole"),
        ("filename,species\na.wav,Parus major\n", "has the label Parus major without times"),
        (
            "filename,start,end,species\nc.wav,1,2,Parus major\na.wav,1,2,Parus major\n",
            "1 of its rows or files are of no",
        ),
        ("media_id,class_id,start_seconds,end_seconds\nc,eurbla,1,2\n", "has no recording c"),
        ("media_id,class_id,start_seconds\na,eurbla,1\n", "need the column end_seconds"),
        ("media_id,class_id,start_seconds,end_seconds\na,stralu,1,2\n", "does not know: stralu (1)"),
        ("", "an empty table"),
        ("a,b\n1,2\n", "--segments="),
    ],
)
def test_what_cannot_be_judged_by_is_refused(audio, tmp_path, text, words):
    (tmp_path / "truth.csv").write_text(text)
    with pytest.raises(config.InputError, match="--segments=") as raised:
        _read(tmp_path / "truth.csv", audio)
    assert words in str(raised.value) and str(raised.value).count("--segments=") == 1


def test_a_path_that_is_not_there_is_named(audio, tmp_path):
    with pytest.raises(config.InputError, match=r"--segments=.*nothing\.csv"):
        _read(tmp_path / "nothing.csv", audio)


def test_what_a_model_said_is_no_truth(audio, tmp_path, caplog):
    table = tmp_path / "p" / "detections.csv"
    table.parent.mkdir()
    table.write_text("file,start_seconds,end_seconds,class_id,name,probability\nsite 1/a.wav,0,3,eurbla,x,0.9\n")
    files.write_text(str(table.with_name(corrections.LIST)), f'["{table.name}", "{files.checksum(str(table))}"]\n')
    for truth, named in ((table, ""), (table.parent, f"{table}: ")):
        with pytest.raises(config.InputError, match=rf"^--segments={truth}: {named}bird_tf.predict wrote it, and no"):
            _read(truth, audio)
    assert not caplog.text
    _selections(table.with_name("b.Table.1.selections.txt"), (1, 2, "gretit1"))
    assert _read(table.parent, audio).calls == {"site 1/b.wav": [(1.0, 2.0, 0)]}
    assert "tables that a model wrote are left out: 1, the first" in caplog.text
    table.write_text(table.read_text().replace("0,3", "0,2"))
    assert _read(table, audio).calls == {"site 1/a.wav": [(0.0, 2.0, 1)]}

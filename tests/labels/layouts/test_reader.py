import dataclasses
import json
import math
import os

import pytest

from bird_tf import config, files
from bird_tf.labels import clock
from bird_tf.labels.layouts import corrections, reader
from tests.labels import example_sets


def test_a_recording_without_metadata_is_an_error_without_skip_unmatched(tmp_path):
    source = example_sets.birdclef_set(tmp_path, ("1", "a.wav", "x", ""))
    example_sets.write_wav(tmp_path / "wav" / "b.wav")
    with pytest.raises(config.InputError, match=r"b\.wav.*no metadata.*--skip_unmatched"):
        reader.read(source)
    recordings, unmatched = reader.read(dataclasses.replace(source, skip_unmatched=True))
    assert len(recordings) == len(unmatched) == 1


def test_unknown_layout_is_refused(tmp_path):
    example_sets.write_wav(tmp_path / "a.wav")
    with pytest.raises(config.InputError, match="layout not recognised"):
        reader.read(reader.SourceConfig(audio=str(tmp_path)))


def test_a_name_that_is_not_utf8_is_listed_in_a_form_that_can_be_written(tmp_path):
    example_sets.write_wav(tmp_path / "x" / "good.wav")
    os.link(tmp_path / "x" / "good.wav", os.fsencode(tmp_path / "x") + b"/K\xe4uz.wav")
    source = reader.SourceConfig(audio=str(tmp_path), skip_unmatched=True)
    [recording], [(path, reason)] = reader.read(source)
    assert recording.recording_id == "good" and "UTF-8" in reason
    assert path.encode() and "uz.wav" in path


def test_circular_links_do_not_stop_the_reader(tmp_path):
    example_sets.write_wav(tmp_path / "x" / "a.wav")
    (tmp_path / "x" / "loop").symlink_to(tmp_path)
    (tmp_path / "x" / "b.wav").symlink_to(tmp_path / "x" / "b.wav")
    recordings, _ = reader.read(reader.SourceConfig(audio=str(tmp_path)))
    assert [r.recording_id for r in recordings] == ["a", "b"]  # the converter lists b as unreadable


def test_one_csv_is_recognised(tmp_path):
    example_sets.write_wav(tmp_path / "audio" / "x" / "a.wav")
    (tmp_path / "meta.csv").write_text("filename,primary_label\nx/a.wav,parmaj\n")
    source = reader.SourceConfig(audio=str(tmp_path / "audio"), metadata=str(tmp_path / "meta.csv"))
    assert [r.label for r in reader.read(source)[0]] == ["parmaj"]
    (tmp_path / "meta.csv").rename(tmp_path / "audio" / "meta.csv")
    inside = reader.SourceConfig(audio=str(tmp_path / "audio"))
    assert [r.label for r in reader.read(inside)[0]] == ["parmaj"]


@pytest.mark.parametrize("folders", [("", ""), ("S1", "S2"), ("Parus major", "Turdus merula")])
def test_a_word_behind_the_names_of_recordings_does_no_harm_to_folders_of_species(tmp_path, folders):
    for name, folder in zip("ab", folders, strict=True):
        example_sets.write_wav(tmp_path / folder / f"{name}.wav")
        example_sets.write_text(tmp_path / folder / f"{name}_labels.txt", "0\t1\tCorvus corax\n")
    labels = [r.label for r in reader.read(reader.SourceConfig(audio=str(tmp_path)))[0]]
    assert labels == ([*folders] if "Parus major" in folders else 2 * ["Corvus corax"])


def test_an_unrelated_table_is_not_recognised_as_metadata(tmp_path):
    example_sets.write_wav(tmp_path / "parmaj" / "a.wav")
    (tmp_path / "weather.csv").write_text("day,rain\n1,2\n")
    assert [r.label for r in reader.read(reader.SourceConfig(audio=str(tmp_path)))[0]] == ["parmaj"]


@pytest.mark.parametrize("in_own_folder", [True, False])
def test_annotation_files_are_recognised(tmp_path, in_own_folder):
    texts = tmp_path / ("texts" if in_own_folder else "audio")
    for name in ("SITE_1.2.wav", "b.wav", "c.wav", "d.wav"):
        example_sets.write_wav(tmp_path / "audio" / name)
    texts.mkdir(exist_ok=True)
    raven = "Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\n1\t0\t2\tparmaj\n2\t4\t5\tturmer\n"
    (texts / "SITE_1.2.Table.1.selections.txt").write_text(raven)
    (texts / "b.txt").write_text("0\t3\tparmaj\n")
    (texts / "c.txt").write_text("0\t3\n")
    (texts / "README.txt").write_text("Recorded in May")
    source = reader.SourceConfig(
        audio=str(tmp_path / "audio"), metadata=str(texts) if in_own_folder else "", skip_unmatched=True
    )
    recordings, unmatched = reader.read(source)
    assert [(r.recording_id, r.label, r.labels, r.background_known) for r in recordings] == [
        ("SITE_1.2", "parmaj", ("parmaj", "turmer"), True),
        ("b", "parmaj", ("parmaj",), True),
    ]
    assert [(path.rsplit("/", 1)[1], reason.split(": ")[-1].split(" in ")[0]) for path, reason in unmatched] == [
        ("c.wav", "its annotations name no species"),
        ("d.wav", "no metadata for it"),
        ("c.txt, line 1", "the chunks there are not used"),
    ]


def test_metadata_of_recordings_without_a_label_is_read_from_xml_or_csv(tmp_path):
    root = tmp_path / "test"
    paths = [str(root / name) for name in ("a.wav", "sub/b_RN9.wav", "c.wav")]
    (tmp_path / "xml").mkdir()
    text = "<Audio><MediaId>5</MediaId><FileName>a.wav</FileName><Latitude>1.5</Latitude><Time>06:30</Time></Audio>"
    (tmp_path / "xml" / "x.xml").write_text(text)
    (tmp_path / "t.csv").write_text(
        "filename,lat,lon,elevation,date,site\na.wav,1.5,2,300,2020-02-01,Moor\nsub/b_RN9.wav,3,4,,,\n"
    )
    by_xml = reader.describe(paths, str(root), str(tmp_path / "xml"), clock.ClockConfig())
    assert (by_xml[paths[0]].latitude, by_xml[paths[0]].hour, by_xml[paths[0]].recording_id) == (1.5, 6.5, "5")
    by_csv = reader.describe(paths, str(root), str(tmp_path / "t.csv"), clock.ClockConfig())
    assert (by_csv[paths[0]].longitude, by_csv[paths[0]].elevation, by_csv[paths[0]].day_of_year) == (2, 300, 32)
    assert (by_csv[paths[0]].date, by_csv[paths[0]].site) == ("2020-02-01", "Moor")
    assert by_csv[paths[1]].latitude == 3 and by_csv[paths[1]].path == paths[1]
    for found in (by_xml, by_csv, reader.describe(paths, str(root), "", clock.ClockConfig())):
        assert math.isnan(found[paths[2]].latitude) and found[paths[2]].recording_id == "c"
    with pytest.raises(config.InputError, match=r"--metadata=.*nowhere"):
        reader.describe(paths, str(root), str(tmp_path / "nowhere"), clock.ClockConfig())


def test_recordings_of_noise_audio_are_negative(tmp_path):
    for name in ("set/a/1.wav", "set/wind/2.wav", "elsewhere/3.wav"):
        example_sets.write_wav(tmp_path / name)
    for noise, total in (("elsewhere", 3), ("set/wind", 2)):
        source = reader.SourceConfig(audio=str(tmp_path / "set"))
        recordings, _ = reader.read(source, str(tmp_path / noise))
        assert len(recordings) == total
        assert [r.recording_id for r in recordings if r.negative] == ["3" if noise == "elsewhere" else "2"]


def test_labels_of_a_named_table_are_joined_with_annotations_on_request(tmp_path):
    example_sets.write_wav(tmp_path / "audio" / "x.wav")
    example_sets.write_text(tmp_path / "audio" / "x.txt", "0\t1\tb\n")
    table = example_sets.write_text(tmp_path / "t.csv", "file,label,recordist\nx.wav,a,Ann\n")
    source = reader.SourceConfig(audio=str(tmp_path / "audio"), metadata=table)
    assert [(r.label, r.author) for r in reader.read(source)[0]] == [("a", "Ann")]
    both = dataclasses.replace(source, layout="annotations")
    assert [(r.label, r.author) for r in reader.read(both)[0]] == [("b", "Ann")]


def test_a_named_table_without_labels_leaves_them_to_the_annotations(tmp_path):
    example_sets.write_wav(tmp_path / "audio" / "x.wav")
    example_sets.write_text(tmp_path / "audio" / "x.txt", "0\t1\tb\n")
    table = example_sets.write_text(tmp_path / "t.csv", "file,recordist\nx.wav,Ann\n")
    [recording], _ = reader.read(reader.SourceConfig(audio=str(tmp_path / "audio"), metadata=table))
    assert (recording.label, recording.author) == ("b", "Ann")


def test_the_log_says_what_came_from_where(tmp_path, caplog):
    example_sets.write_wav(tmp_path / "x.wav")
    example_sets.write_text(tmp_path / "x.txt", "0\t1\tb\n")
    example_sets.write_text(tmp_path / "t.csv", "file,label,recordist\nx.wav,a,Ann\n")
    example_sets.write_text(tmp_path / "notes.csv", "A;B\n1,5;2\n")
    with caplog.at_level("INFO", logger="absl"):
        reader.read(reader.SourceConfig(audio=str(tmp_path)))
    assert "x.txt" in caplog.text and "t.csv" in caplog.text and "notes.csv" in caplog.text


def test_a_table_that_names_no_recording_is_refused_with_its_reason(tmp_path):
    example_sets.write_wav(tmp_path / "a" / "x.wav")
    table = example_sets.write_text(tmp_path / "lite.csv", "Start (s);End (s);Scientific name\n0,0;3,0;Parus major\n")
    with pytest.raises(config.InputError, match="names no recording"):
        reader.read(reader.SourceConfig(audio=str(tmp_path / "a"), metadata=table))


def test_a_named_table_without_species_is_no_reason_to_take_folders_for_species(tmp_path):
    example_sets.write_wav(tmp_path / "audio" / "Moor" / "x.wav")
    table = example_sets.write_text(tmp_path / "t.csv", "file,Vogel,lat\nx.wav,Meise,52\n")
    with pytest.raises(config.InputError, match=r"t\.csv tells no species.*--columns=label=NAME"):
        reader.read(reader.SourceConfig(audio=str(tmp_path / "audio"), metadata=table))


def test_a_spreadsheet_is_named(tmp_path):
    example_sets.write_wav(tmp_path / "audio" / "x.wav")
    (tmp_path / "t.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(config.InputError, match="save it as CSV"):
        reader.read(reader.SourceConfig(audio=str(tmp_path / "audio"), metadata=str(tmp_path / "t.xlsx")))


@pytest.mark.parametrize("twin", [False, True])
def test_a_spreadsheet_beside_folders_of_species_is_told(tmp_path, caplog, twin):
    for name in ("a/x.wav", "b/y.wav"):
        example_sets.write_wav(tmp_path / name)
    for name in ("labels.xlsx", "a/x.xlsx"):
        (tmp_path / name).write_bytes(b"PK\x03\x04")
    if twin:
        example_sets.write_text(tmp_path / "labels.csv", "species,seen\na,1\n")
    reading = reader.survey(reader.SourceConfig(audio=str(tmp_path)))
    assert not reading.unmatched and {path.rsplit("/", 1)[1] for path, _ in reading.unused} >= {"labels.xlsx", "x.xlsx"}
    assert f"{1 if twin else 2} spreadsheets are not read" in caplog.text


def test_sound_without_the_suffix_of_a_recording_is_listed(tmp_path):
    for name in ("a/x.wav", "b/y.wav"):
        example_sets.write_wav(tmp_path / name)
    (tmp_path / "b" / "y.wav").rename(tmp_path / "b" / "XC1")
    recordings, [(path, reason)] = reader.read(reader.SourceConfig(audio=str(tmp_path)))
    assert len(recordings) == 1 and path.endswith("b/XC1") and "rename it" in reason


def test_folders_are_not_taken_for_species_beside_a_table_that_is_refused(tmp_path):
    for below in ("a/x.wav", "a/y.wav", "b/z.wav"):
        example_sets.write_wav(tmp_path / below)
    path = example_sets.write_text(tmp_path / "t.csv", "file,start,label\nx.wav,0,c\ny.wav,1,c\nz.wav,2,d\n")
    with pytest.raises(config.InputError, match="which column holds end"):
        reader.read(reader.SourceConfig(audio=str(tmp_path)))
    reading = reader.survey(reader.SourceConfig(audio=str(tmp_path), layout="folders"))
    assert {r.label for r in reading.recordings} == {"a", "b"} and [file for file, _ in reading.unused] == [path]


def test_folders_are_not_taken_for_species_beside_a_prediction_that_nobody_changed(tmp_path, caplog):
    for below in ("S1/x.wav", "S1/y.wav", "S2/z.wav"):
        example_sets.write_wav(tmp_path / below)
    table = example_sets.write_text(tmp_path / "detections.csv", "file,start,end,class_id\nS1/x.wav,0,1,a\n")
    listed = json.dumps([os.path.basename(table), files.checksum(table)])
    example_sets.write_text(tmp_path / corrections.LIST, f"{listed}\n")
    source = reader.SourceConfig(audio=str(tmp_path))
    with pytest.raises(config.InputError, match=f"^{table}: bird_tf.predict wrote it.*, or --layout=folders"):
        reader.survey(source, judges=True)
    assert not caplog.text
    assert [r.labels for r in reader.survey(source).recordings] == [("a",)]  # as for the converter
    found = reader.survey(dataclasses.replace(source, layout="folders"), judges=True)
    assert {r.label for r in found.recordings} == {"S1", "S2"} and "model wrote are left out: 1" in caplog.text


def test_folders_of_sites_are_not_taken_for_species_beside_labels_that_cannot_be_used(tmp_path):
    for below in ("S1/x.wav", "S1/y.wav", "S2/z.wav"):
        example_sets.write_wav(tmp_path / below)
    example_sets.write_text(tmp_path / "S1" / "x_labels.txt", "0\t1\tAMRO\n")
    with pytest.raises(config.InputError, match=r"x_labels\.txt holds labels in time, but names no recording"):
        reader.read(reader.SourceConfig(audio=str(tmp_path)))
    reading = reader.survey(reader.SourceConfig(audio=str(tmp_path), layout="folders"))
    assert {r.label for r in reading.recordings} == {"S1", "S2"}


def test_tables_and_xml_that_tell_no_species_are_named(tmp_path):
    example_sets.write_wav(tmp_path / "audio" / "x.wav")
    example_sets.write_text(tmp_path / "gbif" / "meta.xml", "<archive><core/></archive>")
    example_sets.write_text(tmp_path / "gbif" / "occurrence.txt", "gbifID\tspecies\n1\tParus major\n")
    with pytest.raises(config.InputError, match=r"not recognised.*occurrence\.txt.*its first line has gbifID, species"):
        reader.read(reader.SourceConfig(audio=str(tmp_path / "audio"), metadata=str(tmp_path / "gbif")))


def test_annotations_of_an_unknown_format_are_named(tmp_path, caplog):
    example_sets.write_wav(tmp_path / "audio" / "x.wav")
    example_sets.write_text(tmp_path / "audio" / "x.eaf", "<x/>")
    with pytest.raises(config.InputError, match=r"x\.eaf: none of the known formats"):
        reader.read(reader.SourceConfig(audio=str(tmp_path / "audio")))
    (tmp_path / "audio").rename(tmp_path / "Parus major")
    reader.read(reader.SourceConfig(audio=str(tmp_path)))
    assert "x.eaf" in caplog.text


def test_rows_about_no_recording_or_several_are_told(tmp_path, caplog):
    paths = [str(tmp_path / folder / "x.wav") for folder in ("a", "b")]
    example_sets.write_text(tmp_path / "t.csv", "file,site\na/x.wav,moor\nx.wav,wood\ngone.wav,wood\n")
    found = reader.describe(paths, str(tmp_path), str(tmp_path / "t.csv"), clock.ClockConfig())
    assert [found[path].site for path in paths] == ["moor", "b"]
    assert "2 rows of metadata are not used, the first: " in caplog.text and "'x.wav' can be" in caplog.text


def test_a_least_confidence_that_no_label_can_miss_is_told(tmp_path, caplog):
    example_sets.write_wav(tmp_path / "x.wav")
    example_sets.write_text(tmp_path / "x.txt", "0\t1\ta\n")
    reader.read(reader.SourceConfig(audio=str(tmp_path), min_confidence=0.5))
    assert "--min_confidence=0.5 changes nothing: no label has a score" in caplog.text
    caplog.clear()
    example_sets.write_text(tmp_path / "x.txt", "0\t1\ta\t0.9\n")
    reader.read(reader.SourceConfig(audio=str(tmp_path), min_confidence=0.5))
    assert "changes nothing" not in caplog.text


@pytest.mark.parametrize("layout", ["csv", "folders"])
def test_background_species_are_compared_with_those_of_the_models_that_are_judged(tmp_path, caplog, layout):
    for below in ("gretit/x.wav", "eurbla/y.wav"):
        example_sets.write_wav(tmp_path / "audio" / below)
    label = ",label" if layout == "csv" else ""
    rows = [f"x.wav,Larus canus{label and ',gretit'}", f"y.wav,{label and ',eurbla'}"]
    table = example_sets.write_text(tmp_path / "t.csv", "\n".join([f"file,background{label}", *rows, ""]))
    source = reader.SourceConfig(audio=str(tmp_path / "audio"), metadata=table, layout=layout)
    reader.survey(source, judges=True)
    assert "background species are named as no species" in caplog.text
    caplog.clear()
    reading = reader.survey(source, judges=True, classes=("mewgul", "Larus canus"))
    assert "background species" not in caplog.text
    assert {r.label: r.background for r in reading.recordings} == {"gretit": ("Larus canus",), "eurbla": ()}


def test_a_table_of_labels_that_cannot_be_read_is_warned_of(tmp_path, caplog):
    """With skip_unmatched the conversion goes on, and the line of the table is one among those of many recordings."""
    for name in ("x.wav", "y.wav"):
        example_sets.write_wav(tmp_path / "audio" / name)
    example_sets.write_text(tmp_path / "labels" / "known.csv", "file,label\nx.wav,parmaj\n")
    example_sets.write_text(tmp_path / "labels" / "v.csv", "file,start_ms,end,label\ny.wav,0,1,parmaj\n")
    source = reader.SourceConfig(
        audio=str(tmp_path / "audio"), metadata=str(tmp_path / "labels"), layout="csv", skip_unmatched=True
    )
    assert [recording.label for recording in reader.read(source)[0]] == ["parmaj"]
    assert "1 files of labels cannot be read, so that nothing in them counts, the first: " in caplog.text
    assert "v.csv: only one of " in caplog.text

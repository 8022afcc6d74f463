import collections
import dataclasses
import json
import math
import os

import pytest
import soundfile

from bird_tf import config
from bird_tf.labels import split
from bird_tf.labels.layouts import reader

XML = """<?xml version='1.0' encoding='utf-8'?>
<Audio><MediaId>{media_id}</MediaId><FileName>{file}</FileName><ClassId>{label}</ClassId>{more}
<Genus>Parus</Genus><Species>{species}</Species></Audio>"""


def _wav(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, [0.0, 0.1], 8000)


def birdclef_set(folder, *entries):
    """wav/ and xml/ of (media id, file name, label, further elements)."""
    (folder / "xml").mkdir(parents=True)
    for media_id, file, label, more in entries:
        _wav(folder / "wav" / file)
        text = XML.format(media_id=media_id, file=file, label=label, species="major", more=more)
        (folder / "xml" / f"{file.rsplit('.', 1)[0]}.xml").write_text(text, encoding="utf-8")
    return reader.SourceConfig(audio=str(folder / "wav"), metadata=str(folder / "xml"))


def test_a_file_name_never_leads_outside_the_audio_folder(tmp_path):
    _wav(tmp_path / "secret.wav")
    source = birdclef_set(tmp_path / "set", ("1", "a.wav", "x", ""))
    xml = XML.format(media_id="2", file="../../secret.wav", label="y", species="ater", more="")
    (tmp_path / "set" / "xml" / "b.xml").write_text(xml)
    recordings, unmatched = reader.read(dataclasses.replace(source, skip_unmatched=True))
    assert [r.recording_id for r in recordings] == ["1"]
    assert "b.xml" in unmatched[0][0]


@pytest.mark.parametrize(
    "text",
    [
        "no xml",
        "",
        "<Audio><ClassId>x</ClassId>",
        '<?xml version="1.0" encoding="utf-8"?><Audio><ClassId>\udce4</ClassId></Audio>',  # Latin-1 that says UTF-8
        '<?xml version="1.0" encoding="klingon"?><Audio><ClassId>x</ClassId></Audio>',
        '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><Audio><ClassId>&b;</ClassId></Audio>',
        "<Audio></Audio>",
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><Audio><ClassId>&b;</ClassId></Audio>',
    ],
)
def test_bad_xml_is_listed_with_its_reason(tmp_path, text):
    source = birdclef_set(tmp_path, ("1", "a.wav", "x", ""), ("2", "b.wav", "x", ""))
    (tmp_path / "xml" / "b.xml").write_text(text, encoding="utf-8", errors="surrogateescape")
    recordings, unmatched = reader.read(dataclasses.replace(source, skip_unmatched=True))
    assert [r.recording_id for r in recordings] == ["1"]
    assert {path.rsplit("/", 1)[1] for path, _ in unmatched} == {"b.xml", "b.wav"}


def test_file_without_metadata_stops_unless_told_otherwise(tmp_path):
    source = birdclef_set(tmp_path, ("1", "a.wav", "x", ""))
    _wav(tmp_path / "wav" / "b.wav")
    with pytest.raises(config.InputError, match=r"b\.wav.*no metadata.*--skip_unmatched"):
        reader.read(source)
    recordings, unmatched = reader.read(dataclasses.replace(source, skip_unmatched=True))
    assert len(recordings) == len(unmatched) == 1


def test_metadata_without_file_stops(tmp_path):
    source = birdclef_set(tmp_path, ("1", "a.wav", "x", ""), ("2", "b.wav", "x", ""))
    (tmp_path / "wav" / "b.wav").unlink()
    with pytest.raises(config.InputError, match=r"b\.xml.*is not below"):
        reader.read(source)


def test_class_folders(tmp_path):
    for name in ("Parus major/deep/1.wav", "Parus major/2.WAV", "Öl käuzchen/1.wav"):
        _wav(tmp_path / name)
    recordings, _ = reader.read(reader.SourceConfig(audio=str(tmp_path)))
    assert collections.Counter(r.label for r in recordings) == {"Parus major": 2, "Öl käuzchen": 1}
    assert len({r.recording_id for r in recordings}) == 3
    assert not any(r.background_known for r in recordings)


@pytest.mark.parametrize("described", [True, False])
def test_sorted_tree_decides_the_split(tmp_path, described):
    for name in ("train/Parus major/a.wav", "val/Parus major/b.wav"):
        _wav(tmp_path / name)
    if described:
        (tmp_path / "metadata").mkdir()
        for stem in "ab":
            fields = {"sci-name": "Parus major", "species": "Great Tit", "background": ["Turdus merula", " Sitta s"]}
            fields |= {"filename": f"{stem}.wav", "classid": "parmaj"}
            (tmp_path / "metadata" / f"{stem}.json").write_text(json.dumps(fields))
    recordings, _ = reader.read(reader.SourceConfig(audio=str(tmp_path)))
    assert [(r.recording_id, r.split) for r in recordings] == [("a", "train"), ("b", "val")]
    assert {r.label for r in recordings} == {"parmaj" if described else "Parus major"}
    assert recordings[0].background == (("Turdus merula", "Sitta s") if described else ())
    assert split.split(recordings, split.SplitConfig(val_share=0.5)) == recordings


def test_unknown_layout_is_refused(tmp_path):
    _wav(tmp_path / "a.wav")
    with pytest.raises(config.InputError, match="layout not recognised"):
        reader.read(reader.SourceConfig(audio=str(tmp_path)))


def test_an_absolute_file_name_never_leads_outside_the_audio_folder(tmp_path):
    source = birdclef_set(tmp_path / "set", ("1", "a.wav", "x", ""))
    _wav(tmp_path / "secret.wav")
    for name in (f"{tmp_path}/secret.wav", "..\\..\\secret.wav"):
        xml = XML.format(media_id="2", file=name, label="y", species="ater", more="")
        (tmp_path / "set" / "xml" / "b.xml").write_text(xml)
        recordings, unmatched = reader.read(dataclasses.replace(source, skip_unmatched=True))
        assert [r.recording_id for r in recordings] == ["1"] and len(unmatched) == 1


def test_what_lies_deep_in_folders_with_blanks_and_in_capitals_is_matched(tmp_path):
    source = birdclef_set(tmp_path, ("1", "a.wav", "x", ""))
    (tmp_path / "wav" / "a.wav").unlink()
    _wav(tmp_path / "wav" / "Öde Gegend" / "2014 05" / "A.WAV")
    (tmp_path / "xml" / "a.xml").rename(tmp_path / "xml" / "A.XML")
    [recording], _ = reader.read(source)
    assert recording.path.endswith("Öde Gegend/2014 05/A.WAV")


def test_a_name_that_is_not_utf8_is_listed_in_words_that_can_be_written(tmp_path):
    _wav(tmp_path / "x" / "good.wav")
    os.link(tmp_path / "x" / "good.wav", os.fsencode(tmp_path / "x") + b"/K\xe4uz.wav")
    source = reader.SourceConfig(audio=str(tmp_path), skip_unmatched=True)
    [recording], [(path, reason)] = reader.read(source)
    assert recording.recording_id == "good" and "UTF-8" in reason
    assert path.encode() and "uz.wav" in path


def test_a_circle_of_links_is_no_trouble(tmp_path):
    _wav(tmp_path / "x" / "a.wav")
    (tmp_path / "x" / "loop").symlink_to(tmp_path)
    (tmp_path / "x" / "b.wav").symlink_to(tmp_path / "x" / "b.wav")
    recordings, _ = reader.read(reader.SourceConfig(audio=str(tmp_path)))
    assert [r.recording_id for r in recordings] == ["a", "b"]  # the converter lists b as unreadable


def test_one_csv_is_a_layout(tmp_path):
    _wav(tmp_path / "audio" / "x" / "a.wav")
    (tmp_path / "meta.csv").write_text("filename,primary_label\nx/a.wav,parmaj\n")
    source = reader.SourceConfig(audio=str(tmp_path / "audio"), metadata=str(tmp_path / "meta.csv"))
    assert reader.detect(source) == ("csv", f"{tmp_path}/meta.csv is a table")
    assert [r.label for r in reader.read(source)[0]] == ["parmaj"]
    (tmp_path / "meta.csv").rename(tmp_path / "audio" / "meta.csv")
    inside = reader.SourceConfig(audio=str(tmp_path / "audio"))
    assert reader.detect(inside)[0] == "csv" and len(reader.read(inside)[0]) == 1


def test_a_stray_table_does_not_make_a_layout(tmp_path):
    _wav(tmp_path / "parmaj" / "a.wav")
    (tmp_path / "weather.csv").write_text("day,rain\n1,2\n")
    layout, why = reader.detect(reader.SourceConfig(audio=str(tmp_path)))
    assert layout == "folders" and "folders below" in why


@pytest.mark.parametrize("apart", [True, False])
def test_long_recordings_with_tables_named_after_them_are_a_layout(tmp_path, apart):
    texts = tmp_path / ("texts" if apart else "audio")
    for name in ("SITE_1.2.wav", "b.wav", "c.wav", "d.wav"):
        _wav(tmp_path / "audio" / name)
    texts.mkdir(exist_ok=True)
    raven = "Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\n1\t0\t2\tparmaj\n2\t4\t5\tturmer\n"
    (texts / "SITE_1.2.Table.1.selections.txt").write_text(raven)
    (texts / "b.txt").write_text("0\t3\tparmaj\n")
    (texts / "c.txt").write_text("0\t3\n")
    (texts / "README.txt").write_text("Recorded in May")
    source = reader.SourceConfig(
        audio=str(tmp_path / "audio"), metadata=str(texts) if apart else "", skip_unmatched=True
    )
    assert reader.detect(source) == ("annotations", f"3 text files below {texts} are named after recordings")
    recordings, unmatched = reader.read(source)
    assert [(r.recording_id, r.label, r.labels, r.background_known) for r in recordings] == [
        ("SITE_1.2", "parmaj", ("parmaj", "turmer"), True),
        ("b", "parmaj", ("parmaj",), True),
    ]
    assert [(path.rsplit("/", 1)[1], reason.split(": ")[-1].split(" in ")[0]) for path, reason in unmatched] == [
        ("c.wav", "its annotations name no species"),
        ("d.wav", "no annotations for it"),
    ]


def test_recordings_without_a_label_are_described_by_xml_or_csv(tmp_path):
    root = tmp_path / "test"
    paths = [str(root / name) for name in ("a.wav", "sub/b_RN9.wav", "c.wav")]
    (tmp_path / "xml").mkdir()
    text = "<Audio><MediaId>5</MediaId><FileName>a.wav</FileName><Latitude>1.5</Latitude><Time>06:30</Time></Audio>"
    (tmp_path / "xml" / "x.xml").write_text(text)
    (tmp_path / "t.csv").write_text(
        "filename,lat,lon,elevation,date\na.wav,1.5,2,300,2020-02-01\nsub/b_RN9.wav,3,4,,\n"
    )
    by_xml = reader.describe(paths, str(root), str(tmp_path / "xml"))
    assert (by_xml[paths[0]].latitude, by_xml[paths[0]].hour, by_xml[paths[0]].recording_id) == (1.5, 6.5, "5")
    by_csv = reader.describe(paths, str(root), str(tmp_path / "t.csv"))
    assert (by_csv[paths[0]].longitude, by_csv[paths[0]].elevation, by_csv[paths[0]].day_of_year) == (2, 300, 32)
    assert by_csv[paths[1]].latitude == 3 and by_csv[paths[1]].path == paths[1]
    for found in (by_xml, by_csv, reader.describe(paths, str(root), "")):
        assert math.isnan(found[paths[2]].latitude) and found[paths[2]].recording_id == "c"
    with pytest.raises(config.InputError, match=r"--metadata=.*nowhere"):
        reader.describe(paths, str(root), str(tmp_path / "nowhere"))

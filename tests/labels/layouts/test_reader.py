import dataclasses
import math
import os

import pytest

from bird_tf import config
from bird_tf.labels import clock
from bird_tf.labels.layouts import reader
from tests.labels.layouts import example_sets


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
    assert reader.detect(source) == ("csv", f"{tmp_path}/meta.csv is a table")
    assert [r.label for r in reader.read(source)[0]] == ["parmaj"]
    (tmp_path / "meta.csv").rename(tmp_path / "audio" / "meta.csv")
    inside = reader.SourceConfig(audio=str(tmp_path / "audio"))
    assert reader.detect(inside)[0] == "csv" and len(reader.read(inside)[0]) == 1


def test_an_unrelated_table_is_not_recognised_as_metadata(tmp_path):
    example_sets.write_wav(tmp_path / "parmaj" / "a.wav")
    (tmp_path / "weather.csv").write_text("day,rain\n1,2\n")
    layout, reason = reader.detect(reader.SourceConfig(audio=str(tmp_path)))
    assert layout == "folders" and "folders below" in reason


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

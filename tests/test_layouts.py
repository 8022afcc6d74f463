import collections
import dataclasses
import json

import pytest
import soundfile

from bird_tf import config, layouts, split

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
    return layouts.SourceConfig(audio=str(folder / "wav"), metadata=str(folder / "xml"))


def test_a_file_name_never_leads_outside_the_audio_folder(tmp_path):
    _wav(tmp_path / "secret.wav")
    source = birdclef_set(tmp_path / "set", ("1", "a.wav", "x", ""))
    xml = XML.format(media_id="2", file="../../secret.wav", label="y", species="ater", more="")
    (tmp_path / "set" / "xml" / "b.xml").write_text(xml)
    recordings, unmatched = layouts.read(dataclasses.replace(source, skip_unmatched=True))
    assert [r.recording_id for r in recordings] == ["1"]
    assert "b.xml" in unmatched[0][0]


@pytest.mark.parametrize(
    "text",
    [
        "no xml",
        "<Audio></Audio>",
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><Audio><ClassId>&b;</ClassId></Audio>',
    ],
)
def test_bad_xml_is_listed_with_its_reason(tmp_path, text):
    source = birdclef_set(tmp_path, ("1", "a.wav", "x", ""), ("2", "b.wav", "x", ""))
    (tmp_path / "xml" / "b.xml").write_text(text)
    recordings, unmatched = layouts.read(dataclasses.replace(source, skip_unmatched=True))
    assert [r.recording_id for r in recordings] == ["1"]
    assert {path.rsplit("/", 1)[1] for path, _ in unmatched} == {"b.xml", "b.wav"}


def test_file_without_metadata_stops_unless_told_otherwise(tmp_path):
    source = birdclef_set(tmp_path, ("1", "a.wav", "x", ""))
    _wav(tmp_path / "wav" / "b.wav")
    with pytest.raises(config.InputError, match=r"b\.wav.*no metadata.*--skip_unmatched"):
        layouts.read(source)
    recordings, unmatched = layouts.read(dataclasses.replace(source, skip_unmatched=True))
    assert len(recordings) == len(unmatched) == 1


def test_metadata_without_file_stops(tmp_path):
    source = birdclef_set(tmp_path, ("1", "a.wav", "x", ""), ("2", "b.wav", "x", ""))
    (tmp_path / "wav" / "b.wav").unlink()
    with pytest.raises(config.InputError, match=r"b\.xml.*is not below"):
        layouts.read(source)


def test_class_folders(tmp_path):
    for name in ("Parus major/deep/1.wav", "Parus major/2.WAV", "Öl käuzchen/1.wav"):
        _wav(tmp_path / name)
    recordings, _ = layouts.read(layouts.SourceConfig(audio=str(tmp_path)))
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
    recordings, _ = layouts.read(layouts.SourceConfig(audio=str(tmp_path)))
    assert [(r.recording_id, r.split) for r in recordings] == [("a", "train"), ("b", "val")]
    assert {r.label for r in recordings} == {"parmaj" if described else "Parus major"}
    assert recordings[0].background == (("Turdus merula", "Sitta s") if described else ())
    assert split.split(recordings, split.SplitConfig(val_share=0.5)) == recordings


def test_unknown_layout_is_refused(tmp_path):
    _wav(tmp_path / "a.wav")
    with pytest.raises(config.InputError, match="layout not recognised"):
        layouts.read(layouts.SourceConfig(audio=str(tmp_path)))

import collections
import dataclasses
import json
import math

import pytest
import soundfile

from bird_tf import config, metadata

XML = """<?xml version='1.0' encoding='utf-8'?>
<Audio><MediaId>{media_id}</MediaId><FileName>{file}</FileName><ClassId>{label}</ClassId>{more}
<Genus>Parus</Genus><Species>{species}</Species></Audio>"""


def _wav(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, [0.0, 0.1], 8000)


def _set(folder, *entries):
    """wav/ and xml/ of (media id, file name, label, further elements)."""
    (folder / "xml").mkdir(parents=True)
    for media_id, file, label, more in entries:
        _wav(folder / "wav" / file)
        text = XML.format(media_id=media_id, file=file, label=label, species="major", more=more)
        (folder / "xml" / f"{file.rsplit('.', 1)[0]}.xml").write_text(text, encoding="utf-8")
    return metadata.SourceConfig(audio=str(folder / "wav"), metadata=str(folder / "xml"))


def test_birdclef_xml_is_read_in_full(tmp_path):
    more = """<Date>2014-02-01</Date><Time>~06h15</Time><Latitude>-3.5</Latitude><Longitude>-70</Longitude>
    <AuthorID>A7</AuthorID><BackgroundSpecies>Turdus merula, Sitta europaea</BackgroundSpecies>"""
    recordings, unmatched = metadata.read(_set(tmp_path, ("42", "X_RN42.wav", "parmaj", more)))
    assert unmatched == []
    assert recordings == [
        metadata.Recording(
            recording_id="42", path=str(tmp_path / "wav" / "X_RN42.wav"), label="parmaj", name="Parus major",
            background=("Turdus merula", "Sitta europaea"), background_known=True, author="A7",
            latitude=-3.5, longitude=-70.0, day_of_year=32.0, hour=6.25,
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("element", "background", "known"),
    [
        ("", (), False),
        ("<BackgroundSpecies/>", (), True),
        ("<BackgroundSpecies>A a,B b</BackgroundSpecies>", ("A a", "B b"), True),
    ],
)
def test_unknown_background_is_not_the_same_as_none(tmp_path, element, background, known):
    [recording], _ = metadata.read(_set(tmp_path, ("1", "a.wav", "x", element)))
    assert (recording.background, recording.background_known) == (background, known)


@pytest.mark.parametrize(
    ("text", "hour"),
    [("08:30", 8.5), ("9:30 am", 9.5), ("9:30 pm", 21.5), ("12:15 am", 0.25), ("~06h15", 6.25), ("18:00:30", 18.0),
     ("7.15", 7.25), ("?", math.nan), ("", math.nan), ("25:10", math.nan), ("morning", math.nan)],
)  # fmt: skip
def test_times_are_free_text(tmp_path, text, hour):
    [recording], _ = metadata.read(_set(tmp_path, ("1", "a.wav", "x", f"<Time>{text}</Time>")))
    assert recording.hour == pytest.approx(hour, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "day"),
    [("2016-12-31", 366.0), ("2014/1/31", 31.0), ("2014-00-00", math.nan), ("May 2014", math.nan), ("", math.nan)],
)
def test_dates_are_free_text(tmp_path, text, day):
    [recording], _ = metadata.read(_set(tmp_path, ("1", "a.wav", "x", f"<Date>{text}</Date>")))
    assert recording.day_of_year == pytest.approx(day, nan_ok=True)


@pytest.mark.parametrize("text", ["ca. 12", "91", "", "12,5"])
def test_coordinates_that_are_none_become_nan(tmp_path, text):
    [recording], _ = metadata.read(_set(tmp_path, ("1", "a.wav", "x", f"<Latitude>{text}</Latitude>")))
    assert math.isnan(recording.latitude)


def test_a_file_name_never_leads_outside_the_audio_folder(tmp_path):
    _wav(tmp_path / "secret.wav")
    source = _set(tmp_path / "set", ("1", "a.wav", "x", ""))
    xml = XML.format(media_id="2", file="../../secret.wav", label="y", species="ater", more="")
    (tmp_path / "set" / "xml" / "b.xml").write_text(xml)
    recordings, unmatched = metadata.read(dataclasses.replace(source, skip_unmatched=True))
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
    source = _set(tmp_path, ("1", "a.wav", "x", ""), ("2", "b.wav", "x", ""))
    (tmp_path / "xml" / "b.xml").write_text(text)
    recordings, unmatched = metadata.read(dataclasses.replace(source, skip_unmatched=True))
    assert [r.recording_id for r in recordings] == ["1"]
    assert {path.rsplit("/", 1)[1] for path, _ in unmatched} == {"b.xml", "b.wav"}


def test_file_without_metadata_stops_unless_told_otherwise(tmp_path):
    source = _set(tmp_path, ("1", "a.wav", "x", ""))
    _wav(tmp_path / "wav" / "b.wav")
    with pytest.raises(config.InputError, match=r"b\.wav.*no metadata.*--skip_unmatched"):
        metadata.read(source)
    recordings, unmatched = metadata.read(dataclasses.replace(source, skip_unmatched=True))
    assert len(recordings) == len(unmatched) == 1


def test_metadata_without_file_stops(tmp_path):
    source = _set(tmp_path, ("1", "a.wav", "x", ""), ("2", "b.wav", "x", ""))
    (tmp_path / "wav" / "b.wav").unlink()
    with pytest.raises(config.InputError, match=r"b\.xml.*is not below"):
        metadata.read(source)


def test_class_folders(tmp_path):
    for name in ("Parus major/deep/1.wav", "Parus major/2.WAV", "Öl käuzchen/1.wav"):
        _wav(tmp_path / name)
    recordings, _ = metadata.read(metadata.SourceConfig(audio=str(tmp_path)))
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
    recordings, _ = metadata.read(metadata.SourceConfig(audio=str(tmp_path)))
    assert [(r.recording_id, r.split) for r in recordings] == [("a", "train"), ("b", "val")]
    assert {r.label for r in recordings} == {"parmaj" if described else "Parus major"}
    assert recordings[0].background == (("Turdus merula", "Sitta s") if described else ())
    assert metadata.split(recordings, metadata.SplitConfig(val_share=0.5)) == recordings


def test_unknown_layout_is_refused(tmp_path):
    _wav(tmp_path / "a.wav")
    with pytest.raises(config.InputError, match="layout not recognised"):
        metadata.read(metadata.SourceConfig(audio=str(tmp_path)))


@pytest.mark.parametrize("name", ["X_RN123.wav", "LIFECLEF2017_BIRD_XC_WAV_RN123.mp3"])
def test_media_id_is_the_number_after_rn(name):
    assert metadata.media_id(f"/some/{name}") == "123"
    assert metadata.media_id("/some/other_RN1x.wav") == "other_RN1x"


def _recordings(counts, authors=None):
    made = []
    for label, n in counts.items():
        for i in range(n):
            author = authors[len(made) % len(authors)] if authors else ""
            made.append(metadata.Recording(recording_id=f"{label}{i}", path="", label=label, author=author))
    return made


def test_split_is_stratified_and_keeps_every_class_on_both_sides():
    split = metadata.split(_recordings({"a": 50, "b": 2, "c": 1, "d": 9}), metadata.SplitConfig())
    held_out = collections.Counter(r.label for r in split if r.split == "val")
    assert held_out == {"a": 5, "b": 1, "d": 1}
    assert {r.label for r in split if r.split == "train"} == {"a", "b", "c", "d"}


def test_split_by_author_never_divides_a_session():
    recordings = _recordings({"a": 20, "b": 12, "c": 7}, authors=[f"s{i}" for i in range(9)])
    split = metadata.split(recordings, metadata.SplitConfig(group_by="author", val_share=0.2))
    sides = collections.defaultdict(set)
    for recording in split:
        sides[recording.author].add(recording.split)
    assert all(len(side) == 1 for side in sides.values())
    for side in ("train", "val"):
        assert {r.label for r in split if r.split == side} == {"a", "b", "c"}


def test_split_is_the_same_every_time_and_another_with_another_seed():
    recordings = _recordings({"a": 40, "b": 30})
    first = metadata.split(recordings, metadata.SplitConfig())
    assert {r.recording_id: r.split for r in metadata.split(recordings[::-1], metadata.SplitConfig())} == {
        r.recording_id: r.split for r in first
    }
    assert metadata.split(recordings, metadata.SplitConfig(split_seed=1)) != first


def test_share_zero_keeps_all_for_training():
    split = metadata.split(_recordings({"a": 5}), metadata.SplitConfig(val_share=0.0))
    assert {r.split for r in split} == {"train"}


def test_impossible_share_is_refused():
    with pytest.raises(config.InputError, match="--val_share=1"):
        metadata.split([], metadata.SplitConfig(val_share=1.0))

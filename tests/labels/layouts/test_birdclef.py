import dataclasses

import pytest

from bird_tf.labels import metadata
from bird_tf.labels.layouts import reader
from tests.labels.layouts import example_sets


@pytest.mark.parametrize(
    "text",
    [
        "no xml",
        "",
        "<Audio><ClassId>x</ClassId>",
        '<?xml version="1.0" encoding="utf-8"?><Audio><ClassId>\udce4</ClassId></Audio>',  # Latin-1, declared as UTF-8
        '<?xml version="1.0" encoding="klingon"?><Audio><ClassId>x</ClassId></Audio>',
        '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><Audio><ClassId>&b;</ClassId></Audio>',
        "<Audio></Audio>",
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><Audio><ClassId>&b;</ClassId></Audio>',
    ],
)
def test_bad_xml_is_listed_with_its_reason(tmp_path, text):
    source = example_sets.birdclef_set(tmp_path, ("1", "a.wav", "x", ""), ("2", "b.wav", "x", ""))
    (tmp_path / "xml" / "b.xml").write_text(text, encoding="utf-8", errors="surrogateescape")
    recordings, unmatched = reader.read(dataclasses.replace(source, skip_unmatched=True))
    assert [r.recording_id for r in recordings] == ["1"]
    assert {path.rsplit("/", 1)[1] for path, _ in unmatched} == {"b.xml", "b.wav"}


def test_all_elements_are_read(tmp_path):
    more = """<Date>2014-02-01</Date><Time>~06h15</Time><Latitude>-3.5</Latitude><Longitude>-70</Longitude>
    <AuthorID>A7</AuthorID><BackgroundSpecies>Turdus merula, Sitta europaea</BackgroundSpecies>"""
    recordings, unmatched = reader.read(example_sets.birdclef_set(tmp_path, ("42", "X_RN42.wav", "parmaj", more)))
    assert unmatched == []
    assert recordings == [
        metadata.Recording(
            recording_id="42", path=str(tmp_path / "wav" / "X_RN42.wav"), label="parmaj", name="Parus major",
            background=("Turdus merula", "Sitta europaea"), background_known=True, author="A7",
            latitude=-3.5, longitude=-70.0, day_of_year=32.0, date="2014-02-01", hour=6.25,
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
def test_unknown_background_differs_from_no_background(tmp_path, element, background, known):
    [recording], _ = reader.read(example_sets.birdclef_set(tmp_path, ("1", "a.wav", "x", element)))
    assert (recording.background, recording.background_known) == (background, known)

import dataclasses

import pytest

from bird_tf import config
from bird_tf.labels import metadata
from bird_tf.labels.layouts import reader
from tests.labels import example_sets


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
    named = " ".join(f"{path} {reason}" for path, reason in unmatched)
    assert "b.xml" in named and "b.wav" in named


def test_a_document_type_is_refused_in_every_encoding(tmp_path):
    source = example_sets.birdclef_set(tmp_path, ("1", "a.wav", "x", ""), ("2", "b.wav", "x", ""))
    document_type = '<!DOCTYPE a [<!ENTITY b "parmaj">]>'
    text = f'<?xml version="1.0" encoding="utf-16"?>{document_type}<Audio><ClassId>&b;</ClassId></Audio>'
    (tmp_path / "xml" / "b.xml").write_bytes(text.encode("utf-16"))
    _, unmatched = reader.read(dataclasses.replace(source, skip_unmatched=True))
    assert any("document type" in reason for _, reason in unmatched)


def test_xml_in_utf16_is_read(tmp_path):
    source = example_sets.birdclef_set(tmp_path, ("1", "a.wav", "x", ""))
    text = example_sets.XML.format(media_id="1", file="a.wav", label="ä", species="major", more="")
    (tmp_path / "xml" / "a.xml").write_bytes(text.replace("utf-8", "utf-16").encode("utf-16"))
    assert [r.label for r in reader.read(source)[0]] == ["ä"]


def test_all_elements_are_read(tmp_path):
    more = """<Date>2014-02-01</Date><Time>~06h15</Time><Latitude>-3.5</Latitude><Longitude>-70</Longitude>
    <AuthorID>A7</AuthorID><BackgroundSpecies>Turdus merula, Sitta europaea</BackgroundSpecies>"""
    recordings, unmatched = reader.read(example_sets.birdclef_set(tmp_path, ("42", "X_RN42.wav", "parmaj", more)))
    assert unmatched == []
    assert recordings == [
        metadata.Recording(
            recording_id="42", path=str(tmp_path / "wav" / "X_RN42.wav"), label="parmaj", name="Parus major",
            background=("Turdus merula", "Sitta europaea"), background_known=True, author="A7",
            latitude=-3.5, longitude=-70.0, day_of_year=32.0, hour=6.25, date="2014-02-01",
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


@pytest.mark.parametrize("class_id", ["a;b", "song,type2", "-minus", "[a]"])
def test_a_class_id_that_a_table_would_not_hold_as_one_is_refused(tmp_path, class_id):
    source = example_sets.birdclef_set(tmp_path, ("1", "a.wav", class_id, ""), ("2", "b.wav", "x", ""))
    with pytest.raises(config.InputError, match=r"1 files do not match, the first: .*a\.wav .*rename the class"):
        reader.read(source)


def test_elements_of_the_background_count_together(tmp_path):
    more = "<BackgroundSpecies>a b</BackgroundSpecies><BackgroundSpecies>c,d</BackgroundSpecies>"
    entries = [(str(i), f"{i}.wav", label, more * (not i)) for i, label in enumerate(("x", "a b", "c", "d"))]
    found, _ = reader.read(example_sets.birdclef_set(tmp_path, *entries))
    [about] = [recording for recording in found if recording.label == "x"]
    assert about.background == ("a b", "c", "d") and about.background_known

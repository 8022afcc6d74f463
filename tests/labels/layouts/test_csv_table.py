import math

import pytest

from bird_tf import config
from bird_tf.labels import metadata
from bird_tf.labels.layouts import csv_table

KAGGLE = """primary_label,secondary_labels,type,latitude,longitude,scientific_name,common_name,author,time,url,filename
asbfly,[],['call'],39.2,-70.1,Muscicapa dauurica,Asian Brown Flycatcher,Ann,09:30,https://x,asbfly/XC1.ogg
barswa,"['asbfly', 'comsan']",['song'],,,Hirundo rustica,Barn Swallow,Bob,?,https://x,barswa/XC2.ogg
"""


def _read(folder, text, *audio, columns=()):
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    paths = [str(folder / "audio" / name) for name in audio]
    return csv_table.read_table(str(path), paths, str(folder / "audio"), csv_table.parse_columns(columns))


def test_kaggles_train_metadata_is_read(tmp_path):
    recordings, unmatched = _read(tmp_path, KAGGLE, "asbfly/XC1.ogg", "barswa/XC2.ogg")
    assert unmatched == []
    first, second = recordings
    assert first == metadata.Recording(
        recording_id="XC1", path=str(tmp_path / "audio" / "asbfly" / "XC1.ogg"), label="asbfly",
        name="Muscicapa dauurica", background_known=True, author="Ann", latitude=39.2, longitude=-70.1, hour=9.5,
    )  # fmt: skip
    assert (second.background, second.background_known) == (("asbfly", "comsan"), True)
    assert math.isnan(second.latitude) and math.isnan(second.hour)


@pytest.mark.parametrize(
    ("cell", "background", "known"),
    [
        ("", (), False), ("?", (), False), ("unknown", (), False), ("[]", (), True), ("none", (), True),
        ("a; b", ("a", "b"), True), ('"a, b"', ("a", "b"), True), ('"[\'a\', \'b\']"', ("a", "b"), True),
        ("[broken", (), False), ("[__import__('os')]", (), False),
    ],
)  # fmt: skip
def test_known_background_no_background_and_unknown_background_differ(tmp_path, cell, background, known):
    [recording], _ = _read(tmp_path, f"file,label,background\nx.wav,a,{cell}\n", "x.wav")
    assert (recording.background, recording.background_known) == (background, known)


def test_the_background_is_unknown_without_a_column_for_it(tmp_path):
    [recording], _ = _read(tmp_path, "file,label\nx.wav,a\n", "x.wav")
    assert not recording.background_known


def test_other_names_of_columns_are_given_by_the_flag(tmp_path):
    text = "Datei,Art,Tag\nÄ x.WAV,Käuzchen,2014-02-01\n"
    with pytest.raises(config.InputError, match=r"which column holds file and which label\?.*Datei, Art, Tag"):
        _read(tmp_path, text, "Ä x.WAV")
    [recording], _ = _read(tmp_path, text, "Ä x.WAV", columns=("file=Datei", "label=Art", "date=Tag"))
    assert (recording.label, recording.day_of_year) == ("Käuzchen", 32.0)


@pytest.mark.parametrize("columns", [("fiel=Datei",), ("file",), ("file=Nowhere",)])
def test_a_wrong_mapping_is_refused(tmp_path, columns):
    with pytest.raises(config.InputError, match="--columns="):
        _read(tmp_path, "file,label\nx.wav,a\n", "x.wav", columns=columns)


def test_rows_with_start_and_end_annotate_one_recording(tmp_path):
    text = "file,label,start,end,background\nx.wav,a,0,2,none\nx.wav,b,2.5,8,c\ny.wav,a,1,2,\n"
    first, second = _read(tmp_path, text, "x.wav", "y.wav")[0]
    assert [(a.start_seconds, a.end_seconds, a.label, a.background) for a in first.annotations] == [
        (0.0, 2.0, "a", ()),
        (2.5, 8.0, "b", ("c",)),
    ]
    assert (first.label, first.background, first.background_known) == ("b", ("a", "c"), True)
    assert not second.background_known


def test_a_row_never_names_a_file_outside_of_the_folder(tmp_path):
    (tmp_path / "secret.wav").touch()
    text = "file,label\n../secret.wav,a\n/etc/passwd,a\nx.wav,a\n"
    recordings, unmatched = _read(tmp_path, text, "x.wav")
    assert [r.path for r in recordings] == [str(tmp_path / "audio" / "x.wav")]
    assert [where.rsplit(", ", 1)[1] for where, _ in unmatched] == ["line 2", "line 3"]


def test_rows_and_recordings_that_do_not_match_are_listed(tmp_path):
    text = "file,label\nx.wav,a\nx.wav,b\ny.wav,\nz.wav,a\nsame.wav,a\n"
    _, unmatched = _read(tmp_path, text, "x.wav", "y.wav", "1/same.wav", "2/same.wav", "left.wav")
    reasons = {where.rsplit("/", 1)[1].split(", ")[-1]: reason for where, reason in unmatched}
    assert "second row" in reasons["x.wav"]
    assert "no label" in reasons["line 4"]
    assert "not below" in reasons["line 5"] and "several" in reasons["line 6"]
    assert "no row for it" in reasons["left.wav"]


@pytest.mark.parametrize("text", ["", "file,label\n", "start,file,label\n1,x.wav,a\n"])
def test_incomplete_tables_are_refused(tmp_path, text):
    with pytest.raises(config.InputError, match=r"table\.csv"):
        _read(tmp_path, text, "x.wav")
    assert not csv_table.fits(str(tmp_path / "table.csv"), {})

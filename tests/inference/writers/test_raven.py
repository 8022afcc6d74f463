import csv
import dataclasses

import pytest

from bird_tf.inference.writers import tables as writers
from tests.conftest import settings
from tests.inference.writers.conftest import FILES, context, prediction


def _rows(path):
    header, *lines = csv.reader(path.read_text().splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    assert all(len(line) == len(header) for line in lines)
    return [dict(zip(header, line, strict=True)) for line in lines]


@pytest.mark.parametrize(("channel", "number"), [("2", "2"), ("12", "12"), ("mix", "1"), ("loudest", "1")])
def test_selections_are_of_the_channel_that_was_heard(tmp_path, channel, number):
    table_settings = settings(writers.TableConfig, format="raven,raven_combined")
    with writers.writing(table_settings, context(tmp_path, channel=channel)) as append:
        append(prediction(FILES[0]))
    for path in (tmp_path / "here" / "x.Table.1.selections.txt", tmp_path / "raven_combined.txt"):
        assert {(row["View"], row["Channel"]) for row in _rows(path)} == {(f"Spectrogram {number}", number)}


@pytest.mark.parametrize(("rate_hz", "band"), [
    (0, ("500.0", "15000.0")), (48000, ("500.0", "15000.0")), (30000, ("500.0", "15000.0")),
    (8000, ("500.0", "4000.0")), (22050, ("500.0", "11025.0")), (1000, ("0.0", "500.0")),
])  # fmt: skip
def test_selections_reach_no_higher_than_half_the_sample_rate_of_their_recording(tmp_path, rate_hz, band):
    heard = prediction(FILES[0])
    heard = dataclasses.replace(heard, scores=dataclasses.replace(heard.scores, sample_rate_hz=rate_hz))
    with writers.writing(settings(writers.TableConfig, format="raven,raven_combined"), context(tmp_path)) as append:
        append(heard)
    for path in (tmp_path / "here" / "x.Table.1.selections.txt", tmp_path / "raven_combined.txt"):
        assert {(row["Low Freq (Hz)"], row["High Freq (Hz)"]) for row in _rows(path)} == {band}


@pytest.fixture
def tables(tmp_path, write):
    """The rows of one recording, and those of all."""
    write(format="raven,raven_combined")
    return _rows(tmp_path / "here" / "x.Table.1.selections.txt"), _rows(tmp_path / "raven_combined.txt")


def test_selection_tables_follow_the_rules_of_raven(tables):
    """A header with the required columns, selections from 1, 0 <= begin < end, low < high."""
    needed = {"Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)"}
    for rows in tables:
        assert needed <= set(rows[0])
        assert [int(r["Selection"]) for r in rows] == list(range(1, len(rows) + 1))
        for row in rows:
            assert row["View"] == "Spectrogram 1" and int(row["Channel"]) >= 1
            assert 0 <= float(row["Begin Time (s)"]) < float(row["End Time (s)"])
            assert 0 <= float(row["Low Freq (Hz)"]) < float(row["High Freq (Hz)"])
    assert [r["Class"] for r in tables[0]] == ["aaaaaa", "bbbbbb", "aaaaaa"]
    assert tables[0][1]["Species"] == 'Buteo "b", brevis'


def test_the_combined_table_places_selections_in_the_sequence_and_in_each_file(tables):
    one, combined = tables
    assert [r["Begin Path"] for r in combined] == ["/birds/here/x.wav"] * 3 + ["/birds/there/x.wav"] * 3
    assert {r["Begin File"] for r in combined} == {"x.wav"}
    for place, row in enumerate(combined):
        own = one[place % 3]
        assert row["File Offset (s)"] == own["File Offset (s)"] == own["Begin Time (s)"]
        begin = 4.0 * (place // 3)  # a recording lasts four seconds
        assert float(row["Begin Time (s)"]) == begin + float(own["Begin Time (s)"])
        assert float(row["End Time (s)"]) == begin + float(own["End Time (s)"])

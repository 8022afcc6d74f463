from tests.inference.writers.conftest import read_rows


def test_selection_tables_follow_the_rules_of_raven(tmp_path, write):
    """Tab-separated, a header with the required columns, selections from 1, 0 <= begin < end, low < high."""
    write(format="raven")
    rows = read_rows(tmp_path / "x.Table.1.selections.txt", delimiter="\t")
    assert {"Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)"} <= set(
        rows[0]
    )
    assert [int(r["Selection"]) for r in rows] == [1, 2, 3]
    for row in rows:
        assert row["View"] == "Spectrogram 1" and int(row["Channel"]) >= 1
        assert 0 <= float(row["Begin Time (s)"]) < float(row["End Time (s)"])
        assert 0 <= float(row["Low Freq (Hz)"]) < float(row["High Freq (Hz)"])
        assert None not in row and None not in row.values()
    assert [r["Class"] for r in rows] == ["aaaaaa", "bbbbbb", "aaaaaa"]

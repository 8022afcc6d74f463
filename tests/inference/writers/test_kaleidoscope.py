from tests.inference.writers.conftest import read_rows


def test_the_columns_give_the_path_and_time_of_each_detection(tmp_path, write):
    """INDIR / FOLDER / IN FILE is the path; OFFSET and DURATION are seconds in that file."""
    write(format="kaleidoscope")
    rows = read_rows(tmp_path / "kaleidoscope.csv")
    assert list(rows[0])[:5] == ["INDIR", "FOLDER", "IN FILE", "OFFSET", "DURATION"]
    assert len(rows) == 6
    for row in rows:
        assert f"{row['INDIR']}/{row['FOLDER']}/{row['IN FILE']}" == "/birds/here/x.wav"
        assert float(row["OFFSET"]) >= 0 and float(row["DURATION"]) > 0
    assert (rows[1]["TOP1MATCH"], rows[1]["OFFSET"], rows[1]["DURATION"]) == ('Buteo "b", brevis', "1.000", "2.000")

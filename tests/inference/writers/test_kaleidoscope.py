from bird_tf.inference.writers import tables
from tests.conftest import settings
from tests.inference.writers.conftest import FILES, context, prediction, read_rows


def test_the_columns_give_the_path_and_time_of_each_detection(tmp_path, write):
    """INDIR / FOLDER / IN FILE is the path; OFFSET and DURATION are seconds in that file."""
    write(format="kaleidoscope")
    rows = read_rows(tmp_path / "kaleidoscope.csv")
    assert list(rows[0]) == [
        "INDIR", "FOLDER", "IN FILE", "OFFSET", "DURATION", "DATE", "TIME", "HOUR", "TOP1MATCH", "TOP1DIST",
        "MANUAL ID",
    ]  # fmt: skip
    assert len(rows) == 6
    paths = [f"{row['INDIR']}/{row['FOLDER']}/{row['IN FILE']}" for row in rows]
    assert paths == ["/birds/here/x.wav"] * 3 + ["/birds/there/x.wav"] * 3
    assert (rows[1]["TOP1MATCH"], rows[1]["OFFSET"], rows[1]["DURATION"]) == ('Buteo "b", brevis', "1.000", "2.000")


def test_date_and_time_are_of_the_start_of_the_recording(tmp_path):
    table_settings = settings(tables.TableConfig, format="kaleidoscope")
    with tables.writing(table_settings, context(tmp_path)) as append:
        append(prediction(FILES[0], date="2024-05-01", hour=4.51))
        append(prediction(FILES[1], date="2024-05-01"))
    rows = read_rows(tmp_path / "kaleidoscope.csv")
    assert [[rows[i][name] for name in ("DATE", "TIME", "HOUR")] for i in (0, 3)] == [
        ["2024-05-01", "04:30:36", "4"], ["2024-05-01", "", ""],
    ]  # fmt: skip


def test_a_more_probable_detection_is_nearer(tmp_path, write):
    write(format="kaleidoscope", merge_seconds=-1.0)
    distances = [float(row["TOP1DIST"]) for row in read_rows(tmp_path / "kaleidoscope.csv")]
    assert distances[:5] == [0.1, 0.3, 0.4, 0.2, 0.4]


def test_files_have_the_names_by_which_they_are_opened(tmp_path):
    with tables.writing(settings(tables.TableConfig, format="kaleidoscope,csv"), context(tmp_path)) as append:
        append(prediction("-birds/=x.wav"))
    assert {(row["FOLDER"], row["IN FILE"]) for row in read_rows(tmp_path / "kaleidoscope.csv")} == {
        ("-birds", "=x.wav")
    }
    assert {row["file"] for row in read_rows(tmp_path / "detections.csv")} == {"'-birds/=x.wav"}

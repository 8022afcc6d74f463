import numpy as np

from bird_tf.labels import taxonomy
from tests.inference.writers.conftest import CLASSES, FILES, PROBABILITIES, read_rows


def test_one_combined_table_or_one_for_each_recording(tmp_path, write):
    write(format="csv,csv_each")
    both = read_rows(tmp_path / "detections.csv")
    each = [read_rows(tmp_path / folder / "x.detections.csv") for folder in ("here", "there")]
    assert both == each[0] + each[1]
    assert [(r["start_seconds"], r["end_seconds"], r["name"]) for r in both[:3]] == [
        ("0.000", "2.000", "Avis alba"), ("1.000", "3.000", 'Buteo "b", brevis'), ("3.000", "4.000", "Avis alba"),
    ]  # fmt: skip
    recordings, chunks = read_rows(tmp_path / "recordings.csv"), read_rows(tmp_path / "chunks.csv")
    assert [(r["file"], r["best"], r["present"]) for r in recordings] == [(f, "aaaaaa", "aaaaaa") for f in FILES]
    np.testing.assert_allclose([[float(c[i]) for i in CLASSES.class_ids] for c in chunks[:4]], PROBABILITIES, atol=1e-6)


def test_all_tables_are_joined_by_the_path_of_the_recording(tmp_path, write):
    write(format="csv")
    for name in ("recordings", "chunks", "detections"):
        assert list(dict.fromkeys(row["recording_id"] for row in read_rows(tmp_path / f"{name}.csv"))) == list(FILES)


def test_ids_with_blanks_and_semicolons_survive(tmp_path, write):
    write(format="csv", min_probability="0.1", classes=taxonomy.Taxonomy(("Avis alba", "b; brevis"), ("", "")))
    assert {row["present"] for row in read_rows(tmp_path / "recordings.csv")} == {'Avis alba;"b; brevis"'}


def test_a_byte_order_mark_is_for_csv_tables_alone(tmp_path, write):
    write(format="csv,csv_each,kaleidoscope,raven", csv_bom=True)
    marked = {p.name for p in tmp_path.rglob("*") if p.is_file() and p.read_bytes().startswith(b"\xef\xbb\xbf")}
    assert marked == {"detections.csv", "chunks.csv", "recordings.csv", "x.detections.csv"}


def test_names_that_a_spreadsheet_would_run_begin_with_an_apostrophe(tmp_path, write):
    write(format="csv", classes=taxonomy.Taxonomy(('=HYPERLINK("x")', "b"), ("@SUM(1)", "-1")))
    [first, *_] = read_rows(tmp_path / "detections.csv")
    assert (first["class_id"], first["name"]) == ('\'=HYPERLINK("x")', "'@SUM(1)")
    assert (tmp_path / "chunks.csv").read_text().splitlines()[0] == (
        'recording_id,start_seconds,end_seconds,"\'=HYPERLINK(""x"")",b'
    )

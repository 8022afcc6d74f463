import numpy as np

from tests.inference.writers.conftest import CLASSES, PROBABILITIES, read_rows


def test_one_combined_table_or_one_for_each_recording(tmp_path, write):
    write(format="csv,csv_each")
    both = read_rows(tmp_path / "detections.csv")
    assert both == read_rows(tmp_path / "x.detections.csv") + read_rows(tmp_path / "y.detections.csv")
    assert [(r["start_seconds"], r["end_seconds"], r["name"]) for r in both[:3]] == [
        ("0.000", "2.000", "Avis alba"), ("1.000", "3.000", 'Buteo "b", brevis'), ("3.000", "4.000", "Avis alba"),
    ]  # fmt: skip
    recordings, chunks = read_rows(tmp_path / "recordings.csv"), read_rows(tmp_path / "chunks.csv")
    assert [(r["recording_id"], r["best"], r["present"]) for r in recordings] == [
        ("x", "aaaaaa", "aaaaaa"), ("y", "aaaaaa", "aaaaaa"),
    ]  # fmt: skip
    np.testing.assert_allclose([[float(c[i]) for i in CLASSES.class_ids] for c in chunks[:4]], PROBABILITIES, atol=1e-6)

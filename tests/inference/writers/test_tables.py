import csv
import re

import numpy as np
import pytest

from bird_tf import config
from bird_tf.audio import frontend
from bird_tf.inference import ensembles
from bird_tf.inference.writers import detections, tables
from bird_tf.labels import taxonomy
from bird_tf.scores import calibration, decisions
from tests.conftest import settings

CLASSES = taxonomy.Taxonomy(("aaaaaa", "bbbbbb"), ("Avis alba", 'Buteo "b", brevis'))
PROBABILITIES = np.array([[0.9, 0.1], [0.7, 0.6], [0.2, 0.8], [0.6, 0.1]], np.float32)


def _scores(probabilities=PROBABILITIES, hop=1.0):
    start = np.arange(len(probabilities)) * hop
    return ensembles.RecordingScores(
        path="/birds/here/x.wav", duration_seconds=4.0, start_seconds=start, end_seconds=start + 1.0,
        members=probabilities[None], probabilities=probabilities, attentions=np.zeros((1, 4), np.float32),
        attention=np.zeros(4, np.float32), embeddings=np.ones((4, 3), np.float32),
    )  # fmt: skip


def _answer(recording_id="x"):
    return tables.Prediction(recording_id=recording_id, scores=_scores(), pooled=np.array([0.6, 0.4]))


def _context(tmp_path, **values):
    return tables.Context(
        settings=settings(tables.TableConfig, **values), output=str(tmp_path), root="/birds", classes=CLASSES,
        front_end=frontend.FrontendConfig(), decisions=decisions.neutral(CLASSES, 1, "mean"),
    )  # fmt: skip


def _write(tmp_path, **values):
    with tables.writing(_context(tmp_path, **values)) as append:
        append(_answer("x"))
        append(_answer("y"))


def _rows(path, delimiter=","):
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def _found(least, top=0, merge_seconds=-1.0, scores=None):
    found = detections.detections(scores or _scores(), np.asarray(least), top, merge_seconds)
    return [(d.start, d.end, d.index, round(d.probability, 3)) for d in found]


def test_what_reaches_its_own_threshold_is_a_detection():
    assert _found([0.65, 0.8]) == [(0, 1, 0, 0.9), (1, 2, 0, 0.7), (2, 3, 1, 0.8)]


def test_top_keeps_the_most_probable_of_each_chunk():
    assert _found([0.5, 0.5], top=1) == [(0, 1, 0, 0.9), (1, 2, 0, 0.7), (2, 3, 1, 0.8), (3, 4, 0, 0.6)]
    assert _found([0.5, 0.5], top=2) == _found([0.5, 0.5])


def test_neighbours_become_one_with_the_best_probability():
    assert _found([0.5, 0.5], merge_seconds=0.0) == [(0, 2, 0, 0.9), (1, 3, 1, 0.8), (3, 4, 0, 0.6)]
    assert _found([0.5, 0.5], merge_seconds=1.0) == [(0, 4, 0, 0.9), (1, 3, 1, 0.8)]
    assert _found([0.5, 0.5], merge_seconds=0.0, scores=_scores(hop=0.5))[0] == (0.0, 2.5, 0, 0.9)


def test_one_combined_table_or_one_for_each_recording(tmp_path):
    _write(tmp_path, format="csv,csv_each")
    both = _rows(tmp_path / "detections.csv")
    assert both == _rows(tmp_path / "x.detections.csv") + _rows(tmp_path / "y.detections.csv")
    assert [(r["start_seconds"], r["end_seconds"], r["name"]) for r in both[:3]] == [
        ("0.000", "2.000", "Avis alba"), ("1.000", "3.000", 'Buteo "b", brevis'), ("3.000", "4.000", "Avis alba"),
    ]  # fmt: skip
    recordings, chunks = _rows(tmp_path / "recordings.csv"), _rows(tmp_path / "chunks.csv")
    assert [(r["recording_id"], r["best"], r["present"]) for r in recordings] == [
        ("x", "aaaaaa", "aaaaaa"), ("y", "aaaaaa", "aaaaaa"),
    ]  # fmt: skip
    np.testing.assert_allclose([[float(c[i]) for i in CLASSES.class_ids] for c in chunks[:4]], PROBABILITIES, atol=1e-6)


def test_raven_selection_tables_keep_ravens_rules(tmp_path):
    """Tab-separated, a header with the required columns, selections from 1, 0 <= begin < end, low < high."""
    _write(tmp_path, format="raven")
    rows = _rows(tmp_path / "x.Table.1.selections.txt", delimiter="\t")
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


def test_audacity_labels_keep_audacitys_rules(tmp_path):
    """No header; start, end, label between tabs; times with a point; start <= end; no further tab."""
    _write(tmp_path, format="audacity")
    lines = (tmp_path / "x.labels.txt").read_text().splitlines()
    assert len(lines) == 3
    for line in lines:
        start, end, label = line.split("\t")
        assert re.fullmatch(r"\d+\.\d{6}", start) and re.fullmatch(r"\d+\.\d{6}", end)
        assert float(start) <= float(end) and label
    assert lines[0] == "0.000000\t2.000000\tAvis alba 0.90"


def test_kaleidoscope_tables_find_their_files(tmp_path):
    """INDIR / FOLDER / IN FILE make up the path; OFFSET and DURATION are seconds within it."""
    _write(tmp_path, format="kaleidoscope")
    rows = _rows(tmp_path / "kaleidoscope.csv")
    assert list(rows[0])[:5] == ["INDIR", "FOLDER", "IN FILE", "OFFSET", "DURATION"]
    assert len(rows) == 6
    for row in rows:
        assert f"{row['INDIR']}/{row['FOLDER']}/{row['IN FILE']}" == "/birds/here/x.wav"
        assert float(row["OFFSET"]) >= 0 and float(row["DURATION"]) > 0
    assert (rows[1]["TOP1MATCH"], rows[1]["OFFSET"], rows[1]["DURATION"]) == ('Buteo "b", brevis', "1.000", "2.000")


def test_embeddings_carry_their_times(tmp_path):
    tables.write_embeddings(str(tmp_path), _answer())
    with np.load(tmp_path / "x.embeddings.npz") as stored:
        assert stored["embeddings"].shape == (4, 3) and stored["embeddings"].dtype == np.float32
        np.testing.assert_array_equal(stored["start_seconds"], [0, 1, 2, 3])
        np.testing.assert_array_equal(stored["end_seconds"], [1, 2, 3, 4])


def test_nothing_appears_before_the_block_ends(tmp_path):
    with pytest.raises(RuntimeError, match="stop"), tables.writing(_context(tmp_path)) as append:
        append(_answer())
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("values", [{"format": "csv,xls"}, {"min_probability": 1.5}, {"top": -1}])
def test_bad_flags_are_refused(values):
    with pytest.raises(config.InputError, match=f"--{next(iter(values))}="):
        settings(tables.TableConfig, **values)


def test_a_probability_asked_for_overrides_the_models_thresholds():
    fitted = calibration.Calibration(
        slope=1.0, intercept=0.0, thresholds={"f1": np.array([0.2, 0.3]), "precision": np.array([0.6, 2.0])}
    )
    for values, expected in (({}, [0.2, 0.3]), ({"threshold": "precision"}, [0.6, 2.0]),
                             ({"min_probability": 0.4}, [0.4, 0.4])):  # fmt: skip
        np.testing.assert_array_equal(settings(tables.TableConfig, **values).least(fitted), expected)

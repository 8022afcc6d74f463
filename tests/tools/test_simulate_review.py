import csv

import pytest

from bird_tf import config
from bird_tf.labels import verdicts
from tests.conftest import settings
from tools import simulate_review

COLUMNS = ("file", "start_seconds", "end_seconds", "class_id", "name", "probability")


@pytest.fixture
def folder(tmp_path):
    """Two recordings, one of them labelled in time, and six predictions."""
    (tmp_path / "audio").mkdir()
    for name in ("x.wav", "y.wav", "z.wav"):
        (tmp_path / "audio" / name).write_bytes(b"")
    (tmp_path / "labels.csv").write_text("file,label,background\nx.wav,a,c\ny.wav,b,\n")
    (tmp_path / "times.csv").write_text("file,start,end,label\ny.wav,0,3,b\ny.wav,5,6,c\n")
    predicted = [("x.wav", 0, "a", 0.9), ("x.wav", 1, "b", 0.6), ("x.wav", 2, "c", 0.52), ("y.wav", 0, "b", 0.45),
                 ("y.wav", 3, "b", 0.2), ("z.wav", 0, "a", 0.5)]  # fmt: skip
    with open(tmp_path / "detections.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows((file_, start, start + 1, c, c, p) for file_, start, c, p in predicted)
    return tmp_path


def _simulate(folder, table, **flags):
    output = folder / "verdicts.csv"
    made = settings(
        simulate_review.SimulateConfig, predictions=folder, audio=folder / "audio", metadata=folder / table,
        output=output, skip_unmatched=True, **flags,
    )  # fmt: skip
    given = simulate_review.simulate(made)
    return [(v.file, v.start_seconds, v.class_id, v.answer, v.species) for v in given], given


def test_labels_of_whole_recordings_answer_the_most_doubtful_clips_first(folder):
    answers, _ = _simulate(folder, "labels.csv", num_clips=4)
    assert answers == [
        ("x.wav", 2.0, "c", "yes", ""), ("y.wav", 0.0, "b", "yes", ""), ("x.wav", 1.0, "b", "other", "a"),
        ("y.wav", 3.0, "b", "yes", ""),
    ]  # fmt: skip


def test_a_class_of_a_whole_number_is_the_label(folder):
    (folder / "labels.csv").write_text("file,label\nx.wav,7.0\n")
    (folder / "detections.csv").write_text(",".join(COLUMNS) + "\nx.wav,0,1,7.0,7.0,0.9\n")
    assert _simulate(folder, "labels.csv", num_clips=0)[0] == [("x.wav", 0.0, "7.0", "yes", "")]


@pytest.mark.parametrize(
    "table",
    ["file,label\nx.wav,Parus major\n", "file,label\nx.wav,GRETIT1\n", "file,label\nx.wav,parus_major\n",
     "file,label,scientific_name\nx.wav,7,Parus major\n", "file,start,end,species\nx.wav,0,3,Parus major\n",
     "file,label,background\nx.wav,Turdus merula,Parus major\n"],
)  # fmt: skip
def test_a_label_may_be_any_name_of_the_class(folder, table):
    (folder / "labels.csv").write_text(table)
    (folder / "detections.csv").write_text(f"{','.join(COLUMNS)}\nx.wav,0,1,gretit1,Parus major,0.9\n")
    assert _simulate(folder, "labels.csv", num_clips=0)[0] == [("x.wav", 0.0, "gretit1", "yes", "")]


def test_labels_with_times_answer_for_the_time_of_the_clip(folder):
    answers, _ = _simulate(folder, "times.csv", num_clips=0)
    assert answers == [("y.wav", 0.0, "b", "yes", ""), ("y.wav", 3.0, "b", "no", "")]


def test_a_sample_tells_its_bands(folder):
    _, given = _simulate(folder, "labels.csv", num_clips=3, sample=True, bands=(0.5,))
    assert {(v.band_lowest, v.band_size) for v in given} == {(0.0, 2), (0.5, 3)}
    assert verdicts.read(str(folder / "verdicts.csv")) == given
    (folder / "summary.json").write_text('{"scale": "abc", "audio": "x"}')
    _simulate(folder, "labels.csv", num_clips=3)
    assert {v.scale for v in verdicts.read(str(folder / "verdicts.csv"))} == {"abc"}


def test_the_verdicts_of_a_person_are_not_replaced(folder):
    for _ in range(2):
        _simulate(folder, "labels.csv", num_clips=3)
    (folder / "verdicts.csv").write_text("mine")
    with pytest.raises(config.InputError, match=r"verdicts\.csv was changed after a simulated review wrote it"):
        _simulate(folder, "labels.csv")
    assert (folder / "verdicts.csv").read_text() == "mine"


def test_predictions_on_other_recordings_are_refused(folder):
    (folder / "detections.csv").write_text(",".join(COLUMNS) + "\nother.wav,0,1,a,a,0.5\n")
    with pytest.raises(config.InputError, match="no prediction is on a labelled recording"):
        _simulate(folder, "labels.csv")

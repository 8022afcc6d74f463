import pytest

from bird_tf import config, csv_files
from bird_tf.inference.writers import rows
from bird_tf.reviewing import clips, prediction_folder


def test_the_table_of_a_prediction_is_read(tmp_path):
    row = ["s/ä b.wav", "s/ä b.wav", "1.000", "2.500", "a", "Avis <alba>", "0.25", "2026-05-01T04:30:00", "s", "", ""]
    csv_files.write(str(tmp_path / "detections.csv"), rows.DETECTIONS, [row])
    [clip] = prediction_folder.detections(str(tmp_path))
    assert clip == clips.Clip(
        file="s/ä b.wav", start_seconds=1.0, end_seconds=2.5, class_id="a", name="Avis <alba>", score=0.25,
        clock_time="2026-05-01T04:30:00", site="s",
    )  # fmt: skip
    assert prediction_folder.detections(str(tmp_path / "detections.csv")) == [clip]


@pytest.mark.parametrize(
    ("row", "words"),
    [(("x", "1", "2", "a", ""), "line 2: not a span"), (("x", "2", "1", "a", "0.5"), "not a span")],
)
def test_another_table_is_refused(tmp_path, row, words):
    columns = ("file", "start_seconds", "end_seconds", "class_id", "probability")
    csv_files.write(str(tmp_path / "detections.csv"), columns, [row])
    with pytest.raises(config.InputError, match=words):
        prediction_folder.detections(str(tmp_path))
    with pytest.raises(config.InputError, match="--format=csv"):
        prediction_folder.detections(str(tmp_path / "none"))

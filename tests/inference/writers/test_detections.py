import dataclasses

import numpy as np
import pytest

from bird_tf import config
from bird_tf.inference.writers import detections
from bird_tf.scores import calibration, decisions
from tests.conftest import settings
from tests.inference.writers.conftest import CLASSES, criteria, scores


def _found(least, top=0, merge_seconds=-1.0, hop=1.0):
    by = detections.Criteria(
        chunk_thresholds=np.asarray(least), recording_thresholds=np.ones(2), top=top, merge_seconds=merge_seconds
    )
    found = by.find(scores(hop))
    return [(d.start, d.end, d.index, round(d.probability, 3)) for d in found]


def test_each_class_has_its_own_threshold():
    assert _found([0.65, 0.8]) == [(0, 1, 0, 0.9), (1, 2, 0, 0.7), (2, 3, 1, 0.8)]


def test_top_keeps_the_most_probable_classes_of_each_chunk():
    assert _found([0.5, 0.5], top=1) == [(0, 1, 0, 0.9), (1, 2, 0, 0.7), (2, 3, 1, 0.8), (3, 4, 0, 0.6)]
    assert _found([0.5, 0.5], top=2) == _found([0.5, 0.5])


def test_merged_detections_have_the_best_probability():
    assert _found([0.5, 0.5], merge_seconds=0.0) == [(0, 2, 0, 0.9), (1, 3, 1, 0.8), (3, 4, 0, 0.6)]
    assert _found([0.5, 0.5], merge_seconds=1.0) == [(0, 4, 0, 0.9), (1, 3, 1, 0.8)]
    assert _found([0.5, 0.5], merge_seconds=0.0, hop=0.5)[0] == (0.0, 2.5, 0, 0.9)


@pytest.mark.parametrize("values", [{"top": -1}])
def test_bad_flags_are_refused(values):
    with pytest.raises(config.InputError, match=f"--{next(iter(values))}="):
        settings(detections.DetectionConfig, **values)


def test_present_classes_are_sorted_by_probability_and_never_impossible():
    assert criteria().present(np.array([0.6, 0.4])) == [0]
    assert criteria().present(np.array([0.6, 0.7])) == [1, 0]
    assert criteria(min_probability="0.0").present(np.array([0.0, 0.1])) == [1]


def test_a_table_of_probabilities_is_told_of_once(tmp_path, caplog):
    (tmp_path / "t.csv").write_text(f"class_id,threshold\n{CLASSES.class_ids[0]},0.4\nTotal,0.5\n")
    found = criteria(min_probability=str(tmp_path / "t.csv"))
    assert found.chunk_thresholds[0] == found.recording_thresholds[0] == 0.4
    assert caplog.text.count("1 rows are no classes") == 1


def test_a_given_probability_overrides_the_thresholds_of_the_model():
    fitted = calibration.Calibration(
        slope=1.0, intercept=0.0, thresholds={"f1": np.array([0.2, 0.3]), "precision": np.array([0.6, 2.0])}
    )
    decided = decisions.neutral(CLASSES, 1, "mean")
    decided = dataclasses.replace(decided, chunk=fitted)
    for values, expected in (({}, [0.2, 0.3]), ({"threshold": "precision"}, [0.6, 2.0]),
                             ({"min_probability": "0.4"}, [0.4, 0.4])):  # fmt: skip
        found = settings(detections.DetectionConfig, **values).criteria(decided, CLASSES)
        np.testing.assert_array_equal(found.chunk_thresholds, expected)

import numpy as np

from bird_tf.inference.writers import detections, tables
from tests.conftest import settings
from tests.inference.writers.conftest import context, scores


def test_detections_follow_the_flags(tmp_path):
    found = context(tmp_path, settings(tables.TableConfig, min_probability="0.65", top=1)).find_detections(scores())
    assert found == detections.find(scores(), np.array([0.65, 0.65]), 1, 0.0)
    assert [d.index for d in found] == [0, 1]


def test_present_classes_are_sorted_by_probability_and_never_impossible(tmp_path):
    ours = context(tmp_path, settings(tables.TableConfig))
    assert ours.find_present(np.array([0.6, 0.4])) == [0]
    assert ours.find_present(np.array([0.6, 0.7])) == [1, 0]
    everything = context(tmp_path, settings(tables.TableConfig, min_probability="0.0"))
    assert everything.find_present(np.array([0.0, 0.1])) == [1]

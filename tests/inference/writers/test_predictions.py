import dataclasses

from bird_tf.inference.writers import detections
from tests.inference.writers.conftest import CLASSES, context, criteria, prediction


def test_what_is_found_in_a_recording_is_found_once(monkeypatch):
    one = prediction(found_by=criteria(min_probability="0.5", top=1))
    expected = one.criteria.find(one.scores), one.criteria.present(one.pooled)
    assert (one.detections, one.present) == expected
    monkeypatch.delattr(detections.Criteria, "find")
    monkeypatch.delattr(detections.Criteria, "present")
    assert (one.detections, one.present) == expected


def test_a_class_is_called_by_a_name_that_is_one_name_and_its_own(tmp_path):
    for names, called in (
        (("Avis alba", "Buteo"), ("Avis alba", "Buteo")), (("Avis", "Avis"), CLASSES.class_ids),
        (("Avis alba; x", "Buteo"), ("aaaaaa", "Buteo")),
    ):  # fmt: skip
        assert context(tmp_path, dataclasses.replace(CLASSES, names=names)).species == called

import json

from bird_tf.labels.formats import xeno_canto_annotations
from tests.labels import example_sets


def test_annotations_are_read(tmp_path):
    content = {
        "set_name": "x",
        "annotations": [
            {"xc_nr": "XC1", "start_time": "0.0", "end_time": "3.0", "scientific_name": "Parus major"},
            {"xc_nr": "2", "start_time": 1, "end_time": 2.5, "scientific_name": ""},
            "x",
            {"xc_nr": "2", "start_time": "late", "end_time": 2.5, "scientific_name": "Parus major"},
        ],
    }
    source = example_sets.source_of(tmp_path / "set.json", json.dumps(content))
    assert source.format == xeno_canto_annotations.FORMAT.name
    assert example_sets.spans_of(source)[:2] == [
        (("XC1", "1"), 0.0, 3.0, ("Parus major",)), (("XC2", "2"), 1.0, 2.5, ()),
    ]  # fmt: skip
    assert [bool(row.problem) for row in source.rows] == [False, False, True, True]

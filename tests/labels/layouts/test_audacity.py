from bird_tf.labels.layouts import annotation_files
from tests.labels.layouts import example_sets

AUDACITY = """1.500000\t2.500000\tparmaj
\\\t500.0\t4000.0
0,25\t0,75\tturmer
9.0\t10.0
"""


def test_labels_are_read(tmp_path):
    (tmp_path / "x.txt").write_text(AUDACITY)
    expected = [
        example_sets.annotation(0.25, 0.75, "turmer"),
        example_sets.annotation(1.5, 2.5, "parmaj"),
        example_sets.annotation(9.0, 10.0, ""),
    ]
    assert annotation_files.read_file(str(tmp_path / "x.txt"), {}) == expected

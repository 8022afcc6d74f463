import pytest

from bird_tf import config
from bird_tf.labels.layouts import annotation_files
from tests.labels.layouts import example_sets

RAVEN = """Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies
1\tWaveform 1\t1\t1.5\t2.5\t500\t4000\tparmaj
1\tSpectrogram 1\t1\t1.5\t2.5\t500\t4000\tparmaj
2\tSpectrogram 1\t1\t0.25\t0.75\t500\t4000\tturmer
"""


def test_each_selection_of_a_table_is_read_once(tmp_path):
    (tmp_path / "x.txt").write_text(RAVEN)
    assert annotation_files.read_file(str(tmp_path / "x.txt"), {}) == [
        example_sets.annotation(0.25, 0.75, "turmer"),
        example_sets.annotation(1.5, 2.5, "parmaj"),
    ]


def test_the_column_of_the_species_can_be_given(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text(RAVEN.replace("Species", "Bird"))
    with pytest.raises(config.InputError, match=r"which column holds the species\? .*Bird; say --columns=label=NAME"):
        annotation_files.read_file(str(path), {})
    assert [a.label for a in annotation_files.read_file(str(path), {"label": "Bird"})] == ["turmer", "parmaj"]

import pytest

from bird_tf.labels.formats import audacity
from bird_tf.labels.tables import columns
from tests.labels import example_sets

TRACK = """1.500000\t2.500000\tparmaj
\\\t500.0\t4000.0
0,25\t0,75\tturmer
9.0\t10.0
11\t12\tTurdus merula, Common Blackbird\t0.81
"""


def test_labels_are_read(tmp_path):
    source = example_sets.source_of(tmp_path / "x.txt", TRACK)
    assert source.format == audacity.FORMAT.name
    assert example_sets.spans_of(source) == [
        ((), 1.5, 2.5, ("parmaj",)), ((), 0.25, 0.75, ("turmer",)), ((), 9.0, 10.0, ()),
        ((), 11.0, 12.0, ("Turdus merula, Common Blackbird",)),
    ]  # fmt: skip
    assert source.rows[2].labels.missing and source.rows[3].score == 0.81


def test_an_empty_track_is_a_negative_recording(tmp_path):
    assert [row.labels for row in example_sets.source_of(tmp_path / "x.txt", "\r\n").rows] == [example_sets.NEGATIVE]


def test_a_line_that_cannot_be_read_costs_this_line(tmp_path):
    source = example_sets.source_of(tmp_path / "x.txt", "0\t3\tparmaj\nx\t1\tparmaj\n5\t4\tparmaj\n")
    assert [bool(row.problem) for row in source.rows] == [False, True, True]
    assert source.rows[1].where.endswith("x.txt, line 2") and "after its start" in source.rows[2].problem


@pytest.mark.parametrize(
    "line", ["0.0\t3.0\t1500\t2500\tParus major", "0.5\t3.5\t3.0\tParus major", "0\t3\tsong\tParus major"]
)
def test_a_text_behind_the_label_is_not_left_out(tmp_path, line):
    problem = example_sets.source_of(tmp_path / "x.txt", f"0\t1\ta\n{line}\n").problem
    assert "line 2 has 'Parus major' behind the third column" in problem


def test_numbers_behind_the_label_are_no_labels(tmp_path):
    source = example_sets.source_of(tmp_path / "x.txt", "0\t3\tParus major\t87 %\t1500\t\n3\t6\t12\t0.5\n")
    assert [row.labels.species for row in source.rows] == [("Parus major",), ("12",)]


def test_columns_are_given_by_their_numbers(tmp_path):
    given = columns.parse(("start=1", "end=2", "label=5"))
    source = example_sets.source_of(tmp_path / "x.txt", "0.0\t3.0\t1500\t2500\tParus major\n", columns=given)
    assert example_sets.spans_of(source) == [((), 0.0, 3.0, ("Parus major",))]

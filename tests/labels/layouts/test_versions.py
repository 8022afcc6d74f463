import pytest

from bird_tf import config
from bird_tf.labels import label_cells
from bird_tf.labels.layouts import rows, versions


def _rows(file, *spans):
    """The rows of a file, whose suffix stands for its format."""
    return [
        (
            file,
            file.rpartition(".")[2],
            rows.Row(where="", start_seconds=start, end_seconds=end, labels=label_cells.parse(label)),
        )
        for start, end, label in spans
    ]


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [((1, 3, "a"), (1, 3, "b"), "at 1 to 3 s x.txt says a, and y.csv says b"),
     ((1, 3, "a"), (1.004, 3, "b"), "says a"), ((1, 3, "noise"), (1, 3, "b"), "says that no species is there"),
     ((1, 3, "a"), (1, 3, "A"), ""), ((1, 3, "a"), (1, 3, "a;b"), ""), ((1, 3, "a"), (1, 3, "?"), ""),
     ((1, 3, "a"), (1, 4, "b"), ""), ((1, 3, "a"), (1, 3, ""), "")],
)  # fmt: skip
def test_files_contradict_each_other_where_they_share_a_span_but_no_species(first, second, words):
    x, y = _rows("x.txt", first), _rows("y.csv", (5, 6, "c"), second)
    found = versions.contradictions([*x, *y])
    assert bool(found) == bool(words)
    assert not found or words in found[0]


def test_several_rows_of_one_span_in_a_file_are_said_together():
    x, y = _rows("x.txt", (0, 3, "a"), (0, 3, "b")), _rows("y.csv", (0, 3, "b"))
    assert not versions.contradictions([*x, *y])


@pytest.mark.parametrize(("other", "end", "is_refused"), [("y.txt", 8, True), ("y.txt", 9, False), ("y.csv", 8, False)])
def test_versions_of_one_format_are_refused_unless_they_are_segments(other, end, is_refused):
    found = [*_rows("x.txt", (0, 3, "a"), (3, 6, "a")), *_rows(other, (0, 3, "b"), (6, end, "b"))]
    if is_refused:
        with pytest.raises(config.InputError, match="move the old version away"):
            versions.contradictions(found)
    else:
        assert versions.contradictions(found)

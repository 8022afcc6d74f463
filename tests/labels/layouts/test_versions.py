import dataclasses
import math

import pytest

from bird_tf import config
from bird_tf.labels import label_cells
from bird_tf.labels.layouts import versions
from bird_tf.labels.tables import rows


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


@pytest.mark.parametrize(
    ("told", "words"),
    [((("a", ""), ("noise", "")), "x.csv says a and that no species is there"), ((("a", ""), ("b", "")), ""),
     ((("a", "Ann"), ("b", "Bob")), "x.csv says a (Ann) and b (Bob)"), ((("a", "Ann"), ("a;b", "Bob")), ""),
     ((("a", "Ann"), ("none", "Bob")), "that no species is there"), ((("a", "Ann"), ("b", "")), ""),
     ((("a", ""), ("-b", "")), ""), ((("a", "Ann"), ("?", "Bob")), "")],
)  # fmt: skip
def test_rows_of_a_file_contradict_each_other_by_a_negative_or_as_persons(told, words):
    for start, end in ((1.0, 3.0), (math.nan, math.nan)):
        rows_of = [
            rows.Row(where="", start_seconds=start, end_seconds=end, labels=label_cells.parse(label), annotator=by)
            for label, by in told
        ]
        found = versions.in_one_file(("x.csv", row) for row in rows_of)
        is_told = bool(words) and (not math.isnan(start) or "no species" in words)  # of the whole, each adds some
        assert bool(found) == is_told
        assert not found or (words in found[0] and ("at 1 to 3 s" in found[0]) != math.isnan(start))


def test_rows_of_different_channels_contradict_nothing():
    found = [
        ("x.csv", rows.Row(where="", channel=channel, labels=label_cells.parse(label)))
        for channel, label in ((1, "a"), (2, "nocall"), (2, "nocall"))
    ]
    assert not versions.in_one_file(found)
    assert versions.in_one_file([(file, dataclasses.replace(row, channel=1)) for file, row in found])


@pytest.mark.parametrize(
    ("second", "others", "is_told"),
    [("t_old.csv", "abc", True), ("t (1).csv", "acd", True), ("t_old.csv", "ab", False), ("u.csv", "abc", False),
     ("t_old.csv", "cd", False)],
)  # fmt: skip
def test_files_named_as_versions_are_told_if_they_share_most_labels_but_not_all(second, others, is_told):
    found = [
        [*_rows("t.csv", *((0, 3, label) for label in "ab")), *_rows(second, *((0, 3, label) for label in others))],
        _rows("t.csv", (0, 1, "a")) + _rows(second, (0, 1, "a")) * ("a" in others),
    ]
    assert versions.unlike(found) == ([("t.csv", second)[:: 1 if second > "t.csv" else -1]] if is_told else [])


@pytest.mark.parametrize(
    ("first", "second", "is_refused"),
    [("x.txt", "x.old.txt", True), ("x.txt", "x - Copy.txt", True), ("x.txt", "x (1).txt", True),
     ("x_v1.txt", "x_v2.txt", True), ("x.Table.1.txt", "x.Table.2.txt", True), ("x.txt", "bak/x.txt", True),
     ("labels/2023-05-01/x.txt", "labels/2023-06-02/x.txt", True), ("x.txt", "x.old.csv", False),
     ("x.parmaj.txt", "x.turmer.txt", False), ("x.birdnet.txt", "x.perch.txt", False),
     ("x.txt", "x.quality.txt", False), ("anna/x.txt", "bob/x.txt", False), ("x-a.txt", "x_a.txt", False),
     ("x.new_zealand_tui.txt", "x.turmer.txt", False)],
)  # fmt: skip
def test_files_of_one_format_are_refused_if_their_names_differ_as_those_of_versions(first, second, is_refused):
    found = [*_rows(first, (0, 3, "a"), (3, 5, "a")), *_rows(second, (0, 3, "b"))]
    if is_refused:
        with pytest.raises(config.InputError, match="move the old version away"):
            versions.contradictions(found)
    else:
        assert versions.contradictions(found)


@pytest.mark.parametrize(
    ("label", "is_same"),
    [("Parus major, Great Tit", True), ("Parus major_Great Tit", True), ("parmaj", True), ("great tit", True),
     ("Turdus merula, Blackbird", False), ("turmer", False)],
)  # fmt: skip
def test_a_species_by_another_of_its_names_contradicts_nothing(label, is_same):
    told = rows.Row(
        where="", start_seconds=0, end_seconds=3, labels=label_cells.parse("Parus major"), common="Great Tit",
        second_name="parmaj",
    )  # fmt: skip
    assert bool(versions.contradictions([("x.csv", "csv", told), *_rows("x.txt", (0, 3, label))])) != is_same

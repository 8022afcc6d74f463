import numpy as np
import pytest

from bird_tf import config
from bird_tf.labels import taxonomy
from bird_tf.submissions import run_files

CLASSES = taxonomy.Taxonomy(("aaaaaa", "bbbbbb", "cccccc"), ("A", "B", "C"))


def test_monophone_lines_have_the_format_of_the_task():
    assert run_files.monophone_lines("42", np.array([0.25, 0.5, 0.0]), CLASSES) == [
        "42;bbbbbb;0.5000000000;1",
        "42;aaaaaa;0.2500000000;2",
        "42;cccccc;0.0000000000;3",
    ]


def test_soundscape_lines_have_the_format_of_the_task():
    scores = np.zeros((721, 3))
    scores[720, 1] = 1e-7
    lines = run_files.soundscape_lines("9", scores, CLASSES)
    assert lines[0] == "9;00:00:00-00:00:05;aaaaaa;0.0000000000"
    assert lines[-3] == "9;01:00:00-01:00:05;bbbbbb;0.0000001000"


def test_a_recording_or_segment_has_at_most_a_hundred_lines():
    many = taxonomy.Taxonomy(tuple(f"c{i}" for i in range(150)), ("",) * 150)
    lines = run_files.monophone_lines("1", np.linspace(0, 1, 150), many)
    assert len(lines) == 100 and lines[0].startswith("1;c149;") and lines[-1].endswith(";100")
    assert len(run_files.soundscape_lines("1", np.zeros((2, 150)), many)) == 200


GOOD = ["1;aaaaaa;0.9000000000;1", "1;bbbbbb;0.1000000000;2", "2;aaaaaa;0.5000000000;1"]
GOOD_SOUNDSCAPE = ["1;00:00:00-00:00:05;aaaaaa;0.9", "1;00:00:05-00:00:10;aaaaaa;0.1"]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("1;aaaaaa;0.9", "3 fields"),
        ("1; aaaaaa;0.9;1", "blanks"),
        (";aaaaaa;0.9;1", "MediaId is empty"),
        ("1;aaaa;0.9;1", "six lower-case letters"),
        ("1;aaaaaa;9e-1;1", "fixed-point"),
        ("1;aaaaaa;nan;1", "fixed-point"),
        ("1;aaaaaa;1.5;1", "fixed-point"),
        ("1;aaaaaa;1.00000000000000000001;1", "fixed-point"),
        ("1;aaaaaa;0.٣;1", "fixed-point"),
        ("1;aaaaaa;0." + 5000 * "9" + ";1", "fixed-point"),
        ("1;aaaaaa;0.9;١", "rank '١', expected 1"),
        ("1\x00;aaaaaa;0.9;1", r"the sign '\x00', which nobody sees"),
        ("1\u200b;aaaaaa;0.9;1", r"the sign '\u200b', which nobody sees"),
        ("1\u202e;aaaaaa;0.9;1", r"the sign '\u202e', which nobody sees"),
        ("1;aaaaaa;0.9;2", "rank '2', expected 1"),
    ],
)
def test_errors_name_line_and_rule(line, rule):
    [first, *_] = list(run_files.errors([line, *GOOD[1:]], "monophone"))
    assert first.startswith("line 1: ") and rule in first


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("1;00:00:00-00:00:06;aaaaaa;0.9", "5 seconds"),
        ("1;00:00:01-00:00:06;aaaaaa;0.9", "a multiple of 5"),
        ("1;0:00:00-0:00:05;aaaaaa;0.9", "hh:mm:ss"),
        (f"1;{5000 * '9'}:00:00-{5000 * '9'}:00:05;aaaaaa;0.9", "hh:mm:ss"),
        ("1;٠٠:٠٠:٠٠-٠٠:٠٠:٠٥;aaaaaa;0.9", "hh:mm:ss"),
        ("1;00:00:10-00:00:15;aaaaaa;0.9", "00:00:00-00:00:05 is missing"),
        ("1;00:00:05-00:00:10;aaaaaa;0.9", "twice"),
    ],
)
def test_errors_of_soundscape_runs_name_the_rule(line, rule):
    found = list(run_files.errors([line, *GOOD_SOUNDSCAPE[1:]], "soundscape"))
    assert any(rule in error for error in found)


def test_rules_about_all_lines_of_a_recording():
    assert list(run_files.errors(GOOD, "monophone")) == []
    assert list(run_files.errors(GOOD_SOUNDSCAPE, "soundscape")) == []
    twice = ["1;aaaaaa;0.9;1", "1;aaaaaa;0.8;2"]
    assert "twice" in next(run_files.errors(twice, "monophone"))
    rising = ["1;aaaaaa;0.1;1", "1;bbbbbb;0.8;2"]
    assert "rises" in next(run_files.errors(rising, "monophone"))
    gap = ["1;aaaaaa;0.9;1", "1;bbbbbb;0.8;3"]
    assert "rank '3', expected 2" in next(run_files.errors(gap, "monophone"))
    many = [f"1;{'abcdefghij'[i // 26]}aaaa{chr(97 + i % 26)};0.5;{i + 1}" for i in range(101)]
    assert "more than 100" in next(run_files.errors(many, "monophone"))
    assert "no class of the model" in next(run_files.errors(GOOD, "monophone", class_ids=["aaaaaa"]))


def test_a_byte_order_mark_is_an_error():
    assert list(run_files.errors(["\ufeff1;aaaaaa;0.5;1"], "monophone")) == ["line 1: begins with a byte order mark"]


def test_missing_and_additional_recordings_are_named():
    assert list(run_files.errors(GOOD, "monophone", media_ids=["1", "2"])) == []
    assert "3 lacks 1" in next(run_files.errors(GOOD, "monophone", media_ids=["1", "2", "3"]))
    assert "2 has 1" in next(run_files.errors(GOOD, "monophone", media_ids=["1"]))
    assert "1 lacks 1" in next(run_files.errors(GOOD_SOUNDSCAPE, "soundscape", media_ids=["1", "1", "1"]))


@pytest.mark.parametrize("class_id", ["Parus major", "a;b", "a\tb", ""])
def test_ids_that_a_run_cannot_hold_are_refused(class_id):
    run_files.check_class_ids(CLASSES)
    with pytest.raises(config.InputError, match=r"does not fit into a run: .* --class_ids=FILE\.csv"):
        run_files.check_class_ids(taxonomy.Taxonomy(("aaaaaa", class_id), ("A", "B")))


@pytest.mark.parametrize("text", ["", "\n", "a", "a\n", "a\n\n", "\na\r\nb"])
def test_the_lines_of_a_run_are_what_stands_between_line_ends(text):
    assert list(run_files.each_line(text)) == text.removesuffix("\n").split("\n")

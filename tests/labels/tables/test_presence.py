import pytest

from bird_tf.labels.tables import columns
from tests.labels import example_sets

# tables of several formats whose last column says whether the label of the row is right
TABLES = {
    "csv": ("t.csv", "file,start,end,label,{}\n", "x.wav,{i},{j},a,{answer}\n"),
    "Raven": (
        "x.Table.1.selections.txt",
        "Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\t{}\n",
        "{i}\t{i}\t{j}\ta\t{answer}\n",
    ),
    "Kaleidoscope": ("id.csv", "INDIR,FOLDER,IN FILE,OFFSET,DURATION,AUTO ID,{}\n", "D,,x.wav,{i},1,a,{answer}\n"),
    "segments": ("s.csv", "row_id,filename,seconds,birds,{}\n", "x_5,x.wav,{i}9,a,{answer}\n"),
    "Macaulay": ("m.csv", "ML Catalog Number,Scientific Name,{}\n", "{j},a,{answer}\n"),
}


def _source(folder, kind, column, answers, *given):
    name, header, line = TABLES[kind]
    text = header.format(column) + "".join(line.format(i=i, j=i + 1, answer=a) for i, a in enumerate(answers))
    return example_sets.source_of(folder / name, text, columns=columns.parse(given))


def _used(source):
    assert not source.problem, source.problem
    return [bool(row.labels.species) for row in source.rows]


@pytest.mark.parametrize("kind", TABLES)
def test_what_the_column_denies_is_not_used_in_any_format(tmp_path, kind, caplog):
    source = _source(tmp_path, kind, "Correct", ("no", "yes", "", "maybe"))
    assert _used(source) == [False, True, False, False] and "Correct" not in source.unused_columns
    assert "1 labels are not used: the column Correct says no" in caplog.text
    assert "1 labels are not used: the column Correct has no answer for them, and has some for others" in caplog.text
    assert "say '--columns=present=Correct'" in caplog.text
    assert "says neither yes nor no, the first: " in caplog.text and "('maybe')" in caplog.text
    assert not any(row.labels.negative for row in source.rows)


@pytest.mark.parametrize("kind", TABLES)
def test_the_column_can_be_given_in_any_format(tmp_path, kind):
    assert _used(_source(tmp_path, kind, "Checked", ("N", "Y"))) == [True, True]
    assert _used(_source(tmp_path, kind, "Checked", ("N", "Y"), "present=Checked")) == [False, True]
    assert (
        "must hold yes, no or counts" in _source(tmp_path, kind, "Checked", ("x1", "by Ann"), "present=Checked").problem
    )


@pytest.mark.parametrize("kind", TABLES)
def test_what_nobody_has_reviewed_counts_if_no_row_is_or_if_the_column_is_given(tmp_path, kind, caplog):
    assert all(_used(_source(tmp_path, kind, "Correct", ("", "NA", ""))))
    assert not caplog.text
    assert _used(_source(tmp_path, kind, "Correct", ("n", "", "y"), "present=Correct")) == [False, True, True]
    assert _used(_source(tmp_path, kind, "present", ("n", "", "y"))) == [False, True, True]  # a catalogue


@pytest.mark.parametrize(
    ("answer", "is_used"),
    [("FALSE", False), ("wrong", False), ("0", False), ("0.0", False), ("not detected", False), ("?", False),
     ("-", False), ("unsure", False), ("see notes", False), ("1?", False), ("0 of 5", False), ("right", True),
     ("2", True), ("2.0", True), ("10-20", True), (">5", True), ("ca. 3", True), ("2 males", True), ("n/a", True),
     ("NaN", True), ("-1", True)],
)  # fmt: skip
def test_only_yes_counts_and_nothing_let_a_label_count(tmp_path, answer, is_used):
    assert _used(_source(tmp_path, "csv", "present", ("yes", answer))) == [True, is_used]


@pytest.mark.parametrize(("column", "is_used"), [("Count", True), ("present", True), ("Correct", False)])
def test_a_cross_among_counts_is_there_and_one_beside_yes_may_mean_anything(tmp_path, column, is_used):
    assert _used(_source(tmp_path, "csv", column, ("2", "X"))) == [True, is_used]


@pytest.mark.parametrize(
    ("column", "answers", "are_used"),
    [("valid", ("WAHR", "FALSCH"), (1, 0)), ("valid", ("VRAI", "FAUX"), (1, 0)),
     ("valid", ("VERDADERO", "FALSO"), (1, 0)), ("present", ("+", "-", "+"), (1, 0, 1)),
     ("present", ("P", "?", "A"), (1, 0, 0)), ("correct", ("✓", "-", "✗"), (1, 0, 0)), ("correct", ("✓", "x"), (1, 0)),
     ("correct", ("x", "-", "X", ""), (1, 0, 1, 0)), ("valid", ("accepted", "rejected", "unsure"), (1, 0, 0))],
)  # fmt: skip
def test_ticks_and_words_of_other_languages_are_answers(tmp_path, caplog, column, answers, are_used):
    assert _used(_source(tmp_path, "csv", column, answers)) == [bool(used) for used in are_used]
    assert "holds neither" not in caplog.text


def test_unknown_words_are_the_yes_of_a_column_without_another_one(tmp_path, caplog):
    answers = ("gut", "falsch", "?", "gut")
    assert _used(_source(tmp_path, "csv", "valid", answers)) == [True, False, False, True]
    assert "the column valid holds neither yes, no nor counts, as 'gut': all its labels with such words count" in (
        caplog.text
    )
    assert _used(_source(tmp_path, "csv", "valid", (*answers, "ja"))) == [False, False, False, False, True]
    assert "must hold yes, no or counts" in _source(tmp_path, "csv", "valid", answers, "present=valid").problem


def test_words_in_a_column_of_counts_are_there_unless_they_begin_with_no_or_doubt(tmp_path, caplog):
    there = ("3", "flock", "max 5", "a few", "several", "common", "5+", "c. 10")
    assert _used(_source(tmp_path, "csv", "Bird_Count", there, "present=Bird_Count")) == [True] * len(there)
    assert _used(_source(tmp_path, "csv", "abundance", ("rare", "A", "X"))) == [True] * 3 and not caplog.text
    others = ("none", "not seen", "no birds", "0 of 5", "0-1", "flock?", "maybe 2", "-", "?")
    assert _used(_source(tmp_path, "csv", "count", ("many", *others))) == [True] + [False] * len(others)


def test_a_cross_among_unknown_words_takes_no_label_away(tmp_path):
    assert _used(_source(tmp_path, "csv", "present", ("resident", "x", "migrant"))) == [True] * 3


def test_a_table_of_doubtful_answers_alone_is_doubtful(tmp_path):
    assert _used(_source(tmp_path, "Raven", "Correct", ("maybe", "?"))) == [False, False]


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("column", ["Verified", "validated", "is confirmed"])
@pytest.mark.parametrize(
    ("answers", "are_used"),
    [(("present", "not present", "(not validated)"), (1, 0, 0)), (("yes", "no", "maybe"), (1, 0, 0)),
     (("TP", "FP", "UNK"), (1, 0, 0)), (("positive", "negative", "?"), (1, 0, 0)),
     (("1", "0", "2"), (1, 0, 0)), (("y", "pending", "y"), (1, 0, 1)),
     (("2023-05-01", "Ann", ""), (1, 1, 1)), (("y", "", "n"), (1, 0, 0))],
)  # fmt: skip
def test_a_column_of_another_name_for_correct_is_known(tmp_path, kind, column, answers, are_used):
    assert _used(_source(tmp_path, kind, column, answers)) == [bool(used) for used in are_used]


def test_what_is_verified_nowhere_counts_and_what_is_denied_in_words_does_not(tmp_path, caplog):
    source = _source(tmp_path, "csv", "verified", ("FALSE", "FALSE", ""))
    assert _used(source) == [True] * 3 and source.unused_columns == ("verified",)
    assert "if a no in verified means" in caplog.text
    assert _used(_source(tmp_path, "csv", "verified", ("FALSE", "FALSE", ""), "present=verified"))[:2] == [False] * 2
    assert _used(_source(tmp_path, "csv", "validated", ("not present", "not present"))) == [False] * 2


@pytest.mark.parametrize("column", ["P_A", "P/A", "presence/absence"])
def test_presence_and_absence_may_be_letters(tmp_path, column):
    assert _used(_source(tmp_path, "csv", column, ("P", "A", "p"))) == [True, False, True]

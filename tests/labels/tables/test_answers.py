import pytest

from bird_tf.labels.tables import answers
from bird_tf.labels.tables.answers import Answer


@pytest.mark.parametrize(
    ("cell", "kinds", "said"),
    [("Yes.", (), Answer.HOLDS), ("(no)", (), Answer.DENIED), ("☒", (), Answer.DENIED), ("NA", (), Answer.NOT_TOLD),
     ("to do", (), Answer.NOT_YET), ("??", (), Answer.UNSURE), ("x", (), Answer.CROSS), ("by Ann", (), Answer.NONE),
     ("~5 birds", (), Answer.HOLDS), ("0", (), Answer.DENIED), ("0 of 5", (), Answer.NONE), ("3?", (), Answer.NONE),
     ("a few", {"count"}, Answer.HOLDS), ("nil", {"count"}, Answer.UNSURE), ("P", {"presence"}, Answer.HOLDS),
     ("A", {"presence"}, Answer.DENIED), ("A", (), Answer.NONE), ("2", {"verified"}, Answer.NONE)],
)  # fmt: skip
def test_a_cell_answers_by_its_words_and_by_the_name_of_its_column(cell, kinds, said):
    assert answers.of(cell, kinds) is said


@pytest.mark.parametrize(
    ("told", "are_counts", "may_deny", "are_false", "are_yes_or_no"),
    [(("0", "2.0", ""), True, False, False, False), (("0", "0"), False, False, True, True),
     (("no", "see notes"), False, True, False, False), (("f", "m"), False, False, False, False),
     (("y", "n", "?"), False, True, False, False), (("false", "pending", ""), False, True, True, False),
     (("yes", "no"), False, True, False, True), ((), False, False, False, True)],
)  # fmt: skip
def test_what_the_words_of_a_column_are(told, are_counts, may_deny, are_false, are_yes_or_no):
    assert answers.are_counts(told) == are_counts
    assert answers.may_deny(told) == may_deny
    assert answers.are_false(told) == are_false
    assert answers.are_yes_or_no(told) == are_yes_or_no

import pytest

from bird_tf.labels.tables import yes_or_no
from bird_tf.labels.tables.yes_or_no import Said


@pytest.mark.parametrize(
    ("cell", "kinds", "said"),
    [("Yes.", (), Said.HOLDS), ("(no)", (), Said.DENIED), ("☒", (), Said.DENIED), ("NA", (), Said.NOT_TOLD),
     ("to do", (), Said.NOT_YET), ("??", (), Said.UNSURE), ("x", (), Said.CROSS), ("by Ann", (), Said.NONE),
     ("~5 birds", (), Said.HOLDS), ("0", (), Said.DENIED), ("0 of 5", (), Said.NONE), ("3?", (), Said.NONE),
     ("a few", {"count"}, Said.HOLDS), ("nil", {"count"}, Said.UNSURE), ("P", {"presence"}, Said.HOLDS),
     ("A", {"presence"}, Said.DENIED), ("A", (), Said.NONE), ("2", {"verified"}, Said.NONE)],
)  # fmt: skip
def test_a_cell_answers_by_its_words_and_by_the_name_of_its_column(cell, kinds, said):
    assert yes_or_no.of(cell, kinds) is said


@pytest.mark.parametrize(
    ("told", "are_counts", "may_deny", "are_false", "are_yes_or_no"),
    [(("0", "2.0", ""), True, False, False, False), (("0", "0"), False, False, True, True),
     (("no", "see notes"), False, True, False, False), (("f", "m"), False, False, False, False),
     (("y", "n", "?"), False, True, False, False), (("false", "pending", ""), False, True, True, False),
     (("yes", "no"), False, True, False, True), ((), False, False, False, True)],
)  # fmt: skip
def test_what_the_words_of_a_column_are(told, are_counts, may_deny, are_false, are_yes_or_no):
    assert yes_or_no.are_counts(told) == are_counts
    assert yes_or_no.may_deny(told) == may_deny
    assert yes_or_no.are_false(told) == are_false
    assert yes_or_no.are_yes_or_no(told) == are_yes_or_no

from bird_tf.selftraining import flags
from tests import conftest


def _flags(teachers, **values):
    return conftest.settings(
        flags.SelfTrainConfig, records="r", run_dir="d", teacher=teachers, unlabelled="u", rounds=9, **values
    )


def test_teachers_of_different_kind_take_turns():
    teachers, student = ("head", "network"), ("round-1",)
    kinds = ["2", "student", "first", "both"]
    asked = _flags(teachers, taught_by=kinds)
    assert [asked.teachers_of(number, teachers, student) for number in range(1, 6)] == [
        ("network",), student, teachers, (*teachers, *student), (*teachers, *student),
    ]  # fmt: skip
    assert [asked.teachers_of(number, teachers, ()) for number in (2, 4)] == [teachers, teachers]
    default = _flags(["head"])
    assert [default.teachers_of(number, ("head",), student) for number in (1, 2, 3)] == [("head",), student, student]


def test_later_rounds_take_the_last_power():
    asked = _flags(["head"], power=[1.0, 1.5])
    assert [asked.power_of(number) for number in (1, 2, 3)] == [1.0, 1.5, 1.5]

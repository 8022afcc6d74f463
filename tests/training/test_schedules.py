import math

import pytest

from bird_tf import config
from bird_tf.training import schedules


def _rate(schedule, epoch, num_epochs=60, start=1e-3, end=1e-6):
    """2018 counts epochs from 1."""
    settings = schedules.ScheduleConfig(schedule=schedule, learning_rate=start, learning_rate_end=end)
    return schedules.learning_rate(settings, epoch - 1, num_epochs)


@pytest.mark.parametrize("epoch", [1, 2, 3, 7, 30, 59, 60])
def test_formulas_of_2018(epoch):
    assert _rate("constant", epoch) == 1e-3
    assert _rate("linear", epoch) == pytest.approx(1e-3 - (epoch - 1) * (1e-3 - 1e-6) / 59)
    assert _rate("cosine", epoch) == pytest.approx(1e-3 / 2 * (math.cos(math.pi * (epoch - 1) / 60) + 1))
    assert _rate("root", epoch) == pytest.approx(1e-3 / math.sqrt(epoch))
    assert _rate("step-3", epoch) == pytest.approx(1e-3 - (epoch - 1) // 3 * (1e-3 - 1e-6) / 19)


def test_steps_have_no_edge_cases_that_fail():
    assert _rate("step-60", 60) == 1e-3  # 2018 divided by zero
    assert _rate("step-7", 60) == pytest.approx(1e-6)  # 2018 fell below the end rate
    assert _rate("linear", 1, num_epochs=1) == 1e-3


@pytest.mark.parametrize("schedule", ["linear", "cosine", "root"])
def test_rates_fall_within_an_epoch_too(schedule):
    settings = schedules.ScheduleConfig(schedule=schedule)
    rates = [schedules.learning_rate(settings, i / 10, 5) for i in range(50)]
    assert rates == sorted(rates, reverse=True)


def test_an_end_above_the_start_is_reached_in_the_last_epoch_and_told(caplog):
    for schedule, expected in (("linear", [1e-7, 0.05, 0.1, 0.1]), ("step-1", [1e-7, 0.05, 0.1, 0.1])):
        settings = schedules.ScheduleConfig(schedule=schedule, learning_rate=1e-7, learning_rate_end=0.1)
        rates = [schedules.learning_rate(settings, position, 3) for position in (0, 1, 2, 2.9)]
        assert rates == pytest.approx(expected, rel=1e-5)
        settings.warn_of_rise()
        assert caplog.messages[-1].startswith(f"--schedule={schedule}: the learning rate rises from")
    schedules.ScheduleConfig(schedule="linear").warn_of_rise()
    schedules.ScheduleConfig(learning_rate=1e-7).warn_of_rise()  # cosine has no end
    assert len(caplog.messages) == 2


def test_warm_up_rises_linearly_to_the_schedule():
    plain = schedules.ScheduleConfig(schedule="constant", learning_rate=0.1)
    warm = schedules.ScheduleConfig(schedule="constant", learning_rate=0.1, warmup_epochs=2)
    rates = [schedules.learning_rate(warm, position, 10) for position in (0, 0.5, 1, 1.5, 2, 7)]
    assert rates == pytest.approx([0, 0.025, 0.05, 0.075, 0.1, 0.1])
    cosine = [schedules.ScheduleConfig(warmup_epochs=epochs) for epochs in (0, 2)]
    assert len({schedules.learning_rate(settings, 3.3, 10) for settings in cosine}) == 1
    assert schedules.learning_rate(plain, 0, 10) == 0.1


@pytest.mark.parametrize("name", ["learning_rate", "learning_rate_end", "warmup_epochs"])
def test_negative_rates_and_warm_ups_and_those_that_are_no_numbers_are_refused(name):
    for value in (-1e-3, math.nan, math.inf):
        with pytest.raises(config.InputError, match=f"--{name}={value}"):
            schedules.ScheduleConfig(**{name: value})


@pytest.mark.parametrize("schedule", ["step", "step-0", "step-x", "cosinus"])
def test_unknown_schedules_are_refused(schedule):
    with pytest.raises(config.InputError, match=f"--schedule={schedule}"):
        schedules.ScheduleConfig(schedule=schedule)

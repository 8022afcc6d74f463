import time

import pytest
from absl import logging

from bird_tf import config
from bird_tf.inference import scoring
from bird_tf.submissions import budget


class _Clock:
    """Time that passes only when a recording is scored."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def scored(self, costs):
        for index, cost in enumerate(costs):
            self.now += cost
            yield scoring.ScoredRecording(recording_id=str(index), path="", scores=None)


def _within(clock, costs, seconds, max_minutes, started=100.0):
    return [int(r.recording_id) for r in budget.within(clock.scored(costs), seconds, max_minutes, started)]


def test_all_recordings_are_scored_when_they_fit(monkeypatch, caplog):
    assert _within(_Clock(monkeypatch), [6.0] * 10, [60.0] * 10, 1.0) == list(range(10))
    assert not caplog.records


def test_it_warns_early_and_ends_before_a_recording_that_does_not_fit(monkeypatch, caplog):
    logging.set_verbosity(logging.INFO)
    assert _within(_Clock(monkeypatch), [6.0] * 20, [60.0] * 20, 1.0) == list(range(10))
    [record] = [r for r in caplog.records if "--max_minutes=1" in r.getMessage()]
    assert "all 20 recordings need about 2.0 minutes" in record.getMessage()
    assert "about 10 of them fit" in record.getMessage()


def test_time_before_the_scoring_counts_and_long_recordings_cost_more(monkeypatch):
    assert _within(_Clock(monkeypatch), [1.0] * 10, [60.0] * 10, 1.0, started=45.0) == [0, 1, 2, 3, 4]
    costs, seconds = [1.0, 1.0, 1.0, 60.0], [60.0, 60.0, 60.0, 3600.0]
    assert _within(_Clock(monkeypatch), costs, seconds, 1.0) == [0, 1, 2]


def test_the_rest_is_not_scored(monkeypatch):
    clock = _Clock(monkeypatch)
    scored = clock.scored([31.0] * 5)
    assert len(list(budget.within(scored, [1.0] * 5, 1.0, 100.0))) == 2
    assert clock.now == 162.0 and next(scored, None) is None


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan")])
def test_no_time_is_refused(minutes):
    budget.check(None)
    with pytest.raises(config.InputError, match="--max_minutes="):
        budget.check(minutes)

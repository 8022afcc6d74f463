import dataclasses

import numpy as np
import pytest
from absl import logging

from bird_tf import config
from bird_tf.evaluation import densities
from bird_tf.labels import verdicts
from tests.inference.writers.conftest import CLASSES, PROBABILITIES, prediction


def _verdict(start, end, answer, class_id="aaaaaa", file="here/x.wav"):
    return verdicts.Verdict(file=file, start_seconds=start, end_seconds=end, class_id=class_id, answer=answer)


def test_a_verdict_counts_for_the_chunk_with_the_highest_score_in_its_span():
    """Chunks of 1 s with scores .9 .7 .2 .6; ranks .2 | .6 | .7 .9 are in the bins of half, quarter, eighths."""
    given = [_verdict(0.0, 3.0, "yes"), _verdict(2.0, 3.0, "no"), _verdict(3.0, 4.001, "no")]
    heard = densities.Densities(given, CLASSES)
    heard.add(prediction("here/x.wav"))
    [(index, found)] = heard.estimates().items()
    assert index == 0
    assert found.verdicts.tolist() == [2, 0, 0, 1] and found.positives.tolist() == [0, 0, 0, 1]


def test_all_recordings_count_and_verdicts_on_others_are_told(caplog):
    logging.set_verbosity(logging.INFO)
    heard = densities.Densities([_verdict(0, 1, "yes"), _verdict(0, 1, "no", file="lost.wav")], CLASSES)
    for file in ("first.wav", "here/x.wav"):
        heard.add(prediction(file))
    [found] = heard.estimates().values()
    assert found.shares.tolist() == [0.5, 0.25, 0.125, 0.125] and found.verdicts.sum() == 1
    assert "1 recordings with verdicts are not among these recordings, the first: lost.wav" in caplog.text


def test_verdicts_that_say_nothing_of_a_class_are_refused_if_there_is_no_other():
    assert densities.Densities([], CLASSES).estimates() == {}
    given = [_verdict(0, 1, "unsure"), _verdict(0, 1, "yes", class_id="zz")]
    with pytest.raises(config.InputError, match="none of 2 rows says yes or no"):
        densities.Densities(given, CLASSES)
    one = prediction("here/x.wav")
    many = dataclasses.replace(one, scores=dataclasses.replace(one.scores, probabilities=np.zeros_like(PROBABILITIES)))
    heard = densities.Densities([*given, _verdict(0, 1, "other")], CLASSES)
    heard.add(many)
    assert heard.estimates()[0].positives.sum() == 0

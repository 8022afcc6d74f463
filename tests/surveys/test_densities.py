import dataclasses

import numpy as np
import pytest
from absl import logging

from bird_tf import config
from bird_tf.labels import verdicts
from bird_tf.surveys import densities
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


def test_verdicts_that_name_the_predicted_class_as_another_one_are_refused():
    given = [dataclasses.replace(_verdict(0, 1, "other"), species=CLASSES.names[0])]
    with pytest.raises(config.InputError, match=r"--verdicts: here/x\.wav at 0 s: other names"):
        densities.Densities(given, CLASSES)


def _drawn(start, answer, lowest, size):
    return dataclasses.replace(_verdict(start, start + 1, answer), band_lowest=lowest, band_size=size)


def test_verdicts_that_were_drawn_by_band_count_in_their_band(caplog):
    """Chunks of 1 s with scores .9 .7 .2 .6, of which one is below .5."""
    given = [_drawn(0.0, "yes", 0.5, 3), _drawn(1.0, "no", 0.5, 3), _drawn(2.0, "no", 0.0, 1)]
    heard = densities.Densities(given, CLASSES)
    heard.add(prediction("here/x.wav"))
    [found] = heard.estimates().values()
    assert found.shares.tolist() == [0.25, 0.75]
    assert found.verdicts.tolist() == [1, 2] and found.positives.tolist() == [0, 1]
    assert found.estimate == pytest.approx(0.25 * 0.0 + 0.75 * 0.5)
    assert not caplog.records


def test_chunks_without_sound_are_no_predictions_and_hold_no_call(caplog):
    """Chunks of 1 s with scores .9 .7 .2 .6, and as many of silence, which no review shows."""
    given = [_drawn(0.0, "yes", 0.5, 3), _drawn(1.0, "no", 0.5, 3), _drawn(2.0, "yes", 0.0, 1)]
    silent = prediction("silent.wav")
    scores = dataclasses.replace(silent.scores, probabilities=np.zeros_like(PROBABILITIES))
    heard = densities.Densities(given, CLASSES)
    heard.add(prediction("here/x.wav"))
    heard.add(dataclasses.replace(silent, scores=scores))
    [found] = heard.estimates().values()
    assert found.shares.tolist() == [0.125, 0.375] and found.verdicts.tolist() == [1, 2]
    assert found.estimate == pytest.approx(0.125 * 1.0 + 0.375 * 0.5) and found.highest < 0.5
    assert not caplog.records


def test_a_warning_tells_that_other_clips_than_those_drawn_by_band_must_be_random(caplog):
    densities.Densities([_drawn(0.0, "yes", 0.5, 3), _drawn(2.0, "no", 0.0, 1)], CLASSES)
    densities.Densities([], CLASSES)
    assert not caplog.records
    densities.Densities([_drawn(0.0, "yes", 0.5, 3), _verdict(2.0, 3.0, "no")], CLASSES)
    assert "not all clips were drawn by band" in caplog.text


def test_verdicts_drawn_by_bands_of_other_probabilities_are_refused():
    drawn = [dataclasses.replace(_drawn(0.0, "yes", 0.5, 3), scale=f"{own} species list a.txt") for own in ("ab", "cd")]
    densities.check_scale([drawn[0], _drawn(1.0, "yes", 0.5, 3), _verdict(0, 1, "no")], "ab")
    densities.check_scale([dataclasses.replace(drawn[1], band_size=0)], "ab")  # not drawn by band
    with pytest.raises(config.InputError, match="1 of 2 verdicts are on predictions of another model"):
        densities.check_scale(drawn, "ab")


def test_bands_of_which_a_person_chose_the_clips_are_not_used(caplog):
    """Of the band from .5 up, the second clip of five was judged, and the last."""
    own = ((0.0, 1), (0.5, 3))
    given = [
        dataclasses.replace(_drawn_of_class(start, answer, lowest, 3, own), class_turn=turn)
        for start, answer, lowest, turn in ((0.0, "yes", 0.5, 2), (1.0, "no", 0.5, 5), (2.0, "no", 0.0, 1))
    ]
    heard = densities.Densities(given, CLASSES)
    heard.add(prediction("here/x.wav"))
    [found] = heard.estimates().values()
    assert found.verdicts.tolist() == [1, 0] and np.isnan(found.estimate)
    assert "2 verdicts are of bands of scores of which more clips were passed over than judged" in caplog.text


def test_a_band_that_could_be_drawn_in_part_only_gives_no_density(caplog):
    """Three chunks are at least .5, but the review knew of one."""
    heard = densities.Densities([_drawn(0.0, "yes", 0.5, 1), _drawn(2.0, "no", 0.0, 1)], CLASSES)
    heard.add(prediction("here/x.wav"))
    [found] = heard.estimates().values()
    assert np.isnan(found.estimate) and found.verdicts.tolist() == [1, 0]
    assert "from a score of 0.5 up were drawn from 1 predictions, but there are 3 chunks" in caplog.text
    assert "1 of 1 species have no call density" in caplog.text


def test_verdicts_on_chunks_whose_scores_are_others_now_are_not_used(caplog):
    heard = densities.Densities([_drawn(0.0, "yes", 0.0, 3), _drawn(2.0, "no", 0.0, 3)], CLASSES)
    heard.add(prediction("here/x.wav"))
    assert heard.estimates()[0].verdicts.tolist() == [2]
    heard = densities.Densities([_drawn(0.0, "yes", 0.0, 3), _drawn(1.0, "yes", 0.5, 3)], CLASSES)
    heard.add(prediction("here/x.wav"))
    assert heard.estimates()[0].verdicts.tolist() == [0, 1]
    assert "1 verdicts are on chunks that have other scores now" in caplog.text


def _drawn_of_class(start, answer, lowest, size, class_sizes):
    return dataclasses.replace(_drawn(start, answer, lowest, size), class_sizes=class_sizes)


def test_verdicts_of_a_review_of_one_species_add_to_those_of_all(caplog):
    """The class has 1 and 3 of the 20 and 30 predictions; the order of the rows changes nothing."""
    own = ((0.0, 1), (0.5, 3))
    of_all = [_drawn_of_class(0.0, "yes", 0.5, 30, own), _drawn_of_class(2.0, "no", 0.0, 20, own)]
    of_one = [_drawn_of_class(1.0, "no", 0.5, 3, own)]
    for given in (of_all + of_one, of_one + of_all):
        heard = densities.Densities(given, CLASSES)
        heard.add(prediction("here/x.wav"))
        [found] = heard.estimates().values()
        assert found.verdicts.tolist() == [1, 2] and found.estimate == pytest.approx(0.25 * 0.0 + 0.75 * 0.5)
    assert not caplog.records


def test_bands_of_a_class_without_a_verdict_are_bins_too():
    heard = densities.Densities([_drawn_of_class(0.0, "yes", 0.5, 3, ((0.0, 0), (0.2, 1), (0.5, 3)))], CLASSES)
    heard.add(prediction("here/x.wav"))
    [found] = heard.estimates().values()
    assert found.verdicts.tolist() == [0, 0, 1] and np.isnan(found.estimate)


def test_verdicts_of_several_reviews_that_cannot_be_told_apart_are_refused():
    given = [_drawn(0.0, "yes", 0.5, 3), _drawn(2.0, "no", 0.0, 1), _drawn(1.0, "yes", 0.5, 30)]
    for rows in (given, given[::-1]):
        with pytest.raises(config.InputError, match="--verdicts: its verdicts are of several reviews"):
            densities.Densities(rows, CLASSES)

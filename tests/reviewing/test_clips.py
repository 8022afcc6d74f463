import collections
import dataclasses

import pytest

from bird_tf import config
from bird_tf.labels import verdicts
from bird_tf.reviewing import clips
from tests.conftest import settings


def _clip(start, score, class_id="a", **values):
    return clips.Clip(
        file="x.wav", start_seconds=start, end_seconds=start + 1, class_id=class_id, name=class_id.upper(),
        score=score, **values,
    )  # fmt: skip


@pytest.fixture
def many():
    """100 clips of probabilities 0 … 0.99, of two species."""
    return [_clip(float(i), i / 100, "ab"[i % 2]) for i in range(100)]


def _choose(many, judged=(), **flags):
    return clips.choose(many, judged, settings(clips.ChoiceConfig, **flags))


@pytest.mark.parametrize(
    ("order", "first"),
    [("doubtful", [0.5, 0.49, 0.51]), ("most_doubtful", [0.5, 0.49, 0.51]), ("highest", [0.99, 0.98, 0.97])],
)
def test_clips_come_in_the_order_asked_for(many, order, first):
    assert [clip.score for clip in _choose(many, order=order, num_clips=3).clips] == first


def test_doubtful_clips_come_from_each_recording_and_each_species_in_turn():
    predicted = [("x", "a", 0.5), ("x", "b", 0.51), ("x", "a", 0.52), ("y", "a", 0.6), ("z", "b", 0.7), ("z", "c", 0.8)]
    made = [
        dataclasses.replace(_clip(float(i), score, class_id), file=file)
        for i, (file, class_id, score) in enumerate(predicted)
    ]
    # one of each recording, and the second of the species `a` after the first of `b`; then the next of each recording
    assert [clip.start_seconds for clip in _choose(made, order="doubtful").clips] == [0, 4, 3, 1, 5, 2]
    assert [clip.start_seconds for clip in _choose(made, order="most_doubtful").clips] == [0, 1, 2, 3, 4, 5]


def test_random_clips_depend_on_the_seed_alone(many):
    first, again, other = (_choose(many, order="random", seed=seed).clips for seed in (1, 1, 2))
    assert first == again != other and sorted(c.score for c in first) == [c.score for c in many]


def test_a_sample_takes_from_each_band_in_turn_and_knows_their_sizes(many):
    choice = _choose(many, sample=True, num_clips=12)
    assert choice.edges == (0.0, 0.1, 0.25, 0.5, 0.75, 0.9)
    counts = collections.Counter(choice.band(clip) for clip in choice.clips)
    assert counts == {band: 2 for band in range(6)}
    assert [choice.band(clip) for clip in choice.clips] == [*range(6), *range(6)]
    assert choice.sizes == {"a": [5, 8, 12, 13, 7, 5], "b": [5, 7, 13, 12, 8, 5]}
    assert len(_choose(many, sample=True, num_clips=0).clips) == 100


def test_what_was_judged_is_left_out_and_no_sample_is_drawn_from_the_rest(many):
    judged = [
        verdicts.Verdict(file="x.wav", start_seconds=i, end_seconds=i + 1.0, class_id="ab"[i % 2], answer="yes")
        for i in range(90)
    ]
    assert [clip.start_seconds for clip in _choose(many, judged, order="highest").clips] == list(range(99, 89, -1))
    with pytest.raises(config.InputError, match="no random sample"):
        _choose(many, judged, sample=True)
    with pytest.raises(config.InputError, match="no prediction is left"):
        _choose(many[:90], judged)


def test_species_are_chosen_by_id_or_name(many):
    assert {clip.class_id for clip in _choose(many, species=["B"]).clips} == {"b"}
    with pytest.raises(config.InputError, match=r"--species=C x: .* of 2 species \(A, B\)"):
        _choose(many, species=["C x", "a"])


def test_long_detections_are_cut():
    long = clips.Clip(file="x", start_seconds=5.0, end_seconds=65.0, class_id="a", name="A", score=0.5)
    found, num_cut = clips.shorten([long, _clip(0.0, 0.5)], 10.0)
    assert num_cut == 1 and [c.end_seconds for c in found] == [15.0, 1.0]


@pytest.mark.parametrize("flags", [{"bands": [0.5, 0.1]}, {"bands": [1.0]}, {"num_clips": -1}])
def test_useless_flags_are_refused(flags):
    with pytest.raises(config.InputError):
        settings(clips.ChoiceConfig, **flags)


def test_turns_count_clips_by_band_and_by_class_in_it():
    found = [_clip(0.0, *one) for one in ((0.1, "a"), (0.6, "a"), (0.2, "b"), (0.3, "a"), (0.7, "a"))]
    choice = clips.Choice(clips=found, edges=(0.0, 0.5), sizes={})
    assert choice.turns(found) == [(1, 1), (1, 1), (2, 1), (3, 2), (2, 2)]

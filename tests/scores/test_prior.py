import dataclasses
import json
import math

import numpy as np
import pytest
import scipy.special

from bird_tf import config
from bird_tf.labels import metadata, taxonomy
from bird_tf.scores import prior

CLASSES = taxonomy.Taxonomy(("lowl", "high", "any"), ("Low", "High", "Any"))
NOTHING = metadata.Recording(recording_id="q", path="")


def _recordings(generator, per_class=12, informative=True, **unknown):
    """Class lowl at the coast, class high in the mountains 150 km away, class any at both; each has its own author."""
    recordings = []
    for label in CLASSES.class_ids:
        for i in range(per_class):
            coast = generator.random() < 0.5 if label == "any" or not informative else label == "lowl"
            place = (0.0, 0.0, 10.0) if coast else (1.35, 0.0, 2500.0)
            recordings.append(
                metadata.Recording(
                    recording_id=f"{label}{i}", path="", label=label, split="train", author=f"{label}{i}",
                    latitude=place[0] + generator.normal(0, 0.1), longitude=place[1] + generator.normal(0, 0.1),
                    elevation=place[2] + generator.normal(0, 30), day_of_year=float(generator.integers(1, 366)),
                    hour=generator.uniform(0, 24),
                )
            )  # fmt: skip
    return [dataclasses.replace(r, **unknown) for r in recordings]


def _mean_log_probability(learned, recordings):
    """Of the labels of recordings, from place and time only."""
    logits = np.stack([np.log(learned.frequencies) + learned.log_ratios(r) for r in recordings])
    labels = np.array([CLASSES.index(r.label) for r in recordings])
    return scipy.special.log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean()


@pytest.fixture
def learned(generator):
    return prior.fit(_recordings(generator), CLASSES)


def test_a_joined_prior_has_the_classes_that_the_first_one_lacks(learned, generator):
    more = dataclasses.replace(learned, class_ids=("high", "new", "any"))  # "new" is where "high" was
    joined = prior.joined([learned, more])
    assert joined.class_ids == ("lowl", "high", "any", "new") and joined.num_recordings.tolist() == [12] * 4
    mountain = dataclasses.replace(NOTHING, latitude=1.35, longitude=0.0, elevation=2500.0)
    ratios = joined.log_ratios(mountain)
    assert ratios[1] > 0 and ratios[3] == pytest.approx(ratios[1]) and ratios[0] < 0
    assert prior.joined([learned]) is learned


def test_distances_on_great_circles_by_hand():
    assert prior.kilometres(0, 0, 0, 90) == pytest.approx(math.pi / 2 * 6371)
    assert prior.kilometres(90, 13, -90, 77) == pytest.approx(math.pi * 6371)
    assert prior.kilometres(60, 179.5, 60, -179.5) == pytest.approx(55.6, abs=0.1)
    assert prior.kilometres(0.0, 0.0, np.array([0.0, 1.0]), 0.0).tolist() == pytest.approx([0, 111.19], abs=0.01)


def test_distances_of_days_and_hours_are_circular():
    day, hour = prior._circular_distance(365.25), prior._circular_distance(24)
    assert day(np.array([[365.0]]), np.array([[1.0]])) == pytest.approx([1.25])
    assert hour(np.array([[23.5]]), np.array([[0.5]])) == pytest.approx([1.0])


def test_a_place_raises_the_species_that_were_recorded_there(learned):
    assert learned.informed and learned.exponents["place"] + learned.exponents["elevation"] > 0.5
    coast = learned.log_ratios(dataclasses.replace(NOTHING, latitude=0.0, longitude=0.0, elevation=5.0))
    mountain = learned.log_ratios(dataclasses.replace(NOTHING, latitude=1.35, longitude=0.0, elevation=2500.0))
    assert coast[0] > 0 > coast[1] and mountain[1] > 0 > mountain[0]


def test_unknown_and_remote_places_change_nothing(learned):
    np.testing.assert_array_equal(learned.log_ratios(NOTHING), 0)
    far = dataclasses.replace(NOTHING, latitude=-60.0, longitude=120.0)
    np.testing.assert_allclose(learned.log_ratios(far), 0, atol=1e-6)


def test_one_factor_by_hand():
    """Two classes at distances of 0 and 50 km, and a kernel of 50 km, against explicit sums."""
    taxa = taxonomy.Taxonomy(("a", "b"), ("A", "B"))
    degrees = math.degrees(50 / 6371)
    plain = prior.Prior(
        class_ids=taxa.class_ids, num_recordings=np.array([1, 2]), labels=np.array([0, 1, 1]),
        weights=np.array([1.0, 0.5, 0.5]), widths={"place": 50.0}, exponents={"place": 1.0},
        observations=np.array([[x, 0, np.nan, np.nan, np.nan] for x in (0, degrees, degrees)]),
    )  # fmt: skip
    kernel_a, kernel_b = 1.0, math.exp(-0.5)
    overall = (kernel_a + kernel_b + 1) / 2
    expected = [(near + 0.5 + 4 * overall) / (1 + 4) / overall for near in (kernel_a, kernel_b)]
    found = plain.log_ratios(dataclasses.replace(NOTHING, latitude=0.0, longitude=0.0))
    np.testing.assert_allclose(np.exp(found), expected, rtol=1e-6)
    np.testing.assert_allclose(plain.frequencies, [2 / 5, 3 / 5])


def test_labels_of_new_recordings_are_more_probable_if_place_is_informative(generator, learned):
    assert _mean_log_probability(learned, _recordings(generator, per_class=50)) - math.log(1 / 3) > 0.2


@pytest.mark.parametrize("per_class", [5, 40])
def test_uninformative_place_and_time_do_no_harm(per_class):
    gains = []
    for seed in range(10):
        generator = np.random.default_rng(seed)
        learned = prior.fit(_recordings(generator, per_class, informative=False), CLASSES)
        new_recordings = _recordings(generator, 50, informative=False)
        gains.append(_mean_log_probability(learned, new_recordings) - math.log(1 / 3))
    assert np.mean(gains) > -0.03 and min(gains) > -0.1


def test_recordings_of_one_author_or_occasion_do_not_support_each_other(generator):
    """Each species has one session at one place. This is not informative for another session."""
    sessions = [
        metadata.Recording(
            recording_id=f"{label}{i}", path="", label=label, split="train", author=label,
            latitude=float(CLASSES.index(label)), longitude=0.0, day_of_year=100.0 + CLASSES.index(label),
        )
        for label in CLASSES.class_ids
        for i in range(10)
    ]  # fmt: skip
    learned = prior.fit(sessions, CLASSES)
    assert not learned.informed
    np.testing.assert_allclose(learned.weights, 0.1)


def test_only_recordings_of_the_classes_count(generator):
    recordings = _recordings(generator)
    learned = prior.fit([*recordings, dataclasses.replace(recordings[0], label="other")], CLASSES)
    assert learned.num_recordings.tolist() == [12, 12, 12]
    assert learned.frequencies.sum() == pytest.approx(1)


@pytest.mark.parametrize("unknown", [{}, {"latitude": math.nan, "hour": math.nan}])
def test_a_saved_prior_is_loaded(tmp_path, generator, unknown):
    learned = prior.fit(_recordings(generator, **unknown), CLASSES)
    prior.save(str(tmp_path / "prior.json"), learned)
    loaded = prior.load(str(tmp_path / "prior.json"))
    query = dataclasses.replace(NOTHING, latitude=0.3, longitude=0.1, elevation=100.0, hour=5.0)
    np.testing.assert_allclose(loaded.log_ratios(query), learned.log_ratios(query), atol=1e-2)
    np.testing.assert_array_equal(loaded.frequencies, learned.frequencies)


def test_recordings_of_unknown_place_or_day_are_occasions_of_their_own():
    """Each species sings at an hour of its own, in recordings of unknown place and date."""
    recordings = [
        metadata.Recording(recording_id=f"{label}{i}", path="", label=label, hour=6.0 + 6 * number + i % 3, **known)
        for number, label in enumerate(CLASSES.class_ids)
        for i in range(12)
        for known in ({"latitude": 1.0, "longitude": 2.0} if i % 2 else {"day_of_year": 100.0},)
    ]
    learned = prior.fit(recordings, CLASSES)
    np.testing.assert_array_equal(learned.weights, 1.0)
    assert learned.exponents["hour"] > 0.5


def test_a_prior_without_recordings_is_uninformed(tmp_path):
    empty = prior.fit([], CLASSES)
    assert not empty.informed and empty.frequencies.tolist() == pytest.approx([1 / 3] * 3)
    prior.save(str(tmp_path / "prior.json"), empty)
    np.testing.assert_array_equal(prior.load(str(tmp_path / "prior.json")).log_ratios(NOTHING), 0)
    for version, told in ((0, "no prior of format 1"), (99, "a newer bird_tf wrote it")):
        (tmp_path / "prior.json").write_text(json.dumps({"format_version": version}))
        with pytest.raises(config.InputError, match=told):
            prior.load(str(tmp_path / "prior.json"))

import dataclasses
import math
import types

import numpy as np
import pytest
import scipy.special

from bird_tf import config
from bird_tf.inference import occurrence
from bird_tf.labels import metadata, taxonomy
from bird_tf.scores import prior

CLASSES = taxonomy.Taxonomy(("aa", "bb", "cc"), ("Avis a", "Avis b", "Avis c"))
NOTHING = metadata.Recording(recording_id="q", path="q.wav")
HERE = dataclasses.replace(NOTHING, latitude=18.0, longitude=-66.0, day_of_year=1.0)
HEADER = "latitude,longitude,week,class_id,frequency\n"


def _expectation(learned=None, **flags):
    ensemble = types.SimpleNamespace(
        classes=CLASSES, prior=learned or prior.fit([], CLASSES), models=[types.SimpleNamespace(path="runs/x")]
    )
    return occurrence.OddsFactors(occurrence.OccurrenceConfig(**flags), ensemble)


@pytest.fixture
def table(tmp_path):
    """Two places; at the first aa in weeks 52, 1 and 2, bb all year; at the second cc."""
    (tmp_path / "table.csv").write_text(
        HEADER + "18,-66,52,aa,0.3\n18,-66,1,aa,0.6\n18,-66,2,aa,0.3\n18,-66,,Avis b,0.2\n"
        "50,10,,cc,0.9\n18,-66,3,Unknown bird,0.5\n"
    )
    return str(tmp_path / "table.csv")


def test_odds_are_multiplied(generator):
    scores, ratios = generator.uniform(0.01, 0.99, (4, 3)), np.array([0.2, 1.0, 5.0])
    updated = occurrence.multiply_odds(scores, ratios)
    np.testing.assert_allclose(updated, scipy.special.expit(scipy.special.logit(scores) + np.log(ratios)))
    edges = occurrence.multiply_odds(np.array([0.0, 1.0, 1.0], np.float32), np.array([9.0, 0.0, 3.0]))
    assert edges.dtype == np.float32 and edges.tolist() == [0.0, 0.0, 1.0]
    np.testing.assert_array_equal(
        occurrence.multiply_odds(scores.astype(np.float32), np.ones(3)), scores.astype(np.float32)
    )


def test_a_species_list_leaves_only_what_it_names(tmp_path):
    (tmp_path / "list.txt").write_text("\ufeff# Puerto Rico\naa\nAVIS C\nRara avis\n\n")
    assert _expectation(species_list=str(tmp_path / "list.txt")).ratios(NOTHING).tolist() == [1, 0, 1]
    (tmp_path / "list.txt").write_text("Rara avis\n")
    with pytest.raises(config.InputError, match="none of 1 lines"):
        _expectation(species_list=str(tmp_path / "list.txt"))


def test_the_week_and_its_neighbours_count_round_the_year(table):
    found = occurrence.Table(table, CLASSES)
    np.testing.assert_allclose(found.at(HERE), [0.4, 0.2, 0])  # weeks 52, 1 and 2
    np.testing.assert_allclose(found.at(dataclasses.replace(HERE, day_of_year=180.0)), [0, 0.2, 0])
    np.testing.assert_allclose(found.at(dataclasses.replace(HERE, day_of_year=366.0)), [0.3, 0.2, 0])  # 51, 52, 1
    np.testing.assert_allclose(found.at(dataclasses.replace(HERE, day_of_year=math.nan)), [0.6, 0.2, 0])


def test_a_weeks_rows_overrule_the_years_in_any_order(tmp_path):
    rows = ["18,-66,1,aa,0.9\n", "18,-66,,aa,0.1\n"]
    for i, order in enumerate((rows, rows[::-1])):
        (tmp_path / f"{i}.csv").write_text(HEADER + "".join(order))
        frequencies = occurrence.Table(str(tmp_path / f"{i}.csv"), CLASSES).frequencies
        assert frequencies[0, :2, 0].tolist() == [0.9, 0.1]


def test_the_nearest_place_counts_and_an_unknown_one_tells_nothing(table):
    found = occurrence.Table(table, CLASSES)
    np.testing.assert_allclose(found.at(dataclasses.replace(HERE, latitude=60.0, longitude=20.0)), [0, 0, 0.9])
    assert found.at(NOTHING) is None
    assert _expectation(occurrence=table).ratios(NOTHING).tolist() == [1, 1, 1]
    # but flags can tell it
    told = _expectation(occurrence=table, latitude=18.1, longitude=-66.0, date="2024-07-01")
    assert told.ratios(NOTHING).tolist() == [0, 1, 0]
    assert told.ratios(dataclasses.replace(NOTHING, latitude=50.0, longitude=10.0)).tolist() == [0, 0, 1]


def test_weeks_the_table_says_nothing_of_take_the_years_highest_and_a_single_place_needs_no_coordinates(tmp_path):
    (tmp_path / "t.csv").write_text(HEADER + "18,-66,10,aa,0.1\n18,-66,30,aa,0.5\n")
    found = occurrence.Table(str(tmp_path / "t.csv"), CLASSES)
    np.testing.assert_allclose(found.at(NOTHING), [0.5, 0, 0])
    np.testing.assert_allclose(found.at(HERE), [0.5, 0, 0])
    np.testing.assert_allclose(found.at(dataclasses.replace(HERE, day_of_year=7 * 9 + 4.0)), [0.1, 0, 0])


def test_as_a_multiplier_frequencies_take_the_place_of_the_training_prior(table):
    learned = dataclasses.replace(prior.fit([], CLASSES), num_recordings=np.array([9, 4, 4]))  # of 20: 10, 5, 5
    ratios = _expectation(learned, occurrence=table, occurrence_use="multiplier").ratios(HERE)
    frequencies = np.array([0.4, 0.2, 0.01])
    np.testing.assert_allclose(ratios, frequencies / frequencies.sum() / [0.5, 0.25, 0.25])
    half = _expectation(learned, occurrence=table, occurrence_use="multiplier", prior_weight=0.5).ratios(HERE)
    np.testing.assert_allclose(half, np.sqrt(ratios))


def test_the_learned_prior_is_weighted_and_goes_with_a_list(tmp_path, monkeypatch):
    learned = dataclasses.replace(prior.fit([], CLASSES), exponents={"place": 1.0})
    monkeypatch.setattr(prior.Prior, "log_ratios", lambda *_: np.log([4.0, 1.0, 0.25]))
    (tmp_path / "list.txt").write_text("aa\nbb\n")
    both = _expectation(learned, prior="learned", prior_weight=0.5, species_list=str(tmp_path / "list.txt"))
    np.testing.assert_allclose(both.ratios(HERE), [2, 1, 0])
    assert "weight 0.5 (exponents: place 1.00)" in both.describe() and "list.txt" in both.describe()


def test_a_model_that_learned_no_prior_says_so():
    with pytest.raises(config.InputError, match="--prior=learned: runs/x learned none"):
        _expectation(prior="learned")
    assert _expectation().describe() == "" and _expectation().ratios(HERE).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("row", "words"),
    [("18,-66,53,aa,0.1", "line 2: week"), ("18,-66,1,aa,2", "frequency"), ("x,-66,1,aa,0.1", "line 2: need"),
     ("18,-66,1,zz,0.1", "no row is of a class")],
)  # fmt: skip
def test_bad_tables_are_refused(tmp_path, row, words):
    (tmp_path / "t.csv").write_text(HEADER + row + "\n")
    with pytest.raises(config.InputError, match=words):
        occurrence.Table(str(tmp_path / "t.csv"), CLASSES)


@pytest.mark.parametrize(
    "flags",
    [{"latitude": 1.0}, {"latitude": 91.0, "longitude": 0.0, "prior": "learned"}, {"date": "May"},
     {"prior_weight": 0.0}, {"least_frequency": 0.0}, {"latitude": 1.0, "longitude": 1.0}, {"date": "2024-01-01"},
     {"occurrence_use": "multiplier"}, {"least_frequency": 0.1}, {"prior_weight": 0.5},
     {"prior_weight": 0.5, "occurrence": "t.csv"}],
)  # fmt: skip
def test_flags_that_cannot_be_or_have_no_use_are_refused(flags):
    with pytest.raises(config.InputError, match="--"):
        occurrence.OccurrenceConfig(**flags)

import dataclasses
import datetime
import math
import types

import numpy as np
import pytest
import scipy.special

from bird_tf import config
from bird_tf.inference import occurrence, occurrence_table
from bird_tf.labels import metadata, taxonomy
from bird_tf.scores import prior

CLASSES = taxonomy.Taxonomy(("aa", "bb", "cc"), ("Avis a", "Avis b", "Avis c"))
NOTHING = metadata.Recording(recording_id="q", path="q.wav")
HERE = dataclasses.replace(NOTHING, latitude=18.0, longitude=-66.0, day_of_year=1.0)
HEADER = "latitude,longitude,week,class_id,frequency\n"


def _odds_factors(learned=None, **flags):
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
    scores, factors = generator.uniform(0.01, 0.99, (4, 3)), np.array([0.2, 1.0, 5.0])
    updated = occurrence.multiply_odds(scores, factors)
    np.testing.assert_allclose(updated, scipy.special.expit(scipy.special.logit(scores) + np.log(factors)))
    edges = occurrence.multiply_odds(np.array([0.0, 1.0, 1.0], np.float32), np.array([9.0, 0.0, 3.0]))
    assert edges.dtype == np.float32 and edges.tolist() == [0.0, 0.0, 1.0]
    np.testing.assert_array_equal(
        occurrence.multiply_odds(scores.astype(np.float32), np.ones(3)), scores.astype(np.float32)
    )


def test_only_species_of_the_list_keep_their_scores(tmp_path):
    (tmp_path / "list.txt").write_text("\ufeff# Puerto Rico\naa\nAvis c_Common Bird\nRara avis_Rare Bird\n\n")
    assert _odds_factors(species_list=str(tmp_path / "list.txt")).factors(NOTHING).tolist() == [1, 0, 1]
    (tmp_path / "list.txt").write_text("Rara avis\n")
    with pytest.raises(config.InputError, match=r"none of 1 lines is .* \(Rara avis\); it knows 3 species \("):
        _odds_factors(species_list=str(tmp_path / "list.txt"))


def test_the_frequency_is_the_mean_of_three_weeks_also_across_the_new_year(table):
    found = occurrence_table.Table(table, CLASSES)
    np.testing.assert_allclose(found.at(HERE), [0.4, 0.2, 0])  # weeks 52, 1 and 2
    np.testing.assert_allclose(found.at(dataclasses.replace(HERE, day_of_year=180.0)), [0, 0.2, 0])
    np.testing.assert_allclose(found.at(dataclasses.replace(HERE, day_of_year=366.0)), [0.3, 0.2, 0])  # 51, 52, 1
    np.testing.assert_allclose(found.at(dataclasses.replace(HERE, day_of_year=math.nan)), [0.6, 0.2, 0])


def test_rows_of_a_week_override_rows_of_the_year_in_any_order(tmp_path):
    rows = ["18,-66,1,aa,0.9\n", "18,-66,,aa,0.1\n"]
    for i, order in enumerate((rows, rows[::-1])):
        (tmp_path / f"{i}.csv").write_text(HEADER + "".join(order))
        frequencies = occurrence_table.Table(str(tmp_path / f"{i}.csv"), CLASSES).frequencies
        assert frequencies[0, :2, 0].tolist() == [0.9, 0.1]


def test_the_nearest_place_counts_and_an_unknown_place_changes_nothing(table):
    found = occurrence_table.Table(table, CLASSES)
    np.testing.assert_allclose(found.at(dataclasses.replace(HERE, latitude=60.0, longitude=20.0)), [0, 0, 0.9])
    assert found.at(NOTHING) is None
    assert _odds_factors(occurrence=table).factors(NOTHING).tolist() == [1, 1, 1]
    # flags can give the place
    with_flags = _odds_factors(occurrence=table, latitude=18.1, longitude=-66.0, date="2024-07-01")
    assert with_flags.factors(NOTHING).tolist() == [0, 1, 0]
    assert with_flags.factors(dataclasses.replace(NOTHING, latitude=50.0, longitude=10.0)).tolist() == [0, 0, 1]


def test_places_far_from_all_of_the_table_are_told_once(table, caplog):
    found = occurrence_table.Table(table, CLASSES)
    for latitude, number in ((16.0, 0), (-40.0, 1), (-50.0, 1)):
        found.at(dataclasses.replace(HERE, latitude=latitude))
        assert caplog.text.count("km from the nearest place of --occurrence") == number


def test_missing_weeks_get_the_maximum_and_a_single_place_needs_no_coordinates(tmp_path):
    (tmp_path / "t.csv").write_text(HEADER + "18,-66,10,aa,0.1\n18,-66,30,aa,0.5\n")
    found = occurrence_table.Table(str(tmp_path / "t.csv"), CLASSES)
    np.testing.assert_allclose(found.at(NOTHING), [0.5, 0, 0])
    np.testing.assert_allclose(found.at(HERE), [0.5, 0, 0])
    np.testing.assert_allclose(found.at(dataclasses.replace(HERE, day_of_year=7 * 9 + 4.0)), [0.1, 0, 0])


def test_the_multiplier_replaces_the_training_prior_by_frequencies(table):
    learned = dataclasses.replace(prior.fit([], CLASSES), num_recordings=np.array([9, 4, 4]))  # of 20: 10, 5, 5
    factors = _odds_factors(learned, occurrence=table, occurrence_use="multiplier").factors(HERE)
    frequencies = np.array([0.4, 0.2, 0.01])
    np.testing.assert_allclose(factors, frequencies / frequencies.sum() / [0.5, 0.25, 0.25])
    half = _odds_factors(learned, occurrence=table, occurrence_use="multiplier", prior_weight=0.5).factors(HERE)
    np.testing.assert_allclose(half, np.sqrt(factors))


def test_the_learned_prior_has_a_weight_and_combines_with_a_list(tmp_path, monkeypatch):
    learned = dataclasses.replace(prior.fit([], CLASSES), exponents={"place": 1.0})
    monkeypatch.setattr(prior.Prior, "log_ratios", lambda *_: np.log([4.0, 1.0, 0.25]))
    (tmp_path / "list.txt").write_text("aa\nbb\n")
    both = _odds_factors(learned, prior="learned", prior_weight=0.5, species_list=str(tmp_path / "list.txt"))
    np.testing.assert_allclose(both.factors(HERE), [2, 1, 0])
    assert "weight 0.5 (exponents: place 1.00)" in both.describe() and "list.txt" in both.describe()


@pytest.mark.parametrize("year", [2023, 2024])
def test_a_given_date_counts_as_that_of_a_recording(tmp_path, year):
    """Also in a leap year, where 14 March is the last day of its week of 48."""
    weeks = "".join(f"18,-66,{week},aa,{week / 100}\n" for week in range(1, 49))
    (tmp_path / "weeks.csv").write_text(HEADER + weeks)
    flags = {"occurrence": str(tmp_path / "weeks.csv"), "occurrence_use": "multiplier"}
    days = [datetime.date(year, month, day) for month, day in ((2, 28), (3, 14), (3, 15), (12, 31))]
    for day in days:
        dated = dataclasses.replace(HERE, date=day.isoformat(), day_of_year=float(day.timetuple().tm_yday))
        undated = dataclasses.replace(HERE, day_of_year=math.nan)
        given = _odds_factors(**flags, date=day.isoformat()).factors(undated)
        np.testing.assert_array_equal(given, _odds_factors(**flags).factors(dated))


def test_a_model_without_a_learned_prior_is_refused():
    with pytest.raises(config.InputError, match="--prior=learned: runs/x learned no prior"):
        _odds_factors(prior="learned")
    assert _odds_factors().describe() == "" and _odds_factors().factors(HERE).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("row", "words"),
    [("18,-66,53,aa,0.1", "line 2: need"), ("18,-66,1,aa,2", "frequency"), ("x,-66,1,aa,0.1", "line 2: latitude"),
     ("18,-66,1,zz,0.1", "no row is of a class")],
)  # fmt: skip
def test_bad_tables_are_refused(tmp_path, row, words):
    (tmp_path / "t.csv").write_text(HEADER + row + "\n")
    with pytest.raises(config.InputError, match=words):
        occurrence_table.Table(str(tmp_path / "t.csv"), CLASSES)


@pytest.mark.parametrize(
    "flags",
    [{"latitude": 1.0}, {"latitude": 91.0, "longitude": 0.0, "prior": "learned"}, {"date": "May"},
     {"prior_weight": 0.0}, {"least_frequency": 0.0}, {"latitude": 1.0, "longitude": 1.0}, {"date": "2024-01-01"},
     {"occurrence_use": "multiplier"}, {"least_frequency": 0.1}, {"prior_weight": 0.5},
     {"prior_weight": 0.5, "occurrence": "t.csv"}],
)  # fmt: skip
def test_impossible_flags_and_flags_without_effect_are_refused(flags):
    with pytest.raises(config.InputError, match="--"):
        occurrence.OccurrenceConfig(**flags)

import logging
import types

from bird_tf.evaluation import notes


def _ensemble(sources="", weights=(1.0,)):
    decided = types.SimpleNamespace(pooling="mean", weights=weights, sources=sources)
    return types.SimpleNamespace(models=weights, decisions=decided)


def test_a_model_judged_in_place_of_its_refit_is_told():
    found = notes.of_models(_ensemble("12 recordings of x"), ["run/export"], ["run/before"], tuned=False)
    assert found[0].startswith("run/export has learnt from these recordings; run/before, from before its refit")
    assert found[1:] == ["Pooling: mean.", "Calibration and thresholds were fitted on 12 recordings of x."]


def test_it_is_told_what_was_fitted_and_on_what():
    tuned = notes.of_models(_ensemble(weights=(0.25, 0.75)), ["a", "b"], ["a", "b"], tuned=True)
    assert tuned[1] == "Weights: 0.25, 0.75." and "chosen on these same recordings" in tuned[2]
    assert " map " not in tuned[2]  # in a report, that is a metric
    assert "not calibrated" in notes.of_models(_ensemble(), ["a"], ["a"], tuned=False)[-1]


def test_what_place_and_time_change_is_told_if_they_are_used():
    odds = types.SimpleNamespace(describe=lambda: "species list x")
    before, after = {"mlrap": 0.5, "cmap": 0.25, "top1": 0.125}, {"mlrap": 0.75, "cmap": 0.5, "top1": 0.25}
    assert notes.of_prior(odds, {}, after) == []
    [told] = notes.of_prior(odds, before, after)
    assert told.startswith("Scores are combined with species list x") and "mlrap 0.500 → 0.750, cmap 0.250" in told


def test_strange_recordings_are_told_and_warned_of(caplog):
    assert notes.of_strangeness([float("nan")]) == []
    [told] = notes.of_strangeness([0.1, 9.0, 9.0])
    assert told.endswith(".") and told[:-1] in caplog.text


def test_it_is_told_among_how_many_species_is_ranked_where_the_records_name_fewer(caplog):
    assert notes.of_ranking(6, None) == []
    with caplog.at_level(logging.INFO, "absl"):
        [told] = notes.of_ranking(6, {"num_ranked": 3, "mlrap": 0.75, "chance_mlrap": 0.6})
    assert told in caplog.text and "rank 6 species, of which the records name 3." in told and "MLRAP is 0.7500" in told

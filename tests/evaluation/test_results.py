import dataclasses

import numpy as np

from bird_tf.evaluation import results
from tests import conftest


def test_species_are_counted_and_confusions_named(evaluation):
    worst, best = evaluation.species  # what rests on one recording comes last
    assert (best.class_id, best.recordings, best.first, best.mistaken_for) == ("aa", 1, 1, "")
    assert (worst.class_id, worst.recordings, worst.first, worst.mistaken_for) == ("bb", 2, 1, "A a")
    assert (best.training_recordings, worst.training_recordings) == (10, 20)
    assert (best.present, best.few, worst.present, worst.few) == (1, True, 3, False)


def test_species_in_the_background_are_no_confusion(evaluation):
    assert evaluation.confusions() == [(1, 0, 1)]
    with_background = evaluation.truth.copy()
    with_background[1, 0] = True
    with_background = dataclasses.replace(evaluation, truth=with_background)
    assert with_background.confusions() == [] and {entry.mistaken_for for entry in with_background.species} == {""}


def test_no_species_is_put_first_in_silence(evaluation, tmp_path):
    silent = dataclasses.replace(evaluation, scores=evaluation.scores * np.array([[1], [0], [1]]))
    assert silent.confusions() == [] and silent.species[0].mistaken_for == ""
    results.write_tables(str(tmp_path), silent, [])
    assert [row["best"] for row in conftest.table(tmp_path / "recordings.csv")] == ["aa", "", "bb"]


def test_tables_have_a_row_for_each_recording_and_species(evaluation, tmp_path):
    results.write_tables(str(tmp_path), evaluation, [("x.wav", "cannot be decoded")])
    recordings, species, skipped = (
        conftest.table(tmp_path / f"{name}.csv") for name in ("recordings", "species", "skipped")
    )
    assert [(row["recording_id"], row["label"], row["best"]) for row in recordings] == [
        ("1", "aa", "aa"), ("<2>", "bb", "aa"), ("3", "bb", "bb"),
    ]  # fmt: skip
    assert [float(row["average_precision"]) for row in recordings] == [1.0, 0.5, 1.0]
    assert [(row["class_id"], row["mistaken_for"]) for row in species] == [("bb", "A a"), ("aa", "")]
    assert skipped == [{"file": "x.wav", "reason": "cannot be decoded"}]


def test_models_that_know_more_than_the_records_are_ranked_among_the_named_species_too(manifest):
    classes = manifest.classes
    scores, truth = np.array([[0.5, 0.1, 0.2, 0.9, 0.8, 0.7]]), np.eye(1, 6, dtype=bool)
    few = dataclasses.replace(manifest, classes=classes.subset([2, 1, 0]))
    found = results.among_named(scores, truth, classes, few)
    assert (found["num_ranked"], found["mlrap"]) == (3, 1.0) and 0.5 < found["chance_mlrap"] < 0.7
    assert results.among_named(scores, truth, classes, manifest) is None
    one = dataclasses.replace(manifest, classes=classes.subset([0]))
    assert results.among_named(scores, truth, classes, one) is None
    further = dataclasses.replace(manifest, num_further=3)  # kept classes, which no label names
    assert results.among_named(scores, truth, classes, further)["num_ranked"] == 3

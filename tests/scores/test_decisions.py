import dataclasses
import json

import numpy as np
import pytest

from bird_tf import config
from bird_tf.labels import taxonomy
from bird_tf.scores import calibration, context, decisions, metrics, pooling, thresholds

CLASSES = taxonomy.Taxonomy(("aa", "bb", "cc"), ("A", "B", "C"))


def test_the_best_pooling_is_chosen(generator):
    truth = np.eye(3, dtype=bool)[np.arange(30) % 3]
    chunks = [generator.random((20, 3)) * 0.8 for _ in range(30)]
    for scores, present in zip(chunks, truth, strict=True):
        scores[0, present] = 0.9  # one loud call: only the maximum always finds it
    method, tried = decisions.choose_pooling(chunks, truth)
    assert method == "max" and tried["max"] == 1.0 and set(tried) == {*pooling.METHODS} - {"attention"}
    assert tried["mean"] == metrics.mlrap(np.stack([c.mean(axis=0) for c in chunks]), truth)


def test_attention_is_chosen_if_it_is_best(generator):
    truth = np.eye(3, dtype=bool)[np.arange(30) % 3]
    chunks, logits = [generator.random((20, 3)) for _ in range(30)], [np.zeros(20) for _ in range(30)]
    for i, (scores, present, own_logits) in enumerate(zip(chunks, truth, logits, strict=True)):
        scores[i % 20] = 0.1 + 0.1 * present  # low scores, but only this chunk gets attention
        own_logits[i % 20] = 20.0
    method, tried = decisions.choose_pooling(chunks, truth, logits)
    assert method == "attention" and tried["attention"] == 1.0 and set(tried) == set(pooling.METHODS)
    # the attention logits of an ensemble are mixed as its scores are; those of the first model are noise
    members = [np.stack([own, own]) for own in chunks]
    member_logits = [np.stack([generator.normal(0, 20, 20), own]) for own in logits]
    weights = decisions.search_weights(members, truth, "attention", member_logits)
    assert weights[1] > 0.8


def test_the_better_model_gets_the_larger_weight(generator):
    truth = np.eye(3, dtype=bool)[np.arange(30) % 3]
    good, bad = truth * 0.5 + 0.3 * generator.random((30, 3)), generator.random((30, 3))
    chunks = [np.stack([b[None], g[None]]) for g, b in zip(good, bad, strict=True)]
    weights = decisions.search_weights(chunks, truth, "mean")
    assert sum(weights) == pytest.approx(1) and weights[1] > 0.8
    assert decisions.search_weights([c[:1] for c in chunks], truth, "mean") == (1.0,)


def test_models_that_nothing_tells_apart_get_equal_weights_in_any_order(generator):
    truth = np.eye(3, dtype=bool)[np.arange(30) % 3]
    good, bad = [truth * 0.7 + 0.3 * generator.random((30, 3)) for _ in range(3)], generator.random((30, 3))

    def weights(models, present=truth):
        return decisions.search_weights(list(np.stack(models, axis=1)[:, :, None]), present, "mean")

    assert weights(good) == weights(good[::-1]) == (1 / 3,) * 3  # all of them without a mistake
    assert weights([bad, *good[:2]]) == (0, 0.5, 0.5)
    # a detector: only recordings without the species tell models apart
    one = [scores[:, :1] for scores in (*good[:1], bad)]
    assert weights(one, np.ones((30, 1), bool)) == (0.5, 0.5)
    assert weights(one, truth[:, :1])[0] == weights(one[::-1], truth[:, :1])[1] > 0.8


def test_decisions_are_loaded_in_the_order_of_the_classes(tmp_path, generator):
    scores = generator.random((400, 3))
    fitted = calibration.fit(scores[:, None], generator.random((400, 3)) < scores, 0.9)
    decided = decisions.Decisions(
        pooling="max", weights=(0.3, 0.7), recording=fitted, chunk=fitted, precision=0.9, fitted_on="these"
    )
    path = str(tmp_path / "decisions.json")
    decisions.save(path, decided, CLASSES)
    reversed_classes = taxonomy.Taxonomy(CLASSES.class_ids[::-1], CLASSES.names[::-1])
    loaded = decisions.load(path, reversed_classes, 2)
    assert (loaded.pooling, loaded.weights, loaded.fitted_on) == ("max", (0.3, 0.7), "these")
    for rule in thresholds.RULES:
        np.testing.assert_array_equal(loaded.chunk.thresholds[rule], fitted.thresholds[rule][::-1])
    assert (loaded.chunk.slope, loaded.chunk.intercept) == (fitted.slope, fitted.intercept)


def test_decisions_for_other_models_are_refused(tmp_path):
    path = str(tmp_path / "decisions.json")
    with pytest.raises(config.InputError, match="no such file"):
        decisions.load(path, CLASSES, 1)
    decisions.save(path, decisions.neutral(CLASSES, 1, "mean"), CLASSES)
    with pytest.raises(config.InputError, match="for 1 models, not 2"):
        decisions.load(path, CLASSES, 2)
    with pytest.raises(config.InputError, match="other classes"):
        decisions.load(path, taxonomy.Taxonomy(("xx",), ("X",)), 1)
    for weights in ((2.0, 1.0), (1e308, 1e308), (0.5, 0.4)):
        decisions.save(path, dataclasses.replace(decisions.neutral(CLASSES, 2, "mean"), weights=weights), CLASSES)
        with pytest.raises(config.InputError, match="weights at least 0 with the sum 1"):
            decisions.load(path, CLASSES, 2)
    newer, other = r"decisions\.json: a newer bird_tf wrote it.*; update", "holds no decisions of format 3; run"
    old = {"format_version": 0, "pooling": "mean"}
    contents = {newer: [{**old, "format_version": 99}], other: [old, {"format_version": 99}, {"shards": {}}, []]}
    for told, content in ((told, content) for told, several in contents.items() for content in several):
        (tmp_path / "decisions.json").write_text(json.dumps(content))
        with pytest.raises(config.InputError, match=told):
            decisions.load(path, CLASSES, 1)


def test_neutral_decisions_do_not_change_scores(generator):
    scores = generator.random((4, 3)).astype(np.float32)
    assert decisions.neutral(CLASSES, 1, "mean").recording.probabilities(scores) is scores


def test_recording_thresholds_of_scores_that_were_no_probabilities_are_left_out(tmp_path, generator):
    """Format 1 with a pooling that answered (2p)²."""
    scores = generator.random((400, 3))
    fitted = calibration.fit(scores[:, None], generator.random((400, 3)) < scores, 0.9)
    for pooling_method, outdated in (("mean_exponential", True), ("mean", False)):
        decided = decisions.Decisions(pooling=pooling_method, weights=(1.0,), recording=fitted, chunk=fitted)
        path = tmp_path / f"{pooling_method}.json"
        decisions.save(str(path), decided, CLASSES)
        path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 1}))
        loaded = decisions.load(str(path), CLASSES, 1)
        assert ((loaded.recording.slope, loaded.recording.intercept) == (1.0, 0.0)) == outdated
        assert loaded.chunk.slope == fitted.slope


def test_the_pooling_of_one_class_is_chosen_by_average_precision(generator):
    truth = np.arange(20)[:, None] < 8
    chunks = [generator.random((10, 1)) * 0.5 for _ in range(20)]
    for scores, present in zip(chunks, truth, strict=True):
        scores[0] += 0.4 * present
    method, tried = decisions.choose_pooling(chunks, truth)
    assert "median_filtered" not in tried and tried[method] == 1.0  # the score is its own median


def test_a_model_votes_only_where_it_knows_the_class():
    nan = np.nan
    members = np.float32([[[0.2, nan, nan, 0.8]], [[0.4, 0.6, nan, nan]]])
    np.testing.assert_allclose(decisions.mix(members, (0.25, 0.75)), [[0.35, 0.6, nan, 0.8]], rtol=1e-6)
    # a class that only a model of weight 0 knows
    np.testing.assert_allclose(decisions.mix(members, (1.0, 0.0)), [[0.2, 0.6, nan, 0.8]], rtol=1e-6)
    known = np.float32([[[0.2, 0.5]], [[0.4, 0.1]]])
    np.testing.assert_allclose(decisions.mix(known, (0.25, 0.75)), [[0.35, 0.2]], rtol=1e-6)
    assert decisions.mix(known, (0.25, 0.75)).dtype == decisions.mix(members, (0.25, 0.75)).dtype == np.float32


def test_a_context_is_stored_and_without_one_the_file_is_as_before(tmp_path):
    plain = decisions.neutral(CLASSES, 1, "mean")
    decisions.save(str(tmp_path / "plain.json"), plain, CLASSES)
    assert not {"context", "in_context"} & set(json.loads((tmp_path / "plain.json").read_text()))
    read = decisions.load(str(tmp_path / "plain.json"), CLASSES, 1)
    assert not read.context.active and read.answers is read.chunk

    fitted = dataclasses.replace(plain.chunk, slope=2.0)
    around = dataclasses.replace(plain, context=context.Context(smoothing=0.2, shifted=True), in_context=fitted)
    decisions.save(str(tmp_path / "around.json"), around, CLASSES)
    read = decisions.load(str(tmp_path / "around.json"), CLASSES, 1)
    assert read.context == around.context and read.answers.slope == 2.0 and read.chunk.slope == 1.0
    (tmp_path / "bad.json").write_text((tmp_path / "around.json").read_text().replace("0.2", "7"))
    with pytest.raises(config.InputError, match="smoothing"):
        decisions.load(str(tmp_path / "bad.json"), CLASSES, 1)


def test_what_recordings_and_segments_have_fitted_is_told_of_both_and_read_from_earlier_files(tmp_path):
    path = tmp_path / "decisions.json"
    neutral = decisions.neutral(CLASSES, 1, "mean")
    recordings, segments = "9 recordings of r; s", "7 segments of t; 3 verdicts of v"
    decided = dataclasses.replace(neutral, in_context=neutral.chunk, fitted_on=recordings, context_fitted_on=segments)
    assert decided.sources == f"{recordings}; {segments}" and not neutral.sources
    decisions.save(str(path), decided, CLASSES)
    content = json.loads(path.read_text())
    del content["context_fitted_on"]
    for together, alone in ((f"{recordings}; {segments}", recordings), (segments, "")):  # as version 0.2.0 wrote them
        path.write_text(json.dumps({**content, "fitted_on": together}))
        read = decisions.load(str(path), CLASSES, 1)
        assert (read.fitted_on, read.context_fitted_on) == (alone, segments)
    assert decisions.joined_sources("a; b", "b") == "a; b" and decisions.joined_sources("", "b") == "b"

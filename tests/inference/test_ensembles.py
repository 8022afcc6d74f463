"""Ensembles; also ensembles whose models have different chunk lengths and sample rates, in each command."""

import csv
import dataclasses
import shutil

import numpy as np
import pytest
import soundfile

from bird_tf import config, evaluate, predict, submission
from bird_tf.audio import decode, frontend
from bird_tf.inference import ensembles, saved_model, scoring
from bird_tf.scores import decisions, pooling
from bird_tf.submissions import run_files
from tests.conftest import SMALL, settings, with_free_classes


@pytest.fixture(scope="module")
def overlapping(model_path, tmp_path_factory):
    """`model_path`, and a copy whose class "strang" is the first one's "fistul"."""
    other = tmp_path_factory.mktemp("overlapping") / "other"
    with_free_classes(shutil.copytree(model_path, other))
    for name in ("classes.csv", "prior.json"):
        text = (other / "assets" / name).read_text()
        assert "fistul" in text
        (other / "assets" / name).write_text(text.replace("fistul", "strang"))
    return model_path, str(other)


def test_models_of_different_classes_vote_on_the_union_each_where_it_knows_the_class(overlapping, data):
    ensemble = ensembles.Ensemble(overlapping)
    own = ensemble.models[0].classes.class_ids
    assert ensemble.classes.class_ids == (*own, "strang")
    path = str(sorted((data / "wav").iterdir())[0])
    alone, [scored] = (
        list(scoring.score_recordings(ensembles.Ensemble(paths), [("x", path)], decode.ChunkingConfig()))
        for paths in (overlapping[:1], overlapping)
    )
    expected, fistul = alone[0].scores.probabilities, own.index("fistul")
    scores = scored.scores
    np.testing.assert_allclose(scores.probabilities, np.concatenate([expected, expected[:, [fistul]]], 1), atol=1e-6)
    assert np.isnan(scores.member_probabilities).any(axis=1).tolist() == [
        [c == "strang" for c in ensemble.classes.class_ids], [c == "fistul" for c in ensemble.classes.class_ids],
    ]  # fmt: skip
    ids = ensemble.prior.class_ids
    assert ids == ensemble.classes.class_ids and len(ensemble.prior.num_recordings) == len(ids)


def test_silent_chunks_get_no_vote_on_any_class(overlapping):
    ensemble = ensembles.Ensemble(overlapping)
    silence = np.zeros((2, ensemble.models[0].front_end.chunk_samples), np.float32)
    members = np.stack([ensemble.predict_samples(member, silence).probabilities for member in range(2)])
    assert np.isnan(members).sum() == 4 and (ensemble.mix(members) == 0).all()
    # a head with a backbone outside of its graph does not know what was silent
    outputs = saved_model.without_embeddings(np.ones((2, 3), np.float32), None)._replace(strangeness=np.float32([2, 2]))
    heard = outputs.without_calls(np.array([True, False]))
    assert heard.strangeness.tolist() == [0, 2] and heard.probabilities.sum() == 3


def test_records_and_predictions_use_the_union(overlapping, manifest, data, tmp_path):
    evaluate.main(settings(
        evaluate.EvaluateConfig, model=overlapping, records=manifest.directory, output=tmp_path / "judged", tune=True,
        synthetic_noise=2,
    ))  # fmt: skip
    predict.predict(settings(
        predict.PredictConfig, model=overlapping, audio=data / "wav", output=tmp_path / "found",
        decisions=tmp_path / "judged" / "decisions.json",
    ))  # fmt: skip
    with open(tmp_path / "found" / "recordings.csv") as file:
        rows = list(csv.DictReader(file))
    assert {"fistul", "strang"} <= set(rows[0]) and rows[0]["fistul"] and rows[0]["strang"]


def test_pooling_by_attention_needs_attention_in_each_model(model_path, attention_model_path):
    assert ensembles.Ensemble([attention_model_path, attention_model_path]).check_pooling("attention") == "attention"
    mixed = ensembles.Ensemble([attention_model_path, model_path])
    assert mixed.check_pooling("mean") == "mean"
    with pytest.raises(config.InputError, match=f"--pooling=attention: {model_path} gives no attention"):
        mixed.check_pooling("attention")


def test_decisions_are_those_of_the_model_unless_a_flag_names_others(tmp_path, model_path):
    model = str(shutil.copytree(model_path, tmp_path / "model"))
    plain = ensembles.Ensemble([model])
    assert plain.decisions.fitted_on == ""
    fitted = decisions.neutral(plain.classes, 1, "max")
    decisions.save(f"{model}/{decisions.ASSET}", fitted, plain.classes)
    assert ensembles.Ensemble([model]).decisions.pooling == "max"
    assert ensembles.Ensemble([model], "none").decisions.pooling == plain.decisions.pooling
    both = decisions.neutral(plain.classes, 2, "mean")
    decisions.save(str(tmp_path / "both.json"), both, plain.classes)
    assert ensembles.Ensemble([model, model], str(tmp_path / "both.json")).decisions.pooling == "mean"
    with pytest.raises(config.InputError, match="made for 2 models, not 1"):
        ensembles.Ensemble([model], str(tmp_path / "both.json"))


def test_an_ensemble_mixes_by_its_weights(tmp_path, model_path, generator):
    ensemble = ensembles.Ensemble([model_path, model_path])
    members = generator.random((2, 4, len(ensemble.classes))).astype(np.float32)
    np.testing.assert_allclose(ensemble.mix(members), members.mean(axis=0), rtol=1e-6)
    weighted = decisions.neutral(ensemble.classes, 2, "mean")
    ensemble.decisions = dataclasses.replace(weighted, weights=(0.25, 0.75))
    for part in (members, members[:, :, 0]):
        np.testing.assert_allclose(ensemble.mix(part), 0.25 * part[0] + 0.75 * part[1], rtol=1e-6)


def test_a_mean_is_never_above_its_members(model_path):
    ensemble = ensembles.Ensemble([model_path])
    ensemble.decisions = decisions.neutral(ensemble.classes, 10, "mean")
    ones = np.ones((10, 3, len(ensemble.classes)), np.float32)
    assert ensemble.mix(ones).max() == 1.0


def test_aligned_scores_are_weighted_by_shared_time():
    own_start, own_end = np.array([0.0, 2.0]), np.array([2.0, 4.0])
    probabilities = np.array([[0.2], [0.8]])
    start, end = np.array([0.0, 1.0, 1.5, 9.0]), np.array([1.0, 3.0, 4.0, 10.0])
    aligned = ensembles.align(probabilities, own_start, own_end, start, end)
    np.testing.assert_allclose(aligned[:, 0], [0.2, 0.5, 0.2 * 0.2 + 0.8 * 0.8, 0.8])
    np.testing.assert_allclose(ensembles.align(probabilities, own_start, own_end, own_start, own_end), probabilities)
    one_axis = ensembles.align(
        probabilities[:, 0], own_start, own_end, start, end
    )  # attention logits have no axis of classes
    np.testing.assert_allclose(one_axis, aligned[:, 0])


@pytest.fixture(scope="module")
def other(untrained):
    """A model of chunks of 2.5 s at 16 kHz; `model_path` has 1 s at 22.05 kHz."""
    small = frontend.FrontendConfig(**SMALL)
    return untrained(dataclasses.replace(small, sample_rate_hz=16000, chunk_seconds=2.5, fmax_hz=7000.0, num_frames=48))


def _scores(model, path):
    [scored] = scoring.score_recordings(ensembles.Ensemble([model]), [("1", str(path))], decode.ChunkingConfig())
    return scored.scores


def test_times_are_those_of_the_first_model_and_scores_are_means_over_shared_time(
    model_path, other, tmp_path, generator
):
    soundfile.write(tmp_path / "x_RN1.wav", generator.normal(0, 0.1, round(6.7 * 48000)), 48000)
    short, long = (_scores(model, tmp_path / "x_RN1.wav") for model in (model_path, other))
    predict.predict(
        settings(
            predict.PredictConfig, model=[model_path, other], audio=tmp_path / "x_RN1.wav", output=tmp_path / "out"
        )
    )
    with open(tmp_path / "out" / "chunks.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(float(r["start_seconds"]), float(r["end_seconds"])) for r in rows] == [
        *((float(i), float(i + 1)) for i in range(6)), (6.0, 6.7),
    ]  # fmt: skip
    ids = saved_model.Model(model_path).classes.class_ids
    found = np.array([[float(r[i]) for i in ids] for r in rows])
    # chunk 1 is inside chunk 0 of the long model; chunk 2 is half in its chunk 0, half in its chunk 1
    expected = {1: long.probabilities[0], 2: long.probabilities[:2].mean(axis=0), 6: long.probabilities[2]}
    for chunk, of_long in expected.items():
        np.testing.assert_allclose(found[chunk], (short.probabilities[chunk] + of_long) / 2, atol=2e-6)


def test_a_warning_tells_if_a_later_model_has_shorter_chunks(model_path, other, caplog):
    ensembles.Ensemble([model_path, other])
    assert "shortest chunks" not in caplog.text
    ensembles.Ensemble([other, model_path])
    assert f"{model_path} hears chunks of 1 s, and answers are for chunks of 2.5 s" in caplog.text


@pytest.mark.parametrize("first", [0, 1])
def test_each_segment_is_in_the_run_whichever_model_is_first(model_path, other, tmp_path, generator, first):
    (tmp_path / "a").mkdir()
    soundfile.write(tmp_path / "a" / "S_RN7.wav", generator.normal(0, 0.1, round(12.2 * 32000)), 32000)
    models = [model_path, other] if first == 0 else [other, model_path]
    submission.write_run(
        settings(submission.SubmissionConfig, task="soundscape", model=models, audio=tmp_path / "a",
                 output=tmp_path / "run.txt")
    )  # fmt: skip
    lines = (tmp_path / "run.txt").read_text().splitlines()
    spans = list(dict.fromkeys(line.split(";")[1] for line in lines))
    assert spans == ["00:00:00-00:00:05", "00:00:05-00:00:10", "00:00:10-00:00:15"]
    assert list(run_files.errors(lines, "soundscape")) == []


def test_attention_logits_are_aligned_and_mixed_as_scores_are(
    attention_model_path, untrained, data, tmp_path, generator
):
    small = frontend.FrontendConfig(**SMALL)
    long_path = untrained(dataclasses.replace(small, chunk_seconds=2.0, num_frames=64), architecture="attention")
    soundfile.write(tmp_path / "x_RN1.wav", generator.normal(0, 0.1, 4 * 22050), 22050)
    short, long = (_scores(model, tmp_path / "x_RN1.wav") for model in (attention_model_path, long_path))
    ensemble = ensembles.Ensemble([attention_model_path, long_path])
    [scored] = scoring.score_recordings(ensemble, [("1", str(tmp_path / "x_RN1.wav"))], decode.ChunkingConfig())
    both = scored.scores
    expected = (short.attention_logits + np.repeat(long.attention_logits, 2)) / 2
    np.testing.assert_allclose(both.attention_logits, expected, atol=1e-5)
    pooled = pooling.pool(both.probabilities, "attention", both.attention_logits)
    folder = tmp_path / "out"
    predict.predict(
        settings(
            predict.PredictConfig, model=[attention_model_path, long_path], audio=tmp_path / "x_RN1.wav",
            output=folder, pooling="attention",
        )
    )  # fmt: skip
    with open(folder / "recordings.csv", newline="") as file:
        [row] = csv.DictReader(file)
    np.testing.assert_allclose([float(row[i]) for i in ensemble.classes.class_ids], pooled, atol=2e-6)


def test_evaluate_scores_the_mean(model_path, other, data, tmp_path):
    summary = evaluate.evaluate(
        settings(evaluate.EvaluateConfig, model=[model_path, other], audio=data / "wav", metadata=data / "xml",
                 pooling="mean", worst=1, output=tmp_path)
    )  # fmt: skip
    assert summary["num_recordings"] == 18 and summary["num_skipped"] == 0
    with open(tmp_path / "recordings.csv", newline="") as file:
        row = next(csv.DictReader(file))
    ensemble = ensembles.Ensemble([model_path, other])
    path = next(p for p in (data / "wav").iterdir() if p.stem.endswith(f"_RN{row['recording_id']}"))
    [scored] = scoring.score_recordings(ensemble, [("1", str(path))], decode.ChunkingConfig())
    assert float(row["best_score"]) == pytest.approx(pooling.pool(scored.scores.probabilities, "mean").max(), abs=1e-5)

"""Members with other chunk lengths and sample rates vote together, in every command."""

import csv
import dataclasses

import numpy as np
import pytest
import soundfile

from bird_tf import evaluate, predict, submission
from bird_tf.audio import decode, frontend
from bird_tf.inference import ensembles, saved_model, scoring
from bird_tf.scores import pooling
from tests.conftest import SMALL, settings


@pytest.fixture(scope="module")
def other(untrained):
    """Chunks of 2.5 s at 16 kHz, beside `model_path`'s 1 s at 22.05 kHz."""
    small = frontend.FrontendConfig(**SMALL)
    return untrained(dataclasses.replace(small, sample_rate_hz=16000, chunk_seconds=2.5, fmax_hz=7000.0, num_frames=48))


def _single(model, path):
    [outcome] = scoring.score_recordings(ensembles.Ensemble([model]), [("1", str(path))], decode.ChunkingConfig())
    return outcome.scores


def test_time_codes_are_the_first_members_and_scores_the_mean_over_shared_time(model_path, other, tmp_path, generator):
    soundfile.write(tmp_path / "x_RN1.wav", generator.normal(0, 0.1, round(6.7 * 48000)), 48000)
    short, long = (_single(model, tmp_path / "x_RN1.wav") for model in (model_path, other))
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
    # chunk 1 lies in the long model's chunk 0; chunk 2 half in its chunk 0, half in 1
    expected = {1: long.probabilities[0], 2: long.probabilities[:2].mean(axis=0), 6: long.probabilities[2]}
    for chunk, theirs in expected.items():
        np.testing.assert_allclose(found[chunk], (short.probabilities[chunk] + theirs) / 2, atol=2e-6)


@pytest.mark.parametrize("first", [0, 1])
def test_every_segment_has_its_place_whichever_leads(model_path, other, tmp_path, generator, first):
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
    assert list(submission.errors(lines, "soundscape")) == []


def test_their_attention_is_aligned_and_mixed_as_their_scores_are(attending_path, untrained, data, tmp_path, generator):
    small = frontend.FrontendConfig(**SMALL)
    long_path = untrained(dataclasses.replace(small, chunk_seconds=2.0, num_frames=64), architecture="attention")
    soundfile.write(tmp_path / "x_RN1.wav", generator.normal(0, 0.1, 4 * 22050), 22050)
    short, long = (_single(model, tmp_path / "x_RN1.wav") for model in (attending_path, long_path))
    ensemble = ensembles.Ensemble([attending_path, long_path])
    [outcome] = scoring.score_recordings(ensemble, [("1", str(tmp_path / "x_RN1.wav"))], decode.ChunkingConfig())
    both = outcome.scores
    np.testing.assert_allclose(both.attention, (short.attention + np.repeat(long.attention, 2)) / 2, atol=1e-5)
    pooled = pooling.pool(both.probabilities, "attention", both.attention)
    folder = tmp_path / "out"
    predict.predict(
        settings(predict.PredictConfig, model=[attending_path, long_path], audio=tmp_path / "x_RN1.wav", output=folder,
                 pooling="attention")
    )  # fmt: skip
    with open(folder / "recordings.csv", newline="") as file:
        [row] = csv.DictReader(file)
    np.testing.assert_allclose([float(row[i]) for i in ensemble.classes.class_ids], pooled, atol=2e-6)


def test_evaluate_scores_their_mean(model_path, other, data, tmp_path):
    summary = evaluate.evaluate(
        settings(evaluate.EvaluateConfig, model=[model_path, other], audio=data / "wav", metadata=data / "xml",
                 pooling="mean", worst=1, output=tmp_path)
    )  # fmt: skip
    assert summary["num_recordings"] == 18 and summary["num_skipped"] == 0
    with open(tmp_path / "recordings.csv", newline="") as file:
        row = next(csv.DictReader(file))
    ensemble = ensembles.Ensemble([model_path, other])
    path = next(p for p in (data / "wav").iterdir() if p.stem.endswith(f"_RN{row['recording_id']}"))
    [outcome] = scoring.score_recordings(ensemble, [("1", str(path))], decode.ChunkingConfig())
    assert float(row["best_score"]) == pytest.approx(pooling.pool(outcome.scores.probabilities, "mean").max(), abs=1e-5)

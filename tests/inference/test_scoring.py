import itertools
import shutil
import threading
import time

import numpy as np
import pytest
import soundfile

from bird_tf import train
from bird_tf.audio import decode
from bird_tf.inference import ensembles, saved_model, scoring
from tests.conftest import train_settings

CHUNKING = decode.ChunkingConfig(overlap_seconds=0.25)


@pytest.fixture(scope="module")
def other_model_path(manifest, tmp_path_factory):
    """A second model of the same records."""
    run_dir = tmp_path_factory.mktemp("runs") / "other"
    train.train(train_settings(manifest, run_dir, seed=1, epochs=1, loss="sigmoid"))
    return str(run_dir / "export")


@pytest.fixture(scope="module")
def recordings(data):
    return [(path.stem, str(path)) for path in sorted((data / "wav").iterdir())]


def _score(models, recordings, batch_size=saved_model.BATCH_SIZE, **values):
    ensemble = ensembles.Ensemble(models, batch_size=batch_size)
    return list(scoring.score_recordings(ensemble, recordings, CHUNKING, **values))


def test_scores_are_those_of_each_chunk_alone(model_path, recordings):
    model = saved_model.Model(model_path)
    for outcome, (recording_id, path) in zip(_score([model_path], recordings), recordings, strict=True):
        assert (outcome.recording_id, outcome.path) == (recording_id, path)
        chunks = np.concatenate(list(decode.ChunkStream(path, model.front_end, CHUNKING, 4)))
        alone = np.concatenate([model.predict_samples(chunk[None]).probabilities for chunk in chunks])
        np.testing.assert_allclose(outcome.scores.probabilities, alone, atol=1e-5)
        np.testing.assert_allclose(np.diff(outcome.scores.start_seconds), 0.75, atol=1 / 22050)
        assert outcome.scores.end_seconds[-1] <= outcome.scores.duration_seconds + 1e-9


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_batch_size_and_company_change_nothing(attending_path, recordings, batch_size):
    usual = _score([attending_path], recordings)
    others = [*_score([attending_path], recordings, batch_size), *_score([attending_path], recordings[4:5], batch_size)]
    for a, b in zip([*usual, usual[4]], others, strict=True):
        np.testing.assert_allclose(a.scores.probabilities, b.scores.probabilities, atol=1e-5)
        np.testing.assert_allclose(a.scores.attention, b.scores.attention, atol=1e-5)


def test_an_ensemble_is_the_mean_of_its_members(model_path, other_model_path, recordings):
    first, second, both = (
        _score(models, recordings[:3]) for models in ([model_path], [other_model_path], [model_path, other_model_path])
    )
    for a, b, mixed in zip(first, second, both, strict=True):
        assert not np.allclose(a.scores.probabilities, b.scores.probabilities)
        mean = (a.scores.probabilities + b.scores.probabilities) / 2
        np.testing.assert_allclose(mixed.scores.probabilities, mean, atol=1e-6)
        np.testing.assert_allclose(mixed.scores.members[1], b.scores.probabilities, atol=1e-6)


def test_another_order_of_classes_is_put_right(tmp_path, model_path, recordings):
    other = shutil.copytree(model_path, tmp_path / "other")
    table = other / "assets" / "classes.csv"
    head, *rows = table.read_text().splitlines()
    turned = [f"{i},{row.split(',', 1)[1]}" for i, row in enumerate(rows[::-1])]
    table.write_text("\n".join([head, *turned]) + "\n")
    [plain], [mixed] = (_score(models, recordings[:1]) for models in ([model_path], [model_path, str(other)]))
    expected = (plain.scores.probabilities + plain.scores.probabilities[:, ::-1]) / 2
    np.testing.assert_allclose(mixed.scores.probabilities, expected, atol=1e-6)


def test_members_of_other_front_ends_are_aligned(model_path, recordings, monkeypatch):
    """A member whose chunks are cut from another rate: twice the model, once pretending to be slower."""
    ensemble = ensembles.Ensemble([model_path, model_path])
    monkeypatch.setattr(
        ensemble.models[1], "front_end", type(ensemble.models[0].front_end)(**{
            **vars(ensemble.models[1].front_end), "top_db": 70.0})
    )  # fmt: skip
    [mixed] = scoring.score_recordings(ensemble, recordings[:1], CHUNKING)
    [plain] = _score([model_path], recordings[:1])
    np.testing.assert_allclose(mixed.scores.probabilities, plain.scores.probabilities, atol=1e-5)


def test_a_recording_that_breaks_off_is_told_in_its_place(tmp_path, model_path, recordings):
    broken = tmp_path / "broken.wav"
    samples = np.zeros(22050 * 40, np.float32)
    samples[-1] = np.nan  # the first blocks are fine
    soundfile.write(broken, samples, 22050, subtype="FLOAT")
    outcomes = _score([model_path], [recordings[0], ("broken", str(broken)), recordings[1]])
    assert [outcome.scores is None for outcome in outcomes] == [False, True, False]
    assert "not finite" in outcomes[1].reason
    [alone] = _score([model_path], recordings[1:2])
    np.testing.assert_allclose(outcomes[2].scores.probabilities, alone.scores.probabilities, atol=1e-5)


def test_embeddings_come_with_every_chunk(model_path, recordings):
    model = saved_model.Model(model_path)
    for outcome in _score([model_path], recordings[:2], embeddings=True):
        chunks = np.concatenate(list(decode.ChunkStream(outcome.path, model.front_end, CHUNKING, 4)))
        np.testing.assert_allclose(outcome.scores.embeddings, model.embed(chunks), atol=1e-4)


def test_the_decoder_stops_when_nobody_listens_any_more(model_path, recordings):
    outcomes = scoring.score_recordings(ensembles.Ensemble([model_path]), recordings, CHUNKING)
    next(outcomes)
    outcomes.close()
    assert "decoder" not in {thread.name for thread in threading.enumerate()}


def test_what_goes_wrong_while_decoding_is_raised(model_path, recordings, monkeypatch):
    def fail(path, rate):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(decode, "blocks", fail)
    with pytest.raises(ZeroDivisionError, match="ours"):
        _score([model_path], recordings)


def test_a_batch_that_takes_longer_keeps_its_place(model_path, recordings, monkeypatch):
    usual, predict, calls = (
        _score([model_path], recordings, batch_size=3),
        saved_model.Model.predict_samples,
        itertools.count(),
    )

    def slowly(self, samples):
        time.sleep(0.1 * (next(calls) % 2 == 0))
        return predict(self, samples)

    monkeypatch.setattr(saved_model.Model, "predict_samples", slowly)
    for a, b in zip(usual, _score([model_path], recordings, batch_size=3), strict=True):
        np.testing.assert_array_equal(a.scores.probabilities, b.scores.probabilities)


def test_what_goes_wrong_in_a_model_is_raised(model_path, recordings, monkeypatch):
    def fail(self, samples):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(saved_model.Model, "predict_samples", fail)
    with pytest.raises(ZeroDivisionError, match="ours"):
        _score([model_path], recordings)
    assert "decoder" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.slow
def test_a_day_of_sound_takes_flat_memory(tmp_path, model_path, generator):
    """Twelve hours in a process of its own: below 1.5 GB at its peak."""
    import subprocess
    import sys

    path = tmp_path / "day.flac"
    minute = np.zeros(60 * 8000, np.float32)  # silence but for a second of noise: megabytes, not gigabytes, of disk
    minute[:8000] = generator.normal(0, 0.1, 8000)
    with soundfile.SoundFile(path, "w", 8000, 1, "PCM_16") as file:
        for _ in range(12 * 60):
            file.write(minute)
    program = f"""
import resource
from bird_tf.audio import decode
from bird_tf.inference import ensembles, scoring
[outcome] = scoring.score_recordings(ensembles.Ensemble([{model_path!r}]), [("day", {str(path)!r})], decode.ChunkingConfig())
print(len(outcome.scores.probabilities), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    num_chunks, peak_kilobytes = map(int, done.stdout.split())
    assert num_chunks == 12 * 3600
    assert peak_kilobytes < 1.5e6

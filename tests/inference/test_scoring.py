import dataclasses
import itertools
import os
import shutil
import signal
import threading
import time

import numpy as np
import pytest
import soundfile

from bird_tf import executor
from bird_tf.audio import decode
from bird_tf.inference import ensembles, saved_model, scoring
from tests.conftest import with_free_classes

CHUNKING = decode.ChunkingConfig(overlap_seconds=0.25)


@pytest.fixture(scope="module")
def other_model_path(manifest, untrained):
    """A second model of the same classes."""
    return untrained(manifest.front_end)


@pytest.fixture(scope="module")
def recordings(data):
    return [(path.stem, str(path)) for path in sorted((data / "wav").iterdir())]


def _score(models, recordings, batch_size=saved_model.BATCH_SIZE, **values):
    ensemble = ensembles.Ensemble(models, batch_size=batch_size)
    return list(scoring.score_recordings(ensemble, recordings, CHUNKING, **values))


def test_a_worker_does_not_repeat_the_warnings_of_the_command(model_path, manifest, untrained, caplog):
    longer = untrained(dataclasses.replace(manifest.front_end, chunk_seconds=2.0))
    ensemble = ensembles.Ensemble([longer, model_path])
    assert caplog.text.count("shortest chunks first") == 1
    scoring._loaded((longer, model_path), 4, tuple(model.fingerprint for model in ensemble.models))
    assert caplog.text.count("shortest chunks first") == 1


def test_scores_equal_those_of_each_chunk_alone(model_path, recordings):
    model = saved_model.Model(model_path)
    for scored, (recording_id, path) in zip(_score([model_path], recordings), recordings, strict=True):
        assert (scored.recording_id, scored.path) == (recording_id, path)
        chunks = np.concatenate(list(decode.ChunkStream(path, model.front_end, CHUNKING, 4)))
        alone = np.concatenate([model.predict_samples(chunk[None]).probabilities for chunk in chunks])
        np.testing.assert_allclose(scored.scores.probabilities, alone, atol=1e-5)
        np.testing.assert_allclose(np.diff(scored.scores.start_seconds), 0.75, atol=1 / 22050)
        assert scored.scores.end_seconds[-1] <= scored.scores.duration_seconds + 1e-9


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_batch_size_and_other_recordings_do_not_change_scores(attention_model_path, recordings, batch_size):
    recordings = recordings[:6]
    expected = _score([attention_model_path], recordings)
    others = [
        *_score([attention_model_path], recordings, batch_size),
        *_score([attention_model_path], recordings[4:5], batch_size),
    ]
    for a, b in zip([*expected, expected[4]], others, strict=True):
        np.testing.assert_allclose(a.scores.probabilities, b.scores.probabilities, atol=1e-5)
        np.testing.assert_allclose(a.scores.attention_logits, b.scores.attention_logits, atol=1e-5)


@pytest.fixture
def mixed_lengths(recordings, tmp_path, generator):
    """Clips, a longer recording, an unreadable one, clips again: several units, whose threads end in another order."""
    long, broken = tmp_path / "long.wav", tmp_path / "broken.wav"
    soundfile.write(long, generator.normal(0, 0.1, 22050 * 40), 22050)
    broken.write_bytes(b"no sound")
    return [*recordings[:3], ("long", str(long)), ("broken", str(broken)), *recordings[3:]]


@pytest.mark.parametrize("threads", [2, 5])
def test_the_number_of_threads_changes_neither_order_nor_bytes(attention_model_path, mixed_lengths, threads):
    one, several = (
        _score([attention_model_path], mixed_lengths, 2, embeddings=True, place=executor.PlaceConfig(threads=count))
        for count in (1, threads)
    )
    assert [scored.recording_id for scored in several] == [recording_id for recording_id, _ in mixed_lengths]
    for a, b in zip(one, several, strict=True):
        assert (a.reason, a.scores is None) == (b.reason, b.scores is None)
        for name in ("probabilities", "attention_logits", "embeddings", "end_seconds") if a.scores else ():
            assert getattr(a.scores, name).tobytes() == getattr(b.scores, name).tobytes(), name


def test_progress_tells_all_seconds_at_the_end(model_path, mixed_lengths):
    progress = scoring.Progress()
    found = _score([model_path], mixed_lengths, progress=progress)
    assert progress.seconds == pytest.approx(sum(s.scores.duration_seconds for s in found if s.scores), abs=0.1)


def _equal(found, expected):
    """Whether two lists of results are equal; in a worker process, whose operations have one thread, to rounding."""
    assert [scored.recording_id for scored in found] == [scored.recording_id for scored in expected]
    for a, b in zip(found, expected, strict=True):
        assert a.reason == b.reason
        if a.scores:
            np.testing.assert_allclose(a.scores.probabilities, b.scores.probabilities, atol=1e-6)
            np.testing.assert_array_equal(a.scores.end_seconds, b.scores.end_seconds)


@pytest.mark.slow
def test_worker_processes_give_the_same_scores(model_path, mixed_lengths):
    expected = _score([model_path], mixed_lengths, 2)
    _equal(_score([model_path], mixed_lengths, 2, place=executor.PlaceConfig(workers=2)), expected)


@pytest.mark.slow
def test_a_cluster_gives_the_same_scores_also_when_a_worker_is_killed(model_path, mixed_lengths):
    distributed = pytest.importorskip("distributed")
    expected = _score([model_path], mixed_lengths * 4, 2)
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster:
        place = executor.PlaceConfig(scheduler=cluster.scheduler_address)
        stream = scoring.score_recordings(
            ensembles.Ensemble([model_path], batch_size=2), mixed_lengths * 4, CHUNKING, place=place
        )
        found = [next(stream)]
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
        _equal([*found, *stream], expected)


def test_scores_of_an_ensemble_are_the_mean_of_its_models(model_path, other_model_path, recordings):
    first, second, both = (
        _score(models, recordings[:3]) for models in ([model_path], [other_model_path], [model_path, other_model_path])
    )
    for a, b, mixed in zip(first, second, both, strict=True):
        assert not np.allclose(a.scores.probabilities, b.scores.probabilities)
        mean = (a.scores.probabilities + b.scores.probabilities) / 2
        np.testing.assert_allclose(mixed.scores.probabilities, mean, atol=1e-6)
        np.testing.assert_allclose(mixed.scores.member_probabilities[1], b.scores.probabilities, atol=1e-6)


def test_models_with_another_order_of_classes_are_reordered(tmp_path, model_path, recordings):
    other = with_free_classes(shutil.copytree(model_path, tmp_path / "other"))
    table = other / "assets" / "classes.csv"
    head, *rows = table.read_text().splitlines()
    reversed_rows = [f"{i},{row.split(',', 1)[1]}" for i, row in enumerate(rows[::-1])]
    table.write_text("\n".join([head, *reversed_rows]) + "\n")
    [plain], [mixed] = (_score(models, recordings[:1]) for models in ([model_path], [model_path, str(other)]))
    expected = (plain.scores.probabilities + plain.scores.probabilities[:, ::-1]) / 2
    np.testing.assert_allclose(mixed.scores.probabilities, expected, atol=1e-6)


def test_models_with_different_front_ends_are_aligned(model_path, recordings, monkeypatch):
    """The same model twice; the second one gets another front-end, so its chunks are in other batches."""
    ensemble = ensembles.Ensemble([model_path, model_path])
    monkeypatch.setattr(
        ensemble.models[1], "front_end", type(ensemble.models[0].front_end)(**{
            **vars(ensemble.models[1].front_end), "top_db": 70.0})
    )  # fmt: skip
    [mixed] = scoring.score_recordings(ensemble, recordings[:1], CHUNKING)
    [plain] = _score([model_path], recordings[:1])
    np.testing.assert_allclose(mixed.scores.probabilities, plain.scores.probabilities, atol=1e-5)


def test_an_unreadable_recording_keeps_its_place_in_the_order(tmp_path, model_path, recordings):
    broken = tmp_path / "broken.wav"
    soundfile.write(broken, np.full(22050 * 40, np.nan, np.float32), 22050, subtype="FLOAT")
    found = _score([model_path], [recordings[0], ("broken", str(broken)), recordings[1]])
    assert [scored.scores is None for scored in found] == [False, True, False]
    assert "not finite" in found[1].reason
    [alone] = _score([model_path], recordings[1:2])
    np.testing.assert_allclose(found[2].scores.probabilities, alone.scores.probabilities, atol=1e-5)


def test_each_chunk_has_embeddings(model_path, recordings):
    model = saved_model.Model(model_path)
    for scored in _score([model_path], recordings[:2], embeddings=True):
        chunks = np.concatenate(list(decode.ChunkStream(scored.path, model.front_end, CHUNKING, 4)))
        np.testing.assert_allclose(scored.scores.embeddings, model.embed(chunks), atol=1e-4)


def test_the_decoder_stops_when_the_stream_is_closed(model_path, recordings):
    stream = scoring.score_recordings(ensembles.Ensemble([model_path]), recordings, CHUNKING)
    next(stream)
    stream.close()
    assert not {thread.name for thread in threading.enumerate() if thread.name.startswith(("unit", "batch"))}


def test_an_error_of_the_decoder_is_raised(model_path, recordings, monkeypatch):
    def fail(path, *_, **__):
        raise ZeroDivisionError("of this test")

    monkeypatch.setattr(decode, "blocks", fail)
    with pytest.raises(ZeroDivisionError, match="of this test"):
        _score([model_path], recordings)


def test_a_slow_batch_keeps_its_place(model_path, recordings, monkeypatch):
    expected = _score([model_path], recordings, batch_size=3)
    predict, calls = saved_model.Model.predict_samples, itertools.count()

    def slowly(self, samples, **values):
        time.sleep(0.1 * (next(calls) % 2 == 0))
        return predict(self, samples, **values)

    monkeypatch.setattr(saved_model.Model, "predict_samples", slowly)
    for a, b in zip(expected, _score([model_path], recordings, batch_size=3), strict=True):
        np.testing.assert_array_equal(a.scores.probabilities, b.scores.probabilities)


def test_an_error_of_a_model_is_raised(model_path, recordings, monkeypatch):
    def fail(self, samples, **values):
        raise ZeroDivisionError("of this test")

    monkeypatch.setattr(saved_model.Model, "predict_samples", fail)
    with pytest.raises(ZeroDivisionError, match="of this test"):
        _score([model_path], recordings)
    assert not {thread.name for thread in threading.enumerate() if thread.name.startswith(("unit", "batch"))}


def test_what_killed_its_process_twice_is_tried_alone_unless_it_was_alone(model_path, recordings, monkeypatch):
    tried = []
    monkeypatch.setattr(executor, "results", lambda function, tasks, *_: (None for _ in tasks))
    monkeypatch.setattr(executor, "alone_or_none", lambda function, task: tried.append(task.unit.recordings))
    ensemble, place = ensembles.Ensemble([model_path]), executor.PlaceConfig(workers=2)
    for count in (1, 2):
        found = list(scoring.score_recordings(ensemble, recordings[:count], CHUNKING, place=place))
        assert len(found) == count and all("the worker process died twice" in scored.reason for scored in found)
    assert tried == [(recordings[0],), (recordings[1],)]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_a_recording(tmp_path, model_path, generator):
    """Twelve hours in a separate process need less than 1.5 GB."""
    import subprocess
    import sys

    path = tmp_path / "day.flac"
    minute = np.zeros(60 * 8000, np.float32)  # one second of noise, then silence: a small file
    minute[:8000] = generator.normal(0, 0.1, 8000)
    with soundfile.SoundFile(path, "w", 8000, 1, "PCM_16") as file:
        for _ in range(12 * 60):
            file.write(minute)
    program = f"""
import re
from bird_tf.audio import decode
from bird_tf.inference import ensembles, scoring
ensemble = ensembles.Ensemble([{model_path!r}])
[scored] = scoring.score_recordings(ensemble, [("day", {str(path)!r})], decode.ChunkingConfig())
with open("/proc/self/status") as status:  # ru_maxrss would count the process that started this one
    print(len(scored.scores.probabilities), re.search(r"VmHWM:\\s*(\\d+)", status.read())[1])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    num_chunks, peak_kilobytes = map(int, done.stdout.split())
    assert num_chunks == 12 * 3600
    assert peak_kilobytes < 1.5e6

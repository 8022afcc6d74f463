import io
import math

import numpy as np
import pytest
import soundfile

from bird_tf.audio import decode
from bird_tf.evaluation import examples
from bird_tf.inference import ensembles, labelled
from bird_tf.labels.layouts import reader
from bird_tf.scores import metrics, pooling


@pytest.fixture(scope="module")
def ensemble(model_path):
    return ensembles.Ensemble([model_path])


def _worst(ensemble, scored, manifest, count=3):
    truth = metrics.truth(scored.labels, scored.backgrounds, len(ensemble.classes))
    pooled = pooling.pool_each(scored.probabilities(ensemble), "mean")
    return truth, pooled, examples.worst(ensemble, scored, pooled, truth, count, manifest)


@pytest.fixture(scope="module")
def scored(ensemble, source, manifest):
    wanted = set(labelled.score_records(ensemble, manifest).recording_ids)
    found = [r for r in reader.read(source)[0] if r.recording_id in wanted]
    return labelled.score_audio(ensemble, found, decode.ChunkingConfig())


def test_the_recordings_with_the_lowest_precision_are_shown_with_their_species(ensemble, scored):
    truth, pooled, found = _worst(ensemble, scored, None)
    precisions = metrics.ranking_precisions(pooled, truth)
    assert [precisions[e.index] for e in found] == sorted(precisions)[:3]
    for example in found:
        assert set(np.flatnonzero(truth[example.index])) <= set(example.species)
        assert np.argmax(np.where(truth[example.index], 0, pooled[example.index])) in example.species
        assert example.chunks.shape == (len(scored.start_seconds[example.index]), len(example.species))


def test_excerpts_sound_and_look_like_the_recording(ensemble, scored):
    for example in _worst(ensemble, scored, None)[2]:
        start, end = example.excerpt
        samples, rate = soundfile.read(io.BytesIO(example.mp3))
        assert 0 <= start < end <= example.seconds
        assert example.seconds == pytest.approx(decode.duration_seconds(scored.paths[example.index]), abs=1e-3)
        # MP3 fills up its last frame
        assert end - start - 0.05 < len(samples) / rate < end - start + 0.2
        assert len(example.spectrograms) == max(1, math.ceil(end - start - 0.01))


def test_records_give_the_same_spectrograms_but_no_sound(ensemble, scored, manifest):
    from_records = _worst(ensemble, labelled.score_records(ensemble, manifest), manifest)[2]
    from_audio = {e.index: e for e in _worst(ensemble, scored, None)[2]}
    assert all(example.mp3 == b"" for example in from_records)
    for example in from_records:
        if example.index in from_audio:
            other = from_audio[example.index].spectrograms
            both = min(len(example.spectrograms), len(other))  # records have no chunk for what is left at the end
            assert np.abs(example.spectrograms[:both] - other[:both]).max() < 0.01  # the uint8 step

import dataclasses

import numpy as np
import pytest

from bird_tf import config
from bird_tf.audio import decode
from bird_tf.inference import ensembles, labelled
from bird_tf.labels.layouts import reader
from bird_tf.scores import pooling


@pytest.fixture(scope="module")
def ensemble(model_path):
    return ensembles.Ensemble([model_path])


@pytest.fixture(scope="module")
def found(source):
    return reader.read(source)[0]


def test_records_and_audio_give_the_same_scores(attending_path, manifest, found):
    ensemble = ensembles.Ensemble([attending_path])
    from_records = labelled.score_records(ensemble, manifest)
    wanted = [r for r in found if r.recording_id in from_records.recording_ids]
    from_audio = labelled.score_audio(ensemble, wanted, decode.ChunkingConfig())
    assert from_records.recording_ids == from_audio.recording_ids
    np.testing.assert_array_equal(from_records.labels, from_audio.labels)
    assert from_records.backgrounds == from_audio.backgrounds
    for name in ("chunks", "attentions", "start_seconds"):
        for ours, theirs in zip(getattr(from_records, name), getattr(from_audio, name), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=0.01)  # the uint8 step
    for method in pooling.METHODS:
        ensemble.decisions = dataclasses.replace(ensemble.decisions, pooling=method)
        pooled = [scored.pooled(ensemble) for scored in (from_records, from_audio)]
        # median_filtered squares twice the score
        np.testing.assert_allclose(*pooled, atol=0.04, err_msg=method)


def test_records_of_another_front_end_are_refused_by_field(ensemble, manifest):
    other = dataclasses.replace(manifest, front_end=dataclasses.replace(manifest.front_end, fmin_hz=300.0))
    with pytest.raises(config.InputError, match=r"different front-ends: fmin_hz 500\.0 / 300\.0"):
        labelled.score_records(ensemble, other)


def test_labels_that_the_model_does_not_know_are_listed(ensemble, found):
    strange = dataclasses.replace(found[0], label="strang")
    scored = labelled.score_audio(ensemble, [strange, *found[1:4]], decode.ChunkingConfig())
    assert len(scored.recording_ids) == 3
    assert scored.skipped == [(strange.path, "strang is no class of the model")]
    with pytest.raises(config.InputError, match="none of 1 recordings"):
        labelled.score_audio(ensemble, [strange], decode.ChunkingConfig())

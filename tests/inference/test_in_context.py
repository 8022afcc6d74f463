import dataclasses

import numpy as np
import pytest

from bird_tf.audio import decode
from bird_tf.inference import ensembles, in_context
from bird_tf.scores import context


@pytest.fixture
def ensemble(model_path):
    found = ensembles.Ensemble([model_path])  # chunks of 1 s
    found.decisions = dataclasses.replace(found.decisions, context=context.Context(shifted=True))
    return found


def _scores(probabilities, step):
    start = np.arange(len(probabilities)) * step
    logits = np.zeros(len(probabilities))
    return ensembles.RecordingScores(
        path="x.wav", duration_seconds=float(start[-1] + 1), start_seconds=start, end_seconds=start + 1,
        member_probabilities=probabilities[None], probabilities=probabilities, member_attention_logits=logits[None],
        attention_logits=logits, embeddings=np.zeros((0, 0), np.float32),
    )  # fmt: skip


def test_recordings_are_cut_with_half_the_step_if_shifted_chunks_are_needed(ensemble):
    assert in_context.Answers(ensemble, decode.ChunkingConfig()).chunking.overlap_seconds == 0.5
    assert in_context.Answers(ensemble, decode.ChunkingConfig(overlap_seconds=0.2)).chunking.overlap_seconds == 0.6
    # these overlap by half already
    assert in_context.Answers(ensemble, decode.ChunkingConfig(overlap_seconds=0.5)).chunking.overlap_seconds == 0.5
    ensemble.decisions = dataclasses.replace(ensemble.decisions, context=context.Context())
    plain = in_context.Answers(ensemble, decode.ChunkingConfig())
    assert plain.chunking == decode.ChunkingConfig()
    scores = _scores(np.full((3, 2), 0.5), 1.0)
    assert plain.in_context(scores) is scores and plain.own(scores) is scores


def test_the_chunks_that_are_answered_are_those_without_the_shifted_ones(ensemble, generator):
    probabilities = generator.random((7, 2))
    answering, scores = in_context.Answers(ensemble, decode.ChunkingConfig()), _scores(probabilities, 0.5)
    own, changed = answering.own(scores), answering.in_context(scores)
    assert own.start_seconds.tolist() == changed.start_seconds.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(own.probabilities, probabilities[::2])
    expected = (probabilities[2] + (probabilities[1] + probabilities[3]) / 2) / 2
    np.testing.assert_allclose(changed.probabilities[1], expected)


def test_a_last_shifted_chunk_that_reaches_further_is_answered_too(ensemble, generator):
    scores = _scores(generator.random((4, 2)), 0.5)
    assert in_context.Answers(ensemble, decode.ChunkingConfig()).own(scores).end_seconds.tolist() == [1, 2, 2.5]

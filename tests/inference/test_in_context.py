import dataclasses
import types

import numpy as np
import pytest
import soundfile

from bird_tf.audio import decode, hearing
from bird_tf.inference import ensembles, in_context, scoring
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


def test_recordings_are_cut_with_shifted_chunks_if_these_are_needed(ensemble):
    for overlap in (0.0, 0.2):
        asked = decode.ChunkingConfig(overlap_seconds=overlap)
        assert in_context.Answers(ensemble, asked).chunking == decode.WithShiftedChunks(overlap_seconds=overlap)
    asked = decode.ChunkingConfig(overlap_seconds=0.5)  # these overlap by half already
    assert in_context.Answers(ensemble, asked).chunking == asked
    ensemble.decisions = dataclasses.replace(ensemble.decisions, context=context.Context())
    plain = in_context.Answers(ensemble, decode.ChunkingConfig())
    assert plain.chunking == decode.ChunkingConfig()
    scores = _scores(np.full((3, 2), 0.5), 1.0)
    assert plain.in_context(scores) is scores and plain.own(scores) is scores


def test_half_an_odd_number_of_samples_is_half_a_chunk(ensemble):
    odd = hearing.Hearing(sample_rate_hz=22050, chunk_seconds=1.5, span_samples=33075)
    asked = decode.ChunkingConfig(overlap_seconds=0.75)
    assert 2 * asked.hop_samples(odd) > odd.chunk_samples
    of_odd = types.SimpleNamespace(models=[types.SimpleNamespace(hearing=odd)], decisions=ensemble.decisions)
    assert in_context.Answers(of_odd, asked).chunking == asked


def test_the_chunks_that_are_answered_are_those_without_the_shifted_ones(ensemble, generator):
    probabilities = generator.random((7, 2))
    answering, scores = in_context.Answers(ensemble, decode.ChunkingConfig()), _scores(probabilities, 0.5)
    own, changed = answering.own(scores), answering.in_context(scores)
    assert own.start_seconds.tolist() == changed.start_seconds.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(own.probabilities, probabilities[::2])
    expected = (probabilities[2] + (probabilities[1] + probabilities[3]) / 2) / 2
    np.testing.assert_allclose(changed.probabilities[1], expected)


def test_shifted_chunks_change_nothing_of_the_chunks_themselves(ensemble, generator, tmp_path):
    recordings = []
    for seconds in (0.3, 1.0, 2.4, 2.7):
        recordings.append((str(seconds), str(tmp_path / f"{seconds}.wav")))
        soundfile.write(recordings[-1][1], generator.normal(0, 0.1, round(22050 * seconds)), 22050)
    asked = decode.ChunkingConfig(minimum_seconds=0.3)
    answering = in_context.Answers(ensemble, asked)
    plain, shifted = (
        [found.scores for found in scoring.score_recordings(ensemble, recordings, chunking)]
        for chunking in (asked, answering.chunking)
    )
    for expected, own in zip(plain, map(answering.own, shifted), strict=True):
        np.testing.assert_array_equal(own.start_seconds, expected.start_seconds)
        np.testing.assert_array_equal(own.end_seconds, expected.end_seconds)
        np.testing.assert_allclose(own.probabilities, expected.probabilities, atol=1e-6)
